//! Going on without nodes that are lost for good, when most of the voters are among them: `mediakeep cluster recover`.
//!
//! It works on the folder of a stopped node. One change of its log, made whole or not at all, makes it the only voter and says
//! so in an Entry ([`ClusterCommand::RecoverQuorum`]); everything else is as after any start. Whether it may be done is judged
//! in [`judge`], by what [`ask`] hears from the others.

mod ask;
mod judge;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::sync::Arc;

use openraft::storage::RaftLogStorage;
use openraft::{CommittedLeaderId, EmptyNode, EntryPayload};
use serde::{Deserialize, Serialize};

pub use judge::{Reach, RecoverError, Seen};

use super::ground::lock;
use super::identity::Identity;
use super::{Cluster, ClusterConfig, OpenError, format};
use crate::actor::Actor;
use crate::audit::HeadBook;
use crate::audit_record::ChainHead;
use crate::blocking::blocking;
use crate::command::{ClusterCommand, Command};
use crate::disk::{RealDisk, StopFlag};
use crate::entry::Entry;
use crate::id::NodeId;
use crate::keyring::{NodeSecrets, StorageKey};
use crate::raft::log::content::Change;
use crate::raft::log::{self, LogOptions, LogPlace, record};
use crate::raft::machine::{Restored, Shown};
use crate::raft::metrics;
use crate::raft::snapshot::{SnapshotError, SnapshotFolder};
use crate::raft::time::ClusterTime;
use crate::raft::types::{Batch, LogEntry, LogId, Vote};
use crate::seal::Seal;
use crate::state::State;

type Membership = openraft::Membership<u64, EmptyNode>;

/// Where a node stands in agreement, by its own word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The newest record of its log. Of two logs, the one that ends with the greater one holds all that the other has agreed to.
    pub last: Option<LogId>,
    /// The newest election it took part in.
    pub term: u64,
    /// Who leads, if it hears a leader now.
    pub leader: Option<NodeId>,
}

impl Position {
    /// For people: the election and the number of the newest record.
    #[must_use]
    pub fn end(&self) -> (u64, u64) {
        self.last.map_or((0, 0), |last| (last.leader_id.term, last.index))
    }
}

/// What is kept of the assets when some nodes are lost, as far as the survivor knows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Kept {
    /// All there are.
    pub assets: u64,
    /// Of these, with a copy on a node that is left.
    pub with_copies: u64,
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recovered {
    /// The number of the audit record that says so.
    pub audit_record: u64,
    /// Its hash.
    pub audit_hash: [u8; 32],
    /// Where the log ends now: election and number.
    pub end: (u64, u64),
}

/// A stopped node, opened to go on without others. It holds the folder: no node can be started on it meanwhile.
pub struct Survivor {
    config: ClusterConfig,
    identity: Identity,
    secrets: NodeSecrets,
    storage_key: StorageKey,
    /// State with the whole log carried out, agreed or not: it is what the node goes on from.
    shown: Arc<Shown>,
    members: Membership,
    vote: Option<Vote>,
    last: Option<LogId>,
    snapshot: Option<LogId>,
    _lock: File,
}

impl Survivor {
    /// Opens the stopped node in `config.dir` and reads what it knows. Nothing is changed. Blocks.
    ///
    /// # Errors
    /// [`RecoverError`] when it runs, is damaged, or is no node of several.
    pub fn open(config: ClusterConfig, seal: &dyn Seal) -> Result<Self, RecoverError> {
        if !ClusterConfig::is_initialised(&config.dir) {
            return Err(OpenError::Absent(config.dir).into());
        }
        let lock = lock(&config).map_err(|error| match error {
            OpenError::InUse(dir) => RecoverError::Runs(dir),
            other => other.into(),
        })?;
        format::check(&config)?;
        let secrets = seal.unlock().map_err(OpenError::from)?;
        let storage_key = secrets.storage_key().map_err(OpenError::from)?;
        let identity = Identity::read(&config, &storage_key)?.ok_or(RecoverError::Alone)?;
        let mut restored = restore(&config, &storage_key)?;
        let snapshot = restored.applied.last;
        if !identity.settled || !config.log_dir().exists() {
            return Err(OpenError::Wiped(config.log_dir()).into());
        }
        let looked = log::look(&log_options(&config, &storage_key, snapshot)?).map_err(OpenError::from)?;
        if let Some(missing) = looked.missing {
            return Err(RecoverError::Damaged { missing, reasons: looked.reasons.join("; ") });
        }
        let key = storage_key.purpose("raft log").map_err(OpenError::from)?;
        for (_, bytes) in looked.content.records.range(snapshot.map_or(0, |snapshot| snapshot.index + 1)..) {
            restored.apply(&record::decode(bytes, &key).map_err(OpenError::from)?);
        }
        if restored.state.node(identity.node).is_none() {
            return Err(RecoverError::NoMember);
        }
        let members = restored.applied.membership.membership().clone();
        let time = ClusterTime::start(config.clock.clone(), restored.state.time_ms());
        let shown = Shown::new(restored, time);
        let (vote, last) = (looked.content.vote, looked.content.last);
        Ok(Self { config, identity, secrets, storage_key, shown, members, vote, last, snapshot, _lock: lock })
    }

