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

/// Kept beside the nodes, so that a second start finds the same account and addresses. For development only.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Account {
    username: String,
    password: String,
    application: String,
    /// Where the first node serves.
    port: u16,
    /// Where each node serves people and the other nodes.
    #[serde(default)]
    ports: Vec<Ports>,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct Ports {
    https: u16,
    cluster: u16,
}

/// A running node.
#[derive(Debug)]
struct Running {
    child: Child,
    ready: ReadyNode,
    claim_code: Option<String>,
}

/// Runs until asked to stop, or until a node has ended by itself.
pub fn run(options: DevOptions) -> anyhow::Result<()> {
    ensure!((1..=9).contains(&options.nodes), "between one and nine nodes can be run");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(run_all(options))
}

async fn run_all(options: DevOptions) -> anyhow::Result<()> {
    std::fs::create_dir_all(&options.dir)
        .with_context(|| format!("cannot make {}", options.dir.display()))?;
    let dir = options.dir.canonicalize()?;
    let account_file = dir.join("dev.json");
    let known: Option<Account> = match std::fs::read(&account_file) {
        Ok(bytes) => Some(serde_json::from_slice(&bytes).context("dev.json is damaged")?),
        Err(_) => None,
    };
    let ca = dir.join("n1/tls/ca.pem");
    let ports = ports(known.as_ref(), options.nodes)?;
    let mut nodes = Vec::new();
    // Nodes that were there before need one another to be ready.
    let there = (1..=options.nodes).take_while(|number| dir.join(format!("n{number}/raft")).exists()).count();
    let mut children = Vec::new();
    for (number, ports) in (1..=options.nodes).zip(&ports).take(there.max(1)) {
        children.push(start(&options, &dir, number, *ports, None)?);
    }
    for (number, child) in (1..).zip(children) {
        nodes.push(ready(child, &dir, number).await?);
    }
    let first = nodes.first_mut().context("there is no node")?;
    let url = first.ready.url.clone();
    let account = match (first.claim_code.take(), known) {
        (Some(code), _) => claim(&url, &ca, &code).await?,
        (None, Some(account)) => account,
        (None, None) => bail!("the node in {} was claimed by somebody else", first.ready.dir.display()),
    };
    let account = Account { ports: ports.clone(), port: port_of(&url)?, ..account };
    write_private(&account_file, &serde_json::to_vec(&account)?)?;
    for (number, ports) in (1..=options.nodes).zip(&ports).skip(nodes.len()) {
        let token = join_token(&url, &ca, &account).await?;
        let child = start(&options, &dir, number, *ports, Some(token))?;
        nodes.push(ready(child, &dir, number).await?);
    }
    if options.nodes > 1 {
        vote_everywhere(&url, &ca, &account, options.nodes).await?;
    }
    let (children, nodes) = nodes.into_iter().map(|node| (node.child, node.ready)).unzip();
    print(&Ready {
        nodes,
        ca,
        username: account.username,
        password: account.password,
        application: account.application,
    })?;
    wait(children, options.watch_input).await
}

/// The ports of the last time, as far as nobody else has them now. Nodes of one cluster know one another by these.
fn ports(known: Option<&Account>, nodes: u32) -> anyhow::Result<Vec<Ports>> {
    let mut ports = known.map(|account| account.ports.clone()).unwrap_or_default();
    if ports.is_empty() {
        ports.push(Ports { https: known.map_or(0, |account| account.port), cluster: 0 });
    }
    ports.resize(nodes as usize, Ports::default());
    // All are held at once, so that no two are the same.
    let mut held = Vec::new();
    for port in ports.iter_mut().flat_map(|ports| [&mut ports.https, &mut ports.cluster]) {
        let last_time = (*port != 0).then(|| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)));
        let listener = last_time.and_then(Result::ok).map_or_else(free_port, Ok)?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}

/// A port for a node that listens in a moment. It is none of those that the system hands out by itself, from 32,768 on: one
/// of these may be that of somebody's connection by then.
fn free_port() -> std::io::Result<TcpListener> {
    let mut drawn = (0..64).map(|_| rand::random_range(10_000..32_768));
    let free = drawn.find_map(|port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok());
    free.map_or_else(|| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)), Ok)
}

fn start(
    options: &DevOptions,
    dir: &Path,
    number: u32,
    ports: Ports,
    token: Option<String>,
) -> anyhow::Result<Child> {
    let (name, site) = (format!("n{number}"), format!("s{number}"));
    let mut command = Command::new(std::env::current_exe()?);
    command
        .arg("run")
        .arg("--dir")
        .arg(dir.join(&name))
        .arg("--key-file")
        .arg(dir.join(format!("{name}.key")));
    command.args(["--name", &name, "--site", &site, "--announce", "--stop-with-input"]);
    command.arg("--listen").arg(format!("{}:{}", Ipv4Addr::LOCALHOST, ports.https));
    command.arg("--cluster-listen").arg(format!("{}:{}", Ipv4Addr::LOCALHOST, ports.cluster));
    if let Some(config) = &options.config {
        command.arg("--config").arg(config);
    }
    if let Some(token) = token {
        command.env("MEDIAKEEP_JOIN", token);
    }
    // The node watches its standard input: it stops when this process ends, however that happens.
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command.spawn().context("cannot start the node")
}

