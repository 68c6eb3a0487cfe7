//! Walking the chain: nothing changed, removed, moved or cut.

use super::AuditError;
use super::segment::{self, Frame, Frames};
use crate::audit_record::ChainHead;
use crate::disk::{Disk, files};
use crate::keyring::AeadKey;

/// What a walk over the chain found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
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
}

/// Walks all segments.
pub(super) fn run(disk: &dyn Disk, key: &AeadKey, head: ChainHead) -> Result<Verdict, AuditError> {
    let mut walk = Walk { chain: ChainHead::default(), head, damaged: false };
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

struct Walk {
    chain: ChainHead,
    head: ChainHead,
    /// Something could not be read since the last good record. A torn write that came again later is no flaw.
    damaged: bool,
}

impl Walk {
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
        self.chain = chain;
        self.damaged = false;
        Ok(())
    }

    fn end(&self) -> Verdict {
        if self.chain.sequence >= self.head.sequence {
            return Verdict::Intact { records: self.chain.sequence };
        }
        broken(self.chain.sequence + 1, if self.damaged { Flaw::Damaged } else { Flaw::CutOff })
    }
}

fn broken(sequence: u64, flaw: Flaw) -> Verdict {
    Verdict::Broken { sequence, flaw }
}
