//! The cluster: its nodes, a token to join by, emptying a node and removing it, and which site is near to whom.

use std::collections::BTreeMap;
use std::sync::Arc;

use ::cluster::command::{ClusterCommand, SiteNetwork};
use ::cluster::id::NodeId;
use ::cluster::permission::{Action, Target};
use ::cluster::state::{Limits, Node, NodeState, State};
use ::cluster::{JoinToken, NodeReport};
use actix_web::{HttpResponse, web};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::authority::AuthorityView;
use super::body::{Body, created, done, ok};
use super::forms;
use super::system::CopiesView;
use crate::access::Caller;
use crate::app::App;
use crate::auth::token::SecretText;
use crate::problem::{Problem, ProblemBody};
use crate::routes::Routes;

/// A token lasts this long unless asked otherwise.
const TOKEN_MINUTES: u32 = 30;

/// One node, as the node that is asked sees it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct MemberNodeView {
    /// Its number. Never used again.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub site: String,
    /// `joining`, `active` or `draining`.
    pub state: String,
    /// `leader`, `voter` or `learner`.
    pub role: String,
    /// Heard within the last seconds. The node that is asked always is.
    pub alive: bool,
    /// Since it was heard last; none when it never was.
    pub silent_ms: Option<u64>,
    /// How long an answer takes, averaged.
    pub round_trip_ms: Option<f64>,
    /// Where the other nodes reach it.
    pub cluster_address: String,
    /// Where people reach it.
    pub public_address: String,
    /// When it was added.
    pub added_ms: u64,
    /// The version it runs, once it has said so.
    pub version: Option<String>,
    /// Since it started, by its own word.
    pub up_ms: Option<u64>,
    /// Bytes of its disk, by its own word.
    pub disk_total: Option<u64>,
    /// Bytes free.
    pub disk_free: Option<u64>,
    /// Assets that a node still holds that is being emptied; none for any other, and before they are counted.
    pub assets_left: Option<u64>,
    /// Those of them that are being written: they move afterwards.
    pub assets_written: Option<u64>,
}

/// Copies that are being made.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct RepairView {
    /// Bytes that nodes have yet to fetch, all together.
    pub missing_bytes: u64,
    /// How long that will take; none while it cannot be told.
    pub eta_ms: Option<u64>,
}

/// The cluster.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ClusterView {
    /// Its id.
    pub id: String,
    /// Who leads, when somebody does.
    pub leader: Option<String>,
    /// The election count.
    pub term: u64,
    /// How many voters may fail with changes still possible, besides those that do not answer now.
    pub can_lose: u32,
    /// Changes that the node that is asked has carried out.
    pub applied: u64,
    /// SHA-256 of all it holds then, when asked for: nodes that have carried out the same changes show the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_hash: Option<String>,
    /// How many more nodes may fail, any of them, with nothing lost and changes still possible.
    pub nodes_to_lose: u32,
    /// How many more sites.
    pub sites_to_lose: u32,
    /// How many nodes hold each asset.
    pub copies: CopiesView,
    /// Copies that are being made.
    pub repair: RepairView,
    /// By whom the certificates are by which nodes know one another; none for a node that listens for no others.
    pub authority: Option<AuthorityView>,
    /// The key that the data keys of assets are wrapped under.
    pub key: ClusterKeyView,
    /// Its nodes, by number.
    pub nodes: Vec<MemberNodeView>,
}

/// The cluster key.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ClusterKeyView {
    /// Its number.
    pub epoch: u32,
    /// Something is still wrapped under one before it: that is being changed, and then the one before is forgotten.
    pub rotating: bool,
    /// Assets whose data key is still wrapped under one before it.
    pub waiting: u64,
}

impl ClusterKeyView {
    fn of(state: &State, epoch: u32) -> Self {
        let rotating = state.sealed_keys().count() > 1;
        let waiting = if rotating { state.assets_to_rewrap().count() as u64 } else { 0 };
        Self { epoch, rotating, waiting }
    }
}

/// The cluster key in force, so that a request that is sent again does nothing to the one after it.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ClusterKeyInForce {
    /// Its number.
    #[schema(value_type = forms::Number)]
    pub epoch: u32,
}

/// Which site is near to whom.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SiteMap {
    /// The networks. Whoever comes from none of them stays with the node that is asked.
    #[schema(max_items = 1000)]
    pub networks: Vec<SiteMapNetwork>,
}

