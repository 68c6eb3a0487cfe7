//! People and what is signed: passphrases, tokens, links, the audit log.

use cluster::keyring::KEY_LENGTH;

use super::entry::providers;
use super::keys::facts;
use super::media::{NO_KEY, OWN_NONCE, aes_gcm};
use super::present::Facts;
use super::{CryptographyUse, KeyId, PostQuantum, Present, Rotated, Rotation, Scope, Standing};
use crate::auth::claim;
use crate::auth::hashing::{LANES, MEMORY_KIB, PASSES};
use crate::auth::token::SECRET_LENGTH;
use crate::download::LINK_LIFETIME_MS;
use crate::play::view::PATH_LIFETIME_MS;
use crate::token::MAC_LENGTH;

const HOUR_MS: u64 = 60 * 60 * 1000;
const MINUTE_MS: u64 = 60 * 1000;

pub(super) fn uses(present: &Facts) -> Vec<CryptographyUse> {
    let mut uses = vec![passphrases(present), pepper(present), tokens(), join_tokens(), claim_code()];
    uses.extend([links(), audit_chain(), audit_heads()]);
    uses
}

fn passphrases(present: &Facts) -> CryptographyUse {
    CryptographyUse {
        id: "people.passphrases",
        purpose: "Passphrases of people.",
        algorithm: format!(
            "Argon2id, m = {MEMORY_KIB} KiB, t = {PASSES}, p = {LANES}, random salt of 16 bytes for each, the pepper as secret"
        ),
        key: Some(facts(KeyId::Passphrase)),
        scope: Scope::Person,
        rotation: Rotation {
            how: Rotated::OnRequest,
            detail: "By the person, or by a reset link. A hash of weaker settings, or without the pepper, is made anew at the next sign-in.",
        },
        state: present.people.clone(),
        providers: providers(["argon2"]),
        fips: Standing::outside("Argon2id is in no validated module, and not approved by FIPS 140-3."),
        post_quantum: PostQuantum::Safe,
    }
}

fn pepper(present: &Facts) -> CryptographyUse {
    CryptographyUse {
        id: "people.pepper",
        purpose: "Goes into every hash of a passphrase: a stolen State alone is not enough to try guesses.",
        algorithm: format!("{KEY_LENGTH} random bytes; in State by {}", aes_gcm("random nonce of 12 bytes")),
        key: Some(facts(KeyId::Pepper)),
        scope: Scope::Cluster,
        rotation: Rotation {
            how: Rotated::Never,
            detail: "All hashes made with it would be lost. With the cluster key it is sealed anew.",
        },
        state: present.pepper.clone(),
        providers: providers(["aws-lc-rs"]),
        fips: OWN_NONCE,
        post_quantum: PostQuantum::Safe,
    }
}

fn tokens() -> CryptographyUse {
    CryptographyUse {
        id: "people.tokens",
        purpose: "Sign-ins, keys of other systems, invitations and links to a new passphrase.",
        algorithm: format!("{SECRET_LENGTH} random bytes; SHA-256 is kept, and compared in constant time"),
        key: Some(facts(KeyId::Token)),
        scope: Scope::Token,
        rotation: Rotation {
            how: Rotated::EachUse,
            detail: "A new one for each sign-in, key and link; each ends by its time or when it is withdrawn.",
        },
        state: Present::default(),
        providers: providers(["rand", "aws-lc-rs", "subtle"]),
        fips: Standing::partly("The random bytes are drawn by the crate rand, in no validated module."),
        post_quantum: PostQuantum::Safe,
    }
}

fn join_tokens() -> CryptographyUse {
    CryptographyUse {
        id: "node.join_token",
        purpose: "What lets one node or edge join, once.",
        algorithm: format!(
            "{} random bytes, of which SHA-256 is kept; with the SHA-256 of the authority and a checksum of the whole",
            cluster::JoinToken::SECRET_LENGTH
        ),
        key: Some(facts(KeyId::Token)),
        scope: Scope::Token,
        rotation: Rotation { how: Rotated::EachUse, detail: "Good for one node and for an hour at most." },
        state: Present::default(),
        providers: providers(["aws-lc-rs"]),
        fips: Standing::MODULE,
        post_quantum: PostQuantum::Safe,
    }
}

fn claim_code() -> CryptographyUse {
    CryptographyUse {
        id: "node.claim_code",
        purpose: "Shows that whoever claims a new node stands at the machine.",
        algorithm: format!(
            "{} random letters of {}, compared in constant time",
            claim::LETTERS,
            claim::ALPHABET.len()
        ),
        key: Some(facts(KeyId::Token)),
        scope: Scope::Node,
        rotation: Rotation {
            how: Rotated::EachUse,
            detail: "It ends with the claim. Until then it lies in a file of mode 0600.",
        },
        state: Present::default(),
        providers: providers(["rand", "subtle"]),
        fips: Standing::outside("The random bytes are drawn by the crate rand, in no validated module."),
        post_quantum: PostQuantum::Safe,
    }
}

fn links() -> CryptographyUse {
    let (hours, minutes) = (PATH_LIFETIME_MS / HOUR_MS, LINK_LIFETIME_MS / MINUTE_MS);
    CryptographyUse {
        id: "view.tokens",
        purpose: "Views and download links: who may have what, until when.",
        algorithm: format!(
            "HMAC-SHA-256, {MAC_LENGTH} bytes, compared in constant time; good for {hours} hours (Views) and {minutes} minutes (links) \
             at most"
        ),
        key: Some(facts(KeyId::TokenKey)),
        scope: Scope::Cluster,
        rotation: Rotation {
            how: Rotated::ByItself,
            detail: "With the cluster key. What was signed by the one before stays good until its time is over.",
        },
        state: Present::default(),
        providers: providers(["aws-lc-rs", "subtle"]),
        fips: Standing::MODULE,
        post_quantum: PostQuantum::Safe,
    }
}

fn audit_chain() -> CryptographyUse {
    CryptographyUse {
        id: "audit.chain",
        purpose: "Audit records: none can be changed, removed or slipped in unnoticed. State and its snapshots are compared by it, too.",
        algorithm: "SHA-256, each record with the hash of the one before".to_owned(),
        key: None,
        scope: Scope::Cluster,
        rotation: NO_KEY,
        state: Present::default(),
        providers: providers(["aws-lc-rs"]),
        fips: Standing::MODULE,
        post_quantum: PostQuantum::Safe,
    }
}

fn audit_heads() -> CryptographyUse {
    CryptographyUse {
        id: "audit.heads",
        purpose: "How far a node's audit log went, in its own word, which the others keep.",
        algorithm: "Ed25519".to_owned(),
        key: Some(facts(KeyId::AuditKey)),
        scope: Scope::Node,
        rotation: Rotation {
            how: Rotated::Never,
            detail: "Derived from the node key, so that it is known by its old signatures.",
        },
        state: Present::default(),
        providers: providers(["aws-lc-rs"]),
        fips: Standing::MODULE,
        post_quantum: PostQuantum::Broken,
    }
}
