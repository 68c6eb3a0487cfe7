//! Rules for the pepper: the secret that goes into every hash of a passphrase, sealed under the cluster key.
//!
//! It never becomes another one, as every hash made with it would be lost. A leader that did not know yet that there is one
//! is refused; the same secret, sealed anew after a rotation, is taken.

use super::State;
use super::apply::Change;
use super::validate;
use crate::command::{Command, KeyEpoch, SealedSecret};
use crate::event::Event;
use crate::outcome::Outcome;
use crate::refusal::Refusal;

impl Change<'_> {
    pub(super) fn set_pepper(&mut self, sealed: &[u8], key_epoch: KeyEpoch) -> Result<Outcome, Refusal> {
        self.current_key_epoch(key_epoch)?;
        validate::sealed_bytes("sealed", sealed)?;
        if self.state.pepper().is_some_and(|known| known.key_epoch >= key_epoch) {
            return Err(Refusal::AlreadyInitialised);
        }
        self.state.records.pepper = Some(SealedSecret { key_epoch, sealed: sealed.to_vec() });
        self.forget_unused_keys();
        self.event(Event::ClusterChanged);
        Ok(Outcome::Done)
    }
}

impl State {
    /// The secret that goes into hashes of passphrases, sealed; none until all nodes understand it.
    #[must_use]
    pub fn pepper(&self) -> Option<&SealedSecret> {
        self.records.pepper.as_ref()
    }

    /// Whether a leader has to make the pepper, or to seal it anew under the cluster key in force.
    pub(crate) fn wants_pepper(&self) -> bool {
        let Some(info) = self.cluster_info() else { return false };
        let is_kept = self.pepper().is_some_and(|pepper| pepper.key_epoch == info.key_epoch);
        !is_kept && self.level() >= Command::PEPPER_LEVEL
    }
}
