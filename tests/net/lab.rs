//! Real nodes, each in a network namespace of its own at a site of its own: started, joined by token, killed, stopped,
//! cut off and started again.

use std::fs::OpenOptions;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use reqwest::Method;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};

use super::cable::Cables;
use super::disk::Disk;
use super::switch::{Path, Switch};
use crate::support::{self, Client, PASSPHRASE, program, wait_for};

/// Settings under which many requests from one address are no attack, and a test's nodes leave room for one another.
const SETTINGS: &str = "[limits]\nrequests_per_second = 100000\nrequest_burst = 100000\nworkers = 1\n";
/// A request that takes longer than this has no answer.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(8);
const USERNAME: &str = "ada";

/// Several nodes, numbered from 1 as the ports of their cables are.
pub struct Lab {
    seats: Vec<Seat>,
    /// Of each node, where they have disks of their own.
    disks: Vec<Disk>,
    switch: Switch,
    cables: Cables,
    folder: tempfile::TempDir,
    settings: String,
    has_clocks: bool,
    token: String,
    /// The application made at the claim.
    pub application: String,
}

/// Where a node sits: what outlives its lives.
struct Seat {
    child: Option<Child>,
    /// Where the child will say that it is ready.
    starting: Option<ChildStdout>,
    dir: PathBuf,
    /// What its wall clock is ahead by, as faketime writes it.
    clock: PathBuf,
    has_joined: bool,
}

impl Lab {
    /// `count` nodes that are one cluster, each at a site of its own, with as many voters as there may be.
    pub async fn start(count: usize) -> Self {
        Self::start_with(count, count, "").await
    }

    /// As [`Lab::start`], with places for `places` nodes in all and more configuration (TOML, top-level keys).
    pub async fn start_with(count: usize, places: usize, settings: &str) -> Self {
        Self::begin(count, places, settings, false, None).await
    }

    /// As [`Lab::start`], each node with a disk of so many mebibytes that can be made full.
    pub async fn start_on_disks(count: usize, mebibytes: u64) -> Self {
        Self::begin(count, count, "", false, Some(mebibytes)).await
    }

    /// As [`Lab::start`], with wall clocks that can be set. Worker processes would not take them into their sandbox.
    pub async fn start_with_clocks(count: usize) -> Self {
        Self::begin(count, count, "", true, None).await
    }

    async fn begin(
        count: usize,
        places: usize,
        settings: &str,
        has_clocks: bool,
        mebibytes: Option<u64>,
    ) -> Self {
        let (cables, ports) = Cables::lay(places);
        let folder = tempfile::tempdir().unwrap();
        let seat = |number: usize| {
            let dir = folder.path().join(format!("n{number}"));
            let clock = folder.path().join(format!("n{number}.clock"));
            std::fs::write(&clock, "+0").unwrap();
            std::fs::create_dir(folder.path().join(format!("n{number}.tmp"))).unwrap();
            Seat { child: None, starting: None, dir, clock, has_joined: false }
        };
        let seats: Vec<Seat> = (1..=places).map(seat).collect();
        let disk = |mebibytes| seats.iter().map(move |seat| Disk::mount(&seat.dir, mebibytes));
        let disks = mebibytes.map(disk).into_iter().flatten().collect();
        let settings = format!("{settings}\n{SETTINGS}");
        let (switch, token, application) = (Switch::start(ports), String::new(), String::new());
        let mut lab = Self { seats, disks, switch, cables, folder, settings, has_clocks, token, application };
        lab.found().await;
        for number in 2..=count {
            lab.join(number).await;
        }
        // Five may begin to vote in one step, with no moment of three.
        lab.wait_for_voters(if count < 5 { count.min(3) } else { 5 }).await;
        lab
    }

    /// Starts the first node and claims it.
    async fn found(&mut self) {
        let announced = self.launch(1, None).await;
        let claim = json!({
            "code": announced["claim_code"], "username": USERNAME, "password": PASSPHRASE,
            "application_name": "Films",
        });
        let claimed = self.nobody(1).post("/claim?kind=token", &claim).await.expect(201);
        self.application = claimed["application"].as_str().unwrap().to_owned();
        self.token = claimed["token"].as_str().unwrap().to_owned();
        self.seats[0].has_joined = true;
    }

