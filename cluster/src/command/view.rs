//! Commands about Views. Only where an application limits how many run at once is a View more than a line of the audit log.

use serde::{Deserialize, Serialize};

use super::describe::Subject;
use crate::id::{ApplicationId, AssetId, ViewId};
use crate::state::State;

/// A change of which Views run, where they are counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ViewCommand {
    /// Whoever asks begins to watch. Refused with [`TooManyViews`](crate::refusal::Refusal::TooManyViews) when they
    /// watch as much as they may.
    Start {
        /// The View.
        view: ViewId,
        /// What is watched.
        asset: AssetId,
        /// When it ends unless it is prolonged.
        until_ms: u64,
        /// One of their own in the same application that ends for it; nothing when that one does not run.
        in_place_of: Option<ViewId>,
    },
    /// A View of one's own goes on for longer.
    Prolong {
        /// The View.
        view: ViewId,
        /// What is watched.
        asset: AssetId,
        /// When it ends now.
        until_ms: u64,
    },
    /// A View of one's own is over.
    End {
        /// The View.
        view: ViewId,
        /// Where it is counted.
        application: ApplicationId,
    },
}

impl ViewCommand {
    pub(super) fn action_name(&self) -> &'static str {
        match self {
            Self::Start { .. } => "view.start",
            Self::Prolong { .. } => "view.prolong",
            Self::End { .. } => "view.end",
        }
    }

    pub(super) fn subject(&self, state: &State) -> Subject {
        match self {
            Self::Start { view, asset, in_place_of, .. } => {
                let subject = asset_alone(state, *asset).with("view", view);
                match in_place_of {
                    Some(ended) => subject.with("in_place_of", ended),
                    None => subject,
                }
            }
            Self::Prolong { view, asset, .. } => asset_alone(state, *asset).with("view", view),
            Self::End { view, application } => Subject::of("view", view).inside(Some(*application)),
        }
    }
}

/// Without its title: as much as the record of a View that is not counted says.
fn asset_alone(state: &State, asset: AssetId) -> Subject {
    Subject::of("asset", asset).inside(state.asset(asset).map(|asset| asset.application))
}
