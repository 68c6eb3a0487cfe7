//! What is done to the audit log of one stopped node of three is seen by the others: cut off, changed, or the whole folder
//! rolled back.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use crate::net::lab::Lab;
use crate::support::{program, wait_for};

/// The first bytes of a segment; length, checksum and number before each record.
const START: usize = 8;
const PREFIX: usize = 16;

fn segment(lab: &Lab, at: usize) -> PathBuf {
    lab.dir(at).join("audit").join(format!("{:020}.audit", 1))
}

/// Where each record of a segment begins, and its number.
fn records(bytes: &[u8]) -> Vec<(usize, u64)> {
    let (mut at, mut found) = (START, Vec::new());
    while at < bytes.len() {
        let length = u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
        found.push((at, u64::from_be_bytes(bytes[at + 8..at + PREFIX].try_into().unwrap())));
        at += PREFIX + usize::try_from(length).unwrap();
    }
    found
}

async fn verdict(lab: &Lab, at: usize) -> Value {
    lab.admin(at).get("/audit/verify").await.expect(200)
}

/// What `mediakeep audit verify` says of node `at`, and whether it is content.
fn verify(lab: &Lab, at: usize) -> (bool, String) {
    let mut command = Command::new(program());
    command.args(["audit", "verify", "--url", &lab.url(at), "--ca"]).arg(lab.authority());
    command.env("MEDIAKEEP_TOKEN", lab.admin(at).token.unwrap());
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

async fn signed_up_to(lab: &Lab, at: usize, record: u64) {
    wait_for("the head is signed", || async {
        let said = lab.said(at);
        let signed = said.lines().filter(|line| line.contains("the head of the audit log is signed"));
        let numbers =
            signed.filter_map(|line| line.split_once("record=")?.1.split(' ').next()?.parse::<u64>().ok());
        (numbers.max()? >= record).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_others_see_what_is_done_to_the_audit_log_of_a_stopped_node() {
    let mut lab = Lab::start(3).await;
    let id = lab.id_of(3, 1).await;
    let path = format!("/applications/{}/collections", lab.application);
    for number in 0..20 {
        lab.admin(1).post(&path, &json!({ "name": format!("kept {number}") })).await.expect(201);
    }
    let whole = verdict(&lab, 1).await;
    assert_eq!((&whole["ok"], &whole["shortened"]), (&json!(true), &json!([])), "{whole}");
    assert_eq!(whole["nodes"].as_array().unwrap().len(), 3, "{whole}");
    let records_now = whole["verified_to"].as_u64().unwrap();
    signed_up_to(&lab, 3, records_now).await;

    // Cut off: it would be made whole from the log of changes at the start, and nobody would know.
    lab.stop(3).await;
    let old = lab.dir(3).with_extension("old");
    assert!(Command::new("cp").arg("-a").arg(lab.dir(3)).arg(&old).status().unwrap().success());
    let bytes = fs::read(segment(&lab, 3)).unwrap();
    let (cut, first_missing) = records(&bytes)[12];
    fs::write(segment(&lab, 3), &bytes[..cut]).unwrap();
    lab.start_again(3).await;
    let seen = wait_for("the others say that it was shorter", || async {
        verdict(&lab, 1).await["shortened"].as_array()?.first().cloned()
    })
    .await;
    assert_eq!(
        (&seen["node"], &seen["first_missing"]),
        (&json!(format!("node:{id}")), &json!(first_missing))
    );
    assert!(seen["signed_record"].as_u64().unwrap() >= records_now, "{seen}");
    assert!(lab.said(1).contains("a node's audit log was cut off or rolled back"));
    let (content, said) = verify(&lab, 2);
    let words = format!("the log of node {id} began to be missing at record {first_missing}");
    assert!(content && said.contains(&words), "{said}");

    // Changed: named by the node and the first record, whichever node is asked.
    lab.stop(3).await;
    let mut bytes = fs::read(segment(&lab, 3)).unwrap();
    let (place, changed) = records(&bytes)[6];
    bytes[place + PREFIX + 20] ^= 1;
    fs::write(segment(&lab, 3), bytes).unwrap();
    lab.start_again(3).await;
    for at in [1, 3] {
        let (content, said) = verify(&lab, at);
        let words = format!("then at node {id} (n3) record {changed} is not what was written");
        assert!(!content && said.contains(&words), "{said}");
    }
    let seen = verdict(&lab, 2).await;
    let others = seen["nodes"].as_array().unwrap().iter().filter(|node| node["node"] != id.as_str());
    assert!(others.clone().count() == 2 && others.clone().all(|node| node["ok"] == true), "{seen}");

    // The whole folder as it was: the others know of later starts, and it stays outside.
    lab.stop(3).await;
    fs::remove_dir_all(lab.dir(3)).unwrap();
    fs::rename(&old, lab.dir(3)).unwrap();
    let said = lab.refused(3).await;
    assert!(said.contains("a copy"), "{said}");
}
