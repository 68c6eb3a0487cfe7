//! What this node does at others: alerts it signs, places for backups it opens.

use super::entry::providers;
use super::keys::facts;
use super::present::Facts;
use super::{CryptographyUse, KeyId, PostQuantum, Present, Rotated, Rotation, Scope, Standing};
use crate::alerts::WEBHOOK_SECRET_LENGTH;
use crate::backup::ssh_algorithms;

pub(super) fn uses(present: &Facts) -> Vec<CryptographyUse> {
    vec![webhook(), ssh(present), s3(present)]
}

fn webhook() -> CryptographyUse {
    CryptographyUse {
        id: "alert.webhook",
        purpose: "By which the receiver of a webhook knows that an alert is by this cluster.",
        algorithm: format!(
            "HMAC-SHA-256 (Standard Webhooks), a secret of {WEBHOOK_SECRET_LENGTH} random bytes"
        ),
        key: Some(facts(KeyId::WebhookSecret)),
        scope: Scope::Cluster,
        rotation: Rotation {
            how: Rotated::OnRequest,
            detail: "When the channel is set up anew; the secret is shown once.",
        },
        state: Present::default(),
        providers: providers(["aws-lc-rs", "rand"]),
        fips: Standing::partly("The secret is drawn by the crate rand, in no validated module."),
        post_quantum: PostQuantum::Safe,
    }
}

fn ssh(present: &Facts) -> CryptographyUse {
    let algorithms = ssh_algorithms();
    CryptographyUse {
        id: "backup.sftp",
        purpose: "Backups to a folder reached by SFTP. What is sent is sealed already; the server is known by its key.",
        post_quantum: if algorithms.contains("mlkem") { PostQuantum::Partly } else { PostQuantum::Broken },
        algorithm: format!("SSH; {algorithms}; the server's key by its SHA-256"),
        key: Some(facts(KeyId::TargetLogin)),
        scope: Scope::Place,
        rotation: LOGIN,
        state: present.places.clone(),
        providers: providers(["russh", "aws-lc-rs"]),
        fips: Standing::partly(
            "Keys are exchanged and servers known by RustCrypto, in no validated module; ciphers are the module's.",
        ),
    }
}

/// Of what opens a place.
const LOGIN: Rotation = Rotation {
    how: Rotated::OnRequest,
    detail: "When the place is set up anew with another login. How it is sealed changes with the cluster key, by itself.",
};

fn s3(present: &Facts) -> CryptographyUse {
    CryptographyUse {
        id: "backup.s3",
        purpose: "Backups to a store that speaks S3, over TLS. What is sent is sealed already.",
        algorithm: "AWS Signature Version 4: HMAC-SHA-256".to_owned(),
        key: Some(facts(KeyId::TargetLogin)),
        scope: Scope::Place,
        rotation: LOGIN,
        state: present.places.clone(),
        providers: providers(["rusty-s3", "aws-lc-rs"]),
        fips: Standing::MODULE,
        post_quantum: PostQuantum::Safe,
    }
}
