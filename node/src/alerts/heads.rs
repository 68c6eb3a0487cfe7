//! Tells the head of the audit log to the syslog server, so that there is a word of it outside the cluster.

use std::time::Duration;

use actix_web::web;
use async_trait::async_trait;
use cluster::audit::SignedHead;
use cluster::command::ChannelKind;
use cluster::worker::{WorkError, Worked, Worker};
use tokio::sync::watch::Receiver;

use super::Message;
use crate::app::App;
use crate::outbound::Guard;

const LOOK_EVERY: Duration = Duration::from_secs(60);

/// See the module. Works while this node leads.
#[derive(Debug)]
pub(super) struct TellHeads {
    app: web::Data<App>,
    heads: Receiver<Option<SignedHead>>,
    told: u64,
}

impl TellHeads {
    pub(super) fn new(app: web::Data<App>) -> Self {
        let heads = app.cluster.signed_heads();
        Self { app, heads, told: 0 }
    }
}

#[async_trait]
impl Worker for TellHeads {
    fn name(&self) -> &'static str {
        "audit_syslog"
    }

    fn status(&self) -> String {
        format!("told up to record {}", self.told)
    }

    async fn work(&mut self) -> Result<Worked, WorkError> {
        let cluster = &self.app.cluster;
        let Some(head) = self.heads.borrow_and_update().clone() else { return Ok(Worked::Idle) };
        let state = cluster.state();
        let wanted = state.alert_channels().syslog.is_some() && cluster.leads();
        if !wanted || head.head.sequence == self.told {
            return Ok(Worked::Idle);
        }
        let message = Message::audit_head(&state, &head, cluster.now_ms());
        let guard = Guard::new(&self.app.config.outbound_networks, &state);
        let sent = super::send(ChannelKind::Syslog, state.alert_channels(), &guard, &message).await;
        sent.map_err(|error| WorkError::new(&error))?;
        self.told = head.head.sequence;
        Ok(Worked::Idle)
    }

    async fn wait(&mut self) {
        // Only the end of the wait matters.
        drop(tokio::time::timeout(LOOK_EVERY, self.heads.changed()).await);
    }
}
