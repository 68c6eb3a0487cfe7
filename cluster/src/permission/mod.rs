//! Who may do and see what: the one place that decides, for Commands (inside apply) and for reads.
//!
//! * [`check`] decides about one [`Action`] on one [`Target`].
//! * [`required`] names the Action and Target of each Command.
//! * [`may_watch`] decides, without a lock, at every playlist, key and segment of a running View.

mod action;
mod command;
mod sight;
mod standing;
mod watch;

pub use action::{Action, Target};
pub use command::required;
pub use sight::{sees_asset, visible_assets};
pub use standing::{Standing, standing};
pub use watch::{ViewSubject, Watching, may_still_watch, may_watch, view_subject};

use crate::actor::Actor;
use crate::command::{Abilities, Ability, Role};
use crate::id::ApplicationId;
use crate::refusal::{Needs, Noun, Refusal};
use crate::state::{Asset, State};
use action::Rule;

/// Decides whether `actor` may do `action` on `target` at `now_ms` (cluster time).
///
/// # Errors
/// `NotSignedIn`, `SessionEnded` or `Suspended` for the actor itself; `NotFound` for what the actor may not even see;
/// `Forbidden` for what is visible but not allowed.
pub fn check(
    state: &State,
    actor: &Actor,
    action: Action,
    target: Target,
    now_ms: u64,
) -> Result<(), Refusal> {
    let rule = action.rule();
    if rule == Rule::Anyone {
        return Ok(());
    }
    if action == Action::Initialise {
        // There is no node to be before the first entry; apply refuses a second one.
        return match actor.kind {
            crate::actor::ActorKind::System(_) => Ok(()),
            _ => Err(Refusal::Forbidden { needs: Needs::Node }),
        };
    }
    let standing = standing(state, actor, now_ms)?;
    match &standing {
        Standing::Nobody => return Err(Refusal::NotSignedIn),
        Standing::Node => return node_may(rule),
        Standing::Person { .. } | Standing::Key { .. } => {}
    }
    let role = sight::role_at(state, &standing, target, now_ms)?;
    by_custom_role(state, &standing, action, target).unwrap_or_else(|| grant(&standing, rule, role))?;
    about_watching(state, &standing, action, target, now_ms)
}

fn node_may(rule: Rule) -> Result<(), Refusal> {
    match rule {
        Rule::Node | Rule::RoleOrNode(_) | Rule::AdminOrNode | Rule::OwnOrNode => Ok(()),
        Rule::Anyone | Rule::SignedIn => Ok(()),
        Rule::Role(role) => Err(Refusal::Forbidden { needs: Needs::Role(role) }),
        Rule::PersonRole(_) | Rule::Own | Rule::Person | Rule::Leave => {
            Err(Refusal::Forbidden { needs: Needs::Person })
        }
        Rule::ClusterAdmin | Rule::AdminOrKey => Err(Refusal::Forbidden { needs: Needs::ClusterAdmin }),
    }
}

/// Decides by the rule alone; `role` is the actor's role where the target is, or what stands for it.
fn grant(standing: &Standing, rule: Rule, role: Option<Role>) -> Result<(), Refusal> {
    let at_least = |needed: Role| {
        let enough = role.is_some_and(|role| role >= needed);
        if enough { Ok(()) } else { Err(Refusal::Forbidden { needs: Needs::Role(needed) }) }
    };
    let person = || match standing {
        Standing::Person { .. } => Ok(()),
        _ => Err(Refusal::Forbidden { needs: Needs::Person }),
    };
    let cluster_admin = || match standing {
        Standing::Person { cluster_admin: true, .. } => Ok(()),
        _ => Err(Refusal::Forbidden { needs: Needs::ClusterAdmin }),
    };
    match rule {
        Rule::Anyone | Rule::SignedIn => Ok(()),
        Rule::Node => Err(Refusal::Forbidden { needs: Needs::Node }),
        Rule::Role(needed) | Rule::RoleOrNode(needed) => at_least(needed),
        Rule::PersonRole(needed) => person().and_then(|()| at_least(needed)),
        Rule::Person => person(),
        Rule::ClusterAdmin | Rule::AdminOrNode => cluster_admin(),
        Rule::AdminOrKey => match standing {
            Standing::Key { role: Role::Admin, .. } => Ok(()),
            _ => cluster_admin(),
        },
        // `role_at` gives Admin for what is one's own, and for a cluster admin.
        Rule::Own | Rule::OwnOrNode => match role {
            Some(Role::Admin) => Ok(()),
            _ => cluster_admin(),
        },
        Rule::Leave => person().and_then(|()| at_least(Role::Admin)),
    }
}

