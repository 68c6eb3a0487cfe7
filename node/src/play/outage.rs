//! Watching while the cluster cannot be asked.
//!
//! * A leader was heard within 5 s: everything as usual; a View whose start could not be agreed on is kept in this
//!   node's [`Journal`] first, and follows.
//! * None for longer: no new View begins, and no View that began later than that is given anything; running ones go on
//!   for their application's offline grace.
//! * Longer than that: nothing is given.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cluster::actor::Actor;
use cluster::command::AuditCommand;
use cluster::{Cluster, ProposeError};
use tokio::time::timeout;

use super::journal::{Journal, JournalError, Start};

/// A leader that has not been heard for so long is not expected back at once.
pub const SILENT_AFTER: Duration = Duration::from_secs(5);
/// A start that is not agreed on within this time is kept on this node: well before [`SILENT_AFTER`], when it may not
/// begin any more.
const AGREED_WITHIN: Duration = Duration::from_secs(2);
/// How often it is looked whether somebody leads.
const EVERY: Duration = Duration::from_millis(250);

/// Why nothing is given now.
#[derive(Debug, thiserror::Error)]
pub enum OutageError {
    /// No new View without a leader.
    #[error("The cluster cannot be reached: nothing new can be watched until it can.")]
    NoNewView,
    /// The grace is over.
    #[error("The cluster cannot be reached, and the time that running videos may go on without it is over.")]
    GraceOver,
    /// The start was refused, or could neither be agreed on nor kept.
    #[error(transparent)]
    Propose(#[from] ProposeError),
    /// It could not be kept on this node either.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// When a leader was last heard of, and what waits to be recorded. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Outage {
    cluster: Cluster,
    journal: Arc<Journal>,
    heard: Arc<Heard>,
}

#[derive(Debug)]
struct Heard {
    began: Instant,
    /// Since `began`, in ms.
    last_ms: AtomicU64,
    /// Cluster time then.
    cluster_ms: AtomicU64,
}

impl Heard {
    fn note(&self, cluster_ms: u64) {
        self.cluster_ms.store(cluster_ms, Ordering::Relaxed);
        self.last_ms.store(ms(self.began.elapsed()), Ordering::Release);
    }

    fn silence(&self) -> Duration {
        self.began.elapsed().saturating_sub(Duration::from_millis(self.last_ms.load(Ordering::Acquire)))
    }
}

impl Outage {
    /// Begins to listen. What an earlier process left in `journal` follows as soon as somebody leads.
    pub fn new(cluster: Cluster, journal: Journal) -> Self {
        let heard = Heard { began: Instant::now(), last_ms: 0.into(), cluster_ms: cluster.now_ms().into() };
        Self { cluster, journal: Arc::new(journal), heard: Arc::new(heard) }
    }