    /// Starts node `number` with a token made at the first node that is up.
    pub async fn join(&mut self, number: usize) {
        let at = self.up().into_iter().find(|at| *at != number).unwrap();
        let made = self.admin(at).post("/cluster/tokens", &json!({})).await.expect(201);
        self.launch(number, made["token"].as_str()).await;
        self.seats[number - 1].has_joined = true;
    }

    /// Starts node `number` with a token made before.
    pub async fn join_by(&mut self, number: usize, token: &str) {
        self.launch(number, Some(token)).await;
        self.seats[number - 1].has_joined = true;
    }

    /// Starts node `number` again on what is on its disk.
    pub async fn start_again(&mut self, number: usize) {
        assert!(self.seats[number - 1].has_joined, "node {number} was never one");
        self.launch(number, None).await;
    }

    /// Starts several at once, which may need one another.
    pub async fn start_all_again(&mut self, numbers: &[usize]) {
        let mut starting = Vec::new();
        for number in numbers {
            let mut command = self.command(*number, None);
            starting.push(async move { (*number, support::started(&mut command, "a node").await.0) });
        }
        for (number, child) in futures_util::future::join_all(starting).await {
            self.seats[number - 1].child = Some(child);
        }
    }

    /// Starts node `number` again without waiting for it: it may need another one first.
    pub fn begin_again(&mut self, number: usize) {
        let mut command = self.command(number, None);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let seat = &mut self.seats[number - 1];
        seat.starting = child.stdout.take();
        seat.child = Some(child);
    }

    /// Waits until every node that was started again is ready.
    pub async fn all_ready(&mut self) {
        for (number, seat) in (1..).zip(&mut self.seats) {
            let Some(output) = seat.starting.take() else { continue };
            let mut lines = BufReader::new(output).lines();
            let line = tokio::time::timeout(support::DEADLINE * 2, lines.next_line()).await;
            let line = line.unwrap_or_else(|_| panic!("node {number} is not ready in time")).unwrap();
            assert!(line.is_some(), "node {number} ended before it was ready");
        }
    }

    /// Takes note of nodes that have ended by themselves, and gives their numbers.
    pub fn take_ended(&mut self) -> Vec<usize> {
        let mut ended = Vec::new();
        for (number, seat) in (1..).zip(&mut self.seats) {
            let status = seat.child.as_mut().and_then(|child| child.try_wait().unwrap());
            if status.is_some() {
                (seat.child, seat.starting) = (None, None);
                ended.push(number);
            }
        }
        ended
    }

    /// The disk of node `number`.
    pub fn disk(&self, number: usize) -> &Disk {
        &self.disks[number - 1]
    }

    /// Where node `number` would put temporary files.
    pub fn temporary(&self, number: usize) -> PathBuf {
        self.folder.path().join(format!("n{number}.tmp"))
    }

    async fn launch(&mut self, number: usize, join: Option<&str>) -> Value {
        let mut command = self.command(number, join);
        let (child, line) = support::started(&mut command, &format!("node {number}")).await;
        self.seats[number - 1].child = Some(child);
        serde_json::from_str(&line).unwrap()
    }

