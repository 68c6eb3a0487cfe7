//! The command line on a real node, as stories: what a person types, what comes out, and how it ends.

mod cli_export;
mod support;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Output, Stdio};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::{Value, json};
use support::{Node, PASSPHRASE, children_of, program, started, stop};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;

/// Somebody at a terminal with a home folder of their own.
struct Person {
    home: tempfile::TempDir,
    environment: Vec<(&'static str, String)>,
}

/// What a command left.
struct Said {
    code: Option<i32>,
    out: String,
    error: String,
}

impl Person {
    fn new() -> Self {
        Self { home: tempfile::tempdir().expect("a home folder"), environment: Vec::new() }
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.environment.push((name, value.into()));
        self
    }

    /// Somebody who has logged in as the cluster admin of `node`.
    async fn logged_in(node: &Node) -> Self {
        let person = Self::new();
        person.log_in(node).await.well();
        person
    }

    async fn log_in(&self, node: &Node) -> Said {
        let (ca, ready) = (node.ready.ca.display().to_string(), &node.ready);
        let who = ["--username", &ready.username, "--password", &ready.password];
        let arguments = [["login", "--url"].as_slice(), &[node.url(), "--ca", &ca], &who].concat();
        self.types(&arguments).await
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.args(arguments).env_clear().env("HOME", self.home.path()).kill_on_drop(true);
        command.envs(self.environment.iter().map(|(name, value)| (*name, value)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    async fn types(&self, arguments: &[&str]) -> Said {
        self.types_and_enters(arguments, "").await
    }

    async fn types_and_enters(&self, arguments: &[&str], input: &str) -> Said {
        let mut child = self.command(arguments).spawn().expect("the binary is there");
        let mut stdin = child.stdin.take().expect("input is piped");
        stdin.write_all(input.as_bytes()).await.expect("it reads its input");
        drop(stdin);
        let waited = tokio::time::timeout(support::DEADLINE * 2, child.wait_with_output()).await;
        Said::of(&waited.expect("the command ends").expect("its output is whole"))
    }
}

impl Said {
    fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code(), out: text(&output.stdout), error: text(&output.stderr) }
    }

    /// It worked; gives what it printed.
    #[track_caller]
    fn well(&self) -> &str {
        assert_eq!(self.code, Some(0), "{}{}", self.out, self.error);
        self.out.trim_end()
    }

    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(self.well()).expect("JSON")
    }

