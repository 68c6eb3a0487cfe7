//! A long video on three real nodes: its pictures are made in parts on all of them, and what comes out is one video. Nodes
//! that work on it are killed, it is cancelled, a part cannot be made: nothing is done twice visibly, and nothing is left over.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

#[path = "../cluster/src/sim/history.rs"]
#[allow(dead_code, reason = "the simulated world uses it")]
mod history;
#[path = "media_support.rs"]
#[allow(dead_code, reason = "the tests of media use more of it")]
mod media_support;
mod net;
#[path = "support/mod.rs"]
mod support;

use media_support::{renditions, view};
use net::lab::Lab;
use support::{Client, wait_for};

/// An hour is nothing to a machine that others use, but a test has to end.
const LONGEST: Duration = Duration::from_secs(240);

/// Moving pictures with sound, in an MP4 that cannot be passed through: its keyframes are too far apart.
fn film(seconds: u32) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("film.mp4");
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25"]);
    command.args(["-f", "lavfi", "-i", "sine=frequency=440", "-t", &seconds.to_string()]);
    command.args(["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "190"]);
    command.args(["-sc_threshold", "0", "-c:a", "aac"]).arg(&file);
    assert!(command.status().expect("ffmpeg is installed").success());
    std::fs::read(file).unwrap()
}

async fn put(lab: &Lab, client: &Client, bytes: &[u8]) -> String {
    let path = format!("/applications/{}/files/film.mp4", lab.application);
    let answer =
        client.send(client.request(reqwest::Method::PUT, &path).body(bytes.to_vec())).await.expect(201);
    answer["asset"].as_str().unwrap().to_owned()
}

/// Waits until the asset is `ready` or `failed`.
async fn settled(client: &Client, asset: &str) -> Value {
    let began = Instant::now();
    loop {
        let answer = client.get(&format!("/assets/{asset}")).await;
        if answer.status == 200 {
            let found = answer.expect(200);
            if ["ready", "failed"].contains(&found["state"].as_str().unwrap()) {
                return found;
            }
        }
        assert!(began.elapsed() < LONGEST, "the work does not end");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// How often node `number` says this in its log.
fn says(lab: &Lab, number: usize, what: &str) -> usize {
    lab.said(number).matches(what).count()
}

/// When each picture of a rendition is shown, in microseconds, read as a viewer reads it; any error it speaks of fails.
fn shown(lab: &Lab, at: usize, path: &str, rendition: &str) -> Vec<u64> {
    let url = format!("{}{}{rendition}/index.m3u8", lab.url(at), path.trim_start_matches('='));
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error", "-tls_verify", "1", "-ca_file"]).arg(lab.authority());
    command.args([
        "-select_streams",
        "v",
        "-show_entries",
        "frame=best_effort_timestamp_time",
        "-of",
        "csv=p=0",
    ]);
    let output = command.arg(&url).output().expect("ffprobe is installed");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.trim().is_empty(), "{rendition}: {said}");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let times = told.lines().filter_map(|line| line.trim_end_matches(',').parse::<f64>().ok());
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a minute")]
    times.map(|time| (time * 1e6).round() as u64).collect()
}

/// All of it is there, once, and plays through the node `at` without a gap.
async fn plays_whole(lab: &Lab, at: usize, asset: &str, pictures: usize) {
    let client = lab.admin(at);
    let path = view(&client, asset).await;
    let main = client.get(&format!("{path}main.m3u8")).await.text();
    assert_eq!(pipeline::hls_check::check(&main), [], "{main}");
    let names = renditions(&main);
    assert!(names.len() >= 3 && names.contains(&"a0".to_owned()), "{names:?}");
    for name in names.iter().filter(|name| name.starts_with('v')) {
        let index = client.get(&format!("{path}{name}/index.m3u8")).await.text();
        assert_eq!(pipeline::hls_check::check(&index), [], "{index}");
        assert!(index.contains("ENDLIST"), "{index}");
        let times = shown(lab, at, &path, name);
        assert_eq!(times.len(), pictures, "{name}");
        let even = times.windows(2).all(|pair| pair[1] - pair[0] == 40_000);
        assert!(even, "{name}: pictures are missing or shown twice: {times:?}");
    }
}

/// Files of the asset's Blobs on node `number`, by their ending.
fn files(lab: &Lab, number: usize, asset: &str) -> Vec<String> {
    let folder = lab.dir(number).join("blobs/blobs").join(asset);
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    entries.filter_map(|entry| Some(name(&entry.ok()?.path()))).collect()
}

/// Every node has the Blobs that the manifest names, and none of a part.
async fn nothing_left_over(lab: &Lab, numbers: &[usize], asset: &str, rungs: usize) {
    // The original, the manifest, the sound; poster, storyboard, its index, waveform.
    let wanted = rungs + 7;
    let began = Instant::now();
    loop {
        let held: Vec<Vec<String>> = numbers.iter().map(|number| files(lab, *number, asset)).collect();
        let sealed = |files: &Vec<String>| files.iter().filter(|name| name.ends_with(".blob")).count();
        let clean = held.iter().all(|files| {
            sealed(files) == wanted
                && files.iter().all(|name| name.ends_with(".blob") || name.ends_with(".fence"))
        });
        if clean {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{wanted} Blobs are wanted: {held:#?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_video_is_made_on_all_nodes_and_is_one() {
    let lab = Lab::start(3).await;
    let admin = lab.admin(1);
    let asset = put(&lab, &admin, &film(60)).await;
    // Watchable long before it is complete, in order.
    wait_for("the first segments", || async {
        let found = admin.get(&format!("/assets/{asset}")).await.expect(200);
        assert_ne!(found["state"], "failed", "{found}");
        (found["watchable"] == true).then_some(())
    })
    .await;
    let path = view(&admin, &asset).await;
    // Those that have begun: the others come with a new look.
    let begun = renditions(&admin.get(&format!("{path}main.m3u8")).await.text());
    let picture = begun.iter().find(|name| name.starts_with('v')).expect("a picture has begun");
    let index = admin.get(&format!("{path}{picture}/index.m3u8")).await.text();
    assert!(index.contains("0.m4s") && !index.contains("ENDLIST"), "{index}");
    let found = settled(&admin, &asset).await;
    assert_eq!(found["state"], "ready", "{found}");
    for number in 1..=3 {
        assert!(says(&lab, number, "a part is made") >= 1, "node {number} did nothing");
    }
    let divided: usize = (1..=3).map(|number| says(&lab, number, "a job is divided")).sum();
    let made: usize = (1..=3).map(|number| says(&lab, number, "a part is made")).sum();
    assert_eq!((divided, made), (1, 3));
    plays_whole(&lab, 2, &asset, 1_500).await;
    nothing_left_over(&lab, &[1, 2, 3], &asset, 2).await;
    let jobs = admin.get("/jobs").await.expect(200);
    assert_eq!(jobs["items"].as_array().unwrap().len(), 1, "{jobs}");
}
