//! A backup of a node with a real clip becomes a new cluster in which the clip plays.

use std::time::{Duration, Instant};

use cluster::recovery::RecoveryKey;
use serde_json::{Value, json};

use crate::backup_support::{Backed, Restored, holds};
use crate::media_support::{clip, decoded, put, ready, renditions, view};
use crate::support::{Client, files};

const TITLE: &str = "Kanarienvogel im Garten";

/// Plays every rendition of an asset on a restored node to its end.
async fn plays(client: &Client, restored: &Restored, asset: &str) {
    let path = view(client, asset).await;
    let main = client.get(&format!("{path}main.m3u8")).await;
    assert_eq!(main.status, 200, "{}", main.text());
    let named = renditions(&main.text());
    assert!(named.len() >= 2, "{named:?}");
    for name in named {
        let url = format!("{}{}{name}/index.m3u8", restored.url, path.trim_start_matches('='));
        decoded(&restored.ca, &url).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clip_plays_in_a_cluster_restored_from_the_target_and_the_recovery_key_alone() {
    let backed = Backed::start().await;
    let asset = put(&backed.node, &backed.admin, clip()).await;
    ready(&backed.admin, &asset).await;
    backed.admin.patch(&format!("/assets/{asset}"), &json!({ "title": TITLE })).await.expect(200);
    let cluster = backed.admin.get("/cluster").await.expect(200);

    backed.backup(&["now"]).await.badly("no place for backups");
    let target = backed.set_place().await;
    let first = backed.backup(&["now"]).await.well().to_owned();
    let run = backed.run(&first).await;
    assert_eq!(
        (&run["state"], &run["kind"], &run["flaw_count"]),
        (&json!("done"), &json!("copy"), &json!(0))
    );
    assert!(run["moved_objects"].as_u64().unwrap() >= 4 && run["target"] == target.as_str(), "{run}");
    // What is there is not sent again.
    let second = backed.backup(&["now"]).await.well().to_owned();
    let run = backed.run(&second).await;
    assert_eq!(run["moved_objects"], 0, "{run}");
    let checked = backed.backup(&["verify", "--full"]).await;
    assert!(checked.well().contains(&format!("The backup {second} is whole.")), "{}", checked.out);
    backed.backup(&["drill"]).await.well();
    let targets = backed.admin.get("/backup-targets").await.expect(200);
    assert_eq!(targets["items"][0]["last_drill_ok"], true, "{targets}");
    // Each deed is on record once.
    for (action, times) in
        [("backup.begin", 2), ("backup.verify", 1), ("backup.drill", 1), ("backup.set_target", 1)]
    {
        let list = backed.admin.get(&format!("/audit?action={action}&result=ok")).await.expect(200);
        assert_eq!(list["items"].as_array().unwrap().len(), times, "{action}: {list}");
    }

    nothing_private_lies_at_the_place(&backed);
    the_clip_plays_elsewhere(&backed, &asset, &second, &cluster).await;
    backed.node.stop().await;
}

/// Not the title, a name, a key, a passphrase's hash or a piece of the clip.
fn nothing_private_lies_at_the_place(backed: &Backed) {
    let key = backed.recovery_key.clone();
    for needle in [TITLE.as_bytes(), b"clip.mp4", key.as_bytes(), &clip()[2000..2064], b"argon2id"] {
        assert_eq!(
            holds(&backed.place(), needle),
            None,
            "{:?} lies at the place",
            String::from_utf8_lossy(needle)
        );
    }
    let before = files(&backed.place()).len();
    assert!(before > 8, "{before} files");
}

/// Restores run `second`, and looks at the clip, the audit log and who the new cluster is.
async fn the_clip_plays_elsewhere(backed: &Backed, asset: &str, second: &str, cluster: &Value) {
    let key = backed.recovery_key.clone();
    backed.restore("wrong", &[], "MKR1-NONSENSE").await.badly("recovery key");
    let stranger = RecoveryKey::generate().unwrap().to_text().to_string();
    backed.restore("wrong", &[], &stranger).await.badly("does not open the backup");
    let (username, password) = (backed.node.ready.username.clone(), backed.node.ready.password.clone());
    let said = backed.restore("restored", &[], &key).await;
    assert!(said.well().contains(second), "the newest: {}", said.out);
    backed.restore("restored", &[], &key).await.badly("holds a node already");

    let dir = backed.outside.path().join("restored");
    let restored = Restored::start(&dir, &username, &password).await;
    let admin = &restored.admin;
    let shown = admin.get(&format!("/assets/{asset}")).await.expect(200);
    assert_eq!((&shown["title"], &shown["state"]), (&json!(TITLE), &json!("ready")));
    plays(admin, &restored, asset).await;
    // Another cluster, and another node.
    let again = admin.get("/cluster").await.expect(200);
    assert_ne!(again["id"], cluster["id"]);
    assert_ne!(again["nodes"][0]["id"], cluster["nodes"][0]["id"]);
    assert_eq!((&again["nodes"][0]["name"], &again["nodes"][0]["site"]), (&json!("again"), &json!("s9")));
    // The audit log goes on where it ended, and says where the cluster comes from.
    let verdict = admin.get("/audit/verify").await.expect(200);
    assert_eq!(verdict["ok"], true, "{verdict}");
    let records = admin.get("/audit?action=backup.restore").await.expect(200);
    assert_eq!(records["items"].as_array().unwrap().len(), 1, "{records}");
    // It is a node like any other: it takes a video.
    let path = format!("/applications/{}/files/more.mp4", backed.node.application());
    let sent = admin.send(admin.request(reqwest::Method::PUT, &path).body(clip().to_vec())).await.expect(201);
    let more = sent["asset"].as_str().unwrap().to_owned();
    ready(admin, &more).await;
    plays(admin, &restored, &more).await;
    restored.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shares_of_the_recovery_key_are_enough_and_too_few_are_not() {
    let backed = Backed::start().await;
    backed.set_place().await;
    backed.backup(&["now"]).await.well();
    let key = RecoveryKey::parse(&backed.recovery_key).unwrap();
    let shares: Vec<String> =
        key.split(2, 3).unwrap().iter().map(|share| share.to_text().to_string()).collect();
    backed.restore("one", &[], &shares[0]).await.badly("enough shares");
    let mut slip = backed.recovery_key.clone();
    let last = if slip.pop() == Some('A') { 'B' } else { 'A' };
    slip.push(last);
    backed.restore("slip", &[], &slip).await.badly("mistyped");
    let two = format!("{}\n{}", shares[2], shares[0]);
    backed.restore("two", &[], &two).await.well();
    backed.node.stop().await;
}

/// When the newest whole backup was begun, by the node's own clock.
async fn newest_ms(backed: &Backed) -> u64 {
    let targets = backed.admin.get("/backup-targets").await.expect(200);
    targets["items"][0]["last_whole_ms"].as_u64().unwrap_or(0)
}

async fn newer_than(backed: &Backed, ms: u64) -> u64 {
    let began = Instant::now();
    loop {
        match newest_ms(backed).await {
            newest if newest > ms => return newest,
            _ => assert!(began.elapsed() < Duration::from_secs(120), "no backup is newer"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_uploaded_minutes_ago_is_restored_where_a_backup_follows_each_change() {
    let backed = Backed::start().await;
    let place = backed.place().display().to_string();
    let set = ["set-target", "--name", "disk", "--folder", &place, "--every", "1"];
    assert_eq!(backed.backup(&set).await.code, Some(2), "it is for between the daily ones");
    let body = json!({ "name": "disk", "place": { "kind": "folder", "path": place }, "every_minutes": 1 });
    backed.admin.post("/backup-targets", &body).await.expect_problem(400, "invalid");
    // Half a day from now: what is taken is none of the schedule.
    let hour =
        (backed.admin.get("/system/status").await.expect(200)["time_ms"].as_u64().unwrap() / 3_600_000 + 12)
            % 24;
    let daily = format!("{hour:02}:00");
    backed.backup(&[&set[..], &["--daily-at", &daily]].concat()).await.well();
    let targets = backed.admin.get("/backup-targets").await.expect(200);
    assert_eq!(targets["items"][0]["every_minutes"], 1, "{targets}");
    newer_than(&backed, 0).await;

    let asset = put(&backed.node, &backed.admin, clip()).await;
    ready(&backed.admin, &asset).await;
    backed.admin.patch(&format!("/assets/{asset}"), &json!({ "title": TITLE })).await.expect(200);
    let changed_ms = backed.admin.get("/system/status").await.expect(200)["time_ms"].as_u64().unwrap();
    let waited_ms = newer_than(&backed, changed_ms).await - changed_ms;
    assert!(waited_ms < 75_000, "{waited_ms} ms");
    let runs = backed.admin.get("/backups").await.expect(200);
    assert!(runs["items"].as_array().unwrap().iter().all(|run| run["kind"] == "interim"), "{runs}");
    let rarer = backed.admin.get("/backups?interim=false").await.expect(200);
    assert_eq!(rarer["items"], json!([]));
    backed.backup(&["verify", "--full"]).await.well();

    let (username, password) = (backed.node.ready.username.clone(), backed.node.ready.password.clone());
    backed.restore("restored", &[], &backed.recovery_key).await.well();
    let restored = Restored::start(&backed.outside.path().join("restored"), &username, &password).await;
    let shown = restored.admin.get(&format!("/assets/{asset}")).await.expect(200);
    assert_eq!((&shown["title"], &shown["state"]), (&json!(TITLE), &json!("ready")));
    plays(&restored.admin, &restored, &asset).await;
    restored.stop().await;
    backed.node.stop().await;
}
