//! What is private is found nowhere in clear: not in a file, not in the log, however much is logged, and not in a core.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Stdio;

use reqwest::Method;
use serde_json::json;
use tokio::process::Command;

use crate::canary::{self, files};
use crate::support::{Client, http, program, started, stop};

/// A node that logs all it can into a file.
async fn logging_node(folder: &Path) -> (tokio::process::Child, serde_json::Value) {
    let log = std::fs::OpenOptions::new().create(true).append(true).open(folder.join("node.log")).unwrap();
    let mut command = Command::new(program());
    command.arg("run").arg("--dir").arg(folder.join("n1")).arg("--key-file").arg(folder.join("n1.key"));
    command.args(["--listen", "127.0.0.1:0", "--announce", "--stop-with-input", "--log-json"]);
    command.env("RUST_LOG", "trace").stderr(Stdio::from(log)).current_dir(folder);
    let (child, line) = started(&mut command, "the node").await;
    (child, serde_json::from_str(&line).unwrap())
}

/// Where any of `secrets` lies in clear.
fn found_in(folder: &Path, secrets: &[(&str, String)]) -> Vec<String> {
    let (hits, looked_at) = canary::found_in(folder, secrets);
    assert!(looked_at > 100_000, "{looked_at} bytes are not a node's data");
    hits
}

async fn claimed(folder: &Path, announced: &serde_json::Value, password: &str) -> (Client, String) {
    let ca = folder.join("n1/tls/ca.pem");
    let base = announced["url"].as_str().unwrap().to_owned();
    let client = Client { http: http(&ca), base, token: None };
    let claim = json!({
        "code": announced["claim_code"], "username": "anna", "password": password, "application_name": "Kanarien",
    });
    let answer = client.post("/claim?kind=token", &claim).await.expect(201);
    let token = answer["token"].as_str().unwrap().to_owned();
    (Client { token: Some(token), ..client }, answer["application"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn nothing_private_lies_in_a_file_or_in_the_log_and_an_abort_leaves_no_core() {
    let folder = tempfile::tempdir().unwrap();
    let password = "kanarienvogel-passphrase-7f3a91";
    let title = "Kanarienvogel-Titel-5d20c4e8";
    let payload = "kanarienvogel-nutzlast-91bb7e60c2";
    let (child, announced) = logging_node(folder.path()).await;
    let (admin, app) = claimed(folder.path(), &announced, password).await;

    // A film that is none, full of the payload, with the title as name, and what people write about it.
    let path = format!("/applications/{app}/files/{title}.mp4");
    let upload = admin.request(Method::PUT, &path).body(payload.repeat(20_000));
    let asset = admin.send(upload).await.expect(201)["asset"].as_str().unwrap().to_owned();
    let words = json!({ "title": title, "description": title, "tags": [title], "fields": { title: title } });
    admin.patch(&format!("/assets/{asset}"), &words).await.expect(200);
    admin.get(&format!("/applications/{app}/assets?q={title}")).await.expect(200);
    // Secrets in every place where somebody might put them, the wrong ones too.
    let login = json!({ "username": "anna", "password": password });
    let session = admin.post("/sessions?kind=token", &login).await.expect(201)["token"].clone();
    admin.post("/sessions", &json!({ "username": password, "password": password })).await.expect(401);
    admin.post("/sessions", &json!({ "username": "anna", "password": [password] })).await.expect(400);
    let key = json!({ "name": title, "role": "admin" });
    let key = admin.post(&format!("/applications/{app}/api-keys"), &key).await.expect(201)["secret"].clone();
    let invite = admin.post(&format!("/applications/{app}/invites"), &json!({ "role": "user" })).await;
    let invite = invite.expect(201)["secret"].clone();
    let link = admin.post(&format!("/assets/{asset}/downloads"), &json!({ "what": "original" })).await;
    let link = link.expect(201)["url"].as_str().unwrap().to_owned();
    assert_eq!(admin.get(&format!("={link}")).await.bytes, payload.repeat(20_000).into_bytes());
    admin.get(&format!("=/play/{}/main.m3u8", link.trim_start_matches("/download/"))).await;
    let secrets = [
        ("the passphrase", password.to_owned()),
        ("the title", title.to_owned()),
        ("the film", payload.to_owned()),
        ("the session's token", session.as_str().unwrap().to_owned()),
        ("the first session's token", admin.token.clone().unwrap()),
        ("the API key", key.as_str().unwrap().to_owned()),
        ("the invitation", invite.as_str().unwrap().to_owned()),
        ("the download link", link),
        ("the claim code", announced["claim_code"].as_str().unwrap().to_owned()),
    ];
    // While it runs and when it has stopped; the claim code's file is gone since the claim.
    assert_eq!(found_in(folder.path(), &secrets), [""; 0]);
    stop(child).await;
    assert_eq!(found_in(folder.path(), &secrets), [""; 0]);
    let log = std::fs::read_to_string(folder.path().join("node.log")).unwrap();
    assert!(log.lines().count() > 20, "it logs: {log}");
    assert!(
        log.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()),
        "one object a line"
    );

    let (mut child, _) = logging_node(folder.path()).await;
    let pid = child.id().unwrap();
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().collect::<Vec<_>>()[4..6], ["0", "0"], "{core}");
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::ABORT).unwrap();
    let status = child.wait().await.unwrap();
    assert_eq!((status.signal(), status.core_dumped()), (Some(6), false));
    let cores: Vec<_> = files(folder.path())
        .into_iter()
        .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("core"))
        .collect();
    assert!(cores.is_empty(), "{cores:?}");
    assert_eq!(found_in(folder.path(), &secrets), [""; 0]);
}