/// A network, and the site its viewers are sent to.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SiteMapNetwork {
    /// Such as `10.1.0.0/16` or `2001:db8::/32`. Of several that fit, the longest prefix counts most.
    #[schema(value_type = String)]
    pub network: IpNet,
    /// A site.
    #[schema(value_type = forms::Name)]
    pub site: String,
    /// How far, in milliseconds there and back, where one network is near to several sites.
    #[serde(default)]
    #[schema(value_type = Option<forms::Number>)]
    pub round_trip_ms: Option<u32>,
}

/// What else to show.
#[derive(Debug, Clone, Copy, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct ClusterQuery {
    /// Hash everything the node holds, to compare it with the others.
    pub hash: bool,
}

/// Asks for a token.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NewJoinToken {
    /// How long it lasts: 1 to 60 minutes, 30 unless said.
    #[schema(minimum = 1, maximum = 60)]
    pub minutes: Option<u32>,
}

impl NewJoinToken {
    /// When the token ends that is made at `now_ms`.
    pub(super) fn expires_ms(&self, now_ms: u64) -> Result<u64, Problem> {
        let minutes = u64::from(self.minutes.unwrap_or(TOKEN_MINUTES));
        let life_ms = minutes * 60_000;
        if !(1..=Limits::JOIN_TOKEN_MS).contains(&life_ms) {
            return Err(Problem::invalid("invalid", "A token lasts 1 to 60 minutes."));
        }
        Ok(now_ms.saturating_add(life_ms))
    }
}

/// A token.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct JoinTokenView {
    /// The token. Shown once.
    #[schema(value_type = String)]
    pub token: SecretText,
    /// To compare by eye.
    pub fingerprint: String,
    /// When it ends.
    pub expires_ms: u64,
    /// Where the joining node will connect.
    pub addresses: Vec<String>,
}

impl JoinTokenView {
    /// Of a token that is handed out as `text`.
    pub(super) fn of(token: &JoinToken, text: &str) -> Self {
        Self {
            token: SecretText::new(text.to_owned()),
            fingerprint: token.fingerprint(),
            expires_ms: token.expires_ms,
            addresses: token.addresses.clone(),
        }
    }
}

/// Empties a node, or takes that back.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Drain {
    /// Empty it, or let it take part again.
    pub draining: bool,
}

/// The cluster and how each of its nodes does.
#[utoipa::path(get, path = "/cluster", tag = "cluster", params(ClusterQuery),
    responses((status = 200, body = ClusterView), (status = 403, body = ProblemBody)))]
pub async fn cluster_view(
    app: web::Data<App>,
    caller: Caller,
    query: web::Query<ClusterQuery>,
) -> Result<HttpResponse, Problem> {
    let state = caller.state();
    caller.may(&state, Action::SeeCluster, Target::Cluster)?;
    let status = app.cluster.status();
    let info = state.cluster_info().ok_or_else(|| Problem::internal("there is no cluster"))?;
    let role = |node: NodeId| {
        if status.leader == Some(node) {
            "leader"
        } else if status.voters.contains(&node) {
            "voter"
        } else {
            "learner"
        }
    };
    let state_hash = if query.hash { Some(state_hash(state.clone()).await?) } else { None };
    let asked = state.nodes().map(|node| app.cluster.describe(node.id));
    let reports = futures_util::future::join_all(asked).await;
    let nodes = state.nodes().zip(&reports);
    let nodes: Vec<_> =
        nodes.map(|(node, report)| node_view(&app, node, role(node.id), report.as_ref())).collect();
    let voters: Vec<(&str, bool)> = nodes
        .iter()
        .filter(|node| node.role != "learner")
        .map(|node| (node.site.as_str(), node.alive))
        .collect();
    let protection = &status.protection;
    let reports = reports.iter().flatten();
    ok(&ClusterView {
        id: data_encoding::HEXLOWER.encode(&info.id),
        leader: status.leader.map(|leader| leader.to_string()),
        term: status.term,
        can_lose: voters_to_lose(&voters),
        nodes_to_lose: voters_to_lose(&voters).min(protection.nodes_to_lose),
        sites_to_lose: sites_to_lose(&voters).min(protection.sites_to_lose),
        copies: CopiesView::of(protection),
        repair: RepairView {
            missing_bytes: reports.clone().map(|report| report.missing_bytes).sum(),
            eta_ms: reports.filter_map(|report| report.missing_ms).max(),
        },
        authority: AuthorityView::of(&state),
        key: ClusterKeyView::of(&state, info.key_epoch),
        applied: state.last_applied(),
        state_hash,
        nodes,
    })
}

