//! `mediakeep cluster ...` as people type it: a cluster is founded, nodes join, one is emptied, a dead one is replaced, one is
//! removed. What cannot be taken back is asked for; what is wrong is said in a sentence.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use ::cluster::JoinToken;
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use crate::support::{self, Client, DEADLINE, PASSPHRASE, program, started, stop, wait_for};

/// The shortest life of a token.
const TOKEN_LIFE: Duration = Duration::from_secs(60);

/// A person, and the machines in front of them.
struct Desk {
    home: tempfile::TempDir,
}

struct Said {
    well: bool,
    out: String,
    error: String,
}

impl Said {
    #[track_caller]
    fn well(&self) -> &str {
        assert!(self.well, "{}{}", self.out, self.error);
        self.out.trim_end()
    }

    /// It failed, printed nothing a script would take for an answer, and its last line says why.
    #[track_caller]
    fn badly(&self, words: &str) {
        assert!(!self.well && self.out.is_empty(), "{}{}", self.out, self.error);
        let last = self.error.lines().last().unwrap_or_default();
        assert!(last.starts_with("mediakeep: ") && last.contains(words), "{last:?} does not say {words:?}");
    }
}

impl Desk {
    fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap() }
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    async fn types(&self, arguments: &[&str]) -> Said {
        let mut command = Command::new(program());
        command.args(arguments).env_clear().env("HOME", self.home.path()).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let output = tokio::time::timeout(DEADLINE, command.output()).await;
        let output = output.expect("the command ends").unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Said { well: output.status.success(), out: text(&output.stdout), error: text(&output.stderr) }
    }

    async fn status(&self) -> Value {
        let said = self.types(&["cluster", "status", "--json"]).await;
        serde_json::from_str(said.well()).expect("JSON")
    }

    async fn node(&self, name: &str) -> Option<Value> {
        let status = self.status().await;
        status["nodes"].as_array().unwrap().iter().find(|node| node["name"] == name).cloned()
    }

    async fn voters(&self, count: usize) {
        wait_for("the voters", || async {
            let status = self.status().await;
            let nodes = status["nodes"].as_array().unwrap().clone();
            let votes = nodes.iter().filter(|node| node["role"] != "learner").count();
            (votes == count && nodes.iter().all(|node| node["alive"] == true)).then_some(())
        })
        .await;
    }

    /// The arguments by which a new machine is started.
    fn machine(&self, name: &str, site: &str, folder: &str) -> Vec<String> {
        let (dir, key) = (self.folder(folder), self.folder(&format!("{folder}.key")));
        let path = |path: &Path| path.display().to_string();
        [
            "--dir",
            &path(&dir),
            "--key-file",
            &path(&key),
            "--name",
            name,
            "--site",
            site,
            "--listen",
            "127.0.0.1:0",
            "--cluster-listen",
            "127.0.0.1:0",
        ]
        .map(str::to_owned)
        .to_vec()
    }

    async fn starts(&self, verb: &[&str], machine: &[String]) -> (Child, Value) {
        let mut command = Command::new(program());
        command.arg("cluster").args(verb).args(machine).args(["--announce", "--stop-with-input"]);
        let log = std::fs::File::options().create(true).append(true).open(self.folder("log")).unwrap();
        let (child, line) = started(command.stderr(log), &verb.join(" ")).await;
        (child, serde_json::from_str(&line).unwrap())
    }

    /// What a machine says that must not join.
    async fn may_not_join(&self, token: &str, words: &str) {
        let machine = self.machine("stranger", "s9", "stranger");
        let arguments: Vec<&str> = machine.iter().map(String::as_str).collect();
        self.types(&[&["cluster", "join", token], arguments.as_slice()].concat()).await.badly(words);
        let _ = std::fs::remove_dir_all(self.folder("stranger"));
    }
}

