//! The audit log in a backup: records sealed anew, each object under a key of its own that the manifest holds.

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use super::hash;
use super::manifest::{AuditPart, Part};
use super::run::BackupError;
use super::target::{Target, put_small, read_whole};
use crate::audit::AuditLog;
use crate::audit_record::AuditRecord;
use crate::keyring::{AeadKey, random_secret};
use crate::persist::{self, Persist};

/// No object of audit records is longer: a segment and its open records.
const LONGEST: usize = 16 * 1024 * 1024;
const CONTEXT: &[u8] = b"mediakeep backup audit";

#[derive(Serialize, Deserialize)]
struct Records(Vec<AuditRecord>);

impl Persist for Records {
    const VERSION: u8 = 1;
    type Previous = Self;
    fn migrate(previous: Self) -> Option<Self> {
        Some(previous)
    }
}

/// Sends every audit record up to `upto` that is not at the target already, by the `known` parts of the run before.
pub(super) async fn send(
    log: &AuditLog,
    upto: u64,
    known: &[AuditPart],
    target: &dyn Target,
    (run_file, lock_until_ms): (&str, Option<u64>),
) -> Result<Vec<AuditPart>, BackupError> {
    log.sync().await?;
    let known: BTreeMap<u64, &AuditPart> = known.iter().map(|part| (part.first, part)).collect();
    let segments = log.segments().await?;
    let mut parts = Vec::new();
    for (at, first) in segments.iter().enumerate() {
        if *first > upto {
            break;
        }
        let full = at + 1 < segments.len();
        let mut records = log.segment_records(*first).await?;
        records.retain(|record| record.sequence <= upto);
        let Some(last) = records.last().map(|record| record.sequence) else { continue };
        let same =
            known.get(first).filter(|part| part.last == last && part.object.name.starts_with(super::AUDIT));
        if let Some(part) = same.filter(|_| full)
            && let Some(found) = target.find(&part.object.name).await?
            && found.length == part.object.length
        {
            if let Some(until_ms) = lock_until_ms {
                target.lock(&part.object.name, &part.object.version, until_ms).await?;
            }
            parts.push(AuditPart::clone(part));
            continue;
        }
        let name = if full { shared_name(*first, last)? } else { run_file.to_owned() };
        parts.push(put(target, name, (*first, last), records, lock_until_ms).await?);
    }
    Ok(parts)
}

fn shared_name(first: u64, last: u64) -> Result<String, BackupError> {
    let random = random_secret()?;
    Ok(format!("{}{first:020}-{last:020}-{}", super::AUDIT, HEXLOWER.encode(&random[..8])))
}

async fn put(
    target: &dyn Target,
    name: String,
    (first, last): (u64, u64),
    records: Vec<AuditRecord>,
    lock_until_ms: Option<u64>,
) -> Result<AuditPart, BackupError> {
    let key = random_secret()?;
    let plain = persist::encode(&Records(records)).map_err(|error| BackupError::Local(error.to_string()))?;
    let sealed = AeadKey::new(&key)?.seal(CONTEXT, &plain)?;
    let (length, hash) = (sealed.len() as u64, hash(&sealed));
    let stored = put_small(target, &name, sealed, lock_until_ms).await?;
    let object = Part { name, version: stored.version, length, hash };
    Ok(AuditPart { first, last, object, key: *key })
}

/// Reads one part back.
pub(super) async fn read(target: &dyn Target, part: &AuditPart) -> Result<Vec<AuditRecord>, BackupError> {
    let sealed = read_whole(target, &part.object.name, &part.object.version, LONGEST).await?;
    let damaged = || BackupError::Damaged(part.object.name.clone());
    if hash(&sealed) != part.object.hash {
        return Err(damaged());
    }
    let plain = AeadKey::new(&part.key)?.open(CONTEXT, &sealed).map_err(|_| damaged())?;
    let records: Records = persist::decode(&plain).map_err(|_| damaged())?;
    Ok(records.0)
}
