//! Who may watch: asked when a View starts and again at every playlist, key and segment.

use serde::{Deserialize, Serialize};

use super::standing::{Standing, standing};
use crate::actor::{Actor, ActorKind};
use crate::command::{AccessRule, Role};
use crate::id::AssetId;
use crate::refusal::{Needs, Noun, Refusal};
use crate::state::{Asset, State};

/// Whose View it is. Part of the View's token; everything else is looked up each time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewSubject {
    /// The sign-in or API key the View was started with.
    pub who: ActorKind,
    /// The asset's `view_epoch` when it was started.
    pub view_epoch: u32,
}

/// The subject of a View that `actor` starts now. Call after `check(.., Action::WatchAsset, ..)`.
///
/// # Errors
/// `NotFound` if there is no such asset.
pub fn view_subject(state: &State, actor: &Actor, asset: AssetId) -> Result<ViewSubject, Refusal> {
    let asset = state.asset(asset).ok_or(Refusal::NotFound(Noun::Asset))?;
    Ok(ViewSubject { who: actor.kind, view_epoch: asset.view_epoch })
}

/// Whether a running View may go on at `now_ms`: a few look-ups in a snapshot of State, no lock.
///
/// Signing out, suspension, a new passphrase, leaving the application, a revoked key, a changed rule, unpublishing, the
/// trash and `EndViews` all end it with the next request.
///
/// # Errors
/// Why not; the player is told 403 or 404.
pub fn may_watch(state: &State, subject: &ViewSubject, asset: AssetId, now_ms: u64) -> Result<(), Refusal> {
    let asset = state.asset(asset).ok_or(Refusal::NotFound(Noun::Asset))?;
    if asset.view_epoch != subject.view_epoch {
        return Err(Refusal::ViewEnded);
    }
    let actor = Actor { kind: subject.who, address: None, request_id: String::new() };
    let standing = standing(state, &actor, now_ms)?;
    watchable_by(state, &standing, asset, now_ms)
}

/// There is something to watch, and the rule admits.
pub(super) fn watchable_by(
    state: &State,
    standing: &Standing,
    asset: &Asset,
    now_ms: u64,
) -> Result<(), Refusal> {
    admitted(state, standing, asset, now_ms)?;
    if !asset.is_live() {
        return Err(Refusal::Trashed);
    }
    if asset.watchable { Ok(()) } else { Err(Refusal::NotWatchable) }
}

/// Whether role, publishing and access rule admit `standing`.
pub(super) fn admitted(
    state: &State,
    standing: &Standing,
    asset: &Asset,
    now_ms: u64,
) -> Result<(), Refusal> {
    let role = standing.role_in(state, asset.application).ok_or(Refusal::NotFound(Noun::Asset))?;
    if role >= Role::User {
        return Ok(());
    }
    if role == Role::Viewer && !asset.is_published(now_ms) {
        return Err(Refusal::NotFound(Noun::Asset));
    }
    let named = match &asset.access {
        AccessRule::Members => true,
        AccessRule::Users(users) => standing.user().is_some_and(|user| users.contains(&user)),
        AccessRule::Editors => false,
    };
    if named { Ok(()) } else { Err(Refusal::Forbidden { needs: Needs::AccessRule }) }
}
