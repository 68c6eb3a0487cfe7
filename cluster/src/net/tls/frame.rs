//! What goes over a connection between two nodes: frames of a fixed head and two lengths.
//!
//! ```text
//! kind 1 | service 1 | place 2 | head bytes 4 | body bytes 4 | deadline in ms 4 | request id 8 | head | body
//! ```
//!
//! `place` is how far into a page of the sender's memory the body lay. A large body lies there again at the receiver: what was
//! laid out for a disk can go to a disk as it is.

use std::io;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::net::{MAX_BODY, MAX_HEAD, Message};

const PREFIX: usize = 24;
const PAGE: usize = 4096;
/// A body for which its place counts.
const LARGE: usize = 64 * 1024;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// Who speaks, and in which version: the first frame each way.
    Hello = 1,
    /// A request.
    Call = 2,
    /// Its answer.
    Answer = 3,
    /// Why there is none.
    Refused = 4,
    /// Are you there?
    Ping = 5,
    /// Yes.
    Pong = 6,
}

impl Kind {
    fn from_number(number: u8) -> Option<Self> {
        let all = [Self::Hello, Self::Call, Self::Answer, Self::Refused, Self::Ping, Self::Pong];
        all.into_iter().find(|kind| *kind as u8 == number)
    }
}

/// One frame.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    pub(super) kind: Kind,
    pub(super) service: u8,
    pub(super) deadline_ms: u32,
    pub(super) id: u64,
    pub(super) message: Message,
}

impl Frame {
    pub(super) fn plain(kind: Kind) -> Self {
        Self { kind, service: 0, deadline_ms: 0, id: 0, message: Message::default() }
    }

    pub(super) fn hello(head: Vec<u8>) -> Self {
        Self { message: Message { head: head.into(), body: Bytes::new() }, ..Self::plain(Kind::Hello) }
    }

    /// Whether it may be sent at all.
    pub(super) fn fits(&self) -> bool {
        self.message.head.len() <= MAX_HEAD && self.message.body.len() <= MAX_BODY
    }

    /// Writes it, without flushing.
    pub(super) async fn write<W: AsyncWrite + Unpin>(&self, to: &mut W) -> io::Result<()> {
        let (head, body) = (&self.message.head, &self.message.body);
        let mut start = BytesMut::with_capacity(PREFIX + head.len());
        start.put_u8(self.kind as u8);
        start.put_u8(self.service);
        start.put_u16(u16::try_from(body.as_ptr().addr() % PAGE).unwrap_or(0));
        start.put_u32(length(head)?);
        start.put_u32(length(body)?);
        start.put_u32(self.deadline_ms);
        start.put_u64(self.id);
        start.put_slice(head);
        to.write_all(&start).await?;
        to.write_all(body).await
    }

    /// Reads one, refusing what is larger than a frame may be before any memory is taken for it.
    pub(super) async fn read<R: AsyncRead + Unpin>(from: &mut R) -> io::Result<Self> {
        Self::read_within(from, MAX_HEAD, MAX_BODY).await
    }

    /// Reads one of at most `most_head` and `most_body` bytes: strangers get less room than nodes.
    pub(super) async fn read_within<R: AsyncRead + Unpin>(
        from: &mut R,
        most_head: usize,
        most_body: usize,
    ) -> io::Result<Self> {
        let mut prefix = [0; PREFIX];
        from.read_exact(&mut prefix).await?;
        let mut rest = &prefix[..];
        let kind = Kind::from_number(rest.get_u8()).ok_or_else(|| bad("an unknown kind of frame"))?;
        let service = rest.get_u8();
        let place = usize::from(rest.get_u16());
        let (head, body) = (rest.get_u32() as usize, rest.get_u32() as usize);
        let (deadline_ms, id) = (rest.get_u32(), rest.get_u64());
        if head > most_head || body > most_body {
            return Err(bad("a frame that is too large"));
        }
        let mut bytes = room(head, body, place);
        let end = bytes.len() + head + body;
        let begins = bytes.len();
        while bytes.len() < end {
            let left = end - bytes.len();
            if from.read_buf(&mut (&mut bytes).limit(left)).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let mut bytes = bytes.freeze().split_off(begins);
        let head = bytes.split_to(head);
        Ok(Self { kind, service, deadline_ms, id, message: Message { head, body: bytes } })
    }
}

/// Room for head and body, with some bytes before them, so that a large body comes to lie at that place of a page.
fn room(head: usize, body: usize, place: usize) -> BytesMut {
    if body < LARGE {
        return BytesMut::with_capacity(head + body);
    }
    let mut room = BytesMut::with_capacity(PAGE + head + body);
    let at = (room.as_ptr().addr() + head) % PAGE;
    room.resize((place % PAGE + PAGE - at) % PAGE, 0);
    room
}

fn length(bytes: &Bytes) -> io::Result<u32> {
    u32::try_from(bytes.len()).map_err(|_| bad("a frame that is too large"))
}

pub(super) fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call() -> Frame {
        let message = Message { head: Bytes::from_static(b"head"), body: Bytes::from_static(b"body!") };
        Frame { kind: Kind::Call, service: 3, deadline_ms: 250, id: 77, message }
    }

    #[tokio::test]
    async fn what_is_written_is_read_and_a_cut_is_an_error() {
        let mut bytes = Vec::new();
        call().write(&mut bytes).await.unwrap();
        let again = Frame::read(&mut bytes.as_slice()).await.unwrap();
        assert_eq!((again.kind, again.service, again.deadline_ms, again.id), (Kind::Call, 3, 250, 77));
        assert_eq!(again.message, call().message);
        for cut in 0..bytes.len() {
            assert!(Frame::read(&mut &bytes[..cut]).await.is_err(), "cut at {cut}");
        }
    }

    #[tokio::test]
    async fn a_large_body_lies_where_it_lay_in_its_page() {
        for (before, head) in [(0, 0), (1, 7), (64, 100), (4000, 5000)] {
            let body = Bytes::from(vec![7; LARGE + before]).split_off(before);
            let message = Message { head: vec![9; head].into(), body };
            let frame = Frame { message, ..call() };
            let mut bytes = Vec::new();
            frame.write(&mut bytes).await.unwrap();
            let again = Frame::read(&mut bytes.as_slice()).await.unwrap();
            assert_eq!(again.message, frame.message);
            let place = |frame: &Frame| frame.message.body.as_ptr().addr() % PAGE;
            assert_eq!(place(&again), place(&frame), "{before} bytes before, {head} of head");
            // Whoever says nothing, or anything, gets its frame as well.
            bytes[2..4].copy_from_slice(&u16::MAX.to_be_bytes());
            assert_eq!(Frame::read(&mut bytes.as_slice()).await.unwrap().message, frame.message);
        }
    }

    #[tokio::test]
    async fn a_frame_that_claims_too_much_is_refused_by_its_head_alone() {
        let mut bytes = Vec::new();
        call().write(&mut bytes).await.unwrap();
        for place in [4, 8] {
            let mut large = bytes.clone();
            large[place..place + 4].copy_from_slice(&u32::MAX.to_be_bytes());
            assert_eq!(
                Frame::read_within(&mut bytes.as_slice(), 4, 4).await.unwrap_err().kind(),
                io::ErrorKind::InvalidData,
                "five bytes of body for a stranger who may send four"
            );
            assert_eq!(
                Frame::read(&mut large.as_slice()).await.unwrap_err().kind(),
                io::ErrorKind::InvalidData
            );
        }
    }
}
