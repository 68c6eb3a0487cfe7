//! Argon2id, on a bounded number of threads: many log-ins at once may wait, but cannot take all memory or all cores.
//!
//! A new hash is made with the cluster's pepper as Argon2's secret, and names it by `keyid`; hashes from before there was one
//! are taken over at the next log-in. The pepper is only there once every node is of a release that knows `keyid`
//! ([`Command::PEPPER_LEVEL`](cluster::command::Command::PEPPER_LEVEL)), so no node meets a hash it cannot compare with.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::phc::PasswordHash as Parsed;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, KeyId, Params, ParamsBuilder, Version};
use cluster::keyring::{KeyError, Pepper};
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
    /// There is a pepper, and this node cannot open it.
    #[error("this node cannot open the pepper of the passphrases: {0}")]
    Sealed(#[from] KeyError),
    /// The stored hash names a pepper that the cluster does not have.
    #[error("a passphrase was hashed with a pepper that this cluster does not have")]
    NoSuchPepper,
}

/// What comparing a passphrase gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is the one.
    Right {
        /// The stored hash was made with weaker settings than today's, or without the pepper there is now.
        outdated: bool,
    },
    /// It is not.
    Wrong,
}

/// The cluster's pepper, if there is one yet.
type Known = Result<Option<Arc<Pepper>>, KeyError>;

/// Hashes and compares passphrases.
#[derive(Clone)]
pub struct Passphrases {
    turns: Arc<Semaphore>,
    places: Arc<Semaphore>,
    decoy: Arc<str>,
    pepper: Arc<dyn Fn() -> Known + Send + Sync>,
}

impl fmt::Debug for Passphrases {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Passphrases").field("turns", &self.turns).finish_non_exhaustive()
    }
}

impl Passphrases {
    /// At most `at_once` computations (19 MiB each) run together. `pepper` is asked each time: it may come while the node
    /// runs.
    pub fn new(
        at_once: usize,
        pepper: impl Fn() -> Known + Send + Sync + 'static,
    ) -> Result<Self, HashingError> {
        let decoy = compute(&SecretText::new("nobody has this passphrase".to_owned()), None)?;
        let turns = Arc::new(Semaphore::new(at_once.max(1)));
        let places = Arc::new(Semaphore::new(QUEUE));
        Ok(Self { turns, places, decoy: decoy.into(), pepper: Arc::new(pepper) })
    }

    /// The hash to store, as a PHC string.
    pub async fn hash(&self, passphrase: SecretText) -> Result<String, HashingError> {
        // Where there is one, no hash is made without it, not even while it cannot be opened.
        let pepper = (self.pepper)()?;
        self.run(move || compute(&passphrase, pepper.as_deref())).await
    }

    /// Compares; without a stored hash it takes the same time and says no, so that time does not tell who exists.
    pub async fn verify(
        &self,
        passphrase: SecretText,
        stored: Option<String>,
    ) -> Result<Verdict, HashingError> {
        let pepper = (self.pepper)();
        let Some(stored) = stored else {
            // As with a hash that was made with the pepper: an answer where that gives none would tell who exists, too.
            let (decoy, pepper) = (self.decoy.clone(), pepper?);
            self.run(move || fits(&passphrase, &parsed(&decoy)?, pepper.as_deref())).await?;
            return Ok(Verdict::Wrong);
        };
        self.run(move || compare(&passphrase, &stored, pepper)).await
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

/// Argon2 by today's settings, with `pepper` as its secret.
fn argon2(pepper: Option<&Pepper>) -> Result<Argon2<'_>, HashingError> {
    let mut settings = ParamsBuilder::new();
    settings.m_cost(MEMORY_KIB).t_cost(PASSES).p_cost(LANES);
    let (algorithm, version) = (Algorithm::Argon2id, Version::V0x13);
    let Some(pepper) = pepper else {
        return Ok(Argon2::new(algorithm, version, settings.build().map_err(failed)?));
    };
    settings.keyid(KeyId::new(&pepper.id()).map_err(failed)?);
    let settings = settings.build().map_err(failed)?;
    Argon2::new_with_secret(pepper.expose(), algorithm, version, settings).map_err(failed)
}

fn failed(error: impl fmt::Display) -> HashingError {
    HashingError::Failed(error.to_string())
}

fn compute(passphrase: &SecretText, pepper: Option<&Pepper>) -> Result<String, HashingError> {
    let hash = argon2(pepper)?.hash_password(passphrase.expose().as_bytes());
    hash.map(|hash: Parsed| hash.to_string()).map_err(failed)
}

fn parsed(stored: &str) -> Result<Parsed, HashingError> {
    Parsed::new(stored).map_err(failed)
}

fn fits(passphrase: &SecretText, stored: &Parsed, pepper: Option<&Pepper>) -> Result<bool, HashingError> {
    Ok(argon2(pepper)?.verify_password(passphrase.expose().as_bytes(), stored).is_ok())
}

fn compare(passphrase: &SecretText, stored: &str, pepper: Known) -> Result<Verdict, HashingError> {
    let parsed = parsed(stored)?;
    let params = Params::try_from(&parsed).map_err(failed)?;
    let bare = params.keyid().is_empty();
    let used = match &pepper {
        _ if bare => None,
        Ok(Some(known)) if known.id() == params.keyid() => Some(&**known),
        Ok(_) => return Err(HashingError::NoSuchPepper),
        Err(error) => return Err(error.clone().into()),
    };
    if !fits(passphrase, &parsed, used)? {
        return Ok(Verdict::Wrong);
    }
    let weaker = params.m_cost() < MEMORY_KIB || params.t_cost() < PASSES;
    let could_be_peppered = bare && matches!(pepper, Ok(Some(_)));
    let outdated = weaker || could_be_peppered || parsed.algorithm.as_str() != "argon2id";
    Ok(Verdict::Right { outdated })
}

#[cfg(test)]
mod tests {
    use super::*;

