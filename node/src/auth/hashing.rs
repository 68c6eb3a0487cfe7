//! Argon2id, on a bounded number of threads: many log-ins at once may wait, but cannot take all memory or all cores.

use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::phc::PasswordHash as Parsed;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;

use super::token::SecretText;

/// Memory of one computation.
pub const MEMORY_KIB: u32 = 19 * 1024;
/// Passes over it.
pub const PASSES: u32 = 2;
/// Computed side by side.
pub const LANES: u32 = 1;
/// Log-ins that may wait for their turn; more are sent away.
const QUEUE: usize = 256;
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Why no answer could be given.
#[derive(Debug, thiserror::Error)]
pub enum HashingError {
    /// Too many at once.
    #[error("too many passphrases are being checked at once")]
    Busy,
    /// The hashing itself failed, or a stored hash is not one.
    #[error("a passphrase could not be hashed: {0}")]
    Failed(String),
}

/// What comparing a passphrase gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is the one.
    Right {
        /// The stored hash was made with weaker settings than today's.
        outdated: bool,
    },
    /// It is not.
    Wrong,
}

/// Hashes and compares passphrases.
#[derive(Debug, Clone)]
pub struct Passphrases {
    turns: Arc<Semaphore>,
    places: Arc<Semaphore>,
    decoy: Arc<str>,
}

impl Passphrases {
    /// At most `at_once` computations (19 MiB each) run together.
    pub fn new(at_once: usize) -> Result<Self, HashingError> {
        let decoy = compute(&SecretText::new("nobody has this passphrase".to_owned()))?;
        let turns = Arc::new(Semaphore::new(at_once.max(1)));
        Ok(Self { turns, places: Arc::new(Semaphore::new(QUEUE)), decoy: decoy.into() })
    }

    /// The hash to store, as a PHC string.
    pub async fn hash(&self, passphrase: SecretText) -> Result<String, HashingError> {
        self.run(move || compute(&passphrase)).await
    }

    /// Compares; without a stored hash it takes the same time and says no, so that time does not tell who exists.
    pub async fn verify(
        &self,
        passphrase: SecretText,
        stored: Option<String>,
    ) -> Result<Verdict, HashingError> {
        let exists = stored.is_some();
        let stored = stored.unwrap_or_else(|| self.decoy.to_string());
        let verdict = self.run(move || compare(&passphrase, &stored)).await?;
        Ok(if exists { verdict } else { Verdict::Wrong })
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, HashingError> + Send + 'static,
    ) -> Result<T, HashingError> {
        let _place = self.places.try_acquire().map_err(|_| HashingError::Busy)?;
        let turn = tokio::time::timeout(LONGEST_WAIT, self.turns.clone().acquire_owned());
        let turn = turn.await.map_err(|_| HashingError::Busy)?.map_err(|_| HashingError::Busy)?;
        let work = move || {
            let _turn = turn;
            work()
        };
        tokio::task::spawn_blocking(work).await.map_err(|error| HashingError::Failed(error.to_string()))?
    }
}

fn argon2() -> Result<Argon2<'static>, HashingError> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None)
        .map_err(|error| HashingError::Failed(error.to_string()))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn compute(passphrase: &SecretText) -> Result<String, HashingError> {
    let hash = argon2()?.hash_password(passphrase.expose().as_bytes());
    hash.map(|hash: Parsed| hash.to_string()).map_err(|error| HashingError::Failed(error.to_string()))
}

fn compare(passphrase: &SecretText, stored: &str) -> Result<Verdict, HashingError> {
    let parsed = Parsed::new(stored).map_err(|error| HashingError::Failed(error.to_string()))?;
    if argon2()?.verify_password(passphrase.expose().as_bytes(), &parsed).is_err() {
        return Ok(Verdict::Wrong);
    }
    let params = Params::try_from(&parsed).map_err(|error| HashingError::Failed(error.to_string()))?;
    let weaker = params.m_cost() < MEMORY_KIB || params.t_cost() < PASSES;
    Ok(Verdict::Right { outdated: weaker || parsed.algorithm.as_str() != "argon2id" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> SecretText {
        SecretText::new(text.to_owned())
    }

    #[tokio::test]
    async fn the_right_passphrase_matches_and_a_wrong_one_does_not() {
        let passphrases = Passphrases::new(1).unwrap();
        let stored = passphrases.hash(secret("correct staple battery")).await.unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        let right = passphrases.verify(secret("correct staple battery"), Some(stored.clone())).await.unwrap();
        assert_eq!(right, Verdict::Right { outdated: false });
        let wrong = passphrases.verify(secret("Correct staple battery"), Some(stored)).await.unwrap();
        assert_eq!(wrong, Verdict::Wrong);
    }

    #[tokio::test]
    async fn nobody_is_never_right_even_with_the_decoy() {
        let passphrases = Passphrases::new(1).unwrap();
        let verdict = passphrases.verify(secret("nobody has this passphrase"), None).await.unwrap();
        assert_eq!(verdict, Verdict::Wrong);
    }

    #[tokio::test]
    async fn a_weaker_hash_still_counts_and_asks_for_a_new_one() {
        let params = Params::new(8 * 1024, 1, 1, None).unwrap();
        let weak = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let stored: Parsed = weak.hash_password(b"correct staple battery").unwrap();
        let passphrases = Passphrases::new(1).unwrap();
        let verdict =
            passphrases.verify(secret("correct staple battery"), Some(stored.to_string())).await.unwrap();
        assert_eq!(verdict, Verdict::Right { outdated: true });
    }
}
