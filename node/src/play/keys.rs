//! The keys of View and download tokens: derived from the cluster key, so that every node makes and checks them alike.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use cluster::Cluster;
use cluster::keyring::{KeyEpoch, KeyError};

use crate::token::{Claims, TokenError, TokenKey};

const PURPOSE: &[u8] = b"tokens";

/// Makes and checks tokens with the newest cluster key, and still checks those of the one before it.
#[derive(Debug, Clone)]
pub struct TokenKeys {
    cluster: Cluster,
    held: Arc<ArcSwapOption<Held>>,
}

#[derive(Debug)]
struct Held {
    epoch: KeyEpoch,
    newest: TokenKey,
    before: Option<TokenKey>,
}

impl TokenKeys {
    /// Derived when first needed.
    pub fn new(cluster: Cluster) -> Self {
        Self { cluster, held: Arc::default() }
    }

    /// Signs with the newest key.
    pub fn sign<C: Claims>(&self, claims: &C) -> Result<String, KeyError> {
        self.held()?.newest.sign(claims).map_err(|_| KeyError::Derivation)
    }

    /// The claims of a token of the newest key or the one before it.
    pub fn verify<C: Claims>(&self, text: &str) -> Result<C, TokenError> {
        let held = self.held().map_err(|_| TokenError::Forged)?;
        match held.newest.verify(text) {
            Err(TokenError::Forged) => {
                held.before.as_ref().map_or(Err(TokenError::Forged), |key| key.verify(text))
            }
            outcome => outcome,
        }
    }

    fn held(&self) -> Result<Arc<Held>, KeyError> {
        let epoch = self.cluster.keys().current_epoch()?;
        if let Some(held) = self.held.load_full().filter(|held| held.epoch == epoch) {
            return Ok(held);
        }
        let key =
            |epoch| self.cluster.keys().shared_secret(PURPOSE, epoch).map(|secret| TokenKey::new(&secret));
        let before = epoch.checked_sub(1).and_then(|before| key(before).ok());
        let held = Arc::new(Held { epoch, newest: key(epoch)?, before });
        self.held.store(Some(held.clone()));
        Ok(held)
    }
}