    /// This node.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.identity.node
    }

    /// What this node knows, the changes included that nobody has agreed to yet.
    #[must_use]
    pub fn state(&self) -> Arc<State> {
        self.shown.state.load_full()
    }

    /// Where its log ends.
    #[must_use]
    pub fn position(&self) -> Position {
        let voted = self.vote.map_or(0, |vote| vote.leader_id().term);
        let term = self.last.map_or(voted, |last| voted.max(last.leader_id.term));
        Position { last: self.last, term, leader: None }
    }

    /// Asks all other members where they stand. Takes a few seconds when some do not answer.
    ///
    /// # Errors
    /// When this node cannot make itself known to them.
    pub async fn look_around(&self) -> Result<Seen, RecoverError> {
        let reach = ask::all(self).await?;
        let voters = self.members.get_joint_config().clone();
        let voters = voters.into_iter().map(|config| config.into_iter().map(NodeId).collect()).collect();
        let state = self.state();
        let level = |node: NodeId| state.release(node).map_or(0, |release| release.level);
        let nodes = state.nodes().map(|node| (node.id, level(node.id))).collect();
        Ok(Seen { me: self.node(), position: self.position(), nodes, voters, reach })
    }

    /// How many assets have a copy left without the nodes `lost`. As long as there are assets, it takes a while.
    #[must_use]
    pub fn kept(&self, lost: &BTreeSet<NodeId>) -> Kept {
        let state = self.state();
        let mut kept = Kept::default();
        let mut after = None;
        loop {
            let some = state.assets_after(after, 1000);
            let Some(last) = some.last().copied() else { return kept };
            let is_left = |node: NodeId| !lost.contains(&node) && state.node(node).is_some();
            kept.assets += some.len() as u64;
            kept.with_copies +=
                some.iter().filter(|asset| state.holders(**asset).iter().any(is_left)).count() as u64;
            after = Some(last);
        }
    }

    /// Nodes that have signed audit records which this node does not have: what these were about is lost with them.
    #[must_use]
    pub fn signed_beyond(&self) -> Vec<(NodeId, u64)> {
        let state = self.state();
        let cluster = state.cluster_info().map(|info| info.id).unwrap_or_default();
        let book = HeadBook::open(&self.config.dir, self.storage_key.clone());
        let beyond = book.all().into_iter().filter(|signed| {
            signed.head.sequence > state.chain_head().sequence && signed.is_genuine(&cluster)
        });
        beyond.map(|signed| (signed.node, signed.head.sequence)).collect()
    }

    /// Makes this node the only voter, for good, in one durable step, when [`Seen::may_recover`] allows it.
    ///
    /// # Errors
    /// [`RecoverError`]; nothing was changed then, unless the disk failed at the very end.
    pub async fn recover(
        self,
        seen: &Seen,
        (lost, compared): (&BTreeSet<NodeId>, bool),
        (reason, operator): (&str, &str),
    ) -> Result<Recovered, RecoverError> {
        seen.may_recover(lost, compared)?;
        let me = self.node();
        let (last_term, last_index) = self.position().end();
        let command = ClusterCommand::RecoverQuorum {
            survivor: me,
            lost: lost.iter().copied().collect(),
            reason: reason.to_owned(),
            operator: operator.to_owned(),
            last_term,
            last_index,
        };
        let entry = Entry {
            time_ms: self.shown.time.stamp(),
            actor: Actor::system(me),
            command: Command::Cluster(command),
            request: None,
        };
        let head = self.tried(&entry)?;
        // Above every election that anybody who is left has heard of: nobody else ever led in it.
        let heard = seen.positions().map(|(_, position)| position.term).max().unwrap_or(0);
        let term = self.position().term.max(heard).saturating_add(1);
        let learners = self.state().nodes().map(|node| node.id).collect::<BTreeSet<_>>();
        let members = learners.difference(lost).map(|node| (node.0, EmptyNode {}));
        let members = Membership::new(vec![BTreeSet::from([me.0])], members.collect::<BTreeMap<_, _>>());
        let payloads =
            [EntryPayload::Membership(members), EntryPayload::Normal(Batch(Arc::new(vec![entry])))];
        let key = self.storage_key.purpose("raft log").map_err(OpenError::from)?;
        let mut records = Vec::new();
        for (index, payload) in (self.last.map_or(0, |last| last.index + 1)..).zip(payloads) {
            let log_id = LogId::new(CommittedLeaderId::new(term, me.0), index);
            let bytes = record::encode(&LogEntry { log_id, payload }, &key).map_err(OpenError::from)?;
            records.push((log_id, bytes));
        }
        let end = records.last().map_or((0, 0), |(log_id, _)| (log_id.leader_id.term, log_id.index));
        let changes = vec![Change::Vote(Vote::new(term, me.0)), Change::Append(records)];
        let options = log_options(&self.config, &self.storage_key, self.snapshot)?;
        let store = blocking(move || log::open_changed(options, changes, 1)).await;
        let store = store.map_err(|error| OpenError::Consensus(error.to_string()))?;
        store.map_err(OpenError::from)?.close().await.map_err(OpenError::from)?;
        Ok(Recovered { audit_record: head.sequence, audit_hash: head.hash, end })
    }

    /// Carries the Entry out on a copy of State: what would be refused at the next start is refused now.
    fn tried(&self, entry: &Entry) -> Result<ChainHead, RecoverError> {
        let mut state = State::clone(&self.shown.state.load());
        let next = self.shown.applied.borrow().entries + 1;
        state.apply(next, entry).outcome?;
        Ok(state.chain_head())
    }
}

