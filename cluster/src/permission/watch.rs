//! Who may watch: asked when a View starts and again at every playlist, key and segment.

use serde::{Deserialize, Serialize};

use super::standing::{Standing, standing};
use crate::actor::{Actor, ActorKind};
use crate::command::{Ability, AccessRule, Role};
use crate::id::{AssetId, ViewId};
use crate::refusal::{Needs, Noun, Refusal};
use crate::state::{Asset, State, Watcher};

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

/// A View as its token tells of it.
#[derive(Debug, Clone, Copy)]
pub struct Watching {
    /// Which.
    pub view: ViewId,
    /// What is watched.
    pub asset: AssetId,
    /// By what right.
    pub subject: ViewSubject,
    /// When it began, by the stamp of its Entry where Views are counted.
    pub started_ms: u64,
}

/// Whether a running View may go on at `now_ms`: a few look-ups in a snapshot of State, no lock.
///
/// Signing out, suspension, a new passphrase, leaving the application, a revoked key, a changed rule, unpublishing, the
/// trash and `EndViews` all end it with the next request; where Views are counted, so does another in its place.
///
/// # Errors
/// Why not; the player is told 403 or 404.
pub fn may_watch(state: &State, watching: &Watching, now_ms: u64) -> Result<(), Refusal> {
    may_still_watch(state, &watching.subject, watching.asset, now_ms)?;
    if is_counted_out(state, watching) { Err(Refusal::ViewEnded) } else { Ok(()) }
}

/// Views are counted where this one is watched, and it is not among those that run. A node that has not carried out yet
/// what its token tells of cannot know of it, and believes the token: it knows in a moment, or it hears no leader, and then
/// nothing that new is given.
fn is_counted_out(state: &State, watching: &Watching) -> bool {
    let Some(asset) = state.asset(watching.asset) else { return true };
    if state.views_at_once(asset.application).is_none() || state.time_ms() < watching.started_ms {
        return false;
    }
    let Some(who) = Watcher::of(watching.subject.who) else { return true };
    let running = state.running_views(asset.application, who);
    !running.iter().any(|view| view.id == watching.view && view.asset == watching.asset)
}

/// Whether person or key, role, rule and window admit to a View at `now_ms`, whatever else is being watched.
///
/// # Errors
/// Why not.
pub fn may_still_watch(
    state: &State,
    subject: &ViewSubject,
    asset: AssetId,
    now_ms: u64,
) -> Result<(), Refusal> {
    let asset = state.asset(asset).ok_or(Refusal::NotFound(Noun::Asset))?;
    if asset.view_epoch != subject.view_epoch {
        return Err(Refusal::ViewEnded);
    }
    let actor = Actor { kind: subject.who, address: None, request_id: String::new() };
    let standing = standing(state, &actor, now_ms)?;
    if standing
        .custom_role_in(state, asset.application)
        .is_some_and(|role| !role.abilities.contains(Ability::Watch))
    {
        return Err(Refusal::Forbidden { needs: Needs::Ability(Ability::Watch) });
    }
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
