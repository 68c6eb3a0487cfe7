//! Which authorities this node trusts, by which it lets itself be known, and how one is exchanged for another.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::connect::certificates;
use super::identity::Identity;
use super::{Cluster, Inner, OpenError, ProposeError};
use crate::actor::Actor;
use crate::authority::{
    Authority, AuthorityError, CertificateKey, Lifetime, NodeName, Trusted, fingerprint, is_to_be_renewed,
};
use crate::command::{ClusterCommand, Command, EdgeCommand};
use crate::id::NodeId;
use crate::keyring::Keyring;
use crate::state::{ClusterAuthority, State};

impl Cluster {
    /// The cluster's certificate authority; none for a node that has never listened for others.
    ///
    /// # Errors
    /// When this node cannot open its key.
    pub fn authority(&self) -> Result<Option<Authority>, AuthorityError> {
        self.authority_in(&self.state())
    }

    /// As [`Cluster::authority`], by that State: for whoever takes more from it that must belong together.
    ///
    /// # Errors
    /// When this node cannot open its key.
    pub fn authority_in(&self, state: &State) -> Result<Option<Authority>, AuthorityError> {
        state.authority().map(|stored| Authority::open(stored, &self.inner.keyring)).transpose()
    }

    /// Makes a new authority and puts it in force in place of the one whose certificate has the SHA-256 `replaces`. Nodes
    /// and edges exchange their certificates by themselves; the authority before is trusted until all have.
    ///
    /// # Errors
    /// [`ProposeError`] when `actor` may not, an exchange is under way, or the cluster cannot agree on it.
    pub async fn rotate_authority(&self, actor: Actor, replaces: [u8; 32]) -> Result<(), ProposeError> {
        // A node that is behind would let another one than that lead to the new one.
        let state = self.linearizable().await?;
        let before = state.authority().ok_or_else(no_authority)?;
        let before = Authority::open(before, &self.inner.keyring).map_err(unavailable)?;
        let next = Authority::generate().map_err(unavailable)?;
        let crossed = before.cross(&next).map_err(unavailable)?;
        let sealed = next.seal(&self.inner.keyring).map_err(unavailable)?;
        let command = ClusterCommand::ReplaceAuthority {
            certificate: sealed.certificate,
            sealed_key: sealed.sealed_key,
            key_epoch: sealed.key_epoch,
            crossed,
            replaces,
        };
        self.propose(actor, Command::Cluster(command)).await.map(drop)
    }

    /// Gives up the exchange that put the authority with the SHA-256 `authority` in force: the one before comes back, and
    /// nodes and edges go back to it as they came.
    ///
    /// # Errors
    /// [`ProposeError`] when `actor` may not, the one before is dropped already, or the cluster cannot agree on it.
    pub async fn abandon_authority(&self, actor: Actor, authority: [u8; 32]) -> Result<(), ProposeError> {
        let state = self.linearizable().await?;
        let given_up = state.authority().ok_or_else(no_authority)?;
        // Without one to come back, the cluster says so, and keeps a record of who asked.
        let back = state.former_authority().map_or(given_up, |former| &former.authority);
        let given_up = Authority::open(given_up, &self.inner.keyring).map_err(unavailable)?;
        let back = Authority::open(back, &self.inner.keyring).map_err(unavailable)?;
        let crossed = given_up.cross(&back).map_err(unavailable)?;
        let command = ClusterCommand::AbandonAuthority { authority, crossed };
        self.propose(actor, Command::Cluster(command)).await.map(drop)
    }

    /// Puts an authority into State under the current cluster key.
    pub(crate) async fn keep_authority(&self, authority: &Authority) -> Result<(), OpenError> {
        let ClusterAuthority { certificate, sealed_key, key_epoch } =
            authority.seal(&self.inner.keyring).map_err(certificates)?;
        let command = ClusterCommand::SetAuthority { certificate, sealed_key, key_epoch };
        self.propose(Actor::system(self.inner.node), Command::Cluster(command)).await?;
        Ok(())
    }

    /// Drops the former authority once nobody needs it any more. For the leader. Gives whether it did.
    pub(crate) async fn drop_former_authority(&self) -> Result<bool, ProposeError> {
        let state = self.state();
        let Some(former) = state.former_authority() else { return Ok(false) };
        if state.waits_for_authority().next().is_some() {
            return Ok(false);
        }
        let authority = fingerprint(&former.authority.certificate);
        let command = ClusterCommand::DropAuthority { authority };
        self.propose(Actor::system(self.inner.node), Command::Cluster(command)).await?;
        tracing::info!("the former certificate authority is trusted no more");
        Ok(true)
    }

