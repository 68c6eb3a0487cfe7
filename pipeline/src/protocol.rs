//! The frames between a node and its worker: a small typed head and an optional body of raw bytes, both bounded.
//!
//! On the wire: head length and body length (two little-endian `u32`), the head in postcard, the body as it is.
//! Neither side trusts the other's lengths: a frame over the limits ends the conversation.

use std::io::{self, Read, Write};

use bytes::Bytes;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::failure::Failure;
use crate::sink::{Progress, Sidecar};
use crate::tracks::{Probe, RenditionId, SegmentInfo};
use crate::transcode::{Report, TranscodeSpec, Unpassable};

/// Longest head: a probe of a source with as many tracks as we allow fits many times over.
const MAX_HEAD: u32 = 256 * 1024;
/// Longest body: one segment of the heaviest rendition that we pass through.
pub const MAX_BODY: u32 = 96 * 1024 * 1024;
/// Most bytes a worker may ask for at once.
pub const MAX_READ: u32 = 1024 * 1024;
/// Most reads a worker may have under way.
pub const MAX_READS_UNDER_WAY: usize = 8;

/// What the node tells the worker.
#[derive(Debug, Serialize, Deserialize)]
pub enum ToWorker {
    /// First and once: what to do, and how long the source is (`None`: it still grows).
    Start {
        /// The work.
        job: Box<Job>,
        /// The length of the source.
        length: Option<u64>,
    },
    /// The body is the answer to a read.
    Bytes {
        /// Which read.
        request: u64,
    },
    /// A read failed for good.
    ReadFailed {
        /// Which read.
        request: u64,
    },
}

/// What a worker is started for.
#[derive(Debug, Serialize, Deserialize)]
pub enum Job {
    /// Say what the source is.
    Probe,
    /// Make the renditions.
    Transcode(Box<TranscodeSpec>),
    /// Try what the sandbox must refuse and say what was possible; for tests.
    TrySandbox,
}

/// What the worker tells the node.
#[derive(Debug, Serialize, Deserialize)]
pub enum FromWorker {
    /// Wants bytes of the source.
    Read {
        /// A number the answer carries.
        request: u64,
        /// From where.
        offset: u64,
        /// How many.
        length: u32,
    },
    /// The answer to [`Job::Probe`].
    Probed(Box<Probe>),
    /// The body is a rendition's header.
    Init(RenditionId),
    /// The body is a rendition's next segment.
    Segment(RenditionId, SegmentInfo),
    /// The body is something beside the renditions.
    Sidecar(Sidecar),
    /// How far it is.
    Progress(Progress),
    /// A transcode ran to its end.
    Finished(Report),
    /// It ended with a reason.
    Failed(Failure),
    /// The answer to [`Job::TrySandbox`]: what succeeded although it must not.
    SandboxTried(Vec<String>),
    /// The source cannot be passed through after all.
    Unpassable(Unpassable),
}

/// One frame: a head and its bytes.
#[derive(Debug)]
pub struct Frame<Head> {
    /// The typed part.
    pub head: Head,
    /// The raw part; often empty.
    pub body: Bytes,
}

fn bad(text: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

fn prefix<Head: Serialize>(head: &Head, body: &[u8]) -> io::Result<Vec<u8>> {
    let mut bytes =
        postcard::to_extend(head, vec![0; 8]).map_err(|_| bad("a frame head cannot be written"))?;
    let head_length = u32::try_from(bytes.len() - 8).unwrap_or(u32::MAX);
    let body_length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    if head_length > MAX_HEAD || body_length > MAX_BODY {
        return Err(bad("a frame is over its limit"));
    }
    bytes[..4].copy_from_slice(&head_length.to_le_bytes());
    bytes[4..8].copy_from_slice(&body_length.to_le_bytes());
    Ok(bytes)
}

fn lengths(prefix: [u8; 8]) -> io::Result<(usize, usize)> {
    let [a, b, c, d, e, f, g, h] = prefix;
    let (head, body) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
    if head > MAX_HEAD || body > MAX_BODY {
        return Err(bad("a frame is over its limit"));
    }
    Ok((head as usize, body as usize))
}

fn parse<Head: DeserializeOwned>(head: &[u8]) -> io::Result<Head> {
    postcard::from_bytes(head).map_err(|_| bad("a frame head cannot be read"))
}

/// Writes one frame, in a worker.
pub fn write_frame<Head: Serialize>(mut to: impl Write, head: &Head, body: &[u8]) -> io::Result<()> {
    to.write_all(&prefix(head, body)?)?;
    to.write_all(body)
}

/// Reads one frame, in a worker.
pub fn read_frame<Head: DeserializeOwned>(mut from: impl Read) -> io::Result<Frame<Head>> {
    let mut start = [0; 8];
    from.read_exact(&mut start)?;
    let (head_length, body_length) = lengths(start)?;
    let mut head = vec![0; head_length];
    from.read_exact(&mut head)?;
    let mut body = vec![0; body_length];
    from.read_exact(&mut body)?;
    Ok(Frame { head: parse(&head)?, body: body.into() })
}

/// Writes one frame, in the node.
pub async fn send_frame<Head: Serialize>(
    to: &mut (impl AsyncWrite + Unpin),
    head: &Head,
    body: &[u8],
) -> io::Result<()> {
    let prefix = prefix(head, body)?;
    to.write_all(&prefix).await?;
    to.write_all(body).await
}

/// Reads one frame, in the node.
pub async fn receive_frame<Head: DeserializeOwned>(
    from: &mut (impl AsyncRead + Unpin),
) -> io::Result<Frame<Head>> {
    let mut start = [0; 8];
    from.read_exact(&mut start).await?;
    let (head_length, body_length) = lengths(start)?;
    let mut head = vec![0; head_length];
    from.read_exact(&mut head).await?;
    // The body grows as it arrives, so that a lying length costs nothing.
    let mut body = Vec::with_capacity(body_length.min(1 << 20));
    let mut rest = from.take(body_length as u64);
    while rest.limit() > 0 {
        if rest.read_buf(&mut body).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(Frame { head: parse(&head)?, body: body.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_reads_back_as_written() {
        let mut wire = Vec::new();
        write_frame(&mut wire, &ToWorker::Bytes { request: 7 }, b"media").unwrap();
        let frame: Frame<ToWorker> = read_frame(wire.as_slice()).unwrap();
        assert!(matches!(frame.head, ToWorker::Bytes { request: 7 }));
        assert_eq!(frame.body, "media");
    }

    #[tokio::test]
    async fn a_lying_length_is_refused_before_anything_is_kept() {
        let mut wire = 8u32.to_le_bytes().to_vec();
        wire.extend(u32::MAX.to_le_bytes());
        let error = receive_frame::<FromWorker>(&mut wire.as_slice()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }

    #[tokio::test]
    async fn a_cut_frame_is_an_end_not_a_message() {
        let mut wire = Vec::new();
        write_frame(&mut wire, &FromWorker::Init(RenditionId::Video(720)), &[1; 100]).unwrap();
        for length in 0..wire.len() {
            assert!(receive_frame::<FromWorker>(&mut &wire[..length]).await.is_err(), "{length}");
        }
        assert!(receive_frame::<FromWorker>(&mut wire.as_slice()).await.is_ok());
    }
}