/// What a role of the application's own says by its abilities; none where rank and other rules decide.
fn by_custom_role(
    state: &State,
    standing: &Standing,
    action: Action,
    target: Target,
) -> Option<Result<(), Refusal>> {
    let needed = *action.abilities().first()?;
    let application = match action.rule() {
        Rule::AdminOrKey => standing.application_of_key(),
        // Everybody may leave.
        Rule::Leave if matches!(target, Target::Member(_, user) if standing.user() == Some(user)) => None,
        _ => sight::application_of(state, target),
    };
    let role = standing.custom_role_in(state, application?)?;
    let person_needed = matches!(action.rule(), Rule::PersonRole(_) | Rule::Leave);
    if person_needed && standing.user().is_none() {
        return Some(Err(Refusal::Forbidden { needs: Needs::Person }));
    }
    let allowed = action.abilities().iter().any(|ability| role.abilities.contains(*ability));
    Some(if allowed { Ok(()) } else { Err(Refusal::Forbidden { needs: Needs::Ability(needed) }) })
}

/// What a role alone does not decide: the access rule of what is watched, and the policy on downloads.
fn about_watching(
    state: &State,
    standing: &Standing,
    action: Action,
    target: Target,
    now_ms: u64,
) -> Result<(), Refusal> {
    let Target::Asset(id) = target else { return Ok(()) };
    let asset = state.asset(id).ok_or(Refusal::NotFound(Noun::Asset))?;
    match action {
        Action::WatchAsset => watch::watchable_by(state, standing, asset, now_ms),
        Action::DownloadAsset => {
            watch::watchable_by(state, standing, asset, now_ms)?;
            downloadable_by(state, standing, asset)
        }
        Action::DownloadOriginal => {
            watch::admitted(state, standing, asset, now_ms)?;
            // Who may restore could restore, download and trash again; so that a full export changes nothing, they need not.
            let may_restore = standing.abilities_in(state, asset.application).contains(Ability::Trash);
            if !asset.is_live() && !may_restore {
                return Err(Refusal::Trashed);
            }
            downloadable_by(state, standing, asset)
        }
        _ => Ok(()),
    }
}

fn downloadable_by(state: &State, standing: &Standing, asset: &Asset) -> Result<(), Refusal> {
    let viewer = standing.role_in(state, asset.application) == Some(Role::Viewer);
    let allowed = state.application(asset.application).is_some_and(|found| found.policy.viewer_may_download);
    if viewer && !allowed { Err(Refusal::Forbidden { needs: Needs::Policy }) } else { Ok(()) }
}

/// The role of `actor` in `application` at `now_ms`, if any.
#[must_use]
pub fn role_in(state: &State, actor: &Actor, application: ApplicationId, now_ms: u64) -> Option<Role> {
    standing(state, actor, now_ms).ok()?.role_in(state, application)
}

/// What `actor` may in `application` at `now_ms`.
#[must_use]
pub fn abilities_in(state: &State, actor: &Actor, application: ApplicationId, now_ms: u64) -> Abilities {
    standing(state, actor, now_ms)
        .map_or(Abilities::NONE, |standing| standing.abilities_in(state, application))
}
