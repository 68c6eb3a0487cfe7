//! Power cuts and failing syncs on a real file system (FUSE): first the Blob store alone, then a whole node.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)] // a test may panic

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use cluster::disk::{Disk, RealDisk};
use cluster::keyring::DataKey;
use cluster::store::BlobError;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

#[path = "support/blob_story.rs"]
mod blob_story;
#[path = "support/lab.rs"]
mod lab;
#[path = "support/power_cut_fs.rs"]
mod power_cut_fs;

use blob_story::{Story, recover};
use lab::{DEADLINE, Dice, Lab, sha256};
use power_cut_fs::{Left, Names, PowerCutDisk};

const ROOMY: u64 = 1 << 30;

fn on(folder: &std::path::Path) -> std::io::Result<Arc<dyn Disk>> {
    Ok(Arc::new(RealDisk::open(folder.join("data"))?))
}

/// Cuts at evenly spread operations, through the kernel and the real disk code.
#[tokio::test]
async fn the_blob_store_survives_a_power_cut_on_a_real_file_system() {
    let key = DataKey::random().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let calm = PowerCutDisk::new(Names::Strict, ROOMY);
    let mounted = calm.mount(folder.path());
    Story::default().live(&on(folder.path()).unwrap(), &key).await.unwrap();
    mounted.unmount();
    let operations = calm.operations();
    assert!(operations > 40, "only {operations} operations reached the file system");

    for cut in (1..operations).step_by(2) {
        for left in [Left::Nothing, Left::Everything, Left::Some(cut)] {
            let case = format!("cut at operation {cut} of {operations}, {left:?}");
            let disk = PowerCutDisk::new(Names::Strict, ROOMY);
            disk.cut_at(cut);
            let mounted = disk.mount(folder.path());
            let mut story = Story::default();
            if let Ok(handle) = on(folder.path()) {
                let _ = story.live(&handle, &key).await;
            }
            mounted.unmount();
            let mounted = disk.after_cut(left).mount(folder.path());
            recover(&on(folder.path()).expect(&case), &key, story, &case).await;
            mounted.unmount();
        }
    }
}

#[tokio::test]
async fn a_failed_sync_of_a_real_file_system_stops_the_store() {
    let key = DataKey::random().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let disk = PowerCutDisk::new(Names::Strict, ROOMY);
    let mounted = disk.mount(folder.path());
    let handle = on(folder.path()).unwrap();
    disk.fail_next_sync();
    let outcome = Story::default().live(&handle, &key).await;
    assert!(matches!(outcome, Err(BlobError::Failed(_))), "{outcome:?}");
    assert_eq!(disk.syncs_failed(), 1);
    drop(handle);
    mounted.unmount();
}

/// Cuts the power under a whole node while it takes an upload: it starts again, and everything it acknowledged is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_survives_power_cuts_during_an_upload() {
    let mut dice = Dice::new(3);
    let lab = Lab::mounted();
    let mut disk = PowerCutDisk::new(Names::Journalled, ROOMY);
    let mut mounted = disk.mount(&lab.data);
    let mut node = lab.start().await;
    let bytes = dice.bytes(5_000_000);
    let upload = node.begin_upload("story.bin", bytes.len()).await.expect("the upload begins");
    let mut acknowledged = 0;
    for cut in 0..6 {
        let (cutter, delay) = (disk.clone(), Duration::from_millis(dice.below(600)));
        let cutting = tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            cutter.cut_now();
        });
        for piece in bytes[acknowledged..].chunks(60_000) {
            match node.patch(&upload, acknowledged, piece).await {
                Ok(answer) if answer.status().as_u16() == 204 => acknowledged += piece.len(),
                _ => break,
            }
        }
        cutting.await.unwrap();
        node.kill().await;
        mounted.unmount();
        disk = disk.after_cut([Left::Nothing, Left::Everything, Left::Some(cut)][dice.below(3) as usize]);
        mounted = disk.mount(&lab.data);
        node = lab.start().await;
        if acknowledged == bytes.len() {
            break;
        }
        let offset = node.offset(&upload).await;
        assert!(offset >= acknowledged, "cut {cut}: {offset} of {acknowledged} acknowledged bytes are left");
        acknowledged = offset;
    }
    while acknowledged < bytes.len() {
        let end = bytes.len().min(acknowledged + 1_000_000);
        let answer = node.patch(&upload, acknowledged, &bytes[acknowledged..end]).await.unwrap();
        assert_eq!(answer.status().as_u16(), 204);
        acknowledged = end;
    }
    let asset = node.asset_when(upload.rsplit('/').next().unwrap(), |asset| !asset["sha256"].is_null()).await;
    assert_eq!(asset["sha256"], sha256(&bytes));
    node.kill().await;
    mounted.unmount();
}

