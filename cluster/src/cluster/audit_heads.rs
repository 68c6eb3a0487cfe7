//! The heads of audit logs: signed here, kept by the others, and held against the logs when somebody asks.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::control::{Answer, Ask, ask};
use super::{Cluster, ProposeError};
use crate::actor::Actor;
use crate::audit::{AuditError, HeadSigner, SignedHead, Verdict};
use crate::audit_record::ChainHead;
use crate::blocking::blocking;
use crate::command::{AuditCommand, Command};
use crate::id::NodeId;
use crate::net::NetError;

/// The action under which it is on record that a node's log was shorter than the others know.
pub const SHORTENED: &str = "audit.shortened";
const KEPT_WITHIN: Duration = Duration::from_secs(5);
/// Another node walks its whole log.
const WALKED_WITHIN: Duration = Duration::from_secs(60);

/// What a node found in its own log, and what it keeps of the others.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct AuditWalk {
    verdict: Result<Verdict, String>,
    kept: Vec<SignedHead>,
}

/// What the walks over all nodes' logs found.
#[derive(Debug, Clone)]
pub struct AuditReport {
    /// This node's log, held against State and against all that was signed.
    pub own: Verdict,
    /// The logs of the nodes that could be asked, and why another could not.
    pub others: Vec<(NodeId, Result<Verdict, String>)>,
}

impl Cluster {
    /// Signs how far this node's log goes and gives that to the others. `opened` is where its log ended when it was opened.
    /// Gives, when any of them has answered, the newest head by which they know this node.
    pub(crate) async fn give_head(
        &self,
        head: ChainHead,
        opened: u64,
    ) -> Result<(SignedHead, Option<Option<SignedHead>>), AuditError> {
        let state = self.state();
        let cluster = state.cluster_info().map(|info| info.id).unwrap_or_default();
        let signer = HeadSigner::of(&self.inner.secrets)
            .map_err(|error| AuditError::Unencodable(error.to_string()))?;
        let me = self.inner.node;
        let signed = signer.sign(&cluster, me, head, self.now_ms());
        self.inner.signed.send_replace(Some(signed.clone()));
        let question = Ask::KeepHead { head: signed.clone(), opened };
        let others = state.nodes().map(|node| node.id).filter(|node| *node != me);
        let asked = others.map(|node| ask(&*self.inner.net, node, &question, KEPT_WITHIN));
        let answers = futures_util::future::join_all(asked).await;
        let known = answers.into_iter().filter_map(|answer| match answer {
            Ok(Answer::HeadKept(before)) => Some(before.filter(|before| before.is_genuine(&cluster))),
            _ => None,
        });
        let newest = known.max_by_key(|before| before.as_ref().map(|before| before.head.sequence));
        Ok((signed, newest))
    }

    /// Keeps the head that node `from` has signed.
    pub(super) async fn keep_head(
        &self,
        from: NodeId,
        head: SignedHead,
        opened: u64,
    ) -> Result<Option<SignedHead>, String> {
        let cluster = self.state().cluster_info().map(|info| info.id).unwrap_or_default();
        if head.node != from || !head.is_genuine(&cluster) {
            return Err("this head is not that node's".to_owned());
        }
        let heads = self.inner.heads.clone();
        let kept = blocking(move || heads.keep(head)).await.map_err(|error| error.to_string())?;
        let before = kept.map_err(|error| error.to_string())?;
        if let Some(before) = before.as_ref().filter(|before| before.head.sequence > opened) {
            let signed = before.head.sequence;
            tracing::error!(node = %from, opened, signed, "a node's audit log was cut off or rolled back");
        }
        Ok(before)
    }

    /// Puts it on record that this node's log ended at `opened`, though it had signed `signed`.
    pub(crate) async fn record_shortened(
        &self,
        opened: u64,
        signed: &SignedHead,
    ) -> Result<(), ProposeError> {
        let me = self.inner.node;
        let details = [
            ("first_missing", opened + 1),
            ("signed_record", signed.head.sequence),
            ("signed_at_ms", signed.time_ms),
        ];
        let record = AuditCommand::Record {
            action: SHORTENED.to_owned(),
            target: format!("node:{me}"),
            application: None,
            result: "ok".to_owned(),
            details: details.map(|(name, value)| (name.to_owned(), value.to_string())).into(),
        };
        self.propose(Actor::system(me), Command::Audit(record)).await.map(drop)
    }

    /// The newest head that this node has signed, and each one after it.
    #[must_use]
    pub fn signed_heads(&self) -> tokio::sync::watch::Receiver<Option<SignedHead>> {
        self.inner.signed.subscribe()
    }

    /// Walks this node's log, as another asks for it.
    pub(super) async fn walk_audit(&self) -> AuditWalk {
        let kept = self.inner.heads.all();
        let verdict = self.walk_against(&kept).await.map_err(|error| error.to_string());
        AuditWalk { verdict, kept }
    }

    async fn walk_against(&self, signed: &[SignedHead]) -> Result<Verdict, AuditError> {
        // What the others signed meanwhile must be known here too.
        let state = self.linearizable().await.unwrap_or_else(|_| self.state());
        let cluster = state.cluster_info().map(|info| info.id).unwrap_or_default();
        let genuine = signed.iter().filter(|head| head.is_genuine(&cluster));
        let hashes: BTreeMap<u64, [u8; 32]> =
            genuine.map(|head| (head.head.sequence, head.head.hash)).collect();
        self.inner.audit.verify_signed(state.chain_head(), hashes).await
    }

    /// Has every node walk its log, and holds this one's against what all of them keep.
    ///
    /// # Errors
    /// When this node's disk fails. A flaw is no error: it is in the report.
    pub async fn verify_audit(&self) -> Result<AuditReport, AuditError> {
        let state = self.state();
        let me = self.inner.node;
        let nodes: Vec<NodeId> = state.nodes().map(|node| node.id).filter(|node| *node != me).collect();
        let asked = nodes.iter().map(|node| ask(&*self.inner.net, *node, &Ask::WalkAudit, WALKED_WITHIN));
        let answers = futures_util::future::join_all(asked).await;
        let mut signed = self.inner.heads.all();
        let mut others = Vec::new();
        for (node, answer) in nodes.into_iter().zip(answers) {
            let verdict = match answer {
                Ok(Answer::AuditWalked(walk)) => {
                    signed.extend(walk.kept);
                    walk.verdict
                }
                Ok(_) => Err("it gave another answer".to_owned()),
                Err(NetError::Refused { .. }) => Err("it is of an older release".to_owned()),
                Err(error) => Err(error.to_string()),
            };
            others.push((node, verdict));
        }
        Ok(AuditReport { own: self.walk_against(&signed).await?, others })
    }
}