    /// Listens until the process ends.
    pub async fn listen(self) {
        loop {
            if self.cluster.has_leader() {
                self.heard.note(self.cluster.now_ms());
                if let Err(error) = self.follow().await {
                    tracing::warn!(%error, "view starts could not be recorded yet");
                }
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    /// Records what was kept while nobody led. Killed in between, some are recorded twice: better than not at all.
    async fn follow(&self) -> Result<(), OutageError> {
        while self.journal.waiting() > 0 {
            let starts = self.journal.read()?;
            let count = starts.len();
            for Start { actor, record } in starts {
                match self.cluster.propose(actor, record.into()).await {
                    // What is refused now would be refused for ever: it must not hold up the rest.
                    Ok(_) | Err(ProposeError::Refused(_)) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            if self.journal.followed(count)? {
                break;
            }
        }
        Ok(())
    }

    /// May a new View begin now?
    ///
    /// # Errors
    /// [`OutageError::NoNewView`] when nobody has led for 5 s.
    pub fn may_begin(&self) -> Result<(), OutageError> {
        if self.heard.silence() >= SILENT_AFTER { Err(OutageError::NoNewView) } else { Ok(()) }
    }

    /// Puts the start of a View on record: agreed on, or, when nobody leads just now, kept on this node.
    ///
    /// # Errors
    /// When it is neither.
    pub async fn record_start(&self, actor: Actor, record: AuditCommand) -> Result<(), OutageError> {
        let proposed = self.cluster.propose(actor.clone(), record.clone().into());
        match timeout(AGREED_WITHIN, proposed).await.unwrap_or(Err(ProposeError::OutcomeUnknown)) {
            Ok(_) => Ok(()),
            // Should it have been agreed on after all, it is recorded twice: better than not at all.
            Err(
                ProposeError::NotLeader { .. } | ProposeError::Unavailable(_) | ProposeError::OutcomeUnknown,
            ) if self.cluster.stop_flag().reason().is_none() => {
                self.may_begin()?;
                let journal = Arc::clone(&self.journal);
                let kept =
                    tokio::task::spawn_blocking(move || journal.append(&Start { actor, record })).await;
                let stopped = |_| ProposeError::Unavailable("this node stops".to_owned());
                Ok(kept.map_err(stopped)??)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// May a View that began at `started_ms` (cluster time) go on now, with this offline grace?
    ///
    /// # Errors
    /// Why not.
    pub fn may_go_on(&self, started_ms: u64, grace_ms: impl FnOnce() -> u64) -> Result<(), OutageError> {
        let silence = self.heard.silence();
        if silence < SILENT_AFTER {
            return Ok(());
        }
        let silent_from_ms = self.heard.cluster_ms.load(Ordering::Relaxed).saturating_add(ms(SILENT_AFTER));
        decide(silence, started_ms > silent_from_ms, Duration::from_millis(grace_ms()))
    }
}

/// Nobody has led for `silence`, 5 s at least.
pub(crate) fn decide(silence: Duration, is_new: bool, grace: Duration) -> Result<(), OutageError> {
    if is_new {
        return Err(OutageError::NoNewView);
    }
    if silence.saturating_sub(SILENT_AFTER) >= grace { Err(OutageError::GraceOver) } else { Ok(()) }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use cluster::ClusterConfig;
    use cluster::audit::AuditFilter;
    use cluster::seal::KeyFileSeal;

    use super::*;

    fn start(view: u32) -> (Actor, AuditCommand) {
        let record = AuditCommand::Record {
            action: "view.start".to_owned(),
            target: "asset:x".to_owned(),
            application: None,
            result: "ok".to_owned(),
            details: BTreeMap::from([("view".to_owned(), view.to_string())]),
        };
        (Actor::anonymous(None, format!("request {view}")), record)
    }

    async fn cluster(folder: &tempfile::TempDir) -> Cluster {
        let dir = folder.path().join("node");
        std::fs::create_dir_all(&dir).unwrap();
        let seal = KeyFileSeal::new(folder.path().join("node.key"), &dir).unwrap();
        Cluster::create(ClusterConfig::new(&dir, "n1", "s1"), Arc::new(seal)).await.unwrap().0
    }

    #[test]
    fn running_views_go_on_for_the_grace_and_new_ones_do_not_begin() {
        let (second, minute) = (Duration::from_secs(1), Duration::from_secs(60));
        assert!(decide(6 * second, false, 5 * minute).is_ok());
        assert!(decide(5 * minute + 4 * second, false, 5 * minute).is_ok());
        assert!(matches!(decide(5 * minute + 5 * second, false, 5 * minute), Err(OutageError::GraceOver)));
        assert!(matches!(decide(5 * second, false, Duration::ZERO), Err(OutageError::GraceOver)));
        assert!(matches!(decide(6 * second, true, 5 * minute), Err(OutageError::NoNewView)));
    }

    #[tokio::test]
    async fn starts_that_were_kept_survive_the_process_and_follow_once() {
        let folder = tempfile::tempdir().unwrap();
        let cluster = cluster(&folder).await;
        let path = folder.path().join("offline-views");
        let open = || Journal::open(path.clone(), cluster.storage_key().clone()).unwrap();
        let journal = open();
        for view in 0..3 {
            let (actor, record) = start(view);
            journal.append(&Start { actor, record }).unwrap();
        }
        assert!(!String::from_utf8_lossy(&std::fs::read(&path).unwrap()).contains("asset:x"));
        // A power cut in the middle of a fourth.
        let mut bytes = std::fs::read(&path).unwrap();
        let length = bytes.len() / 3 - 7;
        bytes.extend_from_within(..length);
        std::fs::write(&path, &bytes).unwrap();
        drop(journal);

        let outage = Outage::new(cluster.clone(), open());
        assert_eq!(outage.journal.waiting(), 3);
        outage.follow().await.unwrap();
        assert_eq!((outage.journal.waiting(), path.exists()), (0, false));
        outage.follow().await.unwrap();
        let filter = AuditFilter { action: Some("view.start".to_owned()), ..AuditFilter::default() };
        let found = cluster.audit().query(filter, None, 10).await.unwrap().records;
        let views: Vec<_> = found.iter().map(|record| record.details["view"].as_str()).collect();
        assert_eq!(views, ["2", "1", "0"]);
        cluster.shutdown().await;
    }

    /// What is proposed while a batch is under way goes together in the next: no start waits for a timer, and a storm costs
    /// a barrier for hundreds of them.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_storm_of_starts_shares_its_barriers() {
        let folder = tempfile::tempdir().unwrap();
        let cluster = cluster(&folder).await;
        let journal =
            Journal::open(folder.path().join("offline-views"), cluster.storage_key().clone()).unwrap();
        let outage = Outage::new(cluster.clone(), journal);
        let began = Instant::now();
        for view in 0..40 {
            let (actor, record) = start(view);
            outage.record_start(actor, record).await.unwrap();
        }
        let alone = began.elapsed() / 40;
        let began = Instant::now();
        let starts = (40..1_040).map(|view| {
            let ((actor, record), outage) = (start(view), outage.clone());
            async move { outage.record_start(actor, record).await.unwrap() }
        });
        futures_util::future::join_all(starts).await;
        let together = began.elapsed();
        println!("1,000 view starts at once: {together:?}; one alone: {alone:?}");
        assert!(together < alone * 250, "{together:?} for all, {alone:?} for one");
        let filter = AuditFilter { action: Some("view.start".to_owned()), ..AuditFilter::default() };
        assert_eq!(cluster.audit().query(filter, None, 2_000).await.unwrap().records.len(), 1_040);
        cluster.shutdown().await;
    }

    #[tokio::test]
    async fn a_start_is_agreed_on_while_somebody_leads_and_kept_when_nobody_does() {
        let folder = tempfile::tempdir().unwrap();
        let cluster = cluster(&folder).await;
        let journal =
            Journal::open(folder.path().join("offline-views"), cluster.storage_key().clone()).unwrap();
        let outage = Outage::new(cluster.clone(), journal);
        let (actor, record) = start(1);
        outage.record_start(actor, record).await.unwrap();
        assert_eq!(outage.journal.waiting(), 0);
        // Consensus has stopped: nobody leads, and the disk is sound.
        cluster.shutdown().await;
        let (actor, record) = start(2);
        outage.record_start(actor, record).await.unwrap();
        assert_eq!(outage.journal.waiting(), 1);
        assert!(!cluster.has_leader());
        assert!(
            outage.may_begin().is_ok() && outage.may_go_on(0, || 0).is_ok(),
            "five seconds are no outage"
        );
    }
}
