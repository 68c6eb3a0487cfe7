//! The keys of cluster and nodes, and what is sealed with them: State, logs, secrets of the cluster, backups.

use cluster::backup::PIECE;
use cluster::keyring::KEY_LENGTH;
use cluster::seal::PassphraseCost;

use super::entry::{OWN, providers};
use super::keys::facts;
use super::media::{HPKE_OUTSIDE, OWN_NONCE, aes_gcm, hpke};
use super::present::Facts;
use super::{CryptographyUse, KeyId, PostQuantum, Present, Rotated, Rotation, Scope, Standing};

pub(super) fn uses(present: &Facts) -> Vec<CryptographyUse> {
    let mut uses = vec![cluster_key(present), cluster_secrets(present), derivation()];
    uses.extend([node_key(present), passphrase_of_node(present), storage()]);
    uses.extend([recovery_key(present), shares(present), node_secrets(), backups(), backup_keys()]);
    uses
}

fn cluster_key(present: &Facts) -> CryptographyUse {
    CryptographyUse {
        id: "cluster.key",
        purpose: "The key that all data keys lie under, sealed to each node and to the recovery key.",
        algorithm: hpke(),
        key: Some(facts(KeyId::ClusterKey)),
        scope: Scope::Cluster,
        rotation: Rotation {
            how: Rotated::OnRequest,
            detail: "`mediakeep cluster rotate-key`. Everything is wrapped anew by itself, then the epoch before is forgotten.",
        },
        state: present.cluster_key.clone(),
        providers: providers(["hpke", "aes-gcm"]),
        fips: HPKE_OUTSIDE,
        post_quantum: PostQuantum::Broken,
    }
}

fn cluster_secrets(present: &Facts) -> CryptographyUse {
    CryptographyUse {
        id: "cluster.secrets",
        purpose: "The key of the certificate authority, and what opens places for backups, in State.",
        algorithm: aes_gcm("random nonce of 12 bytes"),
        key: Some(facts(KeyId::ClusterSecretKey)),
        scope: Scope::Cluster,
        rotation: Rotation {
            how: Rotated::ByItself,
            detail: "With the cluster key: what it seals is sealed anew.",
        },
        state: present.cluster_secrets.clone(),
        providers: providers(["aws-lc-rs"]),
        fips: OWN_NONCE,
        post_quantum: PostQuantum::Safe,
    }
}

fn derivation() -> CryptographyUse {
    CryptographyUse {
        id: "key.derivation",
        purpose: "Every key that is made of another one: one for each purpose, and none tells of another.",
        algorithm: format!(
            "HKDF-SHA-256 (RFC 5869), a fixed salt, purpose and place as info, {KEY_LENGTH} bytes or 16 for HLS"
        ),
        key: None,
        scope: Scope::Value,
        rotation: Rotation {
            how: Rotated::NoKey,
            detail: "It has none of its own: with the key that is derived from.",
        },
        state: Present::default(),
        providers: providers(["aws-lc-rs"]),
        fips: Standing::MODULE,
        post_quantum: PostQuantum::Safe,
    }
}

fn node_key(present: &Facts) -> CryptographyUse {
    CryptographyUse {
        id: "node.key",
        purpose: "The root secret of a node: its storage key, its key pair and its signing key are derived from it.",
        algorithm: "32 random bytes; in a key file with a checksum of SHA-256, or sealed by a passphrase"
            .to_owned(),
        key: Some(facts(KeyId::NodeKey)),
        scope: Scope::Node,
        rotation: Rotation {
            how: Rotated::Never,
            detail: "All that the node has written is sealed with it. For another one the node is removed and joins anew.",
        },
        state: present.node_key.clone(),
        providers: providers(["aws-lc-rs"]),
        fips: Standing::MODULE,
        post_quantum: PostQuantum::Safe,
    }
}

fn passphrase_of_node(present: &Facts) -> CryptographyUse {
    let PassphraseCost { memory_kib, passes } = PassphraseCost::STANDARD;
    let lanes = PassphraseCost::LANES;
    CryptographyUse {
        id: "node.passphrase",
        purpose: "The node key under a passphrase, where one is typed at each start. Not in use with a key file.",
        algorithm: format!(
            "Argon2id, m = {memory_kib} KiB, t = {passes}, p = {lanes}, random salt of 16 bytes; then {}",
            aes_gcm("random nonce of 12 bytes")
        ),
        key: Some(facts(KeyId::Passphrase)),
        scope: Scope::Node,
        rotation: Rotation {
            how: Rotated::Never,
            detail: "The file is written once, when the node is made. For another one the node is removed and joins anew.",
        },
        state: present.node_key.clone(),
        providers: providers(["argon2", "aws-lc-rs"]),
        fips: Standing::partly(
            "Argon2id is in no validated module, and not approved by FIPS 140-3. A key file does without.",
        ),
        post_quantum: PostQuantum::Safe,
    }
}

