//! Media: its bytes, their keys, and what players are given.

use cluster::blob::RECORD;
use cluster::keyring::{HPKE_SUITE, KEY_LENGTH, TAG_LENGTH};

use super::entry::providers;
use super::keys::facts;
use super::present::Facts;
use super::{CryptographyUse, KeyId, PostQuantum, Present, Rotated, Rotation, Scope, Standing};

/// Why what runs in the module is not all that its certificate covers.
pub(super) const OWN_NONCE: Standing = Standing::module(
    "The nonce is made outside of the module, which its certificate does not cover for AES-GCM in general.",
);
/// Of what HPKE does.
pub(super) const HPKE_OUTSIDE: Standing = Standing::outside(
    "HPKE is done by RustCrypto, in no validated module; only the seed of the key pair is derived in one.",
);

/// The suite of HPKE by the names of RFC 9180; numbers where a name is not known here.
pub(super) fn hpke() -> String {
    let [kem, kdf, aead] = HPKE_SUITE;
    let named = |number: u16, names: &[(u16, &str)]| {
        let known = names.iter().find(|(known, _)| *known == number);
        known.map_or_else(|| format!("0x{number:04x}"), |(_, name)| (*name).to_owned())
    };
    let kem = named(kem, &[(0x0020, "DHKEM(X25519, HKDF-SHA256)")]);
    let kdf = named(kdf, &[(0x0001, "HKDF-SHA256")]);
    let aead = named(aead, &[(0x0001, "AES-128-GCM"), (0x0002, "AES-256-GCM")]);
    format!("HPKE (RFC 9180), base mode: {kem}, {kdf}, {aead}")
}

/// AES-GCM with keys and tags of our lengths.
pub(super) fn aes_gcm(how: &str) -> String {
    format!("AES-{}-GCM, tag of {TAG_LENGTH} bytes, {how}", KEY_LENGTH * 8)
}

pub(super) fn uses(present: &Facts) -> Vec<CryptographyUse> {
    vec![records(), small(), integrity(), data_keys(present), segments(), keys_for_edges()]
}

fn records() -> CryptographyUse {
    CryptographyUse {
        id: "blob.records",
        purpose: "Media at rest: originals, renditions, pictures and subtitles.",
        algorithm: aes_gcm(&format!(
            "records of {} KiB in order (STREAM): the nonce is the record's number and whether it is the last",
            RECORD / 1024
        )),
        key: Some(facts(KeyId::BlobKey)),
        scope: Scope::Blob,
        rotation: Rotation {
            how: Rotated::EachUse,
            detail: "Every Blob has its own, and a new one with each writer. A sealed Blob never changes, so neither does its key.",
        },
        state: Present::default(),
        providers: providers(["aws-lc-rs"]),
        fips: OWN_NONCE,
        post_quantum: PostQuantum::Safe,
    }
}

fn small() -> CryptographyUse {
    CryptographyUse {
        id: "blob.parts",
        purpose: "What a Blob has beside its records: its newest bytes, marks and index.",
        algorithm: aes_gcm("random nonce of 12 bytes"),
        key: Some(facts(KeyId::BlobKey)),
        scope: Scope::Blob,
        rotation: Rotation {
            how: Rotated::EachUse,
            detail: "Every Blob has its own, one for each kind of part, and new ones with each writer.",
        },
        state: Present::default(),
        providers: providers(["aws-lc-rs"]),
        fips: OWN_NONCE,
        post_quantum: PostQuantum::Safe,
    }
}

fn integrity() -> CryptographyUse {
    CryptographyUse {
        id: "blob.integrity",
        purpose: "To tell a damaged copy or backup of a Blob from a whole one, and an upload from what was sent.",
        algorithm: "BLAKE3, 256 bits, of the sealed file; SHA-256 of an original".to_owned(),
        key: None,
        scope: Scope::Blob,
        rotation: NO_KEY,
        state: Present::default(),
        providers: providers(["blake3", "aws-lc-rs"]),
        fips: Standing::partly(
            "BLAKE3 is in no validated module. It finds damage; what was changed on purpose AES-GCM refuses.",
        ),
        post_quantum: PostQuantum::Safe,
    }
}

/// Of what has no key.
pub(super) const NO_KEY: Rotation = Rotation { how: Rotated::NoKey, detail: "There is no key." };

fn data_keys(present: &Facts) -> CryptographyUse {
    CryptographyUse {
        id: "asset.data_key",
        purpose: "The key of each asset, wrapped under the cluster key. To forget it is to forget the asset.",
        algorithm: aes_gcm("random nonce of 12 bytes, bound to the asset and the epoch"),
        key: Some(facts(KeyId::DataKey)),
        scope: Scope::Asset,
        rotation: Rotation {
            how: Rotated::Never,
            detail: "The key itself stays as long as its asset, whose bytes would all be written anew. Its wrapping is made anew \
                     by itself when the cluster key is rotated.",
        },
        state: present.data_keys.clone(),
        providers: providers(["aws-lc-rs"]),
        fips: OWN_NONCE,
        post_quantum: PostQuantum::Safe,
    }
}

fn segments() -> CryptographyUse {
    CryptographyUse {
        id: "hls.segments",
        purpose: "Video on its way to players, as HLS asks for it (RFC 8216).",
        algorithm: format!(
            "AES-128-CBC with PKCS #7, blocks of {} bytes, random vector for each segment",
            pipeline::encrypt::BLOCK
        ),
        key: Some(facts(KeyId::ContentKey)),
        scope: Scope::Asset,
        rotation: Rotation {
            how: Rotated::Never,
            detail: "Derived from the data key. Players hold it while they play; who may have it is decided for each request.",
        },
        state: Present::default(),
        providers: providers(["aes", "cbc"]),
        fips: Standing::outside(
            "AES-CBC is done by RustCrypto, in no validated module. Below it, at rest, is AES-GCM that is.",
        ),
        post_quantum: PostQuantum::Safe,
    }
}

fn keys_for_edges() -> CryptographyUse {
    CryptographyUse {
        id: "hls.key_for_edge",
        purpose: "A content key on its way to an edge, so that only that process can open it.",
        algorithm: hpke(),
        key: Some(facts(KeyId::EdgeKey)),
        scope: Scope::Edge,
        rotation: Rotation { how: Rotated::EachStart, detail: "A new pair at each start of the edge." },
        state: Present::default(),
        providers: providers(["hpke", "aes-gcm"]),
        fips: HPKE_OUTSIDE,
        post_quantum: PostQuantum::Broken,
    }
}
