//! Reading the audit log.

use serde::{Deserialize, Serialize};

use super::AuditError;
use super::segment::{self, Frames};
use crate::actor::ActorKind;
use crate::audit_record::AuditRecord;
use crate::disk::{Disk, files};
use crate::id::ApplicationId;
use crate::keyring::AeadKey;

/// Records looked at in one call at most; the cursor goes on from there.
const LOOK_AT: usize = 20_000;

/// Which records are wanted. An empty filter wants all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditFilter {
    /// Of this actor.
    pub actor: Option<ActorKind>,
    /// Actions with this beginning, such as `asset.`.
    pub action: Option<String>,
    /// On this target.
    pub target: Option<String>,
    /// In this application.
    pub application: Option<ApplicationId>,
    /// With this result: `ok` or the code of a refusal.
    pub result: Option<String>,
    /// Not before.
    pub from_ms: Option<u64>,
    /// Before.
    pub to_ms: Option<u64>,
}

/// Some records, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditPage {
    /// The records.
    pub records: Vec<AuditRecord>,
    /// Where to go on. `None` at the beginning of the log. A page may be empty and still go on.
    pub next: Option<u64>,
}

impl AuditFilter {
    /// Whether this record is wanted.
    #[must_use]
    pub fn wants(&self, record: &AuditRecord) -> bool {
        fn is<T: PartialEq>(wanted: Option<&T>, found: &T) -> bool {
            wanted.is_none_or(|wanted| wanted == found)
        }
        is(self.actor.as_ref(), &record.actor.kind)
            && self.action.as_ref().is_none_or(|action| record.action.starts_with(action))
            && is(self.target.as_ref(), &record.target)
            && self.application.is_none_or(|application| record.application == Some(application))
            && is(self.result.as_ref(), &record.result)
            && self.from_ms.is_none_or(|from| record.time_ms >= from)
            && self.to_ms.is_none_or(|to| record.time_ms < to)
    }
}

/// Walks back from `cursor` until `limit` records are found or enough were looked at.
pub(super) fn run(
    disk: &dyn Disk,
    key: &AeadKey,
    filter: &AuditFilter,
    cursor: Option<u64>,
    limit: usize,
) -> Result<AuditPage, AuditError> {
    let before = cursor.unwrap_or(u64::MAX);
    let mut page = AuditPage::default();
    let mut looked_at = 0;
    for first in segment::list(disk)?.into_iter().rev().filter(|first| *first < before) {
        let bytes = files::read_whole(&*disk.open(&segment::path(first))?)?;
        let stored: Vec<_> = Frames::of(&bytes).whole().filter(|stored| stored.sequence < before).collect();
        for stored in stored.into_iter().rev() {
            looked_at += 1;
            // One unreadable record must not hide the rest; `verify` is what names it.
            page.records.extend(stored.open(key).ok().filter(|record| filter.wants(record)));
            if page.records.len() >= limit || looked_at >= LOOK_AT {
                page.next = (stored.sequence > 1).then_some(stored.sequence);
                return Ok(page);
            }
        }
    }
    Ok(page)
}