fn restore(config: &ClusterConfig, key: &StorageKey) -> Result<Restored, RecoverError> {
    let disk = RealDisk::open(config.snapshot_dir()).map_err(OpenError::from)?;
    let purpose = key.purpose("snapshot").map_err(OpenError::from)?;
    let folder = SnapshotFolder::open(Arc::new(disk), Arc::new(purpose)).map_err(OpenError::from)?;
    Restored::read(&folder).map_err(|error| {
        let dir = config.snapshot_dir();
        match error {
            SnapshotError::Damaged(what) => OpenError::SnapshotDamaged { dir, what }.into(),
            other => OpenError::from(other).into(),
        }
    })
}

fn log_options(
    config: &ClusterConfig,
    key: &StorageKey,
    snapshot: Option<LogId>,
) -> Result<LogOptions, OpenError> {
    Ok(LogOptions {
        place: LogPlace::in_folder(&config.log_dir())?,
        key: Arc::new(key.purpose("raft log")?),
        open_deadline: config.open_deadline,
        snapshot,
        was_there: true,
        stop: StopFlag::new(),
        accept_loss: None,
    })
}

impl Cluster {
    /// Where this node stands.
    pub(super) async fn position_here(&self) -> Result<Position, String> {
        let running = self.running().map_err(|error| error.to_string())?;
        let end = running.log.clone().get_log_state().await.map_err(|error| error.to_string())?;
        let metrics = metrics::now(&running.raft);
        let leader = metrics.current_leader.filter(|_| self.has_leader()).map(NodeId);
        Ok(Position { last: end.last_log_id, term: metrics.current_term, leader })
    }
}

impl std::fmt::Debug for Survivor {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Survivor(node {}, {:?})", self.identity.node, self.position())
    }
}
