//! A real node for tests: `mediakeep dev` in a temporary folder on a free port, and a JSON client that trusts its
//! authority. The node stops when the test ends, however it ends, because its standard input ends with the test.
#![allow(dead_code, reason = "every test binary uses its own part")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod processes;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use reqwest::Method;
use reqwest::header::HeaderMap;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

#[allow(unused_imports, reason = "every test binary uses its own part")]
pub use processes::{children_of, nurseries_of, workers_of};

/// Generous: the tests share two cores with many others.
pub const DEADLINE: Duration = Duration::from_secs(60);
/// A passphrase that the rules accept.
pub const PASSPHRASE: &str = "wolken ziehen ueber das meer";

/// Settings under which many requests from one address are no attack.
const SETTINGS: &str = "[limits]\nrequests_per_second = 100000\nrequest_burst = 100000\nworkers = 2\n";

/// What `mediakeep dev` prints.
#[derive(Debug, Clone, Deserialize)]
pub struct Ready {
    pub nodes: Vec<ReadyNode>,
    pub ca: PathBuf,
    pub username: String,
    pub password: String,
    pub application: String,
}

#[derive(Debug, Clone, Deserialize)]
pub struct ReadyNode {
    pub url: String,
    pub site: String,
    pub dir: PathBuf,
    pub pid: u32,
}

/// Every file below a folder, in order. Files may come and go meanwhile.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// A running, claimed node.
pub struct Node {
    pub ready: Ready,
    child: Child,
    settings: String,
    folder: tempfile::TempDir,
}

impl Node {
    /// Starts a node in a fresh folder.
    pub async fn start() -> Self {
        Self::start_with("").await
    }

    /// Starts a node with more configuration (TOML, top-level keys).
    pub async fn start_with(settings: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::start_in(folder, format!("{settings}\n{SETTINGS}")).await
    }

    /// Starts a node whose configuration is exactly `settings`.
    pub async fn start_as_configured(settings: &str) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), settings.to_owned()).await
    }

    async fn start_in(folder: tempfile::TempDir, settings: String) -> Self {
        let config = folder.path().join("config.toml");
        std::fs::write(&config, &settings).unwrap();
        let mut command = Command::new(program());
        command.arg("dev").arg("--dir").arg(folder.path().join("dev")).arg("--config").arg(&config);
        let (child, line) = started(command.arg("--stop-with-input"), "dev").await;
        let ready = serde_json::from_str(&line).expect("dev prints one JSON line");
        Self { ready, child, settings, folder }
    }

    /// Stops the node in order and starts it again on the same data.
    pub async fn restart(self) -> Self {
        let Self { child, settings, folder, .. } = self;
        stop(child).await;
        Self::start_in(folder, settings).await
    }

    /// Starts again on the same data, once its process was killed.
    pub async fn start_killed_again(self) -> Self {
        let Self { mut child, settings, folder, .. } = self;
        drop(child.stdin.take());
        // `dev` says that its node has ended; that is what was wanted.
        tokio::time::timeout(DEADLINE, child.wait()).await.expect("it stops in time").unwrap();
        Self::start_in(folder, settings).await
    }

    /// Starts a node again on what [`Node::stop`] left.
    pub async fn start_again(folder: tempfile::TempDir) -> Self {
        let settings = std::fs::read_to_string(folder.path().join("config.toml")).unwrap();
        Self::start_in(folder, settings).await
    }

    /// Stops in order; fails when the node does not.
    pub async fn stop(self) -> tempfile::TempDir {
        stop(self.child).await;
        self.folder
    }

    /// `https://127.0.0.1:PORT`.
    pub fn url(&self) -> &str {
        &self.ready.nodes[0].url
    }

    /// The node's data folder.
    pub fn dir(&self) -> &PathBuf {
        &self.ready.nodes[0].dir
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> std::net::SocketAddr {
        self.url().strip_prefix("https://").unwrap().parse().unwrap()
    }

    /// The application made at the claim.
    pub fn application(&self) -> &str {
        &self.ready.application
    }

    /// A client that is nobody.
    pub fn anonymous(&self) -> Client {
        Client { http: http(&self.ready.ca), base: self.url().to_owned(), token: None }
    }

    /// A client with this session token or API key.
    pub fn with_token(&self, token: &str) -> Client {
        Client { token: Some(token.to_owned()), ..self.anonymous() }
    }

    /// Logs in with a token.
    pub async fn log_in(&self, username: &str, password: &str) -> Client {
        let body = json!({ "username": username, "password": password });
        let answer = self.anonymous().post("/sessions?kind=token", &body).await.expect(201);
        self.with_token(answer["token"].as_str().unwrap())
    }

    /// The claiming cluster admin.
    pub async fn admin(&self) -> Client {
        self.log_in(&self.ready.username, &self.ready.password).await
    }

    /// A new person with `role` in the first application, logged in. Its name is the role's unless given.
    pub async fn member(&self, admin: &Client, application: &str, role: &str, username: &str) -> Client {
        let path = format!("/applications/{application}/invites");
        let invite = admin.post(&path, &json!({ "role": role })).await.expect(201);
        let body = json!({ "secret": invite["secret"], "username": username, "password": PASSPHRASE });
        let accepted = self.anonymous().post("/invites/accept?kind=token", &body).await.expect(201);
        self.with_token(accepted["token"].as_str().unwrap())
    }
}

