//! The cluster's certificate authority: which is in force, exchanging it, and giving that up.

use ::cluster::ProposeError;
use ::cluster::authority::fingerprint;
use ::cluster::id::NodeId;
use ::cluster::refusal::Refusal;
use ::cluster::state::State;
use actix_web::{HttpResponse, web};
use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::{Body, done};
use super::forms;
use crate::access::Caller;
use crate::app::App;
use crate::problem::{Problem, ProblemBody};
use crate::routes::Routes;

/// The certificate authority of nodes and edges.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct AuthorityView {
    /// SHA-256 of its certificate.
    pub fingerprint: String,
    /// The one before, as long as it is trusted.
    pub former: Option<FormerAuthorityView>,
}

/// An authority that was replaced.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct FormerAuthorityView {
    /// SHA-256 of its certificate.
    pub fingerprint: String,
    /// Since when.
    pub replaced_ms: u64,
    /// Who has no certificate by the new one yet: it is trusted until nobody is left.
    pub waits_for: Vec<AuthorityWait>,
}

/// A node or an edge that has not exchanged its certificate yet.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct AuthorityWait {
    /// Its number.
    pub id: String,
    /// Its name.
    pub name: String,
    /// An edge, and no node.
    pub edge: bool,
}

/// The authority in force, so that a request that is sent again does nothing to the one after it.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AuthorityInForce {
    /// SHA-256 of its certificate.
    #[schema(value_type = forms::Fingerprint)]
    pub fingerprint: String,
}

impl AuthorityInForce {
    fn hash(&self) -> Result<[u8; 32], Problem> {
        let bytes = HEXLOWER_PERMISSIVE.decode(self.fingerprint.as_bytes()).ok();
        bytes
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or_else(|| Problem::invalid("invalid_fingerprint", "The fingerprint is not a SHA-256."))
    }
}

impl AuthorityView {
    pub(super) fn of(state: &State) -> Option<Self> {
        let shown = |certificate: &[u8]| HEXLOWER.encode(&fingerprint(certificate));
        let former = state.former_authority().map(|former| FormerAuthorityView {
            fingerprint: shown(&former.authority.certificate),
            replaced_ms: former.replaced_ms,
            waits_for: state.waits_for_authority().map(|id| AuthorityWait::of(state, id)).collect(),
        });
        let authority = state.authority()?;
        Some(Self { fingerprint: shown(&authority.certificate), former })
    }
}

impl AuthorityWait {
    fn of(state: &State, id: NodeId) -> Self {
        let edge = state.edge(id);
        let name = edge.map(|edge| &edge.name).or_else(|| state.node(id).map(|node| &node.name));
        Self { id: id.to_string(), name: name.cloned().unwrap_or_default(), edge: edge.is_some() }
    }
}

/// What was named was in force once, or never: there is nothing wrong with the request's form.
fn refused(error: ProposeError) -> Problem {
    match error {
        ProposeError::Refused(Refusal::Invalid { field, .. })
            if ["replaces", "authority"].contains(&&*field) =>
        {
            Problem::conflict(
                "authority_not_in_force",
                "This is not the authority in force. Look which one is.",
            )
        }
        other => other.into(),
    }
}

/// Another certificate authority, in force at once. Nodes and edges exchange their certificates by themselves, the one before
/// is trusted until all have, and nobody is cut off meanwhile.
#[utoipa::path(post, path = "/cluster/authority/replace", tag = "cluster", request_body = AuthorityInForce,
    responses((status = 204, description = "In force"), (status = 403, body = ProblemBody), (status = 409, body = ProblemBody)))]
pub async fn authority_replace(
    app: web::Data<App>,
    caller: Caller,
    body: Body<AuthorityInForce>,
) -> Result<HttpResponse, Problem> {
    app.cluster.rotate_authority(caller.actor.clone(), body.0.hash()?).await.map_err(refused)?;
    Ok(done())
}

/// Give up an exchange: the authority before comes back into force, and nodes and edges go back to it. Possible until it is
/// dropped.
#[utoipa::path(post, path = "/cluster/authority/abandon", tag = "cluster", request_body = AuthorityInForce,
    responses((status = 204, description = "The one before is in force"), (status = 403, body = ProblemBody),
        (status = 409, body = ProblemBody)))]
pub async fn authority_abandon(
    app: web::Data<App>,
    caller: Caller,
    body: Body<AuthorityInForce>,
) -> Result<HttpResponse, Problem> {
    app.cluster.abandon_authority(caller.actor.clone(), body.0.hash()?).await.map_err(refused)?;
    Ok(done())
}

/// Adds the operations.
pub fn configure(routes: &mut Routes) {
    routes.api(__path_authority_replace, authority_replace);
    routes.api(__path_authority_abandon, authority_abandon);
}
