//! A node that is killed and started again: `mediakeep dev` on a folder that outlives it, its log in a file, and the few
//! calls of its API that the stories of kills and power cuts need.
#![allow(dead_code)] // each test binary uses its part

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Command as Tool, Stdio};
use std::time::{Duration, Instant};

use data_encoding::BASE64;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, SeedableRng};
use reqwest::{Client, Method, RequestBuilder, Response};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

#[allow(clippy::duplicate_mod, reason = "some test binaries use both this and the other kind of node")]
#[path = "processes.rs"]
mod processes;

use processes::{nurseries_of, workers_of};

/// Generous: continuous integration has two busy cores.
pub const DEADLINE: Duration = Duration::from_secs(90);

const SETTINGS: &str = "[limits]\nrequests_per_second = 100000\nrequest_burst = 100000\nworkers = 2\n";

/// The folder of a node, from one life to the next.
pub struct Lab {
    /// For everything that is not the node's: its log, its configuration.
    outside: tempfile::TempDir,
    pub data: PathBuf,
    nodes: u32,
}

impl Lab {
    /// With the node's data in an ordinary folder.
    pub fn new() -> Self {
        let outside = tempfile::tempdir().unwrap();
        let data = outside.path().join("data");
        Self::at(outside, data)
    }

    /// With so many nodes that are one cluster; what is asked is asked of the first.
    pub fn of(nodes: u32) -> Self {
        Self { nodes, ..Self::new() }
    }

    /// With the node's data in the folder `mounted`, made there as an empty folder to mount on.
    pub fn mounted() -> Self {
        let outside = tempfile::tempdir().unwrap();
        let data = outside.path().join("mounted");
        std::fs::create_dir(&data).unwrap();
        Self::at(outside, data)
    }

    fn at(outside: tempfile::TempDir, data: PathBuf) -> Self {
        std::fs::write(outside.path().join("config.toml"), SETTINGS).unwrap();
        std::fs::create_dir(outside.path().join("tmp")).unwrap();
        Self { outside, data, nodes: 1 }
    }

    pub fn outside(&self) -> &Path {
        self.outside.path()
    }

    /// Everything any life of the node has logged.
    pub fn log(&self) -> String {
        let bytes = std::fs::read(self.outside().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Starts the node and logs in.
    pub async fn start(&self) -> Node {
        let log = OpenOptions::new().create(true).append(true).open(self.outside().join("log")).unwrap();
        self.try_start(log).await.unwrap_or_else(|error| {
            let log = self.log();
            let end: Vec<&str> = log.lines().rev().take(30).collect();
            panic!(
                "the node does not start: {error}\n{}",
                end.into_iter().rev().collect::<Vec<_>>().join("\n")
            )
        })
    }

    async fn try_start(&self, log: File) -> Result<Node, String> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mediakeep"));
        command.arg("dev").arg("--dir").arg(self.data.join("dev")).arg("--stop-with-input");
        command.arg("--nodes").arg(self.nodes.to_string()).env("TMPDIR", self.outside().join("tmp"));
        command.arg("--config").arg(self.outside().join("config.toml")).current_dir(self.outside());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log).kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| error.to_string())?;
        let mut lines = BufReader::new(child.stdout.take().ok_or("no output")?).lines();
        let line =
            tokio::time::timeout(DEADLINE, lines.next_line()).await.map_err(|_| "not ready in time")?;
        let line = line.map_err(|error| error.to_string())?.ok_or("it ended before it was ready")?;
        let ready: Value = serde_json::from_str(&line).map_err(|error| error.to_string())?;
        let pid =
            ready["nodes"][0]["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok()).ok_or("no pid")?;
        let pem = std::fs::read(ready["ca"].as_str().ok_or("no ca")?).map_err(|error| error.to_string())?;
        let mut node = Node { child, pid, http: client(&pem), token: String::new(), ready };
        let account = json!({ "username": node.ready["username"], "password": node.ready["password"] });
        let answer = node.api(Method::POST, "/sessions?kind=token").json(&account).send().await;
        let session = answer.map_err(|error| error.to_string())?;
        let session: Value = session.json().await.map_err(|error| error.to_string())?;
        node.token = session["token"].as_str().ok_or("no token")?.to_owned();
        Ok(node)
    }
}

fn client(pem: &[u8]) -> Client {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let certificate = reqwest::Certificate::from_pem(pem).unwrap();
    Client::builder().tls_certs_only([certificate]).no_proxy().timeout(DEADLINE).build().unwrap()
}

/// One life of a node.
pub struct Node {
    child: Child,
    pub pid: i32,
    http: Client,
    token: String,
    ready: Value,
}

impl Node {
    pub fn url(&self) -> &str {
        self.ready["nodes"][0]["url"].as_str().unwrap()
    }

    pub fn application(&self) -> &str {
        self.ready["application"].as_str().unwrap()
    }

    pub fn api(&self, method: Method, path: &str) -> RequestBuilder {
        let path = match path.strip_prefix('=') {
            Some(absolute) => absolute.to_owned(),
            None if path.starts_with("/api/") => path.to_owned(),
            None => format!("/api/v1{path}"),
        };
        let request = self.http.request(method, format!("{}{path}", self.url()));
        if self.token.is_empty() { request } else { request.bearer_auth(&self.token) }
    }

