//! The keys: what each is, where it lies and what protects it there.

use super::{KeyFacts, KeyId};

const STATE: &str = "in State, which every node keeps in its log and snapshots";
const NOWHERE: &str = "nowhere: derived when it is needed, in memory only";
const AES: &str = "AES-256, 32 bytes";
const ECDSA: &str = "ECDSA P-256";

/// What is said of one key.
pub(super) const fn facts(id: KeyId) -> KeyFacts {
    let (name, kind, kept, protected_by) = match id {
        KeyId::DataKey => ("data key", "secret of 32 random bytes", STATE, "wrapped under the cluster key"),
        KeyId::BlobKey => ("blob key", AES, NOWHERE, "derived from the data key"),
        KeyId::ContentKey => ("content key", "AES-128, 16 bytes", NOWHERE, "derived from the data key"),
        KeyId::ClusterKey => (
            "cluster key",
            "secret of 32 random bytes",
            STATE,
            "sealed to each node's key and to the recovery key",
        ),
        KeyId::ClusterSecretKey => (
            "key of the cluster's secrets",
            AES,
            NOWHERE,
            "derived from the cluster key, one for each purpose",
        ),
        KeyId::NodeKey => (
            "node key",
            "secret of 32 random bytes, and the X25519 pair derived from it",
            "on the node: a key file outside of the data folder, or a file sealed by a passphrase",
            "the file's mode and owner, or the passphrase; see the state",
        ),
        KeyId::StorageKey => ("storage key", AES, NOWHERE, "derived from the node key, one for each purpose"),
        KeyId::RecoveryKey => (
            "recovery key",
            "X25519, from 32 random bytes",
            "on paper, whole or in shares; its public half is in State",
            "whoever holds the paper: no machine has it",
        ),
        KeyId::BackupKey => (
            "key of a backup",
            "secret of 32 random bytes",
            "in the manifest of the backup",
            "sealed to the recovery key and to each node's key",
        ),
        KeyId::EdgeKey => {
            ("key pair of an edge", "X25519", "in the edge's memory", "the edge's process: never kept")
        }
        KeyId::PublicCertificateKey => (
            "key of the public certificate",
            "of the certificate; see the state",
            "in memory; an installed one in the data folder too",
            "the process; the storage key",
        ),
        KeyId::NodeCertificateKey => {
            ("key of the node's certificate", ECDSA, "in the node's identity file", "the storage key")
        }
        KeyId::EdgeCertificateKey => {
            ("key of the edge's public certificate", ECDSA, "in the edge's memory", "the process: never kept")
        }
        KeyId::AuthorityKey => (
            "key of the certificate authority",
            ECDSA,
            "in State, and in each node's data folder",
            "a key derived from the cluster key; the storage key",
        ),
        KeyId::ConnectionKey => {
            ("keys of a connection", "of the suite agreed on", "in memory", "the process: never kept")
        }
        KeyId::AuditKey => ("signing key of the audit log", "Ed25519", NOWHERE, "derived from the node key"),
        KeyId::TokenKey => ("token key", "HMAC, 32 bytes", NOWHERE, "derived from the cluster key"),
        KeyId::WebhookSecret => {
            ("secret of the webhook", "HMAC, 32 random bytes", STATE, "the storage key of each node")
        }
        KeyId::TargetLogin => (
            "login of a place for backups",
            "a passphrase, a private key (SSH), or an access key and its secret (S3)",
            STATE,
            "a key derived from the cluster key",
        ),
        KeyId::Passphrase => {
            ("passphrase", "text that a person chose", "with the person; State has its hash", "Argon2id")
        }
        KeyId::Token => ("token", "random bytes", "with whoever was given it; State has its hash", "SHA-256"),
    };
    KeyFacts { id, name, kind, kept, protected_by }
}
