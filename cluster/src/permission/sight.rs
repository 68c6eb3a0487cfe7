//! What one may see at all. What one may not see answers as if it did not exist.

use super::action::Target;
use super::standing::Standing;
use super::watch;
use crate::command::Role;
use crate::id::{ApplicationId, UserId};
use crate::refusal::{Noun, Refusal};
use crate::state::{Asset, State};

/// The role that counts at `target`, or `NotFound` where it may not be seen.
///
/// For people and sign-ins, `Admin` stands for "one's own".
pub(super) fn role_at(
    state: &State,
    standing: &Standing,
    target: Target,
    now_ms: u64,
) -> Result<Option<Role>, Refusal> {
    match target {
        Target::Cluster | Target::Node(_) => Ok(standing.is_cluster_admin().then_some(Role::Admin)),
        Target::Application(id) => application(state, standing, id).map(Some),
        Target::Asset(id) => {
            let asset = state.asset(id).ok_or(Refusal::NotFound(Noun::Asset))?;
            let role = standing.role_in(state, asset.application);
            if sees_asset(state, standing, asset, now_ms) {
                Ok(role)
            } else {
                Err(Refusal::NotFound(Noun::Asset))
            }
        }
        Target::Collection(id) => {
            let application = state.collection(id).map(|found| found.application);
            at_least(state, standing, application, Role::Viewer, Noun::Collection)
        }
        Target::Job(id) => {
            let application = state.job(id).map(|found| found.application);
            at_least(state, standing, application, Role::ReadOnly, Noun::Job)
        }
        Target::Invite(id) => {
            let application = state.invite(id).map(|found| found.application);
            at_least(state, standing, application, Role::Admin, Noun::Invite)
        }
        Target::ApiKey(id) => {
            let application = state.api_key(id).map(|found| found.application);
            at_least(state, standing, application, Role::Admin, Noun::ApiKey)
        }
        Target::Session(id) => {
            let owner = state.session(id).map(|session| session.user);
            let own = owner.is_some() && owner == standing.user();
            let seen = own || (owner.is_some() && standing.is_cluster_admin());
            if seen { Ok(Some(Role::Admin)) } else { Err(Refusal::NotFound(Noun::Session)) }
        }
        Target::User(id) => person(state, standing, id).map(Some),
        Target::Member(id, user) => {
            let role = application(state, standing, id)?;
            let own = standing.user() == Some(user) && state.member(id, user).is_some();
            Ok(Some(if own { Role::Admin } else { role }))
        }
    }
}

fn application(state: &State, standing: &Standing, id: ApplicationId) -> Result<Role, Refusal> {
    state
        .application(id)
        .and_then(|_| standing.role_in(state, id))
        .ok_or(Refusal::NotFound(Noun::Application))
}

fn at_least(
    state: &State,
    standing: &Standing,
    application: Option<ApplicationId>,
    needed: Role,
    noun: Noun,
) -> Result<Option<Role>, Refusal> {
    let role = application.and_then(|application| standing.role_in(state, application));
    if role.is_some_and(|role| role >= needed) { Ok(role) } else { Err(Refusal::NotFound(noun)) }
}

/// `Admin` for oneself and for cluster admins, `Viewer` for people in an application one is admin of.
fn person(state: &State, standing: &Standing, id: UserId) -> Result<Role, Refusal> {
    let hidden = Refusal::NotFound(Noun::User);
    if state.user(id).is_none() {
        return Err(hidden);
    }
    if standing.user() == Some(id) || standing.is_cluster_admin() {
        return Ok(Role::Admin);
    }
    let shared = state
        .memberships_of(id)
        .any(|member| standing.role_in(state, member.application) == Some(Role::Admin));
    if shared { Ok(Role::Viewer) } else { Err(hidden) }
}

/// Whether an asset may be seen: everything by members from read-only up; by viewers what they might watch now.
#[must_use]
pub fn sees_asset(state: &State, standing: &Standing, asset: &Asset, now_ms: u64) -> bool {
    match standing.role_in(state, asset.application) {
        None => false,
        Some(Role::Viewer) => asset.is_live() && watch::admitted(state, standing, asset, now_ms).is_ok(),
        Some(_) => true,
    }
}

/// The filter for lists: what `standing` may see at `now_ms`.
pub fn visible_assets<'a>(
    state: &'a State,
    standing: &'a Standing,
    now_ms: u64,
) -> impl Fn(&Asset) -> bool + 'a {
    move |asset| sees_asset(state, standing, asset, now_ms)
}
