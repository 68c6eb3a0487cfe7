//! The audit log, read and checked. Reading it is itself recorded.

use std::collections::BTreeMap;

use actix_web::{HttpResponse, web};
use cluster::actor::ActorKind;
use cluster::audit::{AuditFilter, Verdict};
use cluster::audit_record::AuditRecord;
use cluster::command::AuditCommand;
use cluster::id::{ApplicationId, NodeId, UserId};
use cluster::permission::{Action, Target};
use cluster::state::State;
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::body::ok;
use super::forms;
use super::paging::{Page, bad_cursor, decode, encode, limit};
use crate::access::Caller;
use crate::app::App;
use crate::problem::Problem;
use crate::routes::Routes;

/// Shortened logs that are shown.
const SHORTENED_SHOWN: usize = 100;
/// Parts of the log one request reads before it answers with what it has.
const PARTS: usize = 5;

/// What somebody did, or tried.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct AuditView {
    /// Its number in the chain.
    pub sequence: u64,
    /// When.
    pub time_ms: u64,
    /// Who: a person's name, a key's name, a node, or `anonymous`.
    pub actor: String,
    /// The person's or key's id.
    pub actor_id: Option<String>,
    /// From where.
    pub address: Option<String>,
    /// In which request.
    pub request_id: String,
    /// What, such as `asset.trash`.
    pub action: String,
    /// On what.
    pub target: String,
    /// Where.
    pub application: Option<String>,
    /// `ok`, or the code of the refusal.
    pub result: String,
    /// More.
    pub details: BTreeMap<String, String>,
    /// Hash over this record and all before it.
    pub hash: String,
}

impl AuditView {
    fn of(state: &State, record: &AuditRecord) -> Self {
        let (actor, actor_id) = actor_name(state, record.actor.kind);
        Self {
            sequence: record.sequence,
            time_ms: record.time_ms,
            actor,
            actor_id,
            address: record.actor.address.map(|address| address.to_string()),
            request_id: record.actor.request_id.clone(),
            action: record.action.clone(),
            target: record.target.clone(),
            application: record.application.map(|id| id.to_string()),
            result: record.result.clone(),
            details: record.details.clone(),
            hash: HEXLOWER.encode(&record.hash),
        }
    }
}

fn actor_name(state: &State, kind: ActorKind) -> (String, Option<String>) {
    match kind {
        ActorKind::Anonymous => ("anonymous".to_owned(), None),
        ActorKind::System(node) => (format!("node {node}"), None),
        ActorKind::User { user, .. } => {
            let name =
                state.user(user).map_or_else(|| "removed user".to_owned(), |user| user.username.clone());
            (name, Some(user.to_string()))
        }
        ActorKind::ApiKey(key) => {
            let name = state.api_key(key).map_or_else(|| "removed".to_owned(), |key| key.name.clone());
            (format!("API key {name}"), Some(key.to_string()))
        }
    }
}

/// Which records.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct AuditQuery {
    /// A person's name or id, a key's id, or `anonymous`.
    pub actor: Option<String>,
    /// The beginning of the action, such as `asset.`.
    pub action: Option<String>,
    /// The id of what it was done to.
    pub target: Option<String>,
    /// `ok` or the code of a refusal.
    pub result: Option<String>,
    /// Of one application; for its admins. Without it, the whole log; for cluster admins.
    #[param(value_type = Option<forms::Id>)]
    pub application: Option<ApplicationId>,
    /// Not before.
    #[param(value_type = Option<forms::Moment>)]
    pub from_ms: Option<u64>,
    /// Before.
    #[param(value_type = Option<forms::Moment>)]
    pub to_ms: Option<u64>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// At most so many items: 1 to 500, usually 50.
    #[param(minimum = 1, maximum = 500)]
    pub limit: Option<usize>,
}

/// What the walk over the chain found.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct AuditVerification {
    /// Nothing was changed, removed or cut off.
    pub ok: bool,
    /// Good up to this record.
    pub verified_to: u64,
    /// What is wrong with the next one.
    pub reason: Option<String>,
    /// The log of each node, as it found it itself.
    pub nodes: Vec<NodeAuditVerification>,
    /// Nodes whose log was shorter at a start than it had signed: it was cut off or rolled back. The newest first.
    pub shortened: Vec<ShortenedAudit>,
}

