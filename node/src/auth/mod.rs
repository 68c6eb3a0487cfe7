//! Proving who somebody is: passphrases, tokens, the claim code, and what slows guessing down.

pub mod claim;
pub mod hashing;
pub mod passphrase;
pub mod throttle;
pub mod token;
