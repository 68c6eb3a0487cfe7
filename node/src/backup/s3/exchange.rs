//! One request to a store and its answer, given up when nothing moves. A slow line is no silence, however long a part takes
//! on it; and what a store answers is read no further than an answer goes.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use cluster::backup::{ByteStream, TargetError};
use futures_util::StreamExt;
use futures_util::stream::{self, Stream};
use reqwest::{Body, RequestBuilder, Response};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::answer::{innermost, odd};

/// Nothing moving for so long means that the store is gone.
pub(super) const SILENCE: Duration = Duration::from_secs(60);
/// What is handed on at once: small, so that a slow line shows that it moves.
const PIECE: usize = 64 * 1024;
/// Lists and refusals are no longer than this.
const TEXT: usize = 8 * 1024 * 1024;

fn silent() -> TargetError {
    TargetError::Unreachable("it did not answer in time".to_owned())
}

fn unreachable(error: &reqwest::Error) -> TargetError {
    TargetError::Unreachable(innermost(error))
}

/// Sends a request and waits for the head of its answer.
pub(super) async fn send(
    request: RequestBuilder,
    body: Option<Bytes>,
    silence: Duration,
) -> Result<Response, TargetError> {
    let moved = Arc::new(Notify::new());
    let request = match body {
        Some(body) => {
            let length = body.len();
            let body = Body::wrap_stream(in_pieces(body, moved.clone()));
            request.header(reqwest::header::CONTENT_LENGTH, length).body(body)
        }
        None => request,
    };
    let mut answer = pin!(request.send());
    loop {
        tokio::select! {
            answer = &mut answer => return answer.map_err(|error| unreachable(&error)),
            () = moved.notified() => {}
            () = sleep(silence) => return Err(silent()),
        }
    }
}

/// Tells `moved` of each piece that is taken.
fn in_pieces(body: Bytes, moved: Arc<Notify>) -> impl Stream<Item = std::io::Result<Bytes>> {
    stream::unfold(body, move |mut rest| {
        moved.notify_one();
        let piece = rest.split_to(rest.len().min(PIECE));
        std::future::ready((!piece.is_empty()).then_some((Ok(piece), rest)))
    })
}

async fn next(answer: &mut Response) -> Result<Option<Bytes>, TargetError> {
    let piece = timeout(SILENCE, answer.chunk()).await.map_err(|_| silent())?;
    piece.map_err(|error| unreachable(&error))
}

/// The body of an answer.
pub(super) fn pieces(answer: Response) -> ByteStream {
    stream::try_unfold(answer, |mut answer| async {
        Ok(next(&mut answer).await?.map(|piece| (piece, answer)))
    })
    .boxed()
}

/// The whole body of an answer that is a text.
pub(super) async fn text_of(mut answer: Response) -> Result<String, TargetError> {
    let mut text = BytesMut::new();
    while let Some(piece) = next(&mut answer).await? {
        if text.len() + piece.len() > TEXT {
            return Err(odd("it does not end"));
        }
        text.extend_from_slice(&piece);
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    const BODY: usize = 16 << 20;

    /// A store that takes what is sent so much at a time, with a pause after each, and then answers.
    async fn store(at_once: usize, pause: Duration, answer: Vec<u8>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/part", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut bytes = vec![0; at_once];
            let mut taken = 0;
            while taken < BODY {
                taken += socket.read(&mut bytes).await.unwrap();
                sleep(pause).await;
            }
            drop(socket.write_all(&answer).await);
            std::future::pending::<()>().await;
        });
        address
    }

    async fn put(address: String, silence: Duration) -> Result<Response, TargetError> {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        send(http.put(address), Some(vec![7; BODY].into()), silence).await
    }

    #[tokio::test]
    async fn a_slow_store_is_waited_for_and_a_silent_one_is_not() {
        let silence = Duration::from_millis(1500);
        let well = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec();
        let begun = tokio::time::Instant::now();
        let slow = store(128 << 10, Duration::from_millis(20), well.clone()).await;
        assert_eq!(put(slow, silence).await.unwrap().status(), 200);
        assert!(begun.elapsed() > silence, "it took longer than silence may");
        let silent = store(1 << 10, Duration::from_secs(600), well).await;
        let failed = put(silent, silence).await;
        assert!(matches!(failed, Err(TargetError::Unreachable(_))), "{failed:?}");
    }

    #[tokio::test]
    async fn an_answer_without_end_is_not_read_for_ever() {
        let mut endless = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
        endless.resize(TEXT + (1 << 20), b'x');
        let answer = put(store(1 << 20, Duration::ZERO, endless).await, SILENCE).await.unwrap();
        assert!(matches!(text_of(answer).await, Err(TargetError::Failed(_))));
    }
}
