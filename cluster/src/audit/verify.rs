//! Walking the chain: nothing changed, removed, moved or cut.

use std::path::Path;

use super::AuditError;
use super::segment::{self, Frames};
use crate::audit_record::ChainHead;
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// It is not there, though later ones are.
    Missing,
    /// It is not there, nor is any later one, though State knows of it.
    CutOff,
    /// Its bytes are not what was written.
    Damaged,
    /// It does not carry the hash it must.
    Changed,
}

/// Walks all segments.
pub(super) fn run(dir: &Path, key: &AeadKey, head: ChainHead) -> Result<Verdict, AuditError> {
    let mut chain = ChainHead::default();
    let mut known_head = head.sequence == 0;
    for first in segment::list(dir)? {
        let bytes = std::fs::read(segment::path(dir, first))?;
        let mut frames = Frames::of(&bytes);
        for stored in frames.by_ref() {
            let expected = chain.sequence + 1;
            if stored.sequence != expected {
                return Ok(broken(expected, Flaw::Missing));
            }
            let Ok(record) = stored.open(key) else { return Ok(broken(expected, Flaw::Damaged)) };
            if chain.verify_next(&record).is_err() {
                return Ok(broken(expected, Flaw::Changed));
            }
            if chain.sequence == head.sequence {
                if chain.hash != head.hash {
                    return Ok(broken(expected, Flaw::Changed));
                }
                known_head = true;
            }
        }
        // A write under way beyond the head is no flaw.
        if !frames.rest.is_empty() && chain.sequence < head.sequence {
            return Ok(broken(chain.sequence + 1, Flaw::Damaged));
        }
    }
    if known_head {
        Ok(Verdict::Intact { records: chain.sequence })
    } else {
        Ok(broken(chain.sequence + 1, Flaw::CutOff))
    }
}

fn broken(sequence: u64, flaw: Flaw) -> Verdict {
    Verdict::Broken { sequence, flaw }
}