    fn command(&self, number: usize, join: Option<&str>) -> Command {
        let (seat, address) = (&self.seats[number - 1], self.cables.address(number));
        let config = self.folder.path().join("config.toml");
        std::fs::write(&config, &self.settings).unwrap();
        let log = OpenOptions::new().create(true).append(true).open(self.log(number)).unwrap();
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.cables.namespace(number)]);
        command.arg(program()).arg("run").arg("--dir").arg(&seat.dir);
        command.arg("--key-file").arg(self.key(number));
        command.arg("--config").arg(config).args(["--announce", "--stop-with-input"]);
        command.args(["--name", &format!("n{number}"), "--site", &format!("s{number}")]);
        command.args(["--hostname", &address.to_string(), "--listen", &format!("{address}:443")]);
        command.args(["--cluster-listen", &format!("{address}:7443")]);
        if let Some(token) = join {
            command.env("MEDIAKEEP_JOIN", token);
        }
        if self.has_clocks {
            let library = faketime().expect("this test needs libfaketime (package faketime)");
            command.env("LD_PRELOAD", library).env("FAKETIME_TIMESTAMP_FILE", &seat.clock);
            command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1").env("FAKETIME_CACHE_DURATION", "1");
        }
        command.env("TMPDIR", self.temporary(number)).stderr(Stdio::from(log));
        command
    }

    /// An edge in place of node `number`: it joins by `token`, or starts again on what is on its disk.
    pub async fn edge(&self, number: usize, token: Option<&str>) -> Child {
        let address = self.cables.address(number);
        let log = OpenOptions::new().create(true).append(true).open(self.log(number)).unwrap();
        let config = self.folder.path().join("config.toml");
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.cables.namespace(number)]).arg(program()).arg("edge");
        match token {
            Some(token) => command.args(["join", token]),
            None => command.arg("run"),
        };
        command.arg("--dir").arg(&self.seats[number - 1].dir).arg("--key-file").arg(self.key(number));
        command.arg("--config").arg(config).args(["--announce", "--stop-with-input"]);
        command.args(["--name", &format!("e{number}"), "--site", "branch"]);
        command.args(["--hostname", &address.to_string(), "--listen", &format!("{address}:443")]);
        command.stderr(Stdio::from(log));
        support::started(&mut command, "an edge").await.0
    }

    /// Runs the command line at node `number`, on its folder; gives whether that went well, and what was said.
    pub async fn on_disk(&self, number: usize, arguments: &[&str]) -> (bool, String) {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.cables.namespace(number)]).arg(program()).args(arguments);
        command.arg("--dir").arg(&self.seats[number - 1].dir).arg("--key-file").arg(self.key(number));
        let output = tokio::time::timeout(support::DEADLINE, command.stdin(Stdio::null()).output()).await;
        let output = output.expect("it ends in time").unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    }

    fn log(&self, number: usize) -> PathBuf {
        self.folder.path().join(format!("n{number}.log"))
    }

    /// What node `number` has written to its log.
    pub fn said(&self, number: usize) -> String {
        std::fs::read_to_string(self.log(number)).unwrap_or_default()
    }

    /// Starts node `number` on what is on its disk, which it must refuse; gives what it says.
    pub async fn refused(&self, number: usize) -> String {
        self.must_not_start(number, None).await
    }

    /// Starts node `number` with a token that must be refused; gives what it says.
    pub async fn refused_to_join(&self, number: usize, token: &str) -> String {
        self.must_not_start(number, Some(token)).await
    }

    async fn must_not_start(&self, number: usize, join: Option<&str>) -> String {
        let mut command = self.command(number, join);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        // Held open: its end would be a reason to stop.
        let input = child.stdin.take();
        let output = tokio::time::timeout(support::DEADLINE, child.wait_with_output()).await;
        let output = output.expect("it ends by itself").unwrap();
        drop(input);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "node {number} must not start: {said}");
        said.lines().last().unwrap_or_default().to_owned()
    }

    /// The file with the private key of node `number`.
    pub fn key(&self, number: usize) -> PathBuf {
        self.folder.path().join(format!("n{number}.key"))
    }

    /// Connections between nodes `one` and `other` that node `other` holds open.
    pub fn connections(&self, one: usize, other: usize) -> usize {
        let (space, peer) = (self.cables.namespace(other), self.cables.address(one).to_string());
        let mut command = std::process::Command::new("ip");
        command.args(["netns", "exec", &space, "ss", "-Htn", "state", "established", "dst", &peer]);
        let listed = command.output().expect("these tests need iproute2");
        String::from_utf8_lossy(&listed.stdout).lines().count()
    }

    /// Cluster time, as node `number` sees it.
    pub async fn cluster_time_ms(&self, number: usize) -> u64 {
        self.admin(number).get("/system/status").await.expect(200)["time_ms"].as_u64().unwrap()
    }

    /// The data folder of node `number`.
    pub fn dir(&self, number: usize) -> PathBuf {
        self.seats[number - 1].dir.clone()
    }

    /// The nodes that are up.
    pub fn up(&self) -> Vec<usize> {
        (1..=self.seats.len()).filter(|number| self.seats[number - 1].child.is_some()).collect()
    }

    /// A client of node `number` that is nobody.
    pub fn nobody(&self, number: usize) -> Client {
        let http = support::builder(&self.authority()).timeout(ANSWER_WITHIN);
        let http = http.connect_timeout(Duration::from_secs(2)).build().unwrap();
        Client { http, base: self.url(number), token: None }
    }

    /// `https://ADDRESS` of node `number`.
    pub fn url(&self, number: usize) -> String {
        format!("https://{}", self.cables.address(number))
    }

    /// The authority that browsers trust.
    pub fn authority(&self) -> PathBuf {
        self.seats[0].dir.join("tls/ca.pem")
    }

    /// A client of node `number` with the administrator's sign-in, which is good on all of them.
    pub fn admin(&self, number: usize) -> Client {
        Client { token: Some(self.token.clone()), ..self.nobody(number) }
    }

    /// The process of node `number`.
    pub fn process(&self, number: usize) -> u32 {
        let child = self.seats[number - 1].child.as_ref().expect("the node is up");
        child.id().expect("the node runs")
    }

    /// Sends `signal` to node `number`.
    pub fn signal(&self, number: usize, signal: Signal) {
        let pid = i32::try_from(self.process(number)).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
    }

    /// Kills node `number` and waits until it is gone.
    pub async fn kill(&mut self, number: usize) {
        let mut child = self.seats[number - 1].child.take().expect("the node is up");
        child.kill().await.unwrap();
    }

    /// Kills several at the same moment.
    pub async fn kill_all(&mut self, numbers: &[usize]) {
        numbers.iter().for_each(|number| self.signal(*number, Signal::KILL));
        for number in numbers {
            self.kill(*number).await;
        }
    }

    /// Stops node `number` in order.
    pub async fn stop(&mut self, number: usize) {
        support::stop(self.seats[number - 1].child.take().expect("the node is up")).await;
    }

    /// Waits until node `number` has ended by itself, and gives whether it called that a success.
    pub async fn ended(&mut self, number: usize) -> bool {
        let mut child = self.seats[number - 1].child.take().expect("the node is up");
        // Held open: its end, which waiting brings about otherwise, would be a reason to stop.
        let input = child.stdin.take();
        let status = tokio::time::timeout(support::DEADLINE, child.wait()).await;
        drop(input);
        status.expect("the node ends in time").unwrap().success()
    }

    /// Sets what the wall clock of node `number` is ahead by: `+1h`, `-3600`.
    pub fn set_clock(&self, number: usize, ahead: &str) {
        assert!(self.has_clocks, "the clocks of this test's nodes are the machine's");
        std::fs::write(&self.seats[number - 1].clock, ahead).unwrap();
    }

    /// Changes the path from one node to another, that way only.
    pub fn path(&self, from: usize, to: usize, change: impl FnOnce(&mut Path)) {
        self.switch.change(from, to, change);
    }

    /// Cuts or mends every path between the nodes `one` and all others. The test still reaches everybody.
    pub fn isolate(&self, one: &[usize], cut: bool) {
        for inside in one {
            for outside in (1..=self.seats.len()).filter(|number| !one.contains(number)) {
                self.path(*inside, outside, |path| path.cut = cut);
                self.path(outside, *inside, |path| path.cut = cut);
            }
        }
    }

    /// Changes all paths between nodes.
    pub fn all_paths(&self, change: Path) {
        self.each_path(|path| *path = change);
    }

    /// Changes every path between nodes for itself.
    pub fn each_path(&self, change: impl Fn(&mut Path)) {
        for from in 1..=self.seats.len() {
            for to in (1..=self.seats.len()).filter(|to| *to != from) {
                self.path(from, to, &change);
            }
        }
    }

    /// Who leads, as the node `seen_by` sees it together with at least one more that is up.
    pub async fn leader(&self, seen_by: usize) -> usize {
        let admin = self.admin(seen_by);
        let others: Vec<Client> =
            self.up().into_iter().filter(|at| *at != seen_by).map(|at| self.admin(at)).collect();
        wait_for("a leader that two nodes name", || async {
            let named = named_leader(&cluster(&admin).await?)?;
            for other in &others {
                let seen = cluster(other).await;
                if seen.and_then(|cluster| named_leader(&cluster)) == Some(named) {
                    return Some(named.0);
                }
            }
            None
        })
        .await
    }

    /// The number of the newest election that node `number` knows of.
    pub async fn term(&self, number: usize) -> u64 {
        let cluster = self.admin(number).get("/cluster").await.expect(200);
        cluster["term"].as_u64().unwrap()
    }

    /// The id that the cluster has given node `number`.
    pub async fn id_of(&self, number: usize, seen_by: usize) -> String {
        let cluster = self.admin(seen_by).get("/cluster").await.expect(200);
        let nodes = cluster["nodes"].as_array().unwrap();
        let node = nodes.iter().find(|node| node["name"] == format!("n{number}")).expect("it is a node");
        node["id"].as_str().unwrap().to_owned()
    }

    /// Waits until so many nodes vote.
    pub async fn wait_for_voters(&self, count: usize) {
        let admin = self.admin(self.up()[0]);
        wait_for("the voters", || async {
            let cluster = cluster(&admin).await?;
            let nodes = cluster["nodes"].as_array()?;
            let votes = |node: &&Value| matches!(node["role"].as_str(), Some("leader" | "voter"));
            (nodes.iter().filter(votes).count() == count).then_some(())
        })
        .await;
    }

    /// Waits until all nodes that are up have carried out the same and hold the same State, to the byte.
    pub async fn agree(&self) {
        let clients: Vec<Client> = self.up().into_iter().map(|number| self.admin(number)).collect();
        wait_for("all nodes hold the same", || async {
            let mut held = Vec::new();
            for client in &clients {
                let answer = client.request(Method::GET, "/cluster?hash=true").send().await.ok()?;
                let cluster: Value = answer.json().await.ok()?;
                held.push((cluster["applied"].as_u64()?, cluster["state_hash"].as_str()?.to_owned()));
            }
            for (one, other) in held.iter().zip(held.iter().skip(1)) {
                assert!(one.0 != other.0 || one.1 == other.1, "nodes hold different States: {held:?}");
            }
            held.windows(2).all(|pair| pair[0] == pair[1]).then_some(())
        })
        .await;
    }
}