/// What a node found in its own log.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct NodeAuditVerification {
    /// The node.
    pub node: String,
    /// Its name.
    pub name: String,
    /// Nothing is wrong; none when it could not be asked.
    pub ok: Option<bool>,
    /// Good up to this record.
    pub verified_to: Option<u64>,
    /// What is wrong with the next one, or why it could not be asked.
    pub reason: Option<String>,
}

/// A log that was shorter than it had been.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ShortenedAudit {
    /// `node:` and its number.
    pub node: String,
    /// When that was seen.
    pub time_ms: u64,
    /// The first record that was missing.
    pub first_missing: u64,
    /// The record up to which it had signed.
    pub signed_record: u64,
    /// When it had.
    pub signed_at_ms: u64,
}

/// Good up to a record, and what is wrong with the next.
fn said(verdict: Verdict) -> (bool, u64, Option<String>) {
    match verdict {
        Verdict::Intact { records } => (true, records, None),
        Verdict::Broken { sequence, flaw } => {
            (false, sequence.saturating_sub(1), Some(format!("record {sequence} is {flaw}")))
        }
    }
}

impl NodeAuditVerification {
    fn of(state: &State, node: NodeId, verdict: Result<Verdict, String>) -> Self {
        let name = state.node(node).map(|node| node.name.clone()).unwrap_or_default();
        let (ok, verified_to, reason) = match verdict.map(said) {
            Ok((ok, verified_to, reason)) => (Some(ok), Some(verified_to), reason),
            Err(reason) => (None, None, Some(reason)),
        };
        Self { node: node.to_string(), name, ok, verified_to, reason }
    }
}

impl ShortenedAudit {
    fn of(record: &AuditRecord) -> Self {
        let number = |name: &str| record.details.get(name).and_then(|text| text.parse().ok()).unwrap_or(0);
        Self {
            node: record.target.clone(),
            time_ms: record.time_ms,
            first_missing: number("first_missing"),
            signed_record: number("signed_record"),
            signed_at_ms: number("signed_at_ms"),
        }
    }
}

/// The audit log, newest first. A page may be short although more follows: go by `next_cursor`.
#[utoipa::path(get, path = "/audit", tag = "audit", params(AuditQuery), responses((status = 200, body = Page<AuditView>)))]
pub async fn audit_list(
    app: web::Data<App>,
    caller: Caller,
    query: web::Query<AuditQuery>,
) -> Result<HttpResponse, Problem> {
    let query = query.into_inner();
    let state = caller.state();
    let target = query.application.map_or(Target::Cluster, Target::Application);
    caller.may(&state, Action::ReadAudit, target)?;
    if [query.from_ms, query.to_ms].into_iter().flatten().any(|time_ms| i64::try_from(time_ms).is_err()) {
        return Err(Problem::invalid("invalid_query", "from_ms and to_ms are milliseconds since 1970."));
    }
    let limit = limit(query.limit)?;
    let mut cursor = query.cursor.as_deref().map(place).transpose()?;
    record_reading(&caller, &query).await?;
    let filter = AuditFilter {
        actor: None,
        action: query.action.clone(),
        target: query.target.clone(),
        application: query.application,
        result: query.result.clone(),
        from_ms: query.from_ms,
        to_ms: query.to_ms,
    };
    let wanted = query.actor.as_deref().map(|name| wanted_actor(&state, name));
    let mut items = Vec::new();
    for _ in 0..PARTS {
        let part = app.cluster.audit().query(filter.clone(), cursor, limit - items.len()).await?;
        let seen =
            part.records.iter().filter(|record| wanted.as_ref().is_none_or(|wanted| wanted.is(record)));
        items.extend(seen.map(|record| AuditView::of(&state, record)));
        cursor = part.next;
        if cursor.is_none() || items.len() >= limit {
            break;
        }
    }
    ok(&Page { items, next_cursor: cursor.map(|sequence| encode(&sequence.to_string())) })
}