/// Waits until the node says that it is ready.
async fn ready(mut child: Child, dir: &Path, number: u32) -> anyhow::Result<Running> {
    let announced = tokio::time::timeout(START_WITHIN, announced(&mut child)).await;
    let announced = announced.context("the node did not start in time")??;
    let pid = child.id().context("the node has ended")?;
    let ready = ReadyNode {
        url: announced.url,
        site: format!("s{number}"),
        dir: dir.join(format!("n{number}")),
        pid,
    };
    Ok(Running { child, ready, claim_code: announced.claim_code })
}

async fn announced(child: &mut Child) -> anyhow::Result<Announced> {
    let out = child.stdout.take().context("the node has no output")?;
    let mut lines = BufReader::new(out).lines();
    let line = lines.next_line().await?.context("the node ended before it was ready")?;
    Ok(serde_json::from_str(&line)?)
}

fn port_of(url: &str) -> anyhow::Result<u16> {
    url::Url::parse(url)?.port().context("the node's address has no port")
}

/// Signs in as the administrator for one request.
async fn signed_in(url: &str, ca: &Path, account: &Account) -> anyhow::Result<(reqwest::Client, String)> {
    #[derive(Deserialize)]
    struct SignedIn {
        token: String,
    }
    let client = client(ca)?;
    let body = serde_json::json!({ "username": account.username, "password": account.password });
    let answer = client.post(format!("{url}/api/v1/sessions?kind=token")).json(&body).send().await?;
    let status = answer.status();
    ensure!(status.is_success(), "the sign-in failed: {status} {}", answer.text().await?);
    let signed_in: SignedIn = answer.json().await?;
    Ok((client, signed_in.token))
}

async fn join_token(url: &str, ca: &Path, account: &Account) -> anyhow::Result<String> {
    #[derive(Deserialize)]
    struct Made {
        token: String,
    }
    let (client, token) = signed_in(url, ca, account).await?;
    let request = client.post(format!("{url}/api/v1/cluster/tokens")).bearer_auth(token);
    let answer = request.json(&serde_json::json!({ "minutes": 10 })).send().await?;
    let status = answer.status();
    ensure!(status.is_success(), "no join token was made: {status} {}", answer.text().await?);
    Ok(answer.json::<Made>().await?.token)
}

/// Waits until as many nodes vote as may.
async fn vote_everywhere(url: &str, ca: &Path, account: &Account, nodes: u32) -> anyhow::Result<()> {
    let wanted = if nodes >= 5 { 5 } else { nodes.min(3) } as usize;
    let (client, token) = signed_in(url, ca, account).await?;
    let voting = async {
        loop {
            let request = client.get(format!("{url}/api/v1/cluster")).bearer_auth(&token);
            let seen: serde_json::Value = request.send().await?.json().await?;
            let voters = seen["nodes"].as_array().into_iter().flatten().filter(|node| {
                matches!(node["role"].as_str(), Some("leader" | "voter")) && node["state"] == "active"
            });
            if voters.count() >= wanted {
                return anyhow::Ok(());
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(START_WITHIN, voting).await.context("the nodes did not become voters in time")?
}

async fn claim(url: &str, ca: &Path, code: &str) -> anyhow::Result<Account> {
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
    let application = claimed.application;
    Ok(Account { username, password, application, port: port_of(url)?, ports: Vec::new() })
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

/// Waits until asked to stop. With several nodes, one that ends is missed by nobody: the others go on, as they should.
async fn wait(mut children: Vec<Child>, watch_input: bool) -> anyhow::Result<()> {
    let alone = children.len() == 1;
    // Held until it is time: a node stops when its input ends, and waiting for a child would end it.
    let inputs: Vec<_> = children.iter_mut().map(|child| child.stdin.take()).collect();
    let ended = async {
        match children.first_mut() {
            Some(child) if alone => child.wait().await,
            _ => std::future::pending().await,
        }
    };
    tokio::select! {
        asked = shutdown::asked(watch_input) => asked?,
        status = ended => bail!("the node has ended: {}", status?),
    }
    drop(inputs);
    let mut clean = true;
    for child in &mut children {
        match tokio::time::timeout(STOP_WITHIN, child.wait()).await {
            Ok(status) => clean &= status?.success() || !alone,
            Err(_) => child.kill().await?,
        }
    }
    ensure!(clean, "the node did not stop cleanly");
    Ok(())
}
