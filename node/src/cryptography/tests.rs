//! The inventory is complete: each entry by itself, and all of them against the crates that ours depend on.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use super::dependencies::DIRECT;
use super::*;

/// Of cryptography, whatever they say of themselves.
const KNOWN: [&str; 10] =
    ["blake3", "russh", "rusty-s3", "rcgen", "rand", "lettre", "reqwest", "ring", "sha2", "ed25519-dalek"];
/// What a crate of cryptography says of itself: a category, or keywords.
const CATEGORY: &str = "cryptography";
const KEYWORDS: [&str; 9] =
    ["cryptography", "crypto", "encryption", "cipher", "tls", "ssh", "hmac", "signature", "hash"];

fn everything() -> Vec<CryptographyUse> {
    let facts = present::Facts {
        // A node that listens for others: it has all there is.
        node_certificate: Present { not_after_ms: Some(1), ..Present::default() },
        ..present::Facts::default()
    };
    let spoken = ["public", "nodes", "to_nodes", "join", "outgoing"].map(|name| TlsFacts {
        name,
        versions: vec!["TLSv1_3".to_owned()],
        cipher_suites: vec!["TLS13_AES_256_GCM_SHA384".to_owned()],
        groups: vec!["X25519".to_owned()],
        fips: false,
    });
    uses(&facts, &spoken)
}

#[test]
fn every_entry_says_all_there_is_to_say() {
    let uses = everything();
    let ids: BTreeSet<_> = uses.iter().map(|one| one.id).collect();
    assert_eq!(ids.len(), uses.len(), "an id is there twice");
    for one in &uses {
        let said = [one.id, one.purpose, &one.algorithm, one.rotation.detail];
        assert!(said.iter().all(|text| !text.is_empty()), "{one:?}");
        assert!(!one.providers.is_empty(), "{one:?}");
        for provider in &one.providers {
            assert!(
                !provider.version.is_empty(),
                "{}: no crate of ours depends on {}",
                one.id,
                provider.name
            );
        }
        assert_eq!(one.key.is_none(), one.rotation.how == Rotated::NoKey, "{}", one.id);
        assert!(one.fips.runs == RunsIn::Module || one.fips.note.is_some(), "{}: why not?", one.id);
    }
}

#[test]
fn no_crate_of_cryptography_is_used_without_an_entry() {
    let named: BTreeSet<_> =
        everything().iter().flat_map(|one| one.providers.clone()).map(|one| one.name).collect();
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml");
    let asked = Command::new(env!("CARGO"))
        .args(["metadata", "--locked", "--offline", "--format-version", "1", "--manifest-path"])
        .arg(manifest)
        .output()
        .unwrap();
    assert!(asked.status.success(), "{}", String::from_utf8_lossy(&asked.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&asked.stdout).unwrap();
    let listed = |value: &serde_json::Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(|one| one.as_str().map(str::to_lowercase)).collect()
    };
    let packages: BTreeMap<_, _> = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| (package["id"].as_str().unwrap(), package))
        .collect();
    let members = listed(&metadata["workspace_members"]);
    let mut found = BTreeSet::new();
    for node in metadata["resolve"]["nodes"].as_array().unwrap() {
        if !members.contains(&node["id"].as_str().unwrap().to_lowercase()) {
            continue;
        }
        let shipped = |one: &&serde_json::Value| {
            one["dep_kinds"].as_array().unwrap().iter().any(|kind| kind["kind"].is_null())
        };
        for dependency in node["deps"].as_array().unwrap().iter().filter(shipped) {
            let package = packages[dependency["pkg"].as_str().unwrap()];
            let name = package["name"].as_str().unwrap();
            let is_crypto = KNOWN.contains(&name)
                || listed(&package["categories"]).iter().any(|category| category == CATEGORY)
                || listed(&package["keywords"]).iter().any(|word| KEYWORDS.contains(&word.as_str()));
            if is_crypto {
                found.insert(name.to_owned());
            }
        }
    }
    assert!(found.contains("aws-lc-rs") && found.len() > 12, "what is looked for is found: {found:?}");
    let missing: Vec<_> = found.iter().filter(|name| !named.contains(name.as_str())).collect();
    assert!(
        missing.is_empty(),
        "crates of cryptography without an entry in node/src/cryptography: {missing:?}"
    );
}

#[test]
fn versions_are_those_of_the_lock_file() {
    let lock = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.lock")).unwrap();
    assert!(DIRECT.len() > 60, "{}", DIRECT.len());
    for (name, version) in DIRECT {
        assert!(lock.contains(&format!("name = \"{name}\"\nversion = \"{version}\"")), "{name} {version}");
    }
}

#[test]
fn the_console_has_words_for_every_use_and_key_in_both_languages() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("console/src/text");
    for language in ["en", "de"] {
        let text = std::fs::read_to_string(folder.join(format!("{language}.json"))).unwrap();
        let texts: BTreeMap<String, serde_json::Value> = serde_json::from_str(&text).unwrap();
        for one in everything() {
            let key = one.key.map(|key| serde_json::to_value(key.id).unwrap().as_str().unwrap().to_owned());
            let wanted = [
                Some(format!("cryptography.use.{}", one.id)),
                key.map(|key| format!("cryptography.key.{key}")),
            ];
            for wanted in wanted.into_iter().flatten() {
                assert!(texts.contains_key(&wanted), "{language}.json: {wanted}");
            }
        }
    }
}

#[test]
fn the_suite_of_hpke_has_its_names() {
    assert_eq!(
        media::hpke(),
        "HPKE (RFC 9180), base mode: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM"
    );
}
