//! Asking the other nodes where they stand, from a node that is stopped: by its identity, and without anybody noting a start.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::{Reach, RecoverError, Survivor};
use crate::authority::NodeName;
use crate::cluster::OpenError;
use crate::cluster::connect::ByClusterTime;
use crate::cluster::control::{Answer, Ask, ask};
use crate::cluster::keys;
use crate::cluster::members::{COPY, Members, REMOVED};
use crate::command::Incarnation;
use crate::id::NodeId;
use crate::keyring::{Keyring, fill_random};
use crate::net::tls::{Membership, ShownCertificate, TlsNet, TlsSettings};
use crate::net::{NetError, Services};

/// A node that does not answer within this time cannot be reached.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Asks all other members.
pub(super) async fn all(survivor: &Survivor) -> Result<BTreeMap<NodeId, Reach>, RecoverError> {
    let net = open(survivor)?;
    let state = survivor.state();
    let others = state.nodes().map(|node| node.id).filter(|node| *node != survivor.node());
    let asked = others.map(|node| {
        let net = net.clone();
        async move { (node, ask(&*net, node, &Ask::Position, ANSWER_WITHIN).await) }
    });
    let answers = futures_util::future::join_all(asked).await;
    net.stop();
    answers.into_iter().map(|(node, answer)| Ok((node, heard(answer)?))).collect()
}

fn heard(answer: Result<Answer, NetError>) -> Result<Reach, RecoverError> {
    Ok(match answer {
        Ok(Answer::Position(position)) => Reach::Answers(Some(position)),
        // It is there, and of a release that does not know the question, or takes no part.
        Ok(_) | Err(NetError::Refused { .. }) => Reach::Answers(None),
        Err(NetError::Unreachable { reason, .. }) if reason == REMOVED => {
            return Err(RecoverError::NoMember);
        }
        Err(NetError::Unreachable { reason, .. }) if reason == COPY => return Err(RecoverError::Copy),
        Err(error) => Reach::Silent(error.to_string()),
    })
}

/// The way to the others. A start is counted by nobody: the next one is the same to them.
fn open(survivor: &Survivor) -> Result<Arc<TlsNet>, RecoverError> {
    let (state, shown) = (survivor.state(), survivor.shown.clone());
    let keyring = Keyring::empty();
    keys::learn_all(&state, survivor.node(), &keyring, &survivor.secrets).map_err(OpenError::from)?;
    let now_ms = shown.time.now_ms();
    let life = survivor.config.certificate_life;
    let identity = survivor.identity.clone().of_now(&state, &keyring, now_ms, life);
    let trusted = state.trusted();
    let tls = |error: rustls::Error| OpenError::Consensus(format!("this node's certificate: {error}"));
    let certificate = ShownCertificate::new(identity.chain(trusted.as_ref()), &identity.key).map_err(tls)?;
    let mut instance = [0; 16];
    fill_random(&mut instance).map_err(OpenError::from)?;
    let members: Arc<dyn Membership> =
        Arc::new(Members { me: survivor.node(), shown: shown.clone(), seeds: identity.seeds.clone() });
    let net = TlsNet::start(TlsSettings {
        name: NodeName::node(identity.cluster, identity.node),
        incarnation: Incarnation { count: identity.starts + 1, instance },
        authorities: identity.roots(trusted.as_ref()),
        shown: certificate,
        membership: members,
        services: Services::default(),
        listener: None,
        time: Arc::new(ByClusterTime(shown)),
        bulk: tokio::runtime::Handle::current(),
    });
    Ok(net.map_err(OpenError::from)?)
}