async fn claimed(desk: &Desk, announced: &Value) -> String {
    let url = announced["url"].as_str().unwrap().to_owned();
    let ca = desk.folder("n1/tls/ca.pem");
    let client = Client { http: support::http(&ca), base: url.clone(), token: None };
    let claim = json!({
        "code": announced["claim_code"], "username": "ada", "password": PASSPHRASE, "application_name": "Films",
    });
    client.post("/claim?kind=token", &claim).await.expect(201);
    let ca = ca.display().to_string();
    let who = ["--username", "ada", "--password", PASSPHRASE];
    desk.types(&[["login", "--url", &url, "--ca", &ca].as_slice(), &who].concat()).await.well();
    url
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_is_founded_grows_and_outlives_its_machines() {
    let desk = Desk::new();
    let first = desk.machine("n1", "s1", "n1");
    let (n1, announced) = desk.starts(&["create"], &first).await;
    let url = claimed(&desk, &announced).await;
    let again: Vec<&str> = first.iter().map(String::as_str).collect();
    desk.types(&[&["cluster", "create"], again.as_slice()].concat()).await.badly("there is a node in");

    let n2 = joins_by_a_token_that_is_read_first(&desk).await;
    let made_by_script = desk.types(&["cluster", "token"]).await.well().to_owned();
    let (n3, _) = desk.starts(&["join", &made_by_script], &desk.machine("n3", "s3", "n3")).await;
    desk.voters(3).await;

    let table = desk.types(&["cluster", "status"]).await;
    let lines: Vec<&str> = table.well().lines().collect();
    assert!(lines[0].starts_with("NODE  NAME") && lines[0].contains("ADDRESS"), "{}", table.out);
    assert!(lines[1].contains("n1") && lines[1].contains("s1") && lines[1].contains("yes"), "{}", table.out);
    assert!(lines[1].contains(url.strip_prefix("https://").unwrap()), "{}", table.out);
    assert!(table.out.contains("Changes stay possible if 1 more voters fail."), "{}", table.out);

    emptying_is_asked_for_and_taken_back(&desk).await;
    let n4 = a_dead_machine_has_a_successor(&desk, n3).await;
    a_node_goes_for_good(&desk, n2).await;
    desk.types(&["cluster", "rotate-ca"]).await.badly("There is no terminal to ask on: give --yes if so");
    let next = desk.types(&["cluster", "rotate-ca", "--yes"]).await.well().to_owned();
    assert_eq!(desk.status().await["authority"], json!({ "fingerprint": next, "former": null }));
    for node in [n4, n1] {
        stop(node).await;
    }
}

async fn joins_by_a_token_that_is_read_first(desk: &Desk) -> Child {
    let said = desk.types(&["cluster", "token", "--minutes", "20"]).await;
    let text = said.well().to_owned();
    let token = JoinToken::parse(&text).unwrap();
    let shown = desk.types(&["cluster", "token", "--show", &text]).await;
    let lines: Vec<&str> = shown.well().lines().collect();
    assert_eq!(lines[0], format!("Fingerprint   {}", token.fingerprint()));
    assert!(lines[3].starts_with("Expires       20") && lines[3].ends_with(" UTC"), "{}", shown.out);
    assert_eq!(lines[4], format!("Address       {}", token.addresses[0]));
    // Whoever makes one sees the same, beside the token itself.
    assert!(said.error.contains(shown.well()), "{}", said.error);

    let mut cut = text.clone();
    cut.pop();
    desk.types(&["cluster", "token", "--show", &cut]).await.badly("incomplete or was changed");
    desk.types(&["cluster", "token", "--show", "hello"]).await.badly("this is not a join token");
    desk.may_not_join(&cut, "incomplete or was changed").await;
    let mut other = token.clone();
    other.authority[0] ^= 1;
    desk.may_not_join(&other.to_text(), "does not belong to the cluster that made this token").await;
    let (n2, _) = desk.starts(&["join", &text], &desk.machine("n2", "s2", "n2")).await;
    desk.may_not_join(&text, "was used already").await;
    n2
}

async fn emptying_is_asked_for_and_taken_back(desk: &Desk) {
    let id = desk.node("n2").await.unwrap()["id"].as_str().unwrap().to_owned();
    let state = async || desk.node("n2").await.unwrap()["state"].clone();
    desk.types(&["cluster", "drain", &id]).await.badly("There is no terminal to ask on: give --yes if so");
    assert_eq!(state().await, "active");
    desk.types(&["cluster", "drain", "999", "--yes"]).await.badly("there is no node 999");
    let drained = desk.types(&["cluster", "drain", &id, "--yes"]).await;
    assert_eq!(drained.well(), "");
    assert!(drained.error.contains("(n2 at s2) gives up its part"), "{}", drained.error);
    assert_eq!(state().await, "draining");
    let undone = desk.types(&["cluster", "drain", &id, "--undo"]).await;
    assert!(undone.well().is_empty() && undone.error.contains("takes part again"), "{}", undone.error);
    assert_eq!(state().await, "active");
    desk.voters(3).await;
}

async fn a_dead_machine_has_a_successor(desk: &Desk, mut n3: Child) -> Child {
    let before = desk.node("n3").await.unwrap()["id"].as_str().unwrap().to_owned();
    desk.types(&["cluster", "replace", &before, "--yes"]).await.badly("is alive: drain and remove it");
    n3.kill().await.unwrap();
    wait_for("the node is missed", || async {
        (desk.node("n3").await.unwrap()["alive"] == false).then_some(())
    })
    .await;
    let table = desk.types(&["cluster", "status"]).await;
    assert!(table.well().contains("silent for 0:"), "{}", table.out);
    desk.types(&["cluster", "replace", &before]).await.badly("There is no terminal to ask on");
    assert_eq!(desk.node("n3").await.unwrap()["id"], before.as_str(), "nothing was done");

    let replaced = desk.types(&["cluster", "replace", &before, "--yes"]).await;
    let token = replaced.well().to_owned();
    assert!(
        replaced.error.contains("mediakeep cluster join TOKEN --name 'n3' --site 's3'"),
        "{}",
        replaced.error
    );
    assert!(desk.node("n3").await.is_none(), "it is gone");
    let (successor, _) = desk.starts(&["join", &token], &desk.machine("n3", "s3", "n3-again")).await;
    desk.voters(3).await;
    let after = desk.node("n3").await.unwrap()["id"].as_str().unwrap().to_owned();
    assert!(after.parse::<u64>().unwrap() > before.parse::<u64>().unwrap(), "a number never comes back");
    successor
}

async fn a_node_goes_for_good(desk: &Desk, mut n2: Child) {
    let id = desk.node("n2").await.unwrap()["id"].as_str().unwrap().to_owned();
    desk.types(&["cluster", "remove", &id]).await.badly("There is no terminal to ask on");
    assert!(desk.node("n2").await.is_some());
    let removed = desk.types(&["cluster", "remove", &id, "--yes"]).await;
    assert!(
        removed.well().is_empty() && removed.error.contains("(n2 at s2) is removed."),
        "{}",
        removed.error
    );
    // Held open: its end would be a reason to stop.
    let input = n2.stdin.take();
    let status = tokio::time::timeout(DEADLINE, n2.wait()).await.expect("it stops by itself").unwrap();
    drop(input);
    assert!(!status.success(), "it says that it had to");
    assert!(desk.node("n2").await.is_none());
    desk.types(&["cluster", "remove", &id, "--yes"]).await.badly("there is no node");
    desk.voters(2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_ends() {
    let desk = Desk::new();
    let (node, announced) = desk.starts(&["create"], &desk.machine("n1", "s1", "n1")).await;
    claimed(&desk, &announced).await;
    let made = std::time::Instant::now();
    let token = desk.types(&["cluster", "token", "--minutes", "1"]).await.well().to_owned();
    tokio::time::sleep((TOKEN_LIFE + Duration::from_secs(1)).saturating_sub(made.elapsed())).await;
    desk.may_not_join(&token, "expired").await;
    desk.types(&["cluster", "token", "--minutes", "0"]).await.badly("1 to 60 minutes");
    stop(node).await;
}