/// The binary under test.
pub fn program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_mediakeep"))
}

/// Starts `command` with piped input and output and gives its first line of output.
pub async fn started(command: &mut Command, what: &str) -> (Child, String) {
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.kill_on_drop(true).spawn().unwrap();
    let out = child.stdout.take().unwrap();
    let mut lines = BufReader::new(out).lines();
    let line = tokio::time::timeout(DEADLINE * 2, lines.next_line()).await;
    let line = line.unwrap_or_else(|_| panic!("{what} is not ready in time")).unwrap();
    let line = line.unwrap_or_else(|| panic!("{what} ended before it was ready; see its log above"));
    (child, line)
}

/// Ends the input of `child`, which asks it to stop, and waits.
pub async fn stop(mut child: Child) {
    drop(child.stdin.take());
    let status = tokio::time::timeout(DEADLINE, child.wait()).await.expect("it stops in time").unwrap();
    assert!(status.success(), "it did not stop cleanly: {status}");
}

/// A client that trusts only the node's authority.
pub fn http(ca: &std::path::Path) -> reqwest::Client {
    builder(ca).build().unwrap()
}

/// For tests that need more settings.
pub fn builder(ca: &std::path::Path) -> reqwest::ClientBuilder {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let pem = std::fs::read(ca).unwrap();
    let certificate = reqwest::Certificate::from_pem(&pem).unwrap();
    let redirects = reqwest::redirect::Policy::none();
    reqwest::Client::builder().tls_certs_only([certificate]).no_proxy().timeout(DEADLINE).redirect(redirects)
}

/// Calls the API.
#[derive(Clone)]
pub struct Client {
    pub http: reqwest::Client,
    pub base: String,
    pub token: Option<String>,
}

impl Client {
    /// A request to `path` below `/api/v1`, or to an absolute path such as `=/healthz`.
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let url = match path.strip_prefix('=') {
            Some(absolute) => format!("{}{absolute}", self.base),
            None => format!("{}/api/v1{path}", self.base),
        };
        let request = self.http.request(method, url);
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    pub async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let answer = request.send().await.expect("the node answers");
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let bytes = answer.bytes().await.expect("the answer is whole").to_vec();
        Answer { status, headers, bytes }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::POST, path).json(body)).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::PUT, path).json(body)).await
    }

    pub async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::PATCH, path).json(body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(self.request(Method::DELETE, path)).await
    }
}

/// What the node answered.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub bytes: Vec<u8>,
}

impl Answer {
    /// The JSON body of an answer that must have this status.
    #[track_caller]
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        if self.bytes.is_empty() { Value::Null } else { self.json() }
    }

    /// Fails unless this is a whole problem document with this status and code.
    #[track_caller]
    pub fn expect_problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.header("content-type"), "application/problem+json");
        let body = self.json();
        assert_eq!(body["code"], code, "{body}");
        assert_eq!(body["status"], status, "{body}");
        for name in ["type", "title", "detail", "request_id"] {
            assert!(body[name].as_str().is_some_and(|text| !text.is_empty()), "{name} is missing: {body}");
        }
        body
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes)
            .unwrap_or_else(|_| panic!("not JSON: {} {}", self.status, self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// Asks again until `done` says so.
pub async fn wait_for<F, T>(what: &str, mut done: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let began = Instant::now();
    loop {
        if let Some(found) = done().await {
            return found;
        }
        assert!(began.elapsed() < DEADLINE, "{what} did not come about in time");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
