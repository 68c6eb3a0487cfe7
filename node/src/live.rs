//! What happens too often for State: progress of jobs and uploads on this node, for lists and the event stream.

use std::collections::HashMap;
use std::sync::Mutex;

use cluster::id::{ApplicationId, AssetId, JobId};
use serde::Serialize;
use tokio::sync::broadcast;
use utoipa::ToSchema;

const WAITING: usize = 1024;

/// How far something is.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Progress {
    /// 0 to 100.
    pub percent: f64,
    /// Time left, once it can be told.
    pub eta_ms: Option<u64>,
    /// `upload`, or the stage of the job.
    pub stage: Option<String>,
}

/// One report.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// On which asset.
    pub asset: AssetId,
    /// Where it is.
    pub application: ApplicationId,
    /// By which job; none for an upload.
    pub job: Option<JobId>,
    /// How far.
    pub progress: Progress,
}

/// The newest report of each asset that is worked on here.
#[derive(Debug)]
pub struct Live {
    sender: broadcast::Sender<Report>,
    latest: Mutex<HashMap<AssetId, Progress>>,
}

impl Default for Live {
    fn default() -> Self {
        Self { sender: broadcast::channel(WAITING).0, latest: Mutex::default() }
    }
}

impl Live {
    /// Tells everybody who listens, and remembers it until [`Live::ended`].
    pub fn report(&self, report: Report) {
        if let Ok(mut latest) = self.latest.lock() {
            latest.insert(report.asset, report.progress.clone());
        }
        // Nobody listening is fine.
        let _ = self.sender.send(report);
    }

    /// Nothing is worked on any more for this asset.
    pub fn ended(&self, asset: AssetId) {
        if let Ok(mut latest) = self.latest.lock() {
            latest.remove(&asset);
        }
    }

    /// How far the work on an asset is.
    #[must_use]
    pub fn progress(&self, asset: AssetId) -> Option<Progress> {
        self.latest.lock().ok().and_then(|latest| latest.get(&asset).cloned())
    }

    /// Reports from now on.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Report> {
        self.sender.subscribe()
    }
}
