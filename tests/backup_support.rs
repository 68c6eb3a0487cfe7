//! A node that may back up to a folder, its command line, and a node restored from there.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};

use crate::support::{Client, DEADLINE, Node, files, http, program, started, stop};

/// What a command left.
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub error: String,
}

impl Said {
    fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code(), out: text(&output.stdout), error: text(&output.stderr) }
    }

    /// It worked; gives what it printed.
    #[track_caller]
    pub fn well(&self) -> &str {
        assert_eq!(self.code, Some(0), "{}{}", self.out, self.error);
        self.out.trim_end()
    }

    /// It failed, and said why.
    #[track_caller]
    pub fn badly(&self, reason: &str) -> &str {
        assert_eq!(self.code, Some(1), "{}{}", self.out, self.error);
        assert!(self.error.contains(reason), "`{reason}` is not in: {}{}", self.out, self.error);
        self.out.trim_end()
    }
}

/// Types a command of the binary with this environment and input.
pub async fn types(arguments: &[&str], environment: &[(&str, &str)], input: &str) -> Said {
    let mut command = Command::new(program());
    let home = tempfile::tempdir().unwrap();
    command.args(arguments).env_clear().env("HOME", home.path()).kill_on_drop(true);
    command.envs(environment.iter().copied());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A command that fails early reads nothing.
    let _ = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    let ended = tokio::time::timeout(DEADLINE * 2, child.wait_with_output()).await;
    Said::of(&ended.expect("the command ends").unwrap())
}

/// A node with a folder to back up to.
pub struct Backed {
    pub node: Node,
    pub admin: Client,
    pub recovery_key: String,
    /// What lies outside the node: the place for backups, and where one is restored.
    pub outside: tempfile::TempDir,
}

impl Backed {
    pub async fn start() -> Self {
        Self::start_with("").await
    }

    /// With more settings in the section on backups.
    pub async fn start_with(settings: &str) -> Self {
        let outside = tempfile::tempdir().unwrap();
        std::fs::create_dir(outside.path().join("place")).unwrap();
        let folders =
            format!("[backup]\nfolders = [{:?}]\n{settings}\n", outside.path().display().to_string());
        let node = Node::start_with(&folders).await;
        let admin = node.admin().await;
        let shown = admin.post("/system/recovery-key", &json!({})).await.expect(201);
        let recovery_key = shown["recovery_key"].as_str().unwrap().to_owned();
        Self { node, admin, recovery_key, outside }
    }

    pub fn place(&self) -> PathBuf {
        self.outside.path().join("place")
    }

    /// Types `backup ...` as the cluster admin.
    pub async fn backup(&self, arguments: &[&str]) -> Said {
        let (ca, token) = (self.node.ready.ca.display().to_string(), self.admin.token.clone().unwrap());
        let environment = [
            ("MEDIAKEEP_URL", self.node.url()),
            ("MEDIAKEEP_CA", ca.as_str()),
            ("MEDIAKEEP_TOKEN", token.as_str()),
        ];
        types(&[&["backup"], arguments].concat(), &environment, "").await
    }

    /// Sets the folder as the only place, and gives its id.
    pub async fn set_place(&self) -> String {
        let place = self.place().display().to_string();
        self.backup(&["set-target", "--name", "disk", "--folder", &place]).await.well().to_owned()
    }

    /// A run or check as the API shows it.
    pub async fn run(&self, id: &str) -> Value {
        self.admin.get(&format!("/backups/{id}")).await.expect(200)
    }

    /// Restores from the folder into `name`, with this input.
    pub async fn restore(&self, name: &str, more: &[&str], input: &str) -> Said {
        restore(&self.place(), &self.outside.path().join(name), more, input).await
    }
}

pub async fn restore(place: &Path, dir: &Path, more: &[&str], input: &str) -> Said {
    let (place, dir) = (place.display().to_string(), dir.display().to_string());
    let arguments =
        ["backup", "restore", "--folder", &place, "--dir", &dir, "--name", "again", "--site", "s9"];
    types(&[&arguments, more].concat(), &[], &format!("{input}\n")).await
}

/// A node that was restored, running.
pub struct Restored {
    child: Child,
    pub admin: Client,
    pub url: String,
    pub ca: PathBuf,
}

impl Restored {
    /// Starts the node in `dir`, and signs in with the account of the node that was backed up.
    pub async fn start(dir: &Path, username: &str, password: &str) -> Self {
        let mut command = Command::new(program());
        command.arg("run").arg("--dir").arg(dir).args(["--name", "again", "--site", "s9", "--announce"]);
        command.args(["--listen", "127.0.0.1:0", "--hostname", "127.0.0.1", "--stop-with-input"]);
        let (child, line) = started(&mut command, "the restored node").await;
        let announced: Value = serde_json::from_str(&line).unwrap();
        let url = announced["url"].as_str().unwrap().to_owned();
        assert_eq!(announced["claim_code"], Value::Null, "it is claimed");
        let ca = dir.join("tls/ca.pem");
        let nobody = Client { http: http(&ca), base: url.clone(), token: None };
        let body = json!({ "username": username, "password": password });
        let session = nobody.post("/sessions?kind=token", &body).await.expect(201);
        let admin = Client { token: session["token"].as_str().map(str::to_owned), ..nobody };
        Self { child, admin, url, ca }
    }

    pub async fn stop(self) {
        stop(self.child).await;
    }
}

/// Whether `needle` is in a file below `folder`.
pub fn holds(folder: &Path, needle: &[u8]) -> Option<PathBuf> {
    files(folder).into_iter().find(|path| {
        let bytes = std::fs::read(path).unwrap();
        bytes.windows(needle.len()).any(|window| window == needle)
    })
}
