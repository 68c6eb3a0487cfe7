//! A body that lies in memory, handed to the connection in pieces.
//!
//! The web server copies what a body hands it into the connection's write buffer. A whole segment at once would grow that
//! buffer to the segment's size for every viewer, and the bytes would have left the processor's cache before they are
//! enciphered; pieces stay small on both counts.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, MessageBody};
use bytes::Bytes;
use cluster::transfer::Served;

/// Bytes handed over at a time: four TLS records, what one write to the socket takes.
const PIECE: usize = 64 * 1024;

/// The rest of a body.
#[derive(Debug)]
pub struct Pieces {
    rest: Bytes,
    /// Whoever copies in the background waits as long as this is here.
    _served: Option<Served>,
}

impl Pieces {
    /// All of `body`, sent to a viewer who is counted by `served`.
    pub fn new(body: Bytes, served: Option<Served>) -> Self {
        Self { rest: body, _served: served }
    }
}

impl MessageBody for Pieces {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.rest.len() as u64)
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let length = self.rest.len().min(PIECE);
        Poll::Ready(Some(Ok(self.rest.split_to(length))))
    }

    fn try_into_bytes(self) -> Result<Bytes, Self> {
        // A connection that wants all at once takes it at once.
        Ok(self.rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix_web::test]
    async fn the_pieces_are_the_body_in_order_and_none_is_larger() {
        for length in [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 17] {
            let body: Bytes = (0..length).map(|at| u8::try_from(at / 7 % 251).expect("below 251")).collect();
            let mut pieces = Pieces::new(body.clone(), None);
            assert_eq!(pieces.size(), BodySize::Sized(length as u64));
            let mut joined = Vec::new();
            while let Some(piece) =
                std::future::poll_fn(|context| Pin::new(&mut pieces).poll_next(context)).await
            {
                let piece = piece.unwrap();
                assert!(!piece.is_empty() && piece.len() <= PIECE);
                joined.extend_from_slice(&piece);
            }
            assert_eq!(joined, body);
        }
    }
}
