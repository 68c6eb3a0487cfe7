//! What one may see at all. What one may not see answers as if it did not exist.

use super::action::Target;
use super::standing::Standing;
use super::watch;
use crate::command::{Ability, Role};
use crate::id::{ApplicationId, UserId};
use crate::refusal::{Noun, Refusal};
use crate::state::{Asset, State};

/// The application of what does not exist. It is looked up as that of any other would be: how long an answer takes must not
/// tell what is foreign from what is absent.
const NOWHERE: ApplicationId = ApplicationId::ZERO;

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
            let asset = state.asset(id);
            let role = standing.role_in(state, asset.map_or(NOWHERE, |asset| asset.application));
            match asset {
                Some(asset) if sees_as(role, state, standing, asset, now_ms) => Ok(role),
                _ => Err(Refusal::NotFound(Noun::Asset)),
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
            holding(state, standing, application, Ability::Members, Noun::Invite)
        }
        Target::ApiKey(id) => {
            let application = state.api_key(id).map(|found| found.application);
            holding(state, standing, application, Ability::Keys, Noun::ApiKey)
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
    let (found, role) = (state.application(id), standing.role_in(state, id));
    found.and(role).ok_or(Refusal::NotFound(Noun::Application))
}

fn at_least(
    state: &State,
    standing: &Standing,
    application: Option<ApplicationId>,
    needed: Role,
    noun: Noun,
) -> Result<Option<Role>, Refusal> {
    let role = standing.role_in(state, application.unwrap_or(NOWHERE)).filter(|_| application.is_some());
    if role.is_some_and(|role| role >= needed) { Ok(role) } else { Err(Refusal::NotFound(noun)) }
}

/// For what only those see who have the ability that it is about.
fn holding(
    state: &State,
    standing: &Standing,
    application: Option<ApplicationId>,
    needed: Ability,
    noun: Noun,
) -> Result<Option<Role>, Refusal> {
    let somewhere = application.unwrap_or(NOWHERE);
    let role = standing.role_in(state, somewhere).filter(|_| application.is_some());
    let has_it = standing.abilities_in(state, somewhere).contains(needed);
    if role.is_some() && has_it { Ok(role) } else { Err(Refusal::NotFound(noun)) }
}

/// The application that a target is in; none for what is in none, and for what does not exist.
pub(super) fn application_of(state: &State, target: Target) -> Option<ApplicationId> {
    match target {
        Target::Application(id) | Target::Member(id, _) => Some(id),
        Target::Asset(id) => state.asset(id).map(|found| found.application),
        Target::Collection(id) => state.collection(id).map(|found| found.application),
        Target::Job(id) => state.job(id).map(|found| found.application),
        Target::Invite(id) => state.invite(id).map(|found| found.application),
        Target::ApiKey(id) => state.api_key(id).map(|found| found.application),
        Target::Cluster | Target::Node(_) | Target::Session(_) | Target::User(_) => None,
    }
}

/// `Admin` for oneself and for cluster admins, `Viewer` for people in an application whose members one manages.
fn person(state: &State, standing: &Standing, id: UserId) -> Result<Role, Refusal> {
    let is_there = state.user(id).is_some();
    let own = standing.user() == Some(id) || standing.is_cluster_admin();
    let shared = state
        .memberships_of(id)
        .any(|member| standing.abilities_in(state, member.application).contains(Ability::Members));
    match (is_there, own, shared) {
        (true, true, _) => Ok(Role::Admin),
        (true, false, true) => Ok(Role::Viewer),
        _ => Err(Refusal::NotFound(Noun::User)),
    }
}

/// Whether an asset may be seen: everything by members from read-only up; by viewers what they might watch now.
#[must_use]
pub fn sees_asset(state: &State, standing: &Standing, asset: &Asset, now_ms: u64) -> bool {
    sees_as(standing.role_in(state, asset.application), state, standing, asset, now_ms)
}

fn sees_as(role: Option<Role>, state: &State, standing: &Standing, asset: &Asset, now_ms: u64) -> bool {
    match role {
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