    /// Tells the others that this node's certificate is by the authority in force, while they wait for that.
    pub(crate) async fn report_authority(&self) -> Result<(), ProposeError> {
        let (state, node) = (self.state(), self.inner.node);
        let current = state.authority().map(|authority| fingerprint(&authority.certificate));
        // A node that does not listen shows no certificate: it has nothing to exchange.
        let shown = self.inner.presence.get().map(|presence| fingerprint(&lock(&presence.issuer)));
        let Some(authority) = current.filter(|current| shown.is_none_or(|shown| shown == *current)) else {
            return Ok(());
        };
        let is_waited_for = state.former_authority().is_some() && state.node(node).is_some();
        if !is_waited_for || state.shows_authority(node) {
            return Ok(());
        }
        let command = ClusterCommand::ReportAuthority { node, authority };
        self.propose(Actor::system(node), Command::Cluster(command)).await.map(drop)
    }

    /// By whom certificates may be, for an edge whose own are by the authority with the SHA-256 `shown`. What it shows is
    /// kept while it is waited for.
    ///
    /// # Errors
    /// [`ProposeError`] when the cluster cannot agree: what this node knows may be of the past then.
    pub async fn authorities_for_edge(
        &self,
        edge: NodeId,
        shown: Option<[u8; 32]>,
    ) -> Result<Option<Trusted>, ProposeError> {
        let state = self.linearizable().await?;
        let current = state.authority().map(|authority| fingerprint(&authority.certificate));
        let is_waited_for = state.former_authority().is_some() && !state.shows_authority(edge);
        if let Some(authority) = shown.filter(|_| is_waited_for && shown == current) {
            let command = EdgeCommand::ReportAuthority { edge, authority };
            self.propose(Actor::system(self.inner.node), command.into()).await?;
        }
        Ok(state.trusted())
    }

    /// Makes a new key and certificate when two thirds of this one's life are over, or the authority is another one.
    /// Gives whether it did.
    pub(crate) async fn renew_certificate(&self) -> Result<bool, OpenError> {
        if self.inner.presence.get().is_none() {
            return Ok(false);
        }
        let (config, storage_key) = (&self.inner.config, &self.inner.storage_key);
        let Some(identity) = Identity::read(config, storage_key)? else { return Ok(false) };
        let mut state = self.state();
        let is_of = |state: &State| {
            state.authority().is_some_and(|authority| authority.certificate == identity.authority)
        };
        if !is_of(&state) {
            // A node that has just started may not know yet what it knew before: it must not go back to an authority that
            // was replaced since.
            let Ok(newest) = self.linearizable().await else { return Ok(false) };
            state = newest;
        }
        if !is_to_be_renewed(&identity.certificate, self.now_ms()) && is_of(&state) {
            return Ok(false);
        }
        self.inner.renew(&state, self.certificate_life())
    }

    /// Gives a node that is about to open its door a certificate that is good now. Whoever was away for longer than one lasts
    /// would be turned away by all the others, and so would one whose clock was wrong when it made it.
    pub(super) fn with_certificate_of_now(&self, identity: Identity) -> Identity {
        let state = self.state();
        // What became of the authority meanwhile the others must say.
        let same = state.authority().filter(|stored| stored.certificate == identity.authority);
        let Some(stored) = same.filter(|_| is_to_be_renewed(&identity.certificate, self.now_ms())) else {
            return identity;
        };
        let (config, storage_key) = (&self.inner.config, &self.inner.storage_key);
        let renewed = identity.certified(stored, &self.inner.keyring, self.certificate_life());
        match renewed.and_then(|renewed| renewed.write(config, storage_key).map(|()| renewed)) {
            Ok(renewed) => {
                tracing::info!("this node has a new certificate");
                renewed
            }
            Err(error) => {
                tracing::error!(%error, "this node's certificate is over and could not be made anew");
                identity
            }
        }
    }
}

impl Identity {
    /// The same node, with a certificate that is good now, where it can be made. Nothing is written.
    pub(super) fn of_now(self, state: &State, keyring: &Keyring, now_ms: u64, life: Duration) -> Self {
        let same = state.authority().filter(|stored| stored.certificate == self.authority);
        match same.filter(|_| is_to_be_renewed(&self.certificate, now_ms)) {
            Some(stored) => self.certified(stored, keyring, Lifetime { now_ms, life }).unwrap_or(self),
            None => self,
        }
    }

