//! One log record at rest: where it stands in the clear, what it says sealed, and a checksum over both.
//!
//! The same bytes go to sled and to the journal.

use std::sync::Arc;

use openraft::{CommittedLeaderId, EmptyNode, EntryPayload, Membership};
use serde::{Deserialize, Serialize};

use super::LogError;
use crate::actor::Actor;
use crate::command::Command;
use crate::entry::Entry;
use crate::keyring::AeadKey;
use crate::persist::{self, Persist};
use crate::raft::types::{Batch, LogEntry, LogId, Payload};

/// Longest record, sealed and framed: what sled keeps well inside one page.
pub const RECORD_LIMIT: usize = 16 * 1024;
/// Longest encoded [`Batch`] that still fits a record, with room for seal and frame.
pub const BATCH_LIMIT: usize = RECORD_LIMIT - 256;

const FORMAT: u8 = 1;
const HEADER: usize = 1 + 8 + 8 + 8;
const CHECKSUM: usize = 4;

/// The version of what is sealed in a record.
#[cfg(test)]
pub(crate) const VERSION: u8 = StoredPayload::VERSION;

/// The payload as it is stored.
#[derive(Debug, Serialize, Deserialize)]
struct StoredPayload(Payload);

impl Persist for StoredPayload {
    const VERSION: u8 = 2;
    type Previous = PreviousPayload;
    fn migrate(previous: PreviousPayload) -> Option<Self> {
        let payload = match previous {
            PreviousPayload::Blank => EntryPayload::Blank,
            PreviousPayload::Normal(entries) => {
                EntryPayload::Normal(Batch(Arc::new(entries.into_iter().map(Entry::from).collect())))
            }
            PreviousPayload::Membership(membership) => EntryPayload::Membership(membership),
        };
        Some(Self(payload))
    }
}

/// As version 1 wrote it: Entries that did not say which request they carry out.
#[derive(Debug, Deserialize)]
enum PreviousPayload {
    Blank,
    Normal(Vec<PreviousEntry>),
    Membership(Membership<u64, EmptyNode>),
}

#[derive(Debug, Deserialize)]
struct PreviousEntry {
    time_ms: u64,
    actor: Actor,
    command: Command,
}

impl From<PreviousEntry> for Entry {
    fn from(before: PreviousEntry) -> Self {
        Self { time_ms: before.time_ms, actor: before.actor, command: before.command, request: None }
    }
}

/// Encodes and seals one record.
///
/// # Errors
/// [`LogError::TooLarge`] beyond [`RECORD_LIMIT`], or a failing cipher.
pub fn encode(entry: &LogEntry, key: &AeadKey) -> Result<Vec<u8>, LogError> {
    let payload = StoredPayload(entry.payload.clone());
    let plain = persist::encode(&payload).map_err(|error| LogError::Unencodable(error.to_string()))?;
    let mut record = header(&entry.log_id);
    let sealed = key.seal(&record, &plain).map_err(|error| LogError::Unencodable(error.to_string()))?;
    let checksum = crc32c::crc32c_append(crc32c::crc32c(&record), &sealed);
    record.extend_from_slice(&checksum.to_be_bytes());
    record.extend_from_slice(&sealed);
    if record.len() > RECORD_LIMIT {
        return Err(LogError::TooLarge { length: record.len() });
    }
    Ok(record)
}

/// Where `record` stands in the log, once its checksum is found right.
///
/// # Errors
/// [`LogError::Damaged`].
pub fn position(record: &[u8]) -> Result<LogId, LogError> {
    split(record).map(|(log_id, _, _)| log_id)
}

/// Opens and decodes one record.
///
/// # Errors
/// [`LogError::Damaged`], also for a record sealed by another node.
pub fn decode(record: &[u8], key: &AeadKey) -> Result<LogEntry, LogError> {
    let (log_id, header, sealed) = split(record)?;
    let plain = key.open(header, sealed).map_err(|error| damaged(&log_id, &error))?;
    let StoredPayload(payload) = persist::decode(&plain).map_err(|error| damaged(&log_id, &error))?;
    Ok(LogEntry { log_id, payload })
}

/// Bytes `batch` takes before it is sealed.
#[must_use]
pub fn encoded_length(batch: &Batch) -> usize {
    postcard::experimental::serialized_size(&EntryPayload::<crate::raft::types::TypeConfig>::Normal(
        batch.clone(),
    ))
    .unwrap_or(usize::MAX)
}

fn header(log_id: &LogId) -> Vec<u8> {
    let mut header = Vec::with_capacity(HEADER);
    header.push(FORMAT);
    header.extend_from_slice(&log_id.index.to_be_bytes());
    header.extend_from_slice(&log_id.leader_id.term.to_be_bytes());
    header.extend_from_slice(&log_id.leader_id.node_id.to_be_bytes());
    header
}

/// Splits a record into position, header bytes and sealed bytes, after checking its checksum.
fn split(record: &[u8]) -> Result<(LogId, &[u8], &[u8]), LogError> {
    let short = || LogError::Damaged { what: "a log record is too short".to_owned() };
    let (header, rest) = record.split_at_checked(HEADER).ok_or_else(short)?;
    let (checksum, sealed) = rest.split_first_chunk::<CHECKSUM>().ok_or_else(short)?;
    if header[0] != FORMAT {
        return Err(LogError::Damaged { what: format!("a log record has the unknown format {}", header[0]) });
    }
    if crc32c::crc32c_append(crc32c::crc32c(header), sealed) != u32::from_be_bytes(*checksum) {
        return Err(LogError::Damaged { what: "a log record does not have its checksum".to_owned() });
    }
    let number = |at: usize| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&header[at..at + 8]);
        u64::from_be_bytes(bytes)
    };
    let log_id = LogId::new(CommittedLeaderId::new(number(9), number(17)), number(1));
    Ok((log_id, header, sealed))
}

fn damaged(log_id: &LogId, error: &dyn std::fmt::Display) -> LogError {
    LogError::Damaged { what: format!("log record {}: {error}", log_id.index) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::ClusterCommand;
    use crate::id::NodeId;

    #[derive(Serialize)]
    struct EntryOfVersion1 {
        time_ms: u64,
        actor: Actor,
        command: Command,
    }

    #[derive(Serialize)]
    enum PayloadOfVersion1 {
        #[expect(dead_code, reason = "its place counts")]
        Blank,
        Normal(Vec<EntryOfVersion1>),
    }

    #[test]
    fn a_record_of_version_1_is_read_as_one_without_a_request() {
        let key = AeadKey::new(&[7; 32]).unwrap();
        let log_id = LogId::new(CommittedLeaderId::new(3, 1), 9);
        let command = Command::Cluster(ClusterCommand::ConfirmRecoveryKey);
        let old = EntryOfVersion1 { time_ms: 5, actor: Actor::system(NodeId(1)), command: command.clone() };
        let mut plain = vec![1];
        plain.extend(postcard::to_allocvec(&PayloadOfVersion1::Normal(vec![old])).unwrap());
        let mut record = header(&log_id);
        let sealed = key.seal(&record, &plain).unwrap();
        let checksum = crc32c::crc32c_append(crc32c::crc32c(&record), &sealed);
        record.extend_from_slice(&checksum.to_be_bytes());
        record.extend_from_slice(&sealed);

        let read = decode(&record, &key).unwrap();
        assert_eq!(read.log_id, log_id);
        let EntryPayload::Normal(batch) = read.payload else { panic!("a batch") };
        let wanted = Entry { time_ms: 5, actor: Actor::system(NodeId(1)), command, request: None };
        assert_eq!(*batch.0, vec![wanted]);
    }
}
