//! The first start: whoever reads the claim code off the machine becomes its first admin.

use std::time::Instant;

use actix_web::{HttpResponse, web};
use cluster::actor::Actor;
use cluster::command::{AccessCommand, ClusterCommand, Command, KeyHolder, PasswordHash, SealedClusterKey};
use cluster::id::{ApplicationId, UserId};
use cluster::keyring::PublicKey;
use cluster::permission::{Action, Target};
use cluster::recovery::RecoveryKey;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::{Body, created, done, json};
use super::forms;
use super::sessions::{self, LoginKind, LoginQuery};
use super::users::{UserView, checked_passphrase};
use crate::access::{Caller, Visitor, session_cookie};
use crate::app::App;
use crate::auth::token::SecretText;
use crate::problem::Problem;
use crate::routes::Routes;

/// Claims the node.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// The code shown on the machine.
    #[schema(value_type = String)]
    pub code: SecretText,
    /// The first admin's name.
    #[schema(value_type = forms::Username)]
    pub username: String,
    /// The first admin's passphrase: at least 15 characters.
    #[schema(value_type = forms::Passphrase)]
    pub password: SecretText,
    /// The first application's name.
    #[schema(value_type = forms::Name)]
    pub application_name: String,
}

/// A claimed node.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Claimed {
    /// The recovery key, as words: shown this once, stored nowhere. Without it, lost node keys mean lost videos.
    #[schema(value_type = String)]
    pub recovery_key: SecretText,
    /// The first admin.
    pub user: UserView,
    /// The first application.
    pub application: String,
    /// For `kind=token`. Shown once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub token: Option<SecretText>,
}

/// Claim an unclaimed node. The answer shows the recovery key once.
#[utoipa::path(post, path = "/claim", tag = "claim", params(LoginQuery), request_body = Claim, security(()),
    responses((status = 201, body = Claimed), (status = 403, body = crate::problem::ProblemBody), (status = 409, body = crate::problem::ProblemBody)))]
pub async fn claim_create(
    app: web::Data<App>,
    visitor: Visitor,
    query: web::Query<LoginQuery>,
    body: Body<Claim>,
) -> Result<HttpResponse, Problem> {
    let Body(claim) = body;
    check_code(&app, &visitor, &claim.code)?;
    let password_hash = checked_passphrase(&app, &claim.username, claim.password).await?;
    let (user, application) = (UserId::generate(), ApplicationId::generate());
    let command = claim_command(user, application, claim.username, password_hash, claim.application_name);
    app.cluster.propose(visitor.actor.clone(), command).await?;
    app.claim.used().map_err(Problem::internal)?;
    tracing::info!("this node is claimed");
    let state = app.cluster.state();
    let user = state.user(user).cloned().ok_or_else(|| Problem::internal("the first admin is missing"))?;
    let lifetime_ms = sessions::lifetime_ms(query.kind);
    let (session, token) = sessions::create_session(&app, &visitor, &user, lifetime_ms).await?;
    let admin = Actor::user(user.id, session).at(visitor.actor.address, visitor.actor.request_id);
    let recovery_key = replace_recovery_key(&app, admin).await?;
    let mut answer = HttpResponse::Created();
    if query.kind == LoginKind::Cookie {
        answer.cookie(session_cookie(&token, lifetime_ms));
    }
    let body = Claimed {
        recovery_key,
        user: UserView::of(&user),
        application: application.to_string(),
        token: (query.kind == LoginKind::Token).then_some(token),
    };
    json(answer, &body)
}

