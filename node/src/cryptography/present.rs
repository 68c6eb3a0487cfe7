//! How keys and certificates stand now: from State, the audit log and the certificates in use.

use cluster::audit::AuditFilter;
use cluster::authority::{ends_at_ms, renew_at_ms};
use cluster::state::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::problem::Problem;
use crate::tls::Source;

/// Parts of the audit log that are looked through for the newest rotation.
const PARTS: usize = 5;
const ROTATION: &str = "cluster.rotate_key";

/// How one use stands. What does not concern it is left out.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct Present {
    /// The epoch of the cluster key in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_epoch: Option<u32>,
    /// Since when it is; left out when the audit log does not say so any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since_ms: Option<u64>,
    /// Epochs that are kept, the one in force included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epochs: Option<usize>,
    /// How many such keys there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys: Option<usize>,
    /// How many of them are still wrapped under an epoch before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys_under_old_epoch: Option<usize>,
    /// The end of the certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_after_ms: Option<u64>,
    /// When it is exchanged by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renewal_ms: Option<u64>,
    /// The kind of its key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_key: Option<String>,
    /// `own` or `installed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<&'static str>,
    /// The recovery key is confirmed as written down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirmed: Option<bool>,
    /// `key_file` or `passphrase`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protection: Option<&'static str>,
}

/// What the entries take their state from.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) cluster_key: Present,
    pub(super) cluster_secrets: Present,
    pub(super) data_keys: Present,
    pub(super) recovery_key: Present,
    pub(super) node_key: Present,
    pub(super) public_certificate: Present,
    pub(super) node_certificate: Present,
    pub(super) authority: Present,
    pub(super) people: Present,
    pub(super) pepper: Present,
    pub(super) places: Present,
    pub(super) cluster_certificate_days: u64,
}

impl Facts {
    pub(super) async fn of(app: &App) -> Result<Self, Problem> {
        let state = app.cluster.state();
        let protected =
            if app.cluster.status().stolen_machine_can_be_read { "key_file" } else { "passphrase" };
        let certificate = app.cluster.tls().map(|tls| tls.certificate);
        let epoch = state.cluster_info().map(|info| info.key_epoch);
        let authority = state.authority();
        Ok(Self {
            cluster_key: Present {
                key_epoch: epoch,
                since_ms: in_force_since_ms(app, &state).await?,
                epochs: Some(state.sealed_keys().count()),
                ..Present::default()
            },
            cluster_secrets: Present { key_epoch: epoch, ..Present::default() },
            data_keys: Present {
                keys: Some(state.asset_count()),
                keys_under_old_epoch: Some(state.assets_to_rewrap().count()),
                ..Present::default()
            },
            recovery_key: Present {
                confirmed: state.cluster_info().map(|info| info.recovery_confirmed),
                ..Present::default()
            },
            node_key: Present { protection: Some(protected), ..Present::default() },
            public_certificate: public_certificate(app)?,
            node_certificate: Present {
                not_after_ms: certificate.as_deref().and_then(ends_at_ms),
                renewal_ms: certificate.as_deref().and_then(renew_at_ms),
                ..Present::default()
            },
            authority: Present {
                not_after_ms: authority.and_then(|authority| ends_at_ms(&authority.certificate)),
                key_epoch: authority.map(|authority| authority.key_epoch),
                ..Present::default()
            },
            pepper: Present {
                key_epoch: state.pepper().map(|pepper| pepper.key_epoch),
                ..Present::default()
            },
            people: Present { keys: Some(state.user_count()), ..Present::default() },
            places: Present { keys: Some(state.backup_targets().count()), ..Present::default() },
            cluster_certificate_days: app.cluster.config().certificate_life.as_secs() / 86_400,
        })
    }
}

fn public_certificate(app: &App) -> Result<Present, Problem> {
    let facts = app.tls.facts()?;
    Ok(Present {
        not_after_ms: Some(facts.not_after_ms),
        certificate_key: Some(facts.key),
        source: Some(match app.tls.source() {
            Source::Own => "own",
            Source::Installed => "installed",
        }),
        ..Present::default()
    })
}

/// Since when the cluster key in force is: the first one since there is a cluster, a later one since the audit log says so.
async fn in_force_since_ms(app: &App, state: &State) -> Result<Option<u64>, Problem> {
    let Some(info) = state.cluster_info() else { return Ok(None) };
    if info.key_epoch == 1 {
        return Ok(Some(info.created_ms));
    }
    let filter = AuditFilter {
        action: Some(ROTATION.to_owned()),
        result: Some("ok".to_owned()),
        ..AuditFilter::default()
    };
    let mut cursor = None;
    for _ in 0..PARTS {
        let part = app.cluster.audit().query(filter.clone(), cursor, 1).await?;
        if let Some(record) = part.records.first() {
            return Ok(Some(record.time_ms));
        }
        cursor = part.next;
        if cursor.is_none() {
            break;
        }
    }
    Ok(None)
}
