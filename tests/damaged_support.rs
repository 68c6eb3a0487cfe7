//! The folder of a node that is stopped, copied, damaged and started again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use ::cluster::keyring::NodeSecrets;
use ::cluster::recovery::RecoveryKey;
use ::cluster::seal::KeyFileSeal;
use ::cluster::{Cluster, ClusterConfig};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::support::{Client, DEADLINE, PASSPHRASE, http, program, stop};

pub const FILM: &str = "this is no film but these are its bytes";

/// A node's folder `data`, its key file beside it.
pub struct Home {
    pub root: tempfile::TempDir,
}

/// What became of a start.
pub enum Start {
    Runs(Running),
    /// It ended with this as its last words.
    Stops(String),
}

pub struct Running {
    pub child: Child,
    pub url: String,
}

impl Home {
    pub fn data(&self) -> PathBuf {
        self.root.path().join("data")
    }

    pub fn key(&self) -> PathBuf {
        self.root.path().join("data.key")
    }

    pub fn log(&self) -> String {
        let bytes = fs::read(self.root.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    pub async fn start(&self) -> Start {
        let log =
            fs::OpenOptions::new().create(true).append(true).open(self.root.path().join("log")).unwrap();
        let mut command = Command::new(program());
        command.arg("run").arg("--dir").arg(self.data()).arg("--key-file").arg(self.key());
        command.args(["--listen", "127.0.0.1:0", "--cluster-listen", "127.0.0.1:0"]);
        command.args(["--announce", "--stop-with-input"]).current_dir(self.root.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = tokio::time::timeout(DEADLINE * 2, lines.next_line()).await.expect("it starts or stops");
        if let Some(line) = line.unwrap() {
            let ready: Value = serde_json::from_str(&line).unwrap();
            return Start::Runs(Running { child, url: ready["url"].as_str().unwrap().to_owned() });
        }
        let status = child.wait().await.unwrap();
        assert_eq!(status.code(), Some(1), "a clean end with a reason: {}", self.log());
        let words = self.log().lines().rev().find(|line| line.starts_with("mediakeep: ")).map(str::to_owned);
        Start::Stops(words.unwrap_or_else(|| panic!("it says nothing: {}", self.log())))
    }

    pub async fn runs(&self) -> Running {
        match self.start().await {
            Start::Runs(running) => running,
            Start::Stops(words) => panic!("it does not start: {words}"),
        }
    }

    pub fn client(&self, running: &Running) -> Client {
        let ca = self.data().join("tls/ca.pem");
        Client { http: http(&ca), base: running.url.clone(), token: None }
    }

    pub async fn admin(&self, running: &Running) -> Client {
        let login = json!({ "username": "anna", "password": PASSPHRASE });
        let client = self.client(running);
        let answer = client.post("/sessions?kind=token", &login).await.expect(201);
        Client { token: answer["token"].as_str().map(str::to_owned), ..client }
    }

    /// This process opens the node itself, takes a snapshot and cuts the log behind it.
    pub async fn cut_log(&self) {
        let config = ClusterConfig::new(self.data(), "one", "home");
        let seal = Arc::new(KeyFileSeal::new(self.key(), &config.dir).unwrap());
        let cluster = Cluster::open(config, seal).await.unwrap();
        cluster.cut_log(0).await.unwrap();
        cluster.shutdown().await;
    }

    pub fn copy(&self) -> Self {
        let root = tempfile::tempdir().unwrap();
        copy_folder(&self.data(), &root.path().join("data"));
        fs::copy(self.key(), root.path().join("data.key")).unwrap();
        Self { root }
    }
}

pub fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_folder(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

/// A stopped node that knows things by its snapshot and other things by its log.
pub struct Story {
    pub home: Home,
    asset: String,
    recovery_key: RecoveryKey,
}

impl Story {
    pub async fn told() -> Self {
        let home = Home { root: tempfile::tempdir().unwrap() };
        let Start::Runs(running) = home.start().await else { panic!("{}", home.log()) };
        let code = fs::read_to_string(home.data().join("claim-code")).unwrap();
        let claim = json!({
            "code": code.trim(), "username": "anna", "password": PASSPHRASE, "application_name": "Films",
        });
        let client = home.client(&running);
        let claimed = client.post("/claim?kind=token", &claim).await.expect(201);
        let admin = Client { token: claimed["token"].as_str().map(str::to_owned), ..client };
        let path = format!("/applications/{}/files/a.bin", claimed["application"].as_str().unwrap());
        let upload = admin.request(Method::PUT, &path).body(FILM.repeat(5_000));
        let asset = admin.send(upload).await.expect(201)["asset"].as_str().unwrap().to_owned();
        admin.post("/applications", &json!({ "name": "In the snapshot" })).await.expect(201);
        stop(running.child).await;
        home.cut_log().await;
        let running = home.runs().await;
        let admin = home.admin(&running).await;
        admin.post("/applications", &json!({ "name": "In the log" })).await.expect(201);
        stop(running.child).await;
        let recovery_key = RecoveryKey::parse(claimed["recovery_key"].as_str().unwrap()).unwrap();
        Self { home, asset, recovery_key }
    }

    /// Everything acknowledged is there; gives what the audit log's check says.
    pub async fn is_whole(&self, home: &Home, running: Running, what: &str) -> Value {
        let admin = home.admin(&running).await;
        let applications = admin.get("/applications").await.expect(200).to_string();
        for name in ["Films", "In the snapshot", "In the log"] {
            assert!(applications.contains(name), "{what}: {name} is lost: {applications}");
        }
        // Damaged media is refused or breaks off; it never comes as if it were whole.
        let link = json!({ "what": "original" });
        let link = admin.post(&format!("/assets/{}/downloads", self.asset), &link).await;
        let media_is_damaged = what.contains(".blob");
        if !media_is_damaged {
            link.expect(201);
        }
        if link.status == 201 {
            let request = admin.request(Method::GET, &format!("={}", link.json()["url"].as_str().unwrap()));
            match request.send().await {
                Ok(answer) if answer.status().is_success() => match answer.bytes().await {
                    Ok(bytes) => assert_eq!(bytes, FILM.repeat(5_000), "{what}: other bytes than were kept"),
                    Err(error) => assert!(media_is_damaged, "{what}: {error}"),
                },
                other => assert!(media_is_damaged, "{what}: {other:?}"),
            }
        }
        let verdict = admin.get("/audit/verify").await.expect(200);
        stop(running.child).await;
        verdict
    }

    pub fn is_recoverable(&self, home: &Home, what: &str) {
        let sealed = fs::read(home.data().join("node-secrets.recovery")).unwrap();
        let recovered = NodeSecrets::recover(&self.recovery_key, &sealed);
        assert!(recovered.is_ok(), "{what}: the node's key could not be recovered any more");
    }
}

pub fn no_panic(home: &Home, what: &str) {
    // sled meets damage with a panic of its own, on a thread that is there to catch it.
    let panicked = home
        .log()
        .lines()
        .find(|line| line.contains("panicked at") && !line.contains("/sled-"))
        .map(str::to_owned);
    assert_eq!(panicked, None, "{what}");
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Damage {
    FirstByte,
    MiddleByte,
    Cut,
    Emptied,
    Gone,
}

pub const DAMAGES: [Damage; 5] =
    [Damage::FirstByte, Damage::MiddleByte, Damage::Cut, Damage::Emptied, Damage::Gone];

impl Damage {
    pub fn inflict(self, path: &Path) {
        let mut content = fs::read(path).unwrap();
        let middle = content.len() / 2;
        match self {
            Self::FirstByte => content[0] ^= 0x10,
            Self::MiddleByte => content[middle] ^= 0x10,
            Self::Cut => content.truncate(content.len() * 6 / 10),
            Self::Emptied => content.clear(),
            Self::Gone => return fs::remove_file(path).unwrap(),
        }
        fs::write(path, content).unwrap();
    }
}
