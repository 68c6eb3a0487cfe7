//! A folder that the version before wrote, as a user of it would bring it: everything in it is read, used and written on.
//!
//! `tests/fixtures/state_version_2` is the data of a lone node, made by the binary that wrote State in version 2: a snapshot
//! of State, a log behind it, the audit log, a sealed Blob, identity, certificates and the sealed secrets. It is made anew
//! only when the version before is another one: by that one's binary, never by today's.

use std::fs;
use std::path::Path;

use cluster::keyring::NodeSecrets;
use cluster::recovery::RecoveryKey;
use reqwest::Method;
use serde_json::{Value, json};

use crate::damaged::{FILM, Home, copy_folder, no_panic};
use crate::support::{Client, stop};

struct Told {
    home: Home,
    told: Value,
}

fn version_before() -> Told {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/state_version_2");
    let home = Home { root: tempfile::tempdir().unwrap() };
    copy_folder(&fixture.join("data"), &home.data());
    fs::copy(fixture.join("data.key"), home.key()).unwrap();
    // A checkout does not keep modes.
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(home.key(), private).unwrap();
    let told = serde_json::from_slice(&fs::read(fixture.join("told.json")).unwrap()).unwrap();
    Told { home, told }
}

/// All that the version before was told, as it is seen now.
async fn knows_all(Told { home, told }: &Told) {
    let running = home.runs().await;
    let admin = home.admin(&running).await;
    let applications = admin.get("/applications").await.expect(200).to_string();
    for name in ["Films", "In the snapshot", "In the log"] {
        assert!(applications.contains(name), "{name} is lost: {applications}");
    }
    let text = |name: &str| told[name].as_str().unwrap().to_owned();
    let asset = admin.get(&format!("/assets/{}", text("asset"))).await.expect(200);
    assert_eq!(asset["title"], "Kept since the version before");
    assert_eq!(asset["description"], "of the version before");
    assert_eq!(asset["tags"], json!(["old"]));
    assert_eq!(asset["fields"], json!({ "shelf": "7" }));
    let collections =
        admin.get(&format!("/applications/{}/collections", text("application"))).await.expect(200);
    assert!(collections.to_string().contains("Lectures"), "{collections}");
    let detail = admin.get(&format!("/assets/{}/detail", text("asset"))).await.expect(200);
    assert_eq!(detail["holders"].as_array().unwrap().len(), 1, "{detail}");

    // The key of that time still counts.
    let tool = Client { token: Some(text("api_key")), ..home.client(&running) };
    let link = format!("/assets/{}/downloads", text("asset"));
    let link = tool.post(&link, &json!({ "what": "original" })).await.expect(201);
    let download = tool.request(Method::GET, &format!("={}", link["url"].as_str().unwrap()));
    assert_eq!(tool.send(download).await.bytes, FILM.repeat(500).into_bytes(), "the Blob reads back");

    let verdict = admin.get("/audit/verify").await.expect(200);
    assert_eq!(verdict["ok"], true, "{verdict}");
    let first = admin.get("/audit?action=cluster.claim").await.expect(200);
    assert_eq!(first["items"].as_array().unwrap().len(), 1, "the oldest records are still read: {first}");
    stop(running.child).await;
    let recovery = RecoveryKey::parse(&text("recovery_key")).unwrap();
    let sealed = fs::read(home.data().join("node-secrets.recovery")).unwrap();
    assert!(NodeSecrets::recover(&recovery, &sealed).is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_of_the_version_before_is_read_used_and_written_on() {
    let told = version_before();
    let recovery = RecoveryKey::parse(told.told["recovery_key"].as_str().unwrap()).unwrap();
    let sealed = fs::read(told.home.data().join("node-secrets.recovery")).unwrap();
    assert!(
        NodeSecrets::recover(&recovery, &sealed).is_ok(),
        "the secrets sealed by the version before open"
    );
    knows_all(&told).await;
    // Everything is written anew in today's form.
    told.home.cut_log().await;
    knows_all(&told).await;
    no_panic(&told.home, "the version before's folder");
}
