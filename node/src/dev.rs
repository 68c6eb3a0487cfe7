//! Nodes on this machine for development and tests: started, claimed, and described in one JSON line.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use data_encoding::BASE32_NOPAD;
use rand::RngExt;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::shutdown;
use crate::tls::write_private;

const START_WITHIN: Duration = Duration::from_secs(120);
const STOP_WITHIN: Duration = Duration::from_secs(30);

/// What the command line says.
#[derive(Debug, Clone)]
pub struct DevOptions {
    /// How many nodes.
    pub nodes: u32,
    /// The folder that holds them.
    pub dir: PathBuf,
    /// A configuration for all of them.
    pub config: Option<PathBuf>,
    /// Stop when standard input ends.
    pub watch_input: bool,
}

/// The line printed when everything is ready.
#[derive(Debug, Serialize)]
struct Ready {
    nodes: Vec<ReadyNode>,
    ca: PathBuf,
    username: String,
    password: String,
    application: String,
}

#[derive(Debug, Serialize)]
struct ReadyNode {
    url: String,
    site: String,
    dir: PathBuf,
    pid: u32,
}

/// What a node announces.
#[derive(Debug, Deserialize)]
struct Announced {
    url: String,
    claim_code: Option<String>,
}

/// Kept beside the nodes, so that a second start finds the same account. For development only.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Account {
    username: String,
    password: String,
    application: String,
    port: u16,
}

/// Runs until asked to stop, or until the node has ended by itself.
pub fn run(options: DevOptions) -> anyhow::Result<()> {
    ensure!(options.nodes == 1, "this version runs one node; several nodes come with the cluster");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(run_one(options))
}

async fn run_one(options: DevOptions) -> anyhow::Result<()> {
    std::fs::create_dir_all(&options.dir)
        .with_context(|| format!("cannot make {}", options.dir.display()))?;
    let dir = options.dir.canonicalize()?;
    let (node_dir, account_file) = (dir.join("n1"), dir.join("dev.json"));
    let known: Option<Account> = match std::fs::read(&account_file) {
        Ok(bytes) => Some(serde_json::from_slice(&bytes).context("dev.json is damaged")?),
        Err(_) => None,
    };
    let mut child = start(&options, &dir, known.as_ref().map_or(0, |account| usable(account.port)))?;
    let announced = tokio::time::timeout(START_WITHIN, announced(&mut child)).await;
    let announced = announced.context("the node did not start in time")??;
    let ca = node_dir.join("tls/ca.pem");
    let account = match (announced.claim_code, known) {
        (Some(code), _) => claim(&announced.url, &ca, &code, &account_file).await?,
        (None, Some(account)) => account,
        (None, None) => bail!("the node in {} was claimed by somebody else", node_dir.display()),
    };
    let pid = child.id().context("the node has ended")?;
    let node = ReadyNode { url: announced.url, site: "s1".to_owned(), dir: node_dir, pid };
    print(&Ready {
        nodes: vec![node],
        ca,
        username: account.username,
        password: account.password,
        application: account.application,
    })?;
    wait(child, options.watch_input).await
}

/// The port of the last time, when nobody else has it now.
fn usable(port: u16) -> u16 {
    if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() { port } else { 0 }
}

fn start(options: &DevOptions, dir: &Path, port: u16) -> anyhow::Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("run").arg("--dir").arg(dir.join("n1")).arg("--key-file").arg(dir.join("n1.key"));
    command.args(["--name", "n1", "--site", "s1", "--announce", "--stop-with-input"]);
    command.arg("--listen").arg(format!("{}:{port}", Ipv4Addr::LOCALHOST));
    if let Some(config) = &options.config {
        command.arg("--config").arg(config);
    }
    // The node watches its standard input: it stops when this process ends, however that happens.
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command.spawn().context("cannot start the node")
}

async fn announced(child: &mut Child) -> anyhow::Result<Announced> {
    let out = child.stdout.take().context("the node has no output")?;
    let mut lines = BufReader::new(out).lines();
    let line = lines.next_line().await?.context("the node ended before it was ready")?;
    Ok(serde_json::from_str(&line)?)
}

async fn claim(url: &str, ca: &Path, code: &str, account_file: &Path) -> anyhow::Result<Account> {
    #[derive(Deserialize)]
    struct Claimed {
        application: String,
    }
    let random: [u8; 15] = rand::rng().random();
    let password = format!("dev-{}", BASE32_NOPAD.encode(&random).to_ascii_lowercase());
    let username = "admin".to_owned();
    let body = serde_json::json!({
        "code": code, "username": username, "password": password, "application_name": "Videos",
    });
    let answer = client(ca)?.post(format!("{url}/api/v1/claim?kind=token")).json(&body).send().await?;
    let status = answer.status();
    ensure!(status.is_success(), "the node could not be claimed: {status} {}", answer.text().await?);
    let claimed: Claimed = answer.json().await?;
    let port = url::Url::parse(url)?.port().context("the node's address has no port")?;
    let account = Account { username, password, application: claimed.application, port };
    write_private(account_file, &serde_json::to_vec(&account)?)?;
    Ok(account)
}

fn client(ca: &Path) -> anyhow::Result<reqwest::Client> {
    let pem = std::fs::read(ca).with_context(|| format!("cannot read {}", ca.display()))?;
    let builder = reqwest::Client::builder().tls_certs_only([reqwest::Certificate::from_pem(&pem)?]);
    Ok(builder.no_proxy().timeout(Duration::from_secs(60)).build()?)
}

fn print(ready: &Ready) -> anyhow::Result<()> {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string(ready)?)?;
    Ok(out.flush()?)
}

async fn wait(mut child: Child, watch_input: bool) -> anyhow::Result<()> {
    let input = child.stdin.take();
    tokio::select! {
        asked = shutdown::asked(watch_input) => asked?,
        status = child.wait() => bail!("the node has ended: {}", status?),
    }
    drop(input);
    match tokio::time::timeout(STOP_WITHIN, child.wait()).await {
        Ok(status) => ensure!(status?.success(), "the node did not stop cleanly"),
        Err(_) => child.kill().await?,
    }
    Ok(())
}
