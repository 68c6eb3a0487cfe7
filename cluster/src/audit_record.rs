//! The audit record, and the head of its hash chain kept in State.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use crate::actor::Actor;
use crate::id::ApplicationId;

/// One line of the audit log. Each names the hash of the one before it, so a line cannot be changed,
/// removed or slipped in without breaking every hash after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRecord {
    /// Counts from 1 without gaps.
    pub sequence: u64,
    /// Cluster time.
    pub time_ms: u64,
    /// Who asked.
    pub actor: Actor,
    /// What for, such as `asset.trash`.
    pub action: String,
    /// On what, such as `asset:01h…`.
    pub target: String,
    /// In which application, when in one.
    pub application: Option<ApplicationId>,
    /// `ok`, or the code of the refusal.
    pub result: String,
    /// A few bounded facts, never a secret.
    pub details: BTreeMap<String, String>,
    /// The hash of the record before this one (zero for the first).
    pub previous_hash: [u8; 32],
    /// SHA-256 over everything above.
    pub hash: [u8; 32],
}

/// The newest record's number and hash, kept in State.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainHead {
    /// Number of the newest record, 0 before the first.
    pub sequence: u64,
    /// Its hash.
    pub hash: [u8; 32],
}

/// The chain does not hold at this record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the audit chain is broken at record {sequence}")]
pub struct ChainBroken {
    /// The record that does not follow.
    pub sequence: u64,
}

#[derive(Serialize)]
struct Hashed<'a> {
    sequence: u64,
    time_ms: u64,
    actor: &'a Actor,
    action: &'a str,
    target: &'a str,
    application: Option<ApplicationId>,
    result: &'a str,
    details: &'a BTreeMap<String, String>,
    previous_hash: [u8; 32],
}

impl AuditRecord {
    /// Says how it ended: a refusal's code.
    pub(crate) fn set_result(&mut self, code: &str) {
        code.clone_into(&mut self.result);
    }

    /// The hash this record must carry: SHA-256 over the postcard bytes of every other field.
    pub fn computed_hash(&self) -> [u8; 32] {
        let hashed = Hashed {
            sequence: self.sequence,
            time_ms: self.time_ms,
            actor: &self.actor,
            action: &self.action,
            target: &self.target,
            application: self.application,
            result: &self.result,
            details: &self.details,
            previous_hash: self.previous_hash,
        };
        // Writing plain data to a Vec cannot fail; an empty encoding would only make verification fail.
        let bytes = postcard::to_allocvec(&hashed).unwrap_or_default();
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, &bytes).as_ref());
        hash
    }
}

impl ChainHead {
    /// Numbers and hashes `record` as the next of the chain, and moves the head to it.
    pub fn advance(&mut self, mut record: AuditRecord) -> AuditRecord {
        record.sequence = self.sequence + 1;
        record.previous_hash = self.hash;
        record.hash = record.computed_hash();
        *self = Self { sequence: record.sequence, hash: record.hash };
        record
    }

    /// Moves the head over `record` if it truly follows.
    pub fn verify_next(&mut self, record: &AuditRecord) -> Result<(), ChainBroken> {
        let follows = record.sequence == self.sequence + 1
            && record.previous_hash == self.hash
            && record.hash == record.computed_hash();
        if !follows {
            return Err(ChainBroken { sequence: record.sequence });
        }
        *self = Self { sequence: record.sequence, hash: record.hash };
        Ok(())
    }
}
