//! What is damaged, cut off, gone or not allowed is said plainly, and loses nothing.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::backup_support::{Backed, Restored};
use crate::media_support::{clip, put, ready};
use crate::support::{files, wait_for};

/// Changes one byte in the middle of a file.
fn flip(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

fn cut(path: &Path) {
    let bytes = std::fs::read(path).unwrap();
    std::fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
}

/// The largest Blob of an asset at the place: one that plays.
fn blob(place: &Path, asset: &str) -> PathBuf {
    let all = files(&place.join("blobs").join(asset));
    all.into_iter().max_by_key(|path| std::fs::metadata(path).unwrap().len()).unwrap()
}

/// The alert that a drill was not well, once it is there or once it is over.
async fn alert(backed: &Backed, open: bool) -> Value {
    wait_for("the alert", || async {
        let page = backed.admin.get(&format!("/alerts?open={open}")).await.expect(200);
        let items = page["items"].as_array().unwrap().clone();
        items.into_iter().find(|alert| alert["kind"] == "backup_drill_failed")
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flipped_byte_is_found_named_and_mended_by_the_next_backup() {
    let backed = Backed::start().await;
    let asset = put(&backed.node, &backed.admin, clip()).await;
    let other = put(&backed.node, &backed.admin, clip()).await;
    ready(&backed.admin, &asset).await;
    ready(&backed.admin, &other).await;
    backed.set_place().await;
    let run = backed.backup(&["now"]).await.well().to_owned();
    let damaged = blob(&backed.place(), &asset);
    flip(&damaged);
    let gone = blob(&backed.place(), &other);
    std::fs::remove_file(&gone).unwrap();
    let name = |path: &Path| path.strip_prefix(backed.place()).unwrap().display().to_string();
    let said = backed.backup(&["verify", "--full"]).await;
    let named = said.badly("2 things are not as they were");
    assert!(named.contains(&format!("{}: it is damaged", name(&damaged))), "{named}");
    assert!(named.contains(&format!("{}: it is gone", name(&gone))), "{named}");

    // All else is restored, and what is not is named with its title; the exit code says so.
    let said = backed.restore("rest", &[], &backed.recovery_key).await;
    let named = said.badly("2 things could not be restored");
    assert!(named.contains(&name(&damaged)) && named.contains("(of \"clip\")"), "{named}");
    let (username, password) = (&backed.node.ready.username, &backed.node.ready.password);
    let restored = Restored::start(&backed.outside.path().join("rest"), username, password).await;
    assert_eq!(restored.admin.get(&format!("/assets/{asset}")).await.expect(200)["state"], "ready");
    restored.stop().await;

    let again = backed.backup(&["now"]).await.well().to_owned();
    assert_eq!(backed.run(&again).await["moved_objects"], 2, "what was found wrong is sent again");
    backed.backup(&["verify", "--full"]).await.well();

    // A manifest that is not what it was is found, and another run is restored.
    flip(&backed.place().join(format!("runs/{again}/manifest")));
    backed.backup(&["verify"]).await.badly("1 things are not as they were");
    let said = backed.restore("older", &[], &backed.recovery_key).await;
    assert!(said.well().contains(&run), "{}", said.out);
    assert!(said.error.contains(&format!("The backup {again} was passed over")), "{}", said.error);

    // A drill finds it too, and somebody is told; once a drill is well again, that is over.
    backed.backup(&["drill"]).await.badly("");
    let alert = alert(&backed, true).await;
    assert_eq!(
        (&alert["severity"], &alert["link"], &alert["details"]["target"]),
        (&json!("critical"), &json!("/backups"), &json!("disk"))
    );
    backed.backup(&["now"]).await.well();
    backed.backup(&["drill"]).await.well();
    assert_eq!(self::alert(&backed, false).await["id"], alert["id"]);
    backed.node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newest_run_that_was_cut_off_is_passed_over_and_a_restore_goes_on() {
    let backed = Backed::start().await;
    let asset = put(&backed.node, &backed.admin, clip()).await;
    ready(&backed.admin, &asset).await;
    backed.set_place().await;
    let whole = backed.backup(&["now"]).await.well().to_owned();
    // At each stage at which a run can be cut off, the one before it is what is restored.
    for stage in ["manifest-gone", "manifest-cut", "objects-cut", "state-gone"] {
        let newest = backed.backup(&["now"]).await.well().to_owned();
        let file = |name: &str| backed.place().join(format!("runs/{newest}/{name}"));
        match stage {
            "manifest-gone" => std::fs::remove_file(file("manifest")).unwrap(),
            "manifest-cut" => cut(&file("manifest")),
            "objects-cut" => cut(&file("objects")),
            _ => std::fs::remove_file(file("state")).unwrap(),
        }
        let said = backed.restore(stage, &[], &backed.recovery_key).await;
        assert!(said.well().contains(&whole), "{stage}: {}{}", said.out, said.error);
        assert!(said.error.contains(&newest), "{stage}: {}", said.error);
        // What was begun is cleared away, so that the next stage stands alone.
        std::fs::remove_dir_all(backed.place().join(format!("runs/{newest}"))).unwrap();
    }
    // A restore that was cut off goes on: what was fetched and is sound is not fetched again.
    let half = backed.outside.path().join("half");
    let fetched = half.join("blobs/blobs").join(&asset);
    std::fs::create_dir_all(&fetched).unwrap();
    let lost = blob(&backed.place(), &asset);
    let text = lost.file_name().unwrap().to_str().unwrap();
    let id = text.split_once('-').unwrap().0;
    std::fs::rename(&lost, fetched.join(format!("{id}.blob"))).unwrap();
    backed.restore("half", &[], &backed.recovery_key).await.well();
    backed.node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_that_may_not_be_is_gone_or_is_another_ones_is_refused_plainly() {
    let backed = Backed::start().await;
    let set = |folder: PathBuf| {
        let folder = folder.display().to_string();
        let backed = &backed;
        async move { backed.backup(&["set-target", "--name", "disk", "--folder", &folder]).await }
    };
    set("/etc".into()).await.badly("folders for backups lie below");
    set(backed.outside.path().join("nowhere")).await.badly("cannot be reached");
    std::os::unix::fs::symlink("/etc", backed.outside.path().join("link")).unwrap();
    set(backed.outside.path().join("link")).await.badly("folders for backups lie below");
    set(backed.outside.path().join("../etc")).await.badly("");
    let free = backed.place().display().to_string();
    let nameless = ["set-target", "--name", "", "--folder", &free];
    backed.backup(&nameless).await.badly("must not be empty");
    let too_short = ["set-target", "--name", "disk", "--folder", &free, "--keep-days", "0"];
    backed.backup(&too_short).await.badly("kept for 1 to");
    let target = backed.set_place().await; // What was refused has not taken it.

    // The disk is not there: the run says so, and nothing else suffers.
    let away = backed.outside.path().join("away");
    std::fs::rename(backed.place(), &away).unwrap();
    backed.backup(&["now"]).await.badly("cannot be reached");
    // Something is mounted there, but not this disk.
    std::fs::create_dir(backed.place()).unwrap();
    backed.backup(&["now"]).await.badly("is the right disk mounted?");
    assert_eq!(files(&backed.place()), Vec::<PathBuf>::new(), "nothing was written there");
    std::fs::remove_dir(backed.place()).unwrap();
    std::fs::rename(&away, backed.place()).unwrap();
    backed.backup(&["now"]).await.well();
    let runs = backed.admin.get("/backups").await.expect(200);
    let codes: Vec<_> =
        runs["items"].as_array().unwrap().iter().map(|run| run["reason_code"].clone()).collect();
    assert_eq!(codes, [json!(null), json!("target_not_ours"), json!("target_unreachable")]);

    // Another cluster does not write into it.
    let other = Backed::start().await;
    let place = backed.place().display().to_string();
    let body = json!({ "name": "x", "place": { "kind": "folder", "path": place } });
    other.admin.post("/backup-targets", &body).await.expect_problem(400, "target_forbidden");
    std::fs::remove_dir(other.place()).unwrap();
    std::os::unix::fs::symlink(&place, other.place()).unwrap();
    other
        .backup(&["set-target", "--name", "disk", "--folder", &other.place().display().to_string()])
        .await
        .badly("");
    other.node.stop().await;

    // What opens a place is never shown.
    let body =
        json!({ "name": "disk", "place": { "kind": "folder", "path": place }, "secret": "Kanarienvogel" });
    let answer = backed.admin.put(&format!("/backup-targets/{target}"), &body).await;
    assert_eq!(answer.expect(200)["has_secret"], true);
    let list = backed.admin.get("/backup-targets").await;
    assert!(!answer.text().contains("Kanarienvogel") && !list.text().contains("Kanarienvogel"));
    backed.node.stop().await;
}