/// The node that leads, and since which election.
fn named_leader(cluster: &Value) -> Option<(usize, u64)> {
    let leader = cluster["nodes"].as_array()?.iter().find(|node| node["role"] == "leader")?;
    let number = leader["name"].as_str()?.strip_prefix('n')?.parse().ok()?;
    Some((number, cluster["term"].as_u64()?))
}

async fn cluster(admin: &Client) -> Option<Value> {
    let answer = admin.request(Method::GET, "/cluster").send().await.ok()?;
    if answer.status() == 200 { answer.json().await.ok() } else { None }
}

/// The library that moves a process's wall clock.
fn faketime() -> Option<PathBuf> {
    let library = PathBuf::from("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1");
    library.exists().then_some(library)
}

impl Drop for Lab {
    fn drop(&mut self) {
        // Whole, for whoever looks into what takes long to happen.
        let kept = std::env::var_os("MEDIAKEEP_KEEP_LOGS").map(PathBuf::from);
        for number in 1..=self.seats.len() {
            if let Some(folder) = &kept {
                drop(std::fs::copy(self.log(number), folder.join(format!("n{number}.log"))));
            }
            if std::thread::panicking() {
                let said = self.said(number);
                let lines: Vec<&str> = said.lines().collect();
                println!("== the end of the log of node {number}");
                lines.iter().skip(lines.len().saturating_sub(40)).for_each(|line| println!("{line}"));
            }
        }
    }
}
