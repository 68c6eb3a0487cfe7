//! What nodes ask of one another about copies, and how it is put on the wire: a head in postcard with its version in
//! front, and bytes beside it.

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::blob::BlobName;
use crate::id::{AssetId, BlobId, NodeId};
use crate::net::Message;
use crate::store::{Beginning, BlobError, HeldFile, HeldWrite, Report};

/// The version spoken now.
const VERSION: u8 = 1;

/// What is asked of a holder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Request {
    /// Refuse lower epochs from now on, and report.
    Fence {
        name: BlobName,
        epoch: u64,
    },
    Report(BlobName),
    Read {
        name: BlobName,
        file: HeldFile,
        offset: u64,
        length: u32,
    },
    /// Beside it: the tail slot and the frames.
    Begin {
        name: BlobName,
        beginning: Beginning,
    },
    /// Beside it: the bytes of the writes, one after the other.
    Write {
        name: BlobName,
        epoch: u64,
        writes: Vec<HeldWrite>,
    },
    /// Which sealed Blobs of these assets are there.
    List(Vec<AssetId>),
    /// Fetch a sealed Blob from `from`, unless it is there.
    Adopt {
        name: BlobName,
        from: NodeId,
        hash: [u8; 32],
    },
    /// As [`Request::Read`] of the records, for a copy that is made in the background: viewers come first.
    ReadForCopy {
        name: BlobName,
        offset: u64,
        length: u32,
    },
    /// Beside it: the file of a Blob that was sealed by its first writer before anybody else had anything of it.
    Whole {
        name: BlobName,
        epoch: u64,
        hash: [u8; 32],
    },
}

/// A sealed Blob as it is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Listed {
    pub(crate) asset: AssetId,
    pub(crate) blob: BlobId,
    pub(crate) file_length: u64,
    pub(crate) hash: [u8; 32],
}

/// What a holder answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Answer {
    Done,
    /// The bytes come beside it.
    Bytes,
    Report(Report),
    List(Vec<Listed>),
    Failed(Failure),
}

/// [`BlobError`] on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Failure {
    Full,
    Fenced { have: u64, got: u64 },
    NotFound,
    WriterOver,
    Damaged(String),
    Other(String),
}

impl From<BlobError> for Failure {
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::Full => Self::Full,
            BlobError::Fenced { have, got } => Self::Fenced { have, got },
            BlobError::NotFound => Self::NotFound,
            BlobError::WriterOver | BlobError::Sealed(_) => Self::WriterOver,
            BlobError::Corrupt { .. } | BlobError::Damaged(_) => Self::Damaged(error.to_string()),
            other => Self::Other(other.to_string()),
        }
    }
}

impl From<Failure> for BlobError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Full => Self::Full,
            Failure::Fenced { have, got } => Self::Fenced { have, got },
            Failure::NotFound => Self::NotFound,
            Failure::WriterOver => Self::WriterOver,
            Failure::Damaged(_) => Self::Damaged(crate::blob::FormatError::Damaged("copy on another node")),
            Failure::Other(reason) => Self::Io(reason),
        }
    }
}

/// For tests and fuzzing: reads a head as a request and as an answer.
#[cfg(feature = "sim")]
pub(crate) fn read(message: &Message) {
    drop(head::<Request>(message));
    drop(head::<Answer>(message));
}

/// Puts a head and its bytes into a message.
pub(crate) fn message(head: &impl Serialize, body: Bytes) -> Result<Message, BlobError> {
    let head = postcard::to_extend(head, vec![VERSION]);
    let head = head.map_err(|error| BlobError::Io(format!("a message cannot be encoded: {error}")))?;
    Ok(Message { head: head.into(), body })
}

/// Reads a head.
pub(crate) fn head<T: DeserializeOwned>(message: &Message) -> Result<T, String> {
    match message.head.split_first() {
        Some((&VERSION, head)) => postcard::from_bytes(head).map_err(|error| error.to_string()),
        Some((version, _)) => Err(format!("version {version} of the transfer is not spoken here")),
        None => Err("an empty message".to_owned()),
    }
}