    /// The same node, with a new key and certificate by `stored`.
    fn certified(
        &self,
        stored: &ClusterAuthority,
        keyring: &Keyring,
        life: Lifetime,
    ) -> Result<Self, OpenError> {
        let authority = Authority::open(stored, keyring).map_err(certificates)?;
        let key = CertificateKey::generate().map_err(certificates)?;
        let name = NodeName::node(self.cluster, self.node);
        let certificate = authority.certify(&key.request, name, life).map_err(certificates)?;
        let authority = stored.certificate.clone();
        Ok(Self { certificate, authority, key: key.key.to_vec(), seeds: self.seeds.clone(), ..*self })
    }
}

impl Inner {
    fn renew(&self, state: &State, life: Lifetime) -> Result<bool, OpenError> {
        let (Some(presence), Some(stored)) = (self.presence.get(), state.authority()) else {
            return Ok(false);
        };
        let _alone = lock(&presence.changing);
        let Some(identity) = Identity::read(&self.config, &self.storage_key)? else { return Ok(false) };
        let renewed = identity.certified(stored, &self.keyring, life)?;
        renewed.write(&self.config, &self.storage_key)?;
        let unusable = |error: rustls::Error| OpenError::Consensus(error.to_string());
        let trusted = state.trusted();
        presence.shown.replace(renewed.chain(trusted.as_ref()), &renewed.key).map_err(unusable)?;
        *lock(&presence.certificate) = fingerprint(&renewed.certificate);
        presence.net.trust(renewed.roots(trusted.as_ref())).map_err(unusable)?;
        *lock(&presence.issuer) = renewed.authority;
        tracing::info!("this node has a new certificate");
        Ok(true)
    }

    /// Trusts what State says is to be trusted from now on, and shows what leads there.
    pub(super) fn follow_authorities(&self) {
        let Some(presence) = self.presence.get() else { return };
        let state = self.shown.state.load();
        let _alone = lock(&presence.changing);
        let trusted = state.trusted();
        let roots = roots(trusted.as_ref(), &lock(&presence.issuer));
        let followed = presence.net.trust(roots).map_err(|error| error.to_string()).and_then(|is_new| {
            if !is_new {
                return Ok(());
            }
            let identity =
                Identity::read(&self.config, &self.storage_key).map_err(|error| error.to_string())?;
            let shown = identity.map(|own| presence.shown.replace(own.chain(trusted.as_ref()), &own.key));
            shown.unwrap_or(Ok(())).map_err(|error| error.to_string())
        });
        if let Err(error) = followed {
            tracing::error!(error, "the certificate authorities of the cluster could not be taken over");
        }
    }
}

fn unavailable(error: AuthorityError) -> ProposeError {
    ProposeError::Unavailable(error.to_string())
}

fn no_authority() -> ProposeError {
    ProposeError::Unavailable("this node does not listen for other nodes".to_owned())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The certificates (DER) of all authorities that certificates may be by. The one of this machine's own certificate is
/// always among them: just started, it may know less than it knew before.
fn roots(trusted: Option<&Trusted>, issuer: &[u8]) -> Vec<Vec<u8>> {
    let known =
        trusted.into_iter().flat_map(|trusted| std::iter::once(&trusted.in_force).chain(&trusted.former));
    let mut roots: Vec<Vec<u8>> = known.cloned().collect();
    if roots.iter().all(|known| known != issuer) {
        roots.push(issuer.to_vec());
    }
    roots
}

impl Identity {
    /// The authorities (DER) that the others' certificates may be by.
    pub(super) fn roots(&self, trusted: Option<&Trusted>) -> Vec<Vec<u8>> {
        roots(trusted, &self.authority)
    }

    /// What is shown to the others (DER, each): this certificate, and what leads from it to whatever authority they know.
    /// Whoever has not heard of the new one yet, or joins by an older token, goes by the former one.
    pub(super) fn chain(&self, trusted: Option<&Trusted>) -> Vec<Vec<u8>> {
        let mut chain = vec![self.certificate.clone(), self.authority.clone()];
        let current = trusted.filter(|trusted| trusted.in_force == self.authority);
        if let Some((crossed, former)) =
            current.and_then(|trusted| trusted.crossed.as_ref().zip(trusted.former.as_ref()))
        {
            chain.extend([crossed.clone(), former.clone()]);
        }
        chain
    }
}
