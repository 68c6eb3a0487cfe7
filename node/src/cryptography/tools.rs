//! What all of it stands on: randomness, comparing and wiping; and hashes that protect nothing.

use super::entry::providers;
use super::media::NO_KEY;
use super::{CryptographyUse, PostQuantum, Present, Rotated, Rotation, Scope, Standing};

pub(super) fn uses() -> Vec<CryptographyUse> {
    vec![
        CryptographyUse {
            id: "random.keys",
            purpose: "Keys, nonces and salts of the cluster.",
            algorithm: "The generator of AWS-LC (CTR_DRBG with AES-256), seeded by the system".to_owned(),
            rotation: Rotation { how: Rotated::NoKey, detail: "It seeds itself anew." },
            providers: providers(["aws-lc-rs"]),
            ..tool(Standing::MODULE)
        },
        CryptographyUse {
            id: "random.tokens",
            purpose: "Tokens, ids, secrets of webhooks, vectors of HLS segments, nonces of the console's page.",
            algorithm: "ChaCha12, seeded by the system".to_owned(),
            rotation: Rotation { how: Rotated::NoKey, detail: "It seeds itself anew." },
            providers: providers(["rand"]),
            ..tool(Standing::outside(
                "The crate rand is no validated module. No key that seals anything is drawn by it.",
            ))
        },
        CryptographyUse {
            id: "random.hpke",
            purpose: "The one-time key pair of each sealing by HPKE.",
            algorithm: "The system's generator, asked directly".to_owned(),
            providers: providers(["hpke"]),
            ..tool(Standing::outside("It is the system's own, and not the module's."))
        },
        CryptographyUse {
            id: "secret.compare",
            purpose: "Comparing secrets, so that the time it takes tells nothing.",
            algorithm: "Constant time".to_owned(),
            providers: providers(["subtle"]),
            ..tool(Standing::outside(NO_ALGORITHM))
        },
        CryptographyUse {
            id: "secret.wipe",
            purpose: "Wiping keys and secrets from memory.",
            algorithm: "Overwritten with zeros when they are dropped".to_owned(),
            providers: providers(["zeroize"]),
            ..tool(Standing::outside(NO_ALGORITHM))
        },
        CryptographyUse {
            id: "upload.checksums",
            purpose: "A part of an upload arrived as its sender says (tus). It protects nothing.",
            algorithm: "SHA-1 or SHA-256, as the sender asks".to_owned(),
            providers: providers(["aws-lc-rs"]),
            ..tool(Standing::module("SHA-1 is approved there for what is no signature alone, as here."))
        },
        CryptographyUse {
            id: "placement",
            purpose: "Which nodes hold an asset. It protects nothing.",
            algorithm: "BLAKE3 of the asset and the node".to_owned(),
            providers: providers(["blake3"]),
            ..tool(Standing::outside("BLAKE3 is in no validated module; here it only spreads assets evenly."))
        },
    ]
}

const NO_ALGORITHM: &str = "No algorithm that could be validated.";

/// One that has no key.
fn tool(fips: Standing) -> CryptographyUse {
    CryptographyUse {
        id: "",
        purpose: "",
        algorithm: String::new(),
        key: None,
        scope: Scope::Value,
        rotation: NO_KEY,
        state: Present::default(),
        providers: Vec::new(),
        fips,
        post_quantum: PostQuantum::Safe,
    }
}