    pub async fn get(&self, path: &str) -> Value {
        let answer = self.api(Method::GET, path).send().await.unwrap();
        assert!(answer.status().is_success(), "GET {path}: {}", answer.status());
        answer.json().await.unwrap()
    }

    /// Posts and gives status and body.
    pub async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let answer = self.api(Method::POST, path).json(body).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap_or_default())
    }

    /// Begins a tus upload; gives its path or the refusal.
    pub async fn begin_upload(&self, name: &str, length: usize) -> Result<String, Response> {
        let field = |name: &str, value: &str| format!("{name} {}", BASE64.encode(value.as_bytes()));
        let metadata =
            [field("filename", name), field("title", name), field("application", self.application())];
        let request = self.api(Method::POST, "/uploads").header("Tus-Resumable", "1.0.0");
        let request = request.header("Upload-Length", length.to_string());
        let answer = request.header("Upload-Metadata", metadata.join(",")).send().await.unwrap();
        if answer.status().as_u16() == 201 {
            Ok(answer.headers()["location"].to_str().unwrap().to_owned())
        } else {
            Err(answer)
        }
    }

    /// Sends the next piece of an upload.
    pub async fn patch(&self, upload: &str, offset: usize, bytes: &[u8]) -> reqwest::Result<Response> {
        let request = self.api(Method::PATCH, upload).header("Tus-Resumable", "1.0.0");
        let request = request.header("Content-Type", "application/offset+octet-stream");
        request.header("Upload-Offset", offset.to_string()).body(bytes.to_vec()).send().await
    }

    /// Where an upload stands.
    pub async fn offset(&self, upload: &str) -> usize {
        let answer = self.api(Method::HEAD, upload).header("Tus-Resumable", "1.0.0").send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 200, "HEAD {upload}");
        answer.headers()["upload-offset"].to_str().unwrap().parse().unwrap()
    }

    /// Uploads in one request; gives the asset.
    pub async fn put(&self, name: &str, bytes: &[u8]) -> String {
        let path = format!("/applications/{}/files/{name}", self.application());
        let answer = self.api(Method::PUT, &path).body(bytes.to_vec()).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 201, "PUT {path}");
        let body: Value = answer.json().await.unwrap();
        let asset = body["asset"].as_str().or_else(|| body["asset"]["id"].as_str());
        asset.unwrap_or_else(|| panic!("no asset in {body}")).to_owned()
    }

    pub async fn asset(&self, asset: &str) -> Value {
        self.get(&format!("/assets/{asset}")).await
    }

    /// Waits until `done` holds of an asset.
    pub async fn asset_when(&self, asset: &str, done: impl Fn(&Value) -> bool) -> Value {
        let began = Instant::now();
        loop {
            let found = self.asset(asset).await;
            if done(&found) {
                return found;
            }
            assert!(began.elapsed() < DEADLINE, "stuck: {found}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Sends a signal to the node itself.
    pub fn signal(&self, signal: Signal) {
        let _ = kill_process(Pid::from_raw(self.pid).unwrap(), signal);
    }

    /// The node's worker processes.
    pub fn workers(&self) -> Vec<u32> {
        workers_of(self.pid.cast_unsigned())
    }

    /// What its workers come from.
    pub fn nurseries(&self) -> Vec<u32> {
        nurseries_of(self.pid.cast_unsigned())
    }

    /// Kills the node, as a power switch would kill the process, and waits until it is gone.
    pub async fn kill(mut self) {
        self.signal(Signal::KILL);
        self.gone().await;
    }

    /// Waits until the node has ended; gives whether it ended well.
    pub async fn gone(&mut self) -> bool {
        let ended = tokio::time::timeout(DEADLINE, self.child.wait()).await;
        ended.expect("the node ends in time").unwrap().success()
    }

    /// Asks the node to stop, and waits.
    pub async fn stop(mut self) {
        drop(self.child.stdin.take());
        assert!(self.gone().await, "the node did not stop cleanly");
    }
}

/// Draws for a story; the seed is printed, so that a failure can be repeated.
pub struct Dice(Xoshiro256PlusPlus);

impl Dice {
    pub fn new(story: u64) -> Self {
        let seed = std::env::var("MEDIAKEEP_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
        #[expect(clippy::print_stdout, reason = "whoever repeats a story needs the seed")]
        {
            println!("MEDIAKEEP_SEED={seed}");
        }
        Self(Xoshiro256PlusPlus::seed_from_u64(seed ^ story << 32))
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.0.next_u64() % bound
    }

    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.0.fill_bytes(&mut bytes);
        bytes
    }
}

/// A short real clip.
pub fn clip(folder: &Path) -> Vec<u8> {
    let file = folder.join("clip.mp4");
    let made = Tool::new("ffmpeg")
        .args(["-v", "error", "-y", "-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25:duration=3"])
        .args([
            "-f",
            "lavfi",
            "-i",
            "sine=frequency=440:duration=3",
            "-c:v",
            "libx264",
            "-preset",
            "ultrafast",
        ])
        .args(["-pix_fmt", "yuv420p", "-c:a", "aac", "-shortest"])
        .arg(&file)
        .status();
    assert!(made.expect("these tests need ffmpeg").success());
    std::fs::read(file).unwrap()
}

/// SHA-256 in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref())
}
