//! The keys: what each is, where it lies and what protects it there.

use super::{KeyFacts, KeyId};

const STATE: &str = "in State, which every node keeps in its log and snapshots";
const NOWHERE: &str = "nowhere: derived when it is needed, in memory only";
const AES: &str = "AES-256, 32 bytes";
const ECDSA: &str = "ECDSA P-256";

/// Name, kind, where it lies, what protects it there.
type Said = [&'static str; 4];

const DATA_KEY: Said = ["data key", "secret of 32 random bytes", STATE, "wrapped under the cluster key"];
const BLOB_KEY: Said = ["blob key", AES, NOWHERE, "derived from the data key"];
const CONTENT_KEY: Said = ["content key", "AES-128, 16 bytes", NOWHERE, "derived from the data key"];
const CLUSTER_KEY: Said =
    ["cluster key", "secret of 32 random bytes", STATE, "sealed to each node's key and to the recovery key"];
const CLUSTER_SECRET_KEY: Said =
    ["key of the cluster's secrets", AES, NOWHERE, "derived from the cluster key, one for each purpose"];
const NODE_KEY: Said = [
    "node key",
    "secret of 32 random bytes, and the X25519 pair derived from it",
    "on the node: a key file outside of the data folder, or a file sealed by a passphrase",
    "the file's mode and owner, or the passphrase; see the state",
];
const STORAGE_KEY: Said = ["storage key", AES, NOWHERE, "derived from the node key, one for each purpose"];
const RECOVERY_KEY: Said = [
    "recovery key",
    "X25519, from 32 random bytes",
    "on paper, whole or in shares; its public half is in State",
    "whoever holds the paper: no machine has it",
];
const BACKUP_KEY: Said = [
    "key of a backup",
    "secret of 32 random bytes",
    "in the manifest of the backup",
    "sealed to the recovery key and to each node's key",
];
const EDGE_KEY: Said =
    ["key pair of an edge", "X25519", "in the edge's memory", "the edge's process: never kept"];
const PUBLIC_CERTIFICATE_KEY: Said = [
    "key of the public certificate",
    "of the certificate; see the state",
    "in memory; an installed one in the data folder too",
    "the process; the storage key",
];
const NODE_CERTIFICATE_KEY: Said =
    ["key of the node's certificate", ECDSA, "in the node's identity file", "the storage key"];
const EDGE_CERTIFICATE_KEY: Said =
    ["key of the edge's public certificate", ECDSA, "in the edge's memory", "the process: never kept"];
const AUTHORITY_KEY: Said = [
    "key of the certificate authority",
    ECDSA,
    "in State, and in each node's data folder",
    "a key derived from the cluster key; the storage key",
];
const CONNECTION_KEY: Said =
    ["keys of a connection", "of the suite agreed on", "in memory", "the process: never kept"];
const AUDIT_KEY: Said = ["signing key of the audit log", "Ed25519", NOWHERE, "derived from the node key"];
const TOKEN_KEY: Said = ["token key", "HMAC, 32 bytes", NOWHERE, "derived from the cluster key"];
const WEBHOOK_SECRET: Said =
    ["secret of the webhook", "HMAC, 32 random bytes", STATE, "the storage key of each node"];
const TARGET_LOGIN: Said = [
    "login of a place for backups",
    "a passphrase, a private key (SSH), or an access key and its secret (S3)",
    STATE,
    "a key derived from the cluster key",
];
const PASSPHRASE: Said = [
    "passphrase",
    "text that a person chose",
    "with the person; State has its hash",
    "Argon2id and the pepper",
];
const PEPPER: Said =
    ["pepper of the passphrases", "secret of 32 random bytes", STATE, "a key derived from the cluster key"];
const TOKEN: Said = ["token", "random bytes", "with whoever was given it; State has its hash", "SHA-256"];

/// What is said of one key.
pub(super) const fn facts(id: KeyId) -> KeyFacts {
    let [name, kind, kept, protected_by] = match id {
        KeyId::DataKey => DATA_KEY,
        KeyId::BlobKey => BLOB_KEY,
        KeyId::ContentKey => CONTENT_KEY,
        KeyId::ClusterKey => CLUSTER_KEY,
        KeyId::ClusterSecretKey => CLUSTER_SECRET_KEY,
        KeyId::NodeKey => NODE_KEY,
        KeyId::StorageKey => STORAGE_KEY,
        KeyId::RecoveryKey => RECOVERY_KEY,
        KeyId::BackupKey => BACKUP_KEY,
        KeyId::EdgeKey => EDGE_KEY,
        KeyId::PublicCertificateKey => PUBLIC_CERTIFICATE_KEY,
        KeyId::NodeCertificateKey => NODE_CERTIFICATE_KEY,
        KeyId::EdgeCertificateKey => EDGE_CERTIFICATE_KEY,
        KeyId::AuthorityKey => AUTHORITY_KEY,
        KeyId::ConnectionKey => CONNECTION_KEY,
        KeyId::AuditKey => AUDIT_KEY,
        KeyId::TokenKey => TOKEN_KEY,
        KeyId::WebhookSecret => WEBHOOK_SECRET,
        KeyId::TargetLogin => TARGET_LOGIN,
        KeyId::Passphrase => PASSPHRASE,
        KeyId::Pepper => PEPPER,
        KeyId::Token => TOKEN,
    };
    KeyFacts { id, name, kind, kept, protected_by }
}