/// Starts a node that nobody has claimed, and gives its process and its claim code, if it gets ready at all.
async fn first_start(lab: &Lab) -> (Child, Option<String>) {
    let log = std::fs::File::options().create(true).append(true).open(lab.outside().join("log")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_mediakeep"));
    command.args(["run", "--listen", "127.0.0.1:0", "--announce", "--stop-with-input"]);
    command.arg("--dir").arg(lab.data.join("node")).arg("--key-file").arg(lab.outside().join("node.key"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log).kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = tokio::time::timeout(DEADLINE, lines.next_line()).await.expect("ready or ended in time");
    let ready: Option<serde_json::Value> =
        line.unwrap_or_default().and_then(|line| serde_json::from_str(&line).ok());
    (child, ready.and_then(|ready| ready["claim_code"].as_str().map(str::to_owned)))
}

/// The power fails while a new node makes its cluster. It starts all the same, and can be claimed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_start_that_was_cut_off_is_completed() {
    let lab = Lab::mounted();
    let calm = PowerCutDisk::new(Names::Strict, ROOMY);
    let mounted = calm.mount(&lab.data);
    let (mut child, code) = first_start(&lab).await;
    assert!(code.is_some(), "an undisturbed start: {}", lab.log());
    let operations = calm.operations();
    child.kill().await.unwrap();
    mounted.unmount();
    assert!(operations > 40, "only {operations} operations reached the file system");
    for (turn, cut) in (1..operations).step_by((operations / 12) as usize).enumerate() {
        let left = [Left::Nothing, Left::Some(cut), Left::Everything][turn % 3];
        let case = format!("cut at operation {cut} of {operations}, {left:?}");
        let _ = std::fs::remove_file(lab.outside().join("node.key"));
        let disk = PowerCutDisk::new(Names::Strict, ROOMY);
        disk.cut_at(cut);
        let mounted = disk.mount(&lab.data);
        let (mut child, _) = first_start(&lab).await;
        child.kill().await.unwrap();
        mounted.unmount();
        let mounted = disk.after_cut(left).mount(&lab.data);
        let (mut child, code) = first_start(&lab).await;
        assert!(code.is_some(), "{case}: it does not start\n{}", lab.log());
        child.kill().await.unwrap();
        mounted.unmount();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_disk_fails_to_sync_stops_rather_than_lying() {
    let lab = Lab::mounted();
    let disk = PowerCutDisk::new(Names::Journalled, ROOMY);
    let mounted = disk.mount(&lab.data);
    let mut node = lab.start().await;
    let bytes = vec![7; 400_000];
    let upload = node.begin_upload("story.bin", bytes.len() * 2).await.expect("the upload begins");
    assert_eq!(node.patch(&upload, 0, &bytes).await.unwrap().status().as_u16(), 204);
    disk.fail_next_sync();
    let answer = node.patch(&upload, bytes.len(), &bytes).await;
    assert!(
        answer.is_err() || answer.is_ok_and(|answer| answer.status().is_server_error()),
        "it was acknowledged"
    );
    assert!(!node.gone().await, "a node that had to stop says so by its exit");
    assert_eq!(disk.syncs_failed(), 1);
    assert!(lab.log().contains("sync"), "the log says why: {}", lab.log());
    mounted.unmount();

    let disk = disk.after_cut(Left::Nothing);
    let mounted = disk.mount(&lab.data);
    let node = lab.start().await;
    assert!(node.offset(&upload).await >= bytes.len(), "what was acknowledged before is there");
    node.kill().await;
    mounted.unmount();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_answers_507_and_recovers_when_something_is_deleted() {
    let lab = Lab::mounted();
    let disk = PowerCutDisk::new(Names::Journalled, 80 << 20);
    let mounted = disk.mount(&lab.data);
    let node = lab.start().await;
    let piece = vec![7; 4 << 20];
    let mut assets = Vec::new();
    let mut refused = None;
    'filling: for number in 0..10 {
        let upload = match node.begin_upload(&format!("{number}.bin"), piece.len() * 4).await {
            Ok(upload) => upload,
            Err(answer) => {
                refused = Some(answer);
                break;
            }
        };
        assets.push(upload.rsplit('/').next().unwrap().to_owned());
        for part in 0..4 {
            let answer = node.patch(&upload, part * piece.len(), &piece).await.unwrap();
            if answer.status().as_u16() != 204 {
                refused = Some(answer);
                break 'filling;
            }
        }
    }
    let answer = refused.expect("the disk fills up");
    assert_eq!(answer.status().as_u16(), 507);
    let problem: serde_json::Value = answer.json().await.unwrap();
    assert_eq!(problem["code"], "disk_full", "{problem}");
    node.get("/me").await;

    let first = &assets[0];
    for action in ["trash", "purge"] {
        let (status, body) = node.post(&format!("/assets/{first}/{action}"), &serde_json::json!({})).await;
        assert!(status < 300, "{action}: {status} {body}");
    }
    let began = std::time::Instant::now();
    let upload = loop {
        match node.begin_upload("again.bin", 1000).await {
            Ok(upload) => break upload,
            Err(answer) => assert_eq!(answer.status().as_u16(), 507),
        }
        assert!(began.elapsed() < DEADLINE, "deleting made no room");
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    assert_eq!(node.patch(&upload, 0, &piece[..1000]).await.unwrap().status().as_u16(), 204);
    node.kill().await;
    mounted.unmount();
}
