//! kill -9 in the middle of a backup: the same run goes on after the start, and what is restored is whole.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::backup_support::{Restored, restore};
use crate::lab::{DEADLINE, Dice, Lab, Node};
use crate::support::files;

const ROUNDS: u64 = 8;

async fn newest(node: &Node) -> Option<Value> {
    let runs = node.get("/backups").await;
    runs["items"].as_array()?.first().cloned()
}

/// Waits until nothing is carried out any more, and gives the newest run.
async fn ended(node: &Node) -> Value {
    let began = Instant::now();
    loop {
        if let Some(run) = newest(node).await.filter(|run| run["state"] != "running") {
            return run;
        }
        assert!(began.elapsed() < DEADLINE, "the run does not end");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Backups that are whole there: the list of what belongs to one is written last.
fn whole(place: &Path) -> usize {
    files(place).iter().filter(|file| file.ends_with("manifest")).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_cut_off_at_any_point_goes_on_and_loses_nothing() {
    let mut dice = Dice::new(40);
    let lab = Lab::new();
    let place = lab.outside().join("place");
    std::fs::create_dir(&place).unwrap();
    let settings = std::fs::read_to_string(lab.outside().join("config.toml")).unwrap();
    let folders = format!("{settings}[backup]\nfolders = [{:?}]\n", lab.outside().display().to_string());
    std::fs::write(lab.outside().join("config.toml"), folders).unwrap();
    let mut node = lab.start().await;
    let (_, shown) = node.post("/system/recovery-key", &json!({})).await;
    let recovery_key = shown["recovery_key"].as_str().unwrap().to_owned();
    let target = json!({ "name": "disk", "place": { "kind": "folder", "path": place } });
    assert_eq!(node.post("/backup-targets", &target).await.0, 201);

    let (mut assets, mut runs) = (Vec::new(), BTreeSet::new());
    let mut cut_off = 0;
    // As long as a backup takes here, which the rounds find out.
    let mut within_ms = 150;
    for round in 0..ROUNDS {
        // Something new each time; what it is does not matter, so it need not play.
        let bytes = dice.bytes(6_000_000);
        assets.push(node.put(&format!("{round}.bin"), &bytes).await);
        let (files_before, whole_before) = (files(&place).len(), whole(&place));
        // Not waited for: on a quick machine the backup is whole before the answer comes.
        let asked = tokio::spawn(node.api(Method::POST, "/backups").json(&json!({})).send());
        let began = Instant::now();
        while files(&place).len() == files_before {
            assert!(began.elapsed() < DEADLINE, "the backup does not begin");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(Duration::from_millis(dice.below(within_ms))).await;
        node.kill().await;
        asked.abort();
        let is_cut_off = whole(&place) == whole_before;
        within_ms = if is_cut_off { within_ms * 3 / 2 } else { (within_ms / 2).max(4) };
        cut_off += u64::from(is_cut_off);
        node = lab.start().await;
        let run = ended(&node).await;
        assert_eq!(run["state"], "done", "{run}");
        assert!(runs.insert(run["id"].to_string()), "this one had ended before: {run}");
    }
    println!("{cut_off} of {ROUNDS} backups were cut off");
    assert!(cut_off > 0, "no kill came in time: nothing was shown");
    let (status, check) = node
        .post(
            &format!("/backups/{}/verify", newest(&node).await.unwrap()["id"].as_str().unwrap()),
            &json!({ "full": true }),
        )
        .await;
    assert_eq!(status, 201, "{check}");
    let check = ended(&node).await;
    assert_eq!((&check["kind"], &check["flaw_count"]), (&json!("verify"), &json!(0)), "{check}");
    let account: Value =
        serde_json::from_slice(&std::fs::read(lab.data.join("dev/dev.json")).unwrap()).unwrap();
    node.stop().await;

    let dir = lab.outside().join("restored");
    restore(&place, &dir, &[], &recovery_key).await.well();
    let (username, password) = (account["username"].as_str().unwrap(), account["password"].as_str().unwrap());
    let restored = Restored::start(&dir, username, password).await;
    for asset in assets {
        restored.admin.get(&format!("/assets/{asset}")).await.expect(200);
    }
    restored.stop().await;
}
