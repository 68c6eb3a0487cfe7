//! What a build for FIPS 140-3 (`./just fips`) is, and the usual build is not: a real node, asked by its API, by its own
//! command line and by OpenSSL.

mod support;

use std::process::Stdio;

use serde_json::Value;
use support::{Node, program};
use tokio::process::Command;

/// Whether this is such a build.
const BUILD: bool = cfg!(feature = "fips");

/// Whether OpenSSL comes to terms with the node when it offers this alone; and what both then speak.
async fn speaks(node: &Node, offered: &[&str]) -> Option<String> {
    let mut openssl = Command::new("openssl");
    openssl.args(["s_client", "-connect", &node.address().to_string(), "-verify_return_error", "-CAfile"]);
    let said =
        openssl.arg(&node.ready.ca).args(offered).stdin(Stdio::null()).output().await.expect("OpenSSL runs");
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    let refused = String::from_utf8_lossy(&said.stderr).into_owned();
    let spoken =
        text.lines().find_map(|line| line.split_once("Cipher is ").map(|(_, suite)| suite.to_owned()));
    let spoken = spoken.filter(|suite| suite != "(NONE)");
    assert_eq!(said.status.success(), spoken.is_some(), "{text}{refused}");
    // A refusal is by the node, and not for want of a connection or of a suite that OpenSSL knows.
    assert!(spoken.is_some() || refused.contains("alert handshake failure"), "{text}{refused}");
    spoken
}

#[tokio::test]
async fn tls_is_fips_alone_in_its_build_and_says_so() {
    let node = Node::start().await;
    let found = node.admin().await.get("/system/cryptography").await.expect(200);
    assert_eq!(found["fips"], BUILD, "{found}");
    assert_eq!(found["module"].as_str().is_some_and(|module| module.starts_with("AWS-LC FIPS")), BUILD);
    let tls = found["tls"].as_array().expect("a list");
    assert!(tls.len() == 5 && tls.iter().all(|one| one["fips"] == BUILD), "{tls:?}");
    let runs = |id: &str| {
        let one = found["uses"].as_array().expect("a list").iter().find(|one| one["id"] == id);
        one.unwrap_or_else(|| panic!("{id} is there"))["fips"]["runs"].clone()
    };
    let standing = |word: &str| Value::from(if BUILD { word } else { "outside" });
    assert_eq!(runs("blob.records"), standing("module"));
    assert_eq!(runs("people.tokens"), standing("partly"));
    assert_eq!((runs("hls.segments"), runs("people.passphrases")), ("outside".into(), "outside".into()));

    let suite = "TLS_AES_256_GCM_SHA384";
    assert_eq!(speaks(&node, &["-tls1_3", "-ciphersuites", suite]).await.as_deref(), Some(suite));
    for other in [
        ["-tls1_3", "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"],
        ["-tls1_3", "-groups", "X25519"],
        ["-tls1_2", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305"],
    ] {
        assert_eq!(speaks(&node, &other).await.is_some(), !BUILD, "{other:?}");
    }
    assert!(speaks(&node, &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384"]).await.is_some());
    node.stop().await;
}

#[tokio::test]
async fn its_command_line_prints_the_inventory() {
    let node = Node::start().await;
    let home = tempfile::tempdir().expect("a home folder");
    let ca = node.ready.ca.display().to_string();
    let types = async |arguments: &[&str]| {
        let mut command = Command::new(program());
        command.args(arguments).env_clear().env("HOME", home.path()).stdin(Stdio::null());
        let said = command.output().await.expect("the binary is there");
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        String::from_utf8_lossy(&said.stdout).into_owned()
    };
    let who = ["--username", &node.ready.username, "--password", &node.ready.password];
    types(&[["login", "--url", node.url(), "--ca", &ca].as_slice(), &who].concat()).await;
    let table = types(&["cryptography"]).await;
    let line =
        |start: &str| table.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("{table}"));
    assert!(line("FIPS 140-3").ends_with("no") != BUILD, "{table}");
    let key = line("cluster.key");
    assert!(
        key.contains("cluster key") && key.contains("on_request") && key.contains("key_epoch 1, since 20"),
        "{key}"
    );
    let inventory: Value = serde_json::from_str(&types(&["cryptography", "--json"]).await).expect("JSON");
    let uses = inventory["uses"].as_array().expect("a list").len();
    assert_eq!(
        table.lines().skip_while(|line| !line.starts_with("USE")).count(),
        uses + 1,
        "a line each: {table}"
    );
    node.stop().await;
}
