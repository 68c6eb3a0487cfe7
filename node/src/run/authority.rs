//! What browsers are shown follows the cluster's certificate authority while the node runs.

use std::time::Duration;

use actix_web::web;
use cluster::Cluster;
use cluster::authority::AuthorityError;
use cluster::event::Event;
use tokio::sync::broadcast::error::RecvError;

use crate::app::App;
use crate::tls::Adopted;

/// What failed is tried again after so long.
const TRY_AGAIN: Duration = Duration::from_secs(5);

/// The cluster's authority; none for a node that has never listened for others, which has its own.
pub(super) fn of_cluster(cluster: &Cluster) -> Result<Option<Adopted>, AuthorityError> {
    // From one State: a new authority without what leads to it from the one before is believed by nobody who knows that one.
    let state = cluster.state();
    let crossed = state.trusted().and_then(|trusted| trusted.crossed);
    let authority = cluster.authority_in(&state)?;
    Ok(authority.map(|authority| Adopted {
        certificate: authority.certificate().to_vec(),
        key: authority.key_der(),
        crossed,
    }))
}

/// Serves by whatever authority is in force, for as long as the node runs.
pub(super) async fn follow(app: web::Data<App>) {
    let mut events = app.cluster.rarer_events();
    loop {
        let adopting = app.clone();
        let adopted = web::block(move || adopt(&adopting)).await.map_err(anyhow::Error::from).flatten();
        let has_failed = match adopted {
            Ok(true) => {
                tracing::info!(fingerprint = app.tls.fingerprint(), "this node serves by another authority");
                false
            }
            Ok(false) => false,
            Err(error) => {
                tracing::error!(error = format!("{error:#}"), "another authority could not be taken over");
                true
            }
        };
        if has_failed {
            tokio::time::sleep(TRY_AGAIN).await;
        } else if !has_changed(&mut events).await {
            return;
        }
    }
}

/// Waits until the cluster may have another authority; `false` when the node ends.
async fn has_changed(events: &mut tokio::sync::broadcast::Receiver<Event>) -> bool {
    loop {
        match events.recv().await {
            Ok(Event::ClusterChanged | Event::StateReplaced) | Err(RecvError::Lagged(_)) => return true,
            Ok(_) => {}
            Err(RecvError::Closed) => return false,
        }
    }
}

fn adopt(app: &App) -> anyhow::Result<bool> {
    let Some(next) = of_cluster(&app.cluster)? else { return Ok(false) };
    let names = app.config.certificate_names();
    Ok(app.tls.adopt(&app.config.dir, &names, app.cluster.storage_key(), next)?)
}