    /// It failed with one plain sentence and printed nothing a script would take for an answer.
    #[track_caller]
    fn badly(&self, sentence: &str) {
        assert_eq!((self.code, self.out.as_str()), (Some(1), ""), "{}", self.error);
        let expected = format!("mediakeep: {sentence}");
        assert!(self.error.starts_with(&expected), "{:?} does not begin with {expected:?}", self.error);
        assert_eq!(self.error.lines().count(), 1, "{}", self.error);
    }
}

#[tokio::test]
async fn a_login_is_kept_for_its_owner_and_its_node_alone() {
    let node = Node::start().await;
    let person = Person::new();
    person.types(&["status"]).await.badly("which node? log in first");
    let strange = ["login", "--url", node.url(), "--username", "x", "--password", "y"];
    person.types(&strange).await.badly("cannot reach https://127.0.0.1:");
    let ca = node.ready.ca.display().to_string();
    let wrong = [strange.as_slice(), &["--ca", &ca]].concat();
    person.types(&wrong).await.badly("The user name or the passphrase is not right.");
    let asked = ["login", "--url", node.url(), "--ca", &ca, "--username", "x"];
    person.types(&asked).await.badly("there is no terminal to ask on; give --password");

    person.log_in(&node).await.well();
    let kept = person.home.path().join(".config/mediakeep/login.json");
    assert_eq!(std::fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!std::fs::read_to_string(&kept).unwrap().contains(&node.ready.password));
    assert_eq!(person.types(&["status", "--json"]).await.json()["node"]["name"], "n1");

    // Another address does not get the token.
    person.types(&["status", "--url", "https://127.0.0.1:1"]).await.badly("log in first");
    person.types(&["logout"]).await.well();
    assert!(!kept.exists());
    person.types(&["status"]).await.badly("which node?");
    node.stop().await;
}

#[tokio::test]
async fn a_script_uses_the_environment_and_a_revoked_key_ends_it() {
    let node = Node::start().await;
    let admin = node.admin().await;
    let keys = format!("/applications/{}/api-keys", node.application());
    let key = admin.post(&keys, &json!({ "name": "script", "role": "read_only" })).await.expect(201);
    let script = Person::new()
        .with("MEDIAKEEP_URL", node.url())
        .with("MEDIAKEEP_CA", node.ready.ca.display().to_string())
        .with("MEDIAKEEP_TOKEN", key["secret"].as_str().unwrap());
    assert_eq!(script.types(&["assets", "--json"]).await.json(), json!([]));
    script.types(&["users"]).await.badly("");
    let id = key["id"].as_str().or(key["key"]["id"].as_str()).unwrap();
    admin.delete(&format!("/api-keys/{id}")).await.expect(204);
    script.types(&["assets"]).await.badly("the sign-in has ended; log in again");
    node.stop().await;
}

#[tokio::test]
async fn what_an_admin_looks_at() {
    let node = Node::start().await;
    let person = Person::logged_in(&node).await;
    let users = person.types(&["users", "--json"]).await.json();
    assert_eq!((&users[0]["username"], &users[0]["admin"]), (&json!("admin"), &json!(true)));
    let table = person.types(&["users"]).await;
    assert!(table.well().starts_with("ID ") && table.out.contains("admin"), "{}", table.out);
    let status = person.types(&["status"]).await;
    assert!(status.well().contains("a stolen machine can be read"), "{}", status.out);
    let audit = person.types(&["audit", "verify"]).await;
    assert!(audit.well().starts_with("The audit log is whole: "), "{}", audit.out);
    let list = person.types(&["audit", "list", "--action", "user.", "--limit", "5"]).await;
    assert!(list.well().starts_with("TIME "), "{}", list.out);
    let claims =
        person.types(&["audit", "list", "--action", "cluster.claim", "--result", "ok", "--json"]).await;
    assert_eq!(claims.json().as_array().unwrap().len(), 1, "{}", claims.out);
    let none = person.types(&["audit", "list", "--actor", "nobody-of-this-name", "--json"]).await;
    assert_eq!(none.json(), json!([]));
    let shown = person.types(&["certificate", "show"]).await;
    assert!(shown.well().contains("Source    own") && shown.out.contains("localhost"), "{}", shown.out);
    person.types(&["certificate", "remove"]).await.badly("No certificate is installed.");
    person
        .types(&["certificate", "install", "--chain", "/none", "--key", "/none"])
        .await
        .badly("/none: No such file");
    let nothing = "There is nothing here, or nothing you may see.";
    person.types(&["asset", "00000000000000000000000000"]).await.badly(nothing);
    person.types(&["play", "../../users"]).await.badly(nothing);
    person.types(&["assets", "-a", "Elsewhere"]).await.badly("there is no application `Elsewhere`");
    node.stop().await;
}

#[tokio::test]
async fn mistakes_get_a_sentence_before_anything_is_sent() {
    let nowhere = Person::new().with("MEDIAKEEP_URL", "https://127.0.0.1:1").with("MEDIAKEEP_TOKEN", "t");
    let folder = nowhere.home.path().display().to_string();
    let empty = nowhere.home.path().join("empty.mp4");
    std::fs::write(&empty, b"").unwrap();
    let (empty, absent) = (empty.display().to_string(), format!("{folder}/absent.mp4"));
    nowhere.types(&["upload", &absent]).await.badly(&format!("{absent}: No such file"));
    nowhere.types(&["upload", &folder]).await.badly(&format!("{folder} is not a file"));
    nowhere.types(&["upload", &empty]).await.badly(&format!("{empty} is empty"));
    nowhere.types(&["status"]).await.badly("cannot reach https://127.0.0.1:1: ");
    let plain = ["status", "--url", "http://127.0.0.1:1"];
    nowhere.types(&plain).await.badly("`http://127.0.0.1:1` is not an address such as https://");
    let usage = nowhere.types(&["upload"]).await;
    assert_eq!(usage.code, Some(2));
    for shell in ["bash", "zsh", "fish"] {
        assert!(nowhere.types(&["completions", shell]).await.well().contains("mediakeep"));
    }
}

#[tokio::test]
async fn a_log_is_one_line_a_record_whatever_somebody_calls_a_key() {
    let node = Node::start().await;
    let admin = node.admin().await;
    let keys = format!("/applications/{}/api-keys", node.application());
    for name in ["line\nbreak", "red\u{1b}[31m", "bell\u{7}", &"x".repeat(1 << 20)] {
        let answer = admin.post(&keys, &json!({ "name": name, "role": "user" })).await;
        assert!([400, 413].contains(&answer.status), "{name:.20}: {}", answer.status);
    }
    // What is legal in a name is kept, and written out where it could play tricks.
    let key = admin.post(&keys, &json!({ "name": "gnp.\u{202e}evil", "role": "user" })).await.expect(201);
    let client = node.with_token(key["secret"].as_str().unwrap());
    client.post("/users", &json!({})).await.expect_problem(403, "forbidden");
    let agent = admin.request(reqwest::Method::POST, "/sessions").header("user-agent", "a\u{202e}b\tc");
    let login = json!({ "username": node.ready.username, "password": node.ready.password });
    admin.send(agent.json(&login)).await.expect(201);
    let person = Person::logged_in(&node).await;
    let list = person.types(&["audit", "list", "--limit", "50"]).await;
    let count = person.types(&["audit", "list", "--limit", "50", "--json"]).await.json();
    assert_eq!(list.well().lines().count(), count.as_array().unwrap().len(), "one line each, and the head");
    assert!(list.out.contains("API key gnp.\\u{202e}evil"), "{}", list.out);
    assert!(list.out.chars().all(|c| c == '\n' || !c.is_control()), "{}", list.out);
    assert_eq!(admin.get("/audit/verify").await.expect(200)["ok"], true);
    node.stop().await;
}

#[tokio::test]
async fn a_node_that_misses_nothing_has_no_loss_to_accept() {
    let folder = tempfile::tempdir().unwrap();
    let (child, announced) = run_bare(folder.path()).await;
    let (data, key) = (folder.path().join("data"), folder.path().join("node.key"));
    let http = support::http(&data.join("tls/ca.pem"));
    let base = announced["url"].as_str().unwrap().to_owned();
    let client = support::Client { http, base, token: None };
    let claim = json!({
        "code": announced["claim_code"], "username": "ada", "password": PASSPHRASE, "application_name": "Videos",
    });
    let claimed = client.post("/claim?kind=token", &claim).await.expect(201);
    let token = claimed["token"].as_str().map(str::to_owned);
    let client = support::Client { token, ..client };
    for name in ["One", "Two", "Three"] {
        client.post("/applications", &json!({ "name": name })).await.expect(201);
    }
    stop(child).await;
    let (data, key) = (data.display().to_string(), key.display().to_string());
    let person = Person::new();
    let command = ["accept-loss", "--dir", &data, "--key-file", &key];
    assert_eq!(person.types(&command).await.well(), "Nothing is missing.");
    person.types(&[command.as_slice(), &["--records", "soon"]].concat()).await.badly("`soon` is not a range");
    // The log is gone: the watermark and the snapshot know that there was one.
    std::fs::remove_dir_all(folder.path().join("data/raft/sled-1")).unwrap();
    let journal = folder.path().join("data/raft/journal");
    let length = std::fs::metadata(&journal).unwrap().len();
    std::fs::OpenOptions::new().write(true).open(&journal).unwrap().set_len(length - 60).unwrap();
    let missing = person.types(&command).await;
    let sentence = missing.well().to_owned();
    assert!(sentence.starts_with("The log records ") && sentence.ends_with(" are missing."), "{sentence}");
    let range = missing.error.trim_end().rsplit(' ').next().unwrap().to_owned();
    person.types(&[command.as_slice(), &["--records", "1-2"]].concat()).await.badly("the log records ");
    person.types(&[command.as_slice(), &["--records", &range]].concat()).await.well();
    assert_eq!(person.types(&command).await.well(), "Nothing is missing.");
}

/// Starts a bare node in `dir` and gives what it announces.
async fn run_bare(dir: &Path) -> (tokio::process::Child, Value) {
    let mut command = Command::new(program());
    command.arg("run").arg("--dir").arg(dir.join("data")).arg("--key-file").arg(dir.join("node.key"));
    command.args(["--listen", "127.0.0.1:0", "--announce", "--stop-with-input"]);
    let (child, line) = started(&mut command, "run").await;
    (child, serde_json::from_str(&line).expect("one JSON line"))
}

#[tokio::test]
async fn a_lost_node_key_comes_back_by_the_recovery_key() {
    let folder = tempfile::tempdir().unwrap();
    let (data, key_file) = (folder.path().join("data"), folder.path().join("node.key"));
    let (child, announced) = run_bare(folder.path()).await;
    let http = support::http(&data.join("tls/ca.pem"));
    let base = announced["url"].as_str().unwrap().to_owned();
    let client = support::Client { http, base, token: None };
    let claim = json!({
        "code": announced["claim_code"], "username": "ada", "password": PASSPHRASE, "application_name": "Videos",
    });
    let claimed = client.post("/claim?kind=token", &claim).await.expect(201);
    let recovery_key = claimed["recovery_key"].as_str().unwrap().to_owned();
    stop(child).await;
    std::fs::remove_file(&key_file).unwrap();

    let person = Person::new();
    let (data, key) = (data.display().to_string(), key_file.display().to_string());
    let recover = ["recover", "--dir", &data, "--key-file", &key];
    person.types_and_enters(&recover, "").await.badly("give the recovery key");
    person.types_and_enters(&recover, "MKR1-NONSENSE\n").await.badly("");
    assert!(!key_file.exists());
    person.types_and_enters(&recover, &format!("{recovery_key}\n")).await.well();
    assert_eq!(std::fs::metadata(&key_file).unwrap().permissions().mode() & 0o777, 0o600);
    person.types_and_enters(&recover, &format!("{recovery_key}\n")).await.badly("there is a node key at");

    let (child, announced) = run_bare(folder.path()).await;
    assert_eq!(announced["claim_code"], Value::Null, "it is the same, claimed node");
    let again = support::Client { base: announced["url"].as_str().unwrap().to_owned(), ..client };
    let login = json!({ "username": "ada", "password": PASSPHRASE });
    again.post("/sessions?kind=token", &login).await.expect(201);
    stop(child).await;
}

/// A real clip of two seconds.
async fn make_clip(path: &Path) {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25:duration=2"]);
    command.args(["-f", "lavfi", "-i", "sine=frequency=440:duration=2", "-c:v", "libx264", "-c:a", "aac"]);
    command.args(["-pix_fmt", "yuv420p", "-shortest"]).arg(path);
    assert!(command.status().await.expect("ffmpeg is installed").success());
}

#[tokio::test]
async fn a_film_goes_up_is_played_comes_down_and_goes_away() {
    let node = Node::start().await;
    let person = Person::logged_in(&node).await;
    let clip = person.home.path().join("A film.mp4");
    make_clip(&clip).await;
    let path = clip.display().to_string();
    let upload = person.types(&["upload", &path, "--title", "First film", "--wait"]).await;
    let id = upload.well().to_owned();
    assert_eq!(id.len(), 26);
    let unfinished = person.home.path().join(".local/state/mediakeep/uploads.json");
    assert_eq!(std::fs::read_to_string(unfinished).unwrap(), "{}", "nothing is left unfinished");

    let list = person.types(&["assets"]).await;
    assert!(list.well().contains("First film"), "{}", list.out);
    let asset = person.types(&["asset", &id, "--json"]).await.json();
    assert_eq!((&asset["state"], &asset["file_name"]), (&json!("ready"), &json!("A film.mp4")));
    assert_eq!((&asset["height"], &asset["watchable"]), (&json!(240), &json!(true)));

    let played = person.types(&["play", &id]).await;
    let address = played.well().to_owned();
    assert!(address.starts_with(node.url()) && address.ends_with("/main.m3u8"), "{address}");
    let playlist = support::http(&node.ready.ca).get(&address).send().await.unwrap().text().await.unwrap();
    assert!(playlist.starts_with("#EXTM3U"), "{playlist}");

    let copy = person.home.path().join("copy.mp4").display().to_string();
    let download = ["download", &id, "--output", &copy];
    assert_eq!(person.types(&download).await.well(), copy);
    assert_eq!(std::fs::read(&copy).unwrap(), std::fs::read(&clip).unwrap());
    person.types(&download).await.badly(&format!("{copy} exists already"));

    person.types(&["delete", &id]).await.well();
    assert_eq!(person.types(&["assets", "--json"]).await.json(), json!([]));
    assert_eq!(person.types(&["assets", "--trashed", "--json"]).await.json()[0]["id"], json!(id));
    person.types(&["play", &id]).await.badly("");
    person.types(&["delete", "--purge", &id]).await.well();
    person.types(&["asset", &id]).await.badly("There is nothing here");
    node.stop().await;
}

#[tokio::test]
async fn a_file_that_is_no_film_fails_with_its_reason() {
    let node = Node::start().await;
    let person = Person::logged_in(&node).await;
    let file = person.home.path().join("notes.mp4");
    std::fs::write(&file, "These are notes, not a film.\n".repeat(500)).unwrap();
    let said = person.types(&["upload", &file.display().to_string(), "--wait"]).await;
    assert_eq!(said.code, Some(1));
    let id = said.out.trim_end().to_owned();
    assert!(said.error.contains(&format!("the asset {id} could not be processed: ")), "{}", said.error);
    assert_eq!(person.types(&["asset", &id, "--json"]).await.json()["state"], "failed");
    node.stop().await;
}

#[tokio::test]
async fn an_upload_that_was_stopped_goes_on_where_it_stood() {
    let node = Node::start().await;
    let person = Person::logged_in(&node).await;
    let file = person.home.path().join("long.mp4");
    std::fs::File::create(&file).unwrap().set_len(96 << 20).unwrap();
    let path = file.display().to_string();
    let kept = person.home.path().join(".local/state/mediakeep/uploads.json");
    let mut first = person.command(&["upload", &path]).spawn().unwrap();
    support::wait_for("the upload", || async { kept.exists().then_some(()) }).await;
    first.kill().await.unwrap();
    let id = person.types(&["upload", &path]).await.well().to_owned();
    let all = person.types(&["assets", "--json"]).await.json();
    assert_eq!((all.as_array().unwrap().len(), &all[0]["id"]), (1, &json!(id)), "one asset, not two");
    assert_eq!(all[0]["size"], json!(96 << 20));
    node.stop().await;
}

/// In the data folder of `./just run` lie keys and what its command line has logged in with.
#[tokio::test]
async fn a_first_look_leaves_nothing_behind_however_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    let (clip, data) = (folder.path().join("clip.mp4"), folder.path().join("data"));
    make_clip(&clip).await;
    std::fs::create_dir(&data).unwrap();
    for is_interrupted in [true, false] {
        let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../setup/run.sh"));
        command.arg(&clip).env("MEDIAKEEP_BIN", program()).env("TMPDIR", &data);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).process_group(0).kill_on_drop(true);
        let mut running = command.spawn().unwrap();
        let script = running.id().unwrap();
        let mut lines = BufReader::new(running.stdout.take().unwrap()).lines();
        while !lines.next_line().await.unwrap().expect("it gets ready").contains("Ready to watch") {}
        assert_eq!(std::fs::read_dir(&data).unwrap().count(), 1);
        let id = |process: u32| Pid::from_raw(process.cast_signed()).unwrap();
        if is_interrupted {
            kill_process_group(id(script), Signal::INT).unwrap();
        } else {
            kill_process(id(children_of(script)[0]), Signal::INT).unwrap();
        }
        tokio::time::timeout(support::DEADLINE, running.wait()).await.expect("it ends").unwrap();
        let left = std::fs::read_dir(&data).unwrap().count();
        assert_eq!(left, 0, "the data folder is still there, interrupted: {is_interrupted}");
    }
}