    const RIGHT: &str = "correct staple battery";

    fn secret(text: &str) -> SecretText {
        SecretText::new(text.to_owned())
    }

    fn passphrases(pepper: Option<&Arc<Pepper>>) -> Passphrases {
        let pepper = pepper.cloned();
        Passphrases::new(1, move || Ok(pepper.clone())).unwrap()
    }

    fn pepper() -> Arc<Pepper> {
        Arc::new(Pepper::generate().unwrap())
    }

    async fn verdict(passphrases: &Passphrases, text: &str, stored: &str) -> Result<Verdict, HashingError> {
        passphrases.verify(secret(text), Some(stored.to_owned())).await
    }

    #[tokio::test]
    async fn the_right_passphrase_matches_and_a_wrong_one_does_not() {
        for passphrases in [passphrases(None), passphrases(Some(&pepper()))] {
            let stored = passphrases.hash(secret(RIGHT)).await.unwrap();
            assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1"), "{stored}");
            let right = verdict(&passphrases, RIGHT, &stored).await.unwrap();
            assert_eq!(right, Verdict::Right { outdated: false });
            let wrong = verdict(&passphrases, "Correct staple battery", &stored).await.unwrap();
            assert_eq!(wrong, Verdict::Wrong);
        }
    }

    #[tokio::test]
    async fn nobody_is_never_right_even_with_the_decoy() {
        for passphrases in [passphrases(None), passphrases(Some(&pepper()))] {
            let verdict = passphrases.verify(secret("nobody has this passphrase"), None).await.unwrap();
            assert_eq!(verdict, Verdict::Wrong);
        }
    }

    #[tokio::test]
    async fn a_weaker_hash_still_counts_and_asks_for_a_new_one() {
        let params = Params::new(8 * 1024, 1, 1, None).unwrap();
        let weak = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let stored: Parsed = weak.hash_password(RIGHT.as_bytes()).unwrap();
        let verdict = verdict(&passphrases(None), RIGHT, &stored.to_string()).await.unwrap();
        assert_eq!(verdict, Verdict::Right { outdated: true });
    }

    #[tokio::test]
    async fn a_hash_names_its_pepper_and_is_worth_nothing_without_it() {
        let pepper = pepper();
        let stored = passphrases(Some(&pepper)).hash(secret(RIGHT)).await.unwrap();
        let name = data_encoding::BASE64_NOPAD.encode(&pepper.id());
        assert!(stored.starts_with(&format!("$argon2id$v=19$m=19456,t=2,p=1,keyid={name}$")), "{stored}");
        assert!(stored.len() < 128, "State takes 256: {stored}");

        // Whoever has stolen hashes without it gets nothing out of the right passphrase, nor by another pepper of that name.
        let bare = stored.replace(&format!(",keyid={name}"), "");
        assert_eq!(verdict(&passphrases(None), RIGHT, &bare).await.unwrap(), Verdict::Wrong);
        let other = self::pepper();
        let other_name = data_encoding::BASE64_NOPAD.encode(&other.id());
        let renamed = stored.replace(&name, &other_name);
        assert_eq!(verdict(&passphrases(Some(&other)), RIGHT, &renamed).await.unwrap(), Verdict::Wrong);
    }

    #[tokio::test]
    async fn a_pepper_that_is_not_there_is_an_error_and_never_a_wrong_passphrase() {
        let stored = passphrases(Some(&pepper())).hash(secret(RIGHT)).await.unwrap();
        for without in [passphrases(None), passphrases(Some(&pepper()))] {
            let error = verdict(&without, RIGHT, &stored).await.unwrap_err();
            assert!(matches!(error, HashingError::NoSuchPepper), "{error}");
        }
        let bare = passphrases(None).hash(secret(RIGHT)).await.unwrap();
        let sealed = Passphrases::new(1, || Err(KeyError::UnknownEpoch(7))).unwrap();
        let errors = [
            verdict(&sealed, RIGHT, &stored).await.unwrap_err(),
            sealed.verify(secret(RIGHT), None).await.unwrap_err(),
            sealed.hash(secret(RIGHT)).await.unwrap_err(),
        ];
        for error in errors {
            let said = "this node cannot open the pepper of the passphrases: cluster key epoch 7 is not held by this node";
            assert_eq!(error.to_string(), said);
        }
        let verdict = verdict(&sealed, RIGHT, &bare).await.unwrap();
        assert_eq!(verdict, Verdict::Right { outdated: false }, "it needs none, and none can be put in");
    }

    #[tokio::test]
    async fn a_hash_from_before_there_was_a_pepper_counts_and_asks_for_a_new_one() {
        let stored = passphrases(None).hash(secret(RIGHT)).await.unwrap();
        let since = passphrases(Some(&pepper()));
        assert_eq!(verdict(&since, RIGHT, &stored).await.unwrap(), Verdict::Right { outdated: true });
        assert_eq!(verdict(&since, "something else", &stored).await.unwrap(), Verdict::Wrong);
        let renewed = since.hash(secret(RIGHT)).await.unwrap();
        assert_eq!(verdict(&since, RIGHT, &renewed).await.unwrap(), Verdict::Right { outdated: false });
    }
}