async fn state_hash(state: Arc<State>) -> Result<String, Problem> {
    let hash = web::block(move || state.hash()).await.map_err(Problem::internal)?;
    hash.map(|hash| data_encoding::HEXLOWER.encode(&hash)).map_err(Problem::internal)
}

/// How many more voters may fall silent with a majority left. Each is a site and whether it answers.
fn voters_to_lose(voters: &[(&str, bool)]) -> u32 {
    let alive = voters.iter().filter(|(_, alive)| *alive).count();
    let majority = voters.len() / 2 + 1;
    u32::try_from(alive.saturating_sub(majority)).unwrap_or(u32::MAX)
}

/// How many more sites may be lost, the worst ones first, with a majority of voters left.
fn sites_to_lose(voters: &[(&str, bool)]) -> u32 {
    let mut sites: BTreeMap<&str, u32> = BTreeMap::new();
    for (site, _) in voters.iter().filter(|(_, alive)| *alive) {
        *sites.entry(site).or_default() += 1;
    }
    let mut sizes: Vec<u32> = sites.into_values().collect();
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    let mut left = voters_to_lose(voters);
    let mut sites = 0;
    for size in sizes {
        let Some(rest) = left.checked_sub(size) else { break };
        (left, sites) = (rest, sites + 1);
    }
    sites
}

fn node_view(app: &App, node: &Node, role: &str, own: Option<&NodeReport>) -> MemberNodeView {
    let me = app.cluster.node_id() == node.id;
    let report = app.cluster.peers().report(node.id);
    let leaving = (node.state == NodeState::Draining).then(|| app.cluster.bytes().leaving(node.id)).flatten();
    let silent = report.map(|report| u64::try_from(report.silent_for.as_millis()).unwrap_or(u64::MAX));
    MemberNodeView {
        id: node.id.to_string(),
        name: node.name.clone(),
        site: node.site.clone(),
        state: match node.state {
            NodeState::Joining => "joining",
            NodeState::Active => "active",
            NodeState::Draining => "draining",
        }
        .to_owned(),
        role: role.to_owned(),
        alive: me || report.is_some_and(|report| report.is_alive()),
        silent_ms: if me { Some(0) } else { silent },
        round_trip_ms: report.map(|report| report.round_trip.as_secs_f64() * 1000.0),
        cluster_address: node.cluster_address.clone(),
        public_address: node.public_address.clone(),
        added_ms: node.added_ms,
        version: app.cluster.state().release(node.id).map(|release| release.version.clone()),
        up_ms: own.map(|own| own.up_ms),
        disk_total: own.and_then(|own| own.disk_total),
        disk_free: own.and_then(|own| own.disk_free),
        assets_left: leaving.map(|leaving| leaving.assets),
        assets_written: leaving.map(|leaving| leaving.written),
    }
}

/// A one-use token for a node to join by. Shown once.
#[utoipa::path(post, path = "/cluster/tokens", tag = "cluster", request_body = NewJoinToken,
    responses((status = 201, body = JoinTokenView), (status = 403, body = ProblemBody)))]
pub async fn join_token_create(
    app: web::Data<App>,
    caller: Caller,
    body: Body<NewJoinToken>,
) -> Result<HttpResponse, Problem> {
    let expires_ms = body.0.expires_ms(app.cluster.now_ms())?;
    let token = app.cluster.new_join_token(caller.actor.clone(), expires_ms).await?;
    created(&JoinTokenView::of(&token, &token.to_text()))
}

/// Another cluster key, in force at once. The data keys of all assets are wrapped under it by and by, without touching what
/// they open, and then the one before is forgotten.
#[utoipa::path(post, path = "/cluster/key/rotate", tag = "cluster", request_body = ClusterKeyInForce,
    responses((status = 204, description = "In force"), (status = 403, body = ProblemBody), (status = 409, body = ProblemBody)))]
pub async fn cluster_key_rotate(
    app: web::Data<App>,
    caller: Caller,
    body: Body<ClusterKeyInForce>,
) -> Result<HttpResponse, Problem> {
    app.cluster.rotate_key(caller.actor.clone(), body.0.epoch).await?;
    Ok(done())
}

