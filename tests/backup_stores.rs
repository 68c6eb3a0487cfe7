//! Stores on a network: an S3-compatible one that enforces Object Lock (moto), and Debian's SFTP server.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[allow(dead_code, reason = "each test binary uses its part")]
#[path = "backup_support.rs"]
mod backup_support;
#[allow(dead_code, reason = "each test binary uses its part")]
mod media_support;
mod support;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command as Tool, Stdio};

use serde_json::json;
use tokio::process::{Child, Command};

use backup_support::{Backed, Restored, types};
use media_support::{clip, decoded, put, ready, renditions, view};
use support::{files, wait_for};

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

    /// As whoever has the credentials: this store takes their word for the signature.
    fn signed(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        let signature = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, \
            SignedHeaders=host, Signature=0";
        request.header("authorization", signature)
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
            let address = format!("{}/locked/{key}?versionId={version}", store.url);
            let answer = store.signed(store.http.head(&address)).send().await.unwrap();
            assert_eq!(answer.status(), 200, "{address}");

            let said = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
            assert_eq!(said("x-amz-object-lock-mode"), "COMPLIANCE", "{key}");
            said("x-amz-object-lock-retain-until-date").parse::<jiff::Timestamp>().unwrap()
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
    let address = format!("{}/locked/{key}?versionId={version}", store.url);
    let removed = store.signed(store.http.delete(address)).send().await;
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
    let set =
        ["set-target", "--name", "x", "--sftp", "sftp://root@127.0.0.1:22/srv", "--host-key", "SHA256:x"];
    backed.backup(&set).await.badly("private network");
    let plain = ["set-target", "--name", "x", "--s3", "http://8.8.8.8/b", "--access-key", "test"];
    backed.backup(&plain).await.badly("https");
    backed.node.stop().await;
}

/// Debian's SSH server as a process of our own.
struct Server {
    process: Child,
    port: u16,
    folder: PathBuf,
    host_key: String,
}

impl Server {
    async fn start(folder: &Path) -> Self {
        std::fs::create_dir_all(folder.join("files")).unwrap();
        for name in ["host", "client", "stranger"] {
            let key = folder.join(name);
            let made =
                Tool::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status();
            assert!(made.expect("openssh is installed").success());
        }
        let port = free_port();
        let at = |name: &str| folder.join(name).display().to_string();
        let config = format!(
            "ListenAddress 127.0.0.1\nPort {port}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nUsePAM no\n\
             StrictModes no\nPasswordAuthentication no\nPermitRootLogin yes\nSubsystem sftp internal-sftp\n",
            at("host"),
            at("client.pub")
        );
        std::fs::write(folder.join("config"), config).unwrap();
        // Only a server that runs as root needs it, and only then it can be made.
        let _ = std::fs::create_dir("/run/sshd");
        let mut command = Command::new("/usr/sbin/sshd");
        command.args(["-D", "-e", "-f"]).arg(folder.join("config")).kill_on_drop(true);
        let process = command.stderr(Stdio::null()).spawn().expect("openssh-server is installed");
        wait_for("the server", || async { tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok() })
            .await;
        let shown = Tool::new("ssh-keygen").arg("-lf").arg(folder.join("host.pub")).output().unwrap();
        let shown = String::from_utf8(shown.stdout).unwrap();
        let host_key = shown.split_whitespace().nth(1).unwrap().to_owned();
        Self { process, port, folder: folder.to_owned(), host_key }
    }

    fn url(&self, user: &str) -> String {
        format!("sftp://{user}@127.0.0.1:{}{}", self.port, self.folder.join("files").display())
    }
}

/// Whoever may change a place for backups but does not know its secret cannot have it shown to another server.
async fn the_secret_stays_with_its_server(backed: &Backed) {
    let targets = backed.admin.get("/backup-targets").await.expect(200);
    let known = &targets["items"][0];
    let path = format!("/backup-targets/{}", known["id"].as_str().unwrap());
    let body = |place: &serde_json::Value| json!({ "name": "server", "place": place, "keep_days": 40 });
    backed.admin.put(&path, &body(&known["place"])).await.expect(200);
    for (field, other) in [
        ("host", json!("localhost")),
        ("port", json!(9)),
        ("username", json!("somebody")),
        ("host_key", json!("SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")),
    ] {
        let mut place = known["place"].clone();
        place[field] = other;
        backed.admin.put(&path, &body(&place)).await.expect_problem(400, "secret_needed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_sftp_server_is_known_by_its_key_and_holds_a_backup_like_a_folder() {
    let backed = Backed::start_with(PRIVATE).await;
    let mut server = Server::start(&backed.outside.path().join("server")).await;
    let asset = put(&backed.node, &backed.admin, clip()).await;
    ready(&backed.admin, &asset).await;
    let user = String::from_utf8(Tool::new("id").arg("-un").output().unwrap().stdout).unwrap();
    let (url, at) = (server.url(user.trim()), |name: &str| server.folder.join(name).display().to_string());
    let (client, stranger) = (at("client"), at("stranger"));
    let opening = |host_key: &str, key: &str| {
        ["--sftp", &url, "--host-key", host_key, "--secret-file", key].map(str::to_owned)
    };
    let set = |host_key: &str, key: &str| {
        let arguments = opening(host_key, key);
        let backed = &backed;
        async move {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            backed.backup(&[["set-target", "--name", "server"].as_slice(), &arguments].concat()).await
        }
    };
    let wrong = "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    set(wrong, &client).await.badly(&server.host_key);
    set(&server.host_key, &stranger).await.badly("does not let");
    assert_eq!(files(&server.folder.join("files")), Vec::<PathBuf>::new());
    set(&server.host_key, &client).await.well();
    the_secret_stays_with_its_server(&backed).await;

    backed.backup(&["now"]).await.well();
    let second = backed.backup(&["now"]).await.well().to_owned();
    assert_eq!(backed.run(&second).await["moved_objects"], 0);
    backed.backup(&["verify", "--full"]).await.well();
    let blobs = server.folder.join("files/blobs");
    let damaged = files(&blobs).into_iter().max_by_key(|path| path.metadata().unwrap().len()).unwrap();
    let mut bytes = std::fs::read(&damaged).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&damaged, bytes).unwrap();
    backed.backup(&["verify", "--full"]).await.badly("1 things are not as they were");
    let third = backed.backup(&["now"]).await.well().to_owned();
    assert_eq!(backed.run(&third).await["moved_objects"], 1);

    let arguments = opening(&server.host_key, &client);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    restored_plays(&backed, &arguments, &asset).await;

    server.process.kill().await.unwrap();
    backed.backup(&["now"]).await.badly("cannot be reached");
    let runs = backed.admin.get("/backups?limit=1").await.expect(200);
    assert_eq!(runs["items"][0]["reason_code"], json!("target_unreachable"));
    backed.node.stop().await;
}
