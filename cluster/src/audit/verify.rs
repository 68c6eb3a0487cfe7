//! Walking the chain: nothing changed, removed, moved or cut.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::AuditError;
use super::segment::{self, Frame, Frames};
use crate::audit_record::ChainHead;
use crate::disk::{Disk, files};
use crate::keyring::AeadKey;

/// What a walk over the chain found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// Every record up to the head in State is there and as it was written.
    Intact {
        /// How many.
        records: u64,
    },
    /// The first record that is not.
    Broken {
        /// Its number.
        sequence: u64,
        /// What is wrong with it.
        flaw: Flaw,
    },
}

/// What can be wrong with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Flaw {
    /// It is not there, though later ones are.
    #[error("not there, though later ones are")]
    Missing,
    /// It is not there, nor is any later one, though State knows of it.
    #[error("not there, nor is any after it")]
    CutOff,
    /// Its bytes are not what was written.
    #[error("not what was written")]
    Damaged,
    /// It does not carry the hash it must.
    #[error("changed: it does not carry the hash it must")]
    Changed,
    /// It comes a second time.
    #[error("there twice")]
    Repeated,
    /// It follows, and is not the one whose hash a node has signed: what came before was written anew.
    #[error("not the one whose hash was signed")]
    NotAsSigned,
}

/// Walks all segments.
pub(super) fn run(
    disk: &dyn Disk,
    key: &AeadKey,
    head: ChainHead,
    signed: &BTreeMap<u64, [u8; 32]>,
) -> Result<Verdict, AuditError> {
    let mut walk = Walk { chain: ChainHead::default(), head, signed, damaged: false };
    for first in segment::list(disk)? {
        let bytes = files::read_whole(&*disk.open(&segment::path(first))?)?;
        for frame in Frames::of(&bytes) {
            match walk.step(frame, key) {
                Ok(()) => {}
                Err((sequence, flaw)) => return Ok(broken(sequence, flaw)),
            }
        }
    }
    Ok(walk.end())
}

struct Walk<'a> {
    chain: ChainHead,
    head: ChainHead,
    /// Hashes that some node has signed.
    signed: &'a BTreeMap<u64, [u8; 32]>,
    /// Something could not be read since the last good record. A torn write that came again later is no flaw.
    damaged: bool,
}

impl Walk<'_> {
    /// Takes one more frame, or names the record that is not as it should be.
    fn step(&mut self, frame: Frame<'_>, key: &AeadKey) -> Result<(), (u64, Flaw)> {
        let Frame::Whole(stored) = frame else {
            self.damaged = true;
            return Ok(());
        };
        let next = self.chain.sequence + 1;
        if stored.sequence < next && !self.damaged {
            return Err((stored.sequence, Flaw::Repeated));
        }
        if stored.sequence != next {
            return Err((next, if self.damaged { Flaw::Damaged } else { Flaw::Missing }));
        }
        let record = stored.open(key).map_err(|_| (next, Flaw::Damaged))?;
        let mut chain = self.chain;
        chain.verify_next(&record).map_err(|_| (next, Flaw::Changed))?;
        if chain.sequence == self.head.sequence && chain.hash != self.head.hash {
            return Err((next, Flaw::Changed));
        }
        if self.signed.get(&next).is_some_and(|hash| *hash != chain.hash) {
            return Err((next, Flaw::NotAsSigned));
        }
        self.chain = chain;
        self.damaged = false;
        Ok(())
    }

    fn end(&self) -> Verdict {
        let signed = self.signed.last_key_value().map_or(0, |(sequence, _)| *sequence);
        if self.chain.sequence >= self.head.sequence.max(signed) {
            return Verdict::Intact { records: self.chain.sequence };
        }
        broken(self.chain.sequence + 1, if self.damaged { Flaw::Damaged } else { Flaw::CutOff })
    }
}

fn broken(sequence: u64, flaw: Flaw) -> Verdict {
    Verdict::Broken { sequence, flaw }
}