/// Let a node give up its part, or take part again.
#[utoipa::path(post, path = "/nodes/{id}/drain", tag = "cluster", params(("id" = String, Path,)), request_body = Drain,
    responses((status = 204, description = "Noted"), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody)))]
pub async fn node_drain(
    caller: Caller,
    id: web::Path<String>,
    body: Body<Drain>,
) -> Result<HttpResponse, Problem> {
    let node = node_id(&id)?;
    caller.propose(ClusterCommand::DrainNode { node, draining: body.0.draining }).await?;
    Ok(done())
}

/// Remove a node for good: its certificate is dead at once, and its number never comes back.
#[utoipa::path(delete, path = "/nodes/{id}", tag = "cluster", params(("id" = String, Path,)),
    responses((status = 204, description = "Removed"), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody)))]
pub async fn node_remove(caller: Caller, id: web::Path<String>) -> Result<HttpResponse, Problem> {
    caller.propose(ClusterCommand::RemoveNode { node: node_id(&id)? }).await?;
    Ok(done())
}

/// Which site is near to whom.
#[utoipa::path(get, path = "/cluster/site-map", tag = "cluster",
    responses((status = 200, body = SiteMap), (status = 403, body = ProblemBody)))]
pub async fn site_map_view(caller: Caller) -> Result<HttpResponse, Problem> {
    let state = caller.state();
    caller.may(&state, Action::SeeCluster, Target::Cluster)?;
    let network = |entry: &SiteNetwork| SiteMapNetwork {
        network: entry.network,
        site: entry.site.clone(),
        round_trip_ms: entry.round_trip_ms,
    };
    ok(&SiteMap { networks: state.site_map().iter().map(network).collect() })
}

/// Say anew which site is near to whom. Players are told within ten seconds; those of unknown networks stay where they
/// are, and where a site has no healthy node its viewers go to the next.
#[utoipa::path(put, path = "/cluster/site-map", tag = "cluster", request_body = SiteMap,
    responses((status = 204, description = "In force"), (status = 403, body = ProblemBody),
        (status = 400, body = ProblemBody, description = "A network twice, with host bits, or without a site")))]
pub async fn site_map_set(caller: Caller, body: Body<SiteMap>) -> Result<HttpResponse, Problem> {
    let network = |entry: SiteMapNetwork| SiteNetwork {
        network: entry.network,
        site: entry.site,
        round_trip_ms: entry.round_trip_ms,
    };
    let networks = body.0.networks.into_iter().map(network).collect();
    caller.propose(ClusterCommand::SetSiteMap { networks }).await?;
    Ok(done())
}

/// The number as it is shown, and in no other form: what follows may be for good.
pub(super) fn node_id(text: &str) -> Result<NodeId, Problem> {
    let known = text.parse().map(NodeId).ok().filter(|node| node.to_string() == text);
    known.ok_or_else(Problem::not_found)
}

/// Adds the operations.
pub fn configure(routes: &mut Routes) {
    routes.api(__path_cluster_view, cluster_view);
    routes.api(__path_join_token_create, join_token_create);
    routes.api(__path_cluster_key_rotate, cluster_key_rotate);
    routes.api(__path_node_drain, node_drain);
    routes.api(__path_node_remove, node_remove);
    routes.api(__path_site_map_view, site_map_view);
    routes.api(__path_site_map_set, site_map_set);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_lost_counts_what_is_lost_already() {
        let three = [("a", true), ("b", true), ("c", true)];
        assert_eq!((voters_to_lose(&three), sites_to_lose(&three)), (1, 1));
        let one_silent = [("a", true), ("b", true), ("c", false)];
        assert_eq!((voters_to_lose(&one_silent), sites_to_lose(&one_silent)), (0, 0));
        let five = [("a", true), ("a", true), ("b", true), ("b", true), ("c", true)];
        assert_eq!((voters_to_lose(&five), sites_to_lose(&five)), (2, 1));
        let one_site = [("a", true), ("a", true), ("a", true)];
        assert_eq!((voters_to_lose(&one_site), sites_to_lose(&one_site)), (1, 0));
        assert_eq!((voters_to_lose(&[("a", true)]), sites_to_lose(&[("a", true)])), (0, 0));
    }
}
