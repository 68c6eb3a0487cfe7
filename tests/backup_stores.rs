//! Stores on a network: an S3-compatible one that enforces Object Lock (moto).
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[allow(dead_code, reason = "each test binary uses its part")]
#[path = "backup_support.rs"]
mod backup_support;
#[allow(dead_code, reason = "each test binary uses its part")]
mod media_support;
mod support;

use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;

use tokio::process::{Child, Command};

use backup_support::{Backed, Restored, types};
use media_support::{clip, decoded, put, ready, renditions, view};
use support::wait_for;

const SECRET: &str = "Kanarienvogel-im-Speicher";
const PRIVATE: &str = "networks = [\"127.0.0.0/8\"]";

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// An S3-compatible store in memory.
struct Store {
    _server: Child,
    url: String,
    http: reqwest::Client,
}

impl Store {
    async fn start() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let port = free_port();
        let mut command = Command::new(root.join("target/stores/bin/moto_server"));
        command.args(["-H", "127.0.0.1", "-p", &port.to_string()]).kill_on_drop(true);
        let server = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let server = server.expect("setup/stores.sh puts moto_server in place");
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let store = Self {
            _server: server,
            url: format!("http://127.0.0.1:{port}"),
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
        };
        wait_for("the store", || async { store.http.get(&store.url).send().await.ok() }).await;
        for (bucket, locks) in [("locked", "true"), ("plain", "false")] {
            let made = store.http.put(format!("{}/{bucket}", store.url));
            let made = made.header("x-amz-bucket-object-lock-enabled", locks).send().await.unwrap();
            assert!(made.status().is_success(), "{}", made.text().await.unwrap());
        }
        store
    }

    async fn get(&self, path: &str) -> String {
        self.http.get(format!("{}/{path}", self.url)).send().await.unwrap().text().await.unwrap()
    }

    /// Names and versions in the locked bucket.
    async fn versions(&self) -> Vec<(String, String)> {
        let text = self.get("locked?versions").await;
        let parts = text.split("<Version>").skip(1);
        parts.map(|part| (element(part, "Key"), element(part, "VersionId"))).collect()
    }
}

fn element(xml: &str, name: &str) -> String {
    let (_, rest) = xml.split_once(&format!("<{name}>")).unwrap_or_default();
    rest.split_once(&format!("</{name}>")).unwrap_or_default().0.to_owned()
}

fn random(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    rand::Rng::fill_bytes(&mut rand::rng(), &mut bytes);
    bytes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_locks_keeps_every_version_and_a_restore_needs_nothing_else() {
    let store = Store::start().await;
    let backed = Backed::start_with(PRIVATE).await;
    let asset = put(&backed.node, &backed.admin, clip()).await;
    ready(&backed.admin, &asset).await;
    // Large enough to be sent in parts.
    put(&backed.node, &backed.admin, &random(40 << 20)).await;
    let secret = backed.outside.path().join("secret");
    std::fs::write(&secret, format!("{SECRET}\n")).unwrap();
    let secret = secret.display().to_string();
    let place = format!("{}/locked/cluster", store.url);
    let opening = ["--s3", place.as_str(), "--access-key", "test", "--object-lock", "--secret-file", &secret];
    let set = [["set-target", "--name", "store"].as_slice(), &opening].concat();
    backed.backup(&set).await.well();
    let unlocked = format!("{}/plain", store.url);
    let other = ["set-target", "--name", "other", "--s3", &unlocked, "--access-key", "test", "--object-lock"];
    backed.backup(&other).await.badly("does not keep the lock");

    let first = backed.backup(&["now"]).await.well().to_owned();
    assert_eq!(backed.run(&first).await["flaw_count"], 0);
    let versions = store.versions().await;
    let blobs: Vec<_> = versions.iter().filter(|(key, _)| key.starts_with("cluster/blobs/")).collect();
    assert!(blobs.len() >= 6, "{versions:?}");
    let locked = |key: String, version: String| {
        let store = &store;
        async move {
            let text = store.get(&format!("locked/{key}?retention&versionId={version}")).await;
            assert_eq!(element(&text, "Mode"), "COMPLIANCE", "{key}: {text}");
            element(&text, "RetainUntilDate").parse::<jiff::Timestamp>().unwrap()
        }
    };
    let in_thirty_days = jiff::Timestamp::now().as_second() + 30 * 24 * 3600;
    let mut before = Vec::new();
    for (key, version) in versions.iter().filter(|(key, _)| !key.ends_with("mediakeep-backup")) {
        let until = locked(key.clone(), version.clone()).await;
        assert!(until.as_second() > in_thirty_days, "{key} until {until}");
        before.push((key.clone(), version.clone(), until));
    }
    // Nobody with the same credentials removes a version.
    let (key, version) = blobs[0];
    let removed = store.http.delete(format!("{}/locked/{key}?versionId={version}", store.url)).send().await;
    assert_eq!(removed.unwrap().status().as_u16(), 403);

    // The next run sends nothing again, and locks everything that it names for longer.
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    let second = backed.backup(&["now"]).await.well().to_owned();
    assert_eq!(backed.run(&second).await["moved_objects"], 0);
    for (key, version, until) in before.iter().filter(|(key, ..)| key.starts_with("cluster/blobs/")) {
        let now = locked(key.clone(), version.clone()).await;
        assert!(now > *until, "{key} until {now}, before until {until}");
    }
    backed.backup(&["verify", "--full"]).await.well();
    let list = backed.admin.get("/backup-targets").await;
    assert!(
        !list.text().contains(SECRET) && list.text().contains("\"access_key\":\"test\""),
        "{}",
        list.text()
    );

    restored_plays(&backed, &opening, &asset).await;

    // The store is gone: said plainly, and nothing else suffers.
    drop(store);
    backed.backup(&["now"]).await.badly("cannot be reached");
    backed.admin.get(&format!("/assets/{asset}")).await.expect(200);
    backed.node.stop().await;
}

/// Restores from a place opened by these arguments, and plays an asset there.
async fn restored_plays(backed: &Backed, opening: &[&str], asset: &str) {
    let dir = backed.outside.path().join("restored").display().to_string();
    let restore = [["backup", "restore", "--dir", &dir].as_slice(), opening].concat();
    types(&restore, &[], &format!("{}\n", backed.recovery_key)).await.well();
    let (username, password) = (&backed.node.ready.username, &backed.node.ready.password);
    let restored = Restored::start(Path::new(&dir), username, password).await;
    plays(&restored, asset).await;
    restored.stop().await;
}

async fn plays(restored: &Restored, asset: &str) {
    let path = view(&restored.admin, asset).await;
    let main = restored.admin.get(&format!("{path}main.m3u8")).await;
    for name in renditions(&main.text()) {
        let url = format!("{}{}{name}/index.m3u8", restored.url, path.trim_start_matches('='));
        decoded(&restored.ca, &url).await;
    }
}

#[tokio::test]
async fn an_address_in_a_private_network_is_refused_unless_the_operator_listed_it() {
    let backed = Backed::start().await;
    for url in
        ["https://127.0.0.1:9/b", "http://169.254.169.254/latest", "https://[::1]:9/b", "http://10.0.0.1/b"]
    {
        let set = ["set-target", "--name", "x", "--s3", url, "--access-key", "test"];
        backed.backup(&set).await.badly("private network");
    }
    let plain = ["set-target", "--name", "x", "--s3", "http://8.8.8.8/b", "--access-key", "test"];
    backed.backup(&plain).await.badly("https");
    backed.node.stop().await;
}