/// Makes a new recovery key for every cluster key epoch. Its private half exists only in the answer.
async fn replace_recovery_key(app: &App, actor: Actor) -> Result<SecretText, Problem> {
    let recovery_key = RecoveryKey::generate()?;
    let public = recovery_key.public_key();
    let stored = |sealed: cluster::keyring::SealedClusterKey| {
        (sealed.epoch, SealedClusterKey { holder: KeyHolder::Recovery, sealed: sealed.sealed })
    };
    let state = app.cluster.state();
    // A node may still hold one that nothing is wrapped under any more.
    let is_kept = |sealed: &cluster::keyring::SealedClusterKey| {
        state.sealed_keys().any(|(epoch, _)| epoch == sealed.epoch)
    };
    let sealed = app.cluster.keys().seal_all_to(&public)?.into_iter().filter(is_kept).map(stored).collect();
    let command = ClusterCommand::ReplaceRecoveryKey { recovery_public_key: *public.as_bytes(), sealed };
    app.cluster.propose(actor, Command::Cluster(command)).await?;
    let secrets = app.cluster.secrets().seal_for_recovery(&public)?;
    crate::tls::write_private(&app.cluster.config().recovery_file(), &secrets)?;
    Ok(SecretText::new(recovery_key.to_text().as_str().to_owned()))
}

fn check_code(app: &App, visitor: &Visitor, code: &SecretText) -> Result<(), Problem> {
    if app.cluster.state().is_claimed() {
        return Err(Problem::conflict("already_claimed", "This node is already claimed. Log in instead."));
    }
    let (who, now) = ("claim code", Instant::now());
    if let Some(wait) = app.throttle.wait(who, visitor.actor.address, now) {
        return Err(Problem::too_many("too_many_claims", wait.as_secs() + 1));
    }
    if app.claim.matches(code) {
        return Ok(());
    }
    app.throttle.failed(who, visitor.actor.address, now);
    tracing::warn!(address = ?visitor.actor.address, "a wrong claim code was tried");
    Err(Problem::forbidden("wrong_claim_code", "This is not the code shown on the machine."))
}

fn claim_command(
    user: UserId,
    application: ApplicationId,
    username: String,
    password_hash: PasswordHash,
    application_name: String,
) -> Command {
    Command::Access(AccessCommand::Claim { user, username, password_hash, application, application_name })
}

/// The recovery key, typed again.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RecoveryConfirm {
    /// As it was shown; spaces, dashes and case do not matter.
    #[schema(value_type = String)]
    pub recovery_key: SecretText,
}

/// A new recovery key.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RecoveryKeyShown {
    /// Shown this once, stored nowhere.
    #[schema(value_type = String)]
    pub recovery_key: SecretText,
}

/// The recovery key is written down: typing it again proves it, and the console stops asking.
#[utoipa::path(post, path = "/claim/recovery-confirmed", tag = "claim", request_body = RecoveryConfirm,
    responses((status = 204), (status = 400, body = crate::problem::ProblemBody)))]
pub async fn claim_confirm_recovery(
    caller: Caller,
    body: Body<RecoveryConfirm>,
) -> Result<HttpResponse, Problem> {
    let state = caller.state();
    caller.may(&state, Action::ConfirmRecoveryKey, Target::Cluster)?;
    let expected = state.cluster_info().ok_or_else(Problem::not_found)?.recovery_public_key;
    let typed = body.0.recovery_key;
    RecoveryKey::confirm(typed.expose(), &PublicKey::from_bytes(expected))?;
    caller.propose(ClusterCommand::ConfirmRecoveryKey).await?;
    Ok(done())
}

/// Make a new recovery key; the one before stops working. The answer shows it once.
#[utoipa::path(post, path = "/system/recovery-key", tag = "claim",
    responses((status = 201, body = RecoveryKeyShown), (status = 403, body = crate::problem::ProblemBody)))]
pub async fn recovery_key_replace(app: web::Data<App>, caller: Caller) -> Result<HttpResponse, Problem> {
    caller.may(&caller.state(), Action::ReplaceRecoveryKey, Target::Cluster)?;
    let recovery_key = replace_recovery_key(&app, caller.actor.clone()).await?;
    created(&RecoveryKeyShown { recovery_key })
}

/// Adds the operations.
pub fn configure(routes: &mut Routes) {
    routes.api(__path_claim_create, claim_create);
    routes.api(__path_claim_confirm_recovery, claim_confirm_recovery);
    routes.api(__path_recovery_key_replace, recovery_key_replace);
}