fn storage() -> CryptographyUse {
    CryptographyUse {
        id: "node.storage",
        purpose: "All that a node writes beside media: log, snapshots, audit log, identity, certificates; at an edge, what it holds.",
        algorithm: aes_gcm("random nonce of 12 bytes, bound to purpose and place"),
        key: Some(facts(KeyId::StorageKey)),
        scope: Scope::Node,
        rotation: Rotation {
            how: Rotated::Never,
            detail: "It is derived from the node key, and stays with it.",
        },
        state: Present::default(),
        providers: providers(["aws-lc-rs"]),
        fips: OWN_NONCE,
        post_quantum: PostQuantum::Safe,
    }
}

fn recovery_key(present: &Facts) -> CryptographyUse {
    CryptographyUse {
        id: "recovery.key",
        purpose: "Opens every epoch of the cluster key and the backups when all nodes are lost.",
        algorithm: hpke(),
        key: Some(facts(KeyId::RecoveryKey)),
        scope: Scope::Cluster,
        rotation: Rotation {
            how: Rotated::OnRequest,
            detail: "By a cluster admin, who is shown the new one once. Backups from before still need the one from before.",
        },
        state: present.recovery_key.clone(),
        providers: providers(["hpke", "aes-gcm"]),
        fips: HPKE_OUTSIDE,
        post_quantum: PostQuantum::Broken,
    }
}

fn shares(present: &Facts) -> CryptographyUse {
    CryptographyUse {
        id: "recovery.shares",
        purpose: "The recovery key in shares, of which some together give it back.",
        algorithm: format!(
            "Shamir's secret sharing over GF(2^8), {KEY_LENGTH} bytes; each share with a checksum of SHA-256"
        ),
        key: Some(facts(KeyId::RecoveryKey)),
        scope: Scope::Cluster,
        rotation: Rotation {
            how: Rotated::OnRequest,
            detail: "With the recovery key: new shares are of a new key.",
        },
        state: present.recovery_key.clone(),
        providers: providers([OWN, "aws-lc-rs"]),
        fips: Standing::partly(
            "Secret sharing is done by mediakeep itself; random numbers and checksums by the module.",
        ),
        post_quantum: PostQuantum::Safe,
    }
}

fn node_secrets() -> CryptographyUse {
    CryptographyUse {
        id: "recovery.node_key",
        purpose: "The node key beside the node's data, for a node whose key file or passphrase is lost.",
        algorithm: hpke(),
        key: Some(facts(KeyId::RecoveryKey)),
        scope: Scope::Node,
        rotation: Rotation {
            how: Rotated::ByItself,
            detail: "Sealed anew by itself when the recovery key is another one.",
        },
        state: Present::default(),
        providers: providers(["hpke", "aes-gcm"]),
        fips: HPKE_OUTSIDE,
        post_quantum: PostQuantum::Broken,
    }
}

fn backups() -> CryptographyUse {
    CryptographyUse {
        id: "backup.files",
        purpose: "State, audit log and manifest in a backup. Media goes there as it lies on the nodes, sealed.",
        algorithm: aes_gcm(&format!("pieces of {} KiB, random nonce of 12 bytes for each", PIECE / 1024)),
        key: Some(facts(KeyId::BackupKey)),
        scope: Scope::Backup,
        rotation: Rotation { how: Rotated::EachUse, detail: "Every backup has its own." },
        state: Present::default(),
        providers: providers(["aws-lc-rs", "blake3"]),
        fips: Standing::partly(
            "BLAKE3, by which damaged files are told from whole ones, is in no validated module; nonces are made outside of it.",
        ),
        post_quantum: PostQuantum::Safe,
    }
}

fn backup_keys() -> CryptographyUse {
    CryptographyUse {
        id: "backup.key",
        purpose: "The key of a backup, sealed to the recovery key and to each node.",
        algorithm: hpke(),
        key: Some(facts(KeyId::BackupKey)),
        scope: Scope::Backup,
        rotation: Rotation { how: Rotated::EachUse, detail: "Every backup has its own, and ends with it." },
        state: Present::default(),
        providers: providers(["hpke", "aes-gcm"]),
        fips: HPKE_OUTSIDE,
        post_quantum: PostQuantum::Broken,
    }
}