fn place(cursor: &str) -> Result<u64, Problem> {
    decode(cursor)?.parse().map_err(|_| bad_cursor())
}

/// A read of the log without a filter by the console's refresh would fill the log with reads: pages after the first
/// belong to the same reading.
async fn record_reading(caller: &Caller, query: &AuditQuery) -> Result<(), Problem> {
    if query.cursor.is_some() {
        return Ok(());
    }
    let record = AuditCommand::Record {
        action: "audit.read".to_owned(),
        target: query.application.map_or_else(|| "cluster".to_owned(), |id| id.to_string()),
        application: query.application,
        result: "ok".to_owned(),
        details: BTreeMap::new(),
    };
    caller.propose(record).await?;
    Ok(())
}

enum Wanted {
    Anonymous,
    Person(UserId),
    Key(cluster::id::ApiKeyId),
    Nobody,
}

impl Wanted {
    fn is(&self, record: &AuditRecord) -> bool {
        match (self, record.actor.kind) {
            (Self::Anonymous, ActorKind::Anonymous) => true,
            (Self::Person(wanted), ActorKind::User { user, .. }) => *wanted == user,
            (Self::Key(wanted), ActorKind::ApiKey(key)) => *wanted == key,
            _ => false,
        }
    }
}

fn wanted_actor(state: &State, name: &str) -> Wanted {
    if name == "anonymous" {
        return Wanted::Anonymous;
    }
    if let Some(user) = state.user_by_name(name) {
        return Wanted::Person(user.id);
    }
    match (name.parse(), name.parse()) {
        (_, Ok(key)) if state.api_key(key).is_some() => Wanted::Key(key),
        (Ok(user), _) => Wanted::Person(user),
        _ => Wanted::Nobody,
    }
}

/// Check the whole chain, on every node, against what the nodes have signed. For cluster admins.
#[utoipa::path(get, path = "/audit/verify", tag = "audit", responses((status = 200, body = AuditVerification)))]
pub async fn audit_verify(app: web::Data<App>, caller: Caller) -> Result<HttpResponse, Problem> {
    let state = caller.state();
    caller.may(&state, Action::VerifyAudit, Target::Cluster)?;
    let report = app.cluster.verify_audit().await?;
    let own = NodeAuditVerification::of(&state, app.cluster.node_id(), Ok(report.own));
    let others = report.others.into_iter();
    let others = others.map(|(node, verdict)| NodeAuditVerification::of(&state, node, verdict));
    let nodes: Vec<_> = std::iter::once(own).chain(others).collect();
    let broken = nodes.iter().find(|node| node.ok == Some(false));
    let reason = broken.map(|node| match (&node.reason, nodes.len()) {
        (Some(reason), 1) => reason.clone(),
        (reason, _) => {
            format!("at node {} ({}) {}", node.node, node.name, reason.as_deref().unwrap_or_default())
        }
    });
    let verified_to = broken.or(nodes.first()).and_then(|node| node.verified_to).unwrap_or(0);
    let shortened = shortened(&app).await?;
    ok(&AuditVerification { ok: broken.is_none(), verified_to, reason, nodes, shortened })
}

async fn shortened(app: &App) -> Result<Vec<ShortenedAudit>, Problem> {
    let filter = AuditFilter { action: Some(cluster::SHORTENED.to_owned()), ..AuditFilter::default() };
    let (mut found, mut cursor) = (Vec::new(), None);
    while found.len() < SHORTENED_SHOWN {
        let page = app.cluster.audit().query(filter.clone(), cursor, SHORTENED_SHOWN - found.len()).await?;
        let by_nodes = page.records.iter().filter(|record| matches!(record.actor.kind, ActorKind::System(_)));
        found.extend(by_nodes.map(ShortenedAudit::of));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    Ok(found)
}

/// Adds the operations.
pub fn configure(routes: &mut Routes) {
    routes.api(__path_audit_list, audit_list);
    routes.api(__path_audit_verify, audit_verify);
}
