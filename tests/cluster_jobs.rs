//! A long video on three real nodes: its pictures are made in parts on all of them, and what comes out is one video. Nodes
//! that work on it are killed, it is cancelled, a part cannot be made: nothing is done twice visibly, and nothing is left over.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

#[path = "support/held.rs"]
mod held;
#[path = "../cluster/src/sim/history.rs"]
#[allow(dead_code, reason = "the simulated world uses it")]
mod history;
#[path = "media_support.rs"]
#[allow(dead_code, reason = "the tests of media use more of it")]
mod media_support;
mod net;
#[path = "support/mod.rs"]
mod support;

use held::Held;
use media_support::{renditions, view};
use net::disk::Room;
use net::lab::Lab;
use support::{Client, wait_for, workers_of};

/// On a machine that others use work takes its time, but a test has to end.
const LONGEST: Duration = Duration::from_secs(1_800);

/// Moving pictures with sound, in an MP4 that cannot be passed through: its keyframes are too far apart.
fn film(seconds: u32) -> Vec<u8> {
    film_of("640x360", seconds)
}

fn film_of(size: &str, seconds: u32) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("film.mp4");
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-f", "lavfi", "-i", &format!("testsrc2=size={size}:rate=25")]);
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
    probed(lab, at, path, rendition, &[])
}

fn probed(lab: &Lab, at: usize, path: &str, rendition: &str, which: &[&str]) -> Vec<u64> {
    let url = format!("{}{}{rendition}/index.m3u8", lab.url(at), path.trim_start_matches('='));
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error", "-tls_verify", "1", "-ca_file"]).arg(lab.authority()).args(which);
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
    let made: Vec<usize> = (1..=3).map(|number| says(&lab, number, "a part is made")).collect();
    assert!(made.iter().filter(|parts| **parts > 0).count() >= 2, "{made:?}");
    let divided: usize = (1..=3).map(|number| says(&lab, number, "a job is divided")).sum();
    assert_eq!(divided, 1);
    plays_whole(&lab, 2, &asset, 1_500).await;
    nothing_left_over(&lab, &[1, 2, 3], &asset, 2).await;
    let jobs = admin.get("/jobs").await.expect(200);
    assert_eq!(jobs["items"].as_array().unwrap().len(), 1, "{jobs}");
}

/// Waits until a node says this so often, counted over all of them.
async fn said(lab: &Lab, what: &str, times: usize) {
    let began = Instant::now();
    while (1..=3).map(|number| says(lab, number, what)).sum::<usize>() < times {
        assert!(began.elapsed() < LONGEST, "nobody says {what:?} {times} times");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The node that has the job, as the nodes that are up tell.
fn holder(lab: &Lab) -> usize {
    let latest = |number: &usize| lab.said(*number).contains("a job is divided");
    (1..=3).find(latest).expect("a node divided the job")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_work_on_a_video_die_and_it_is_made_once() {
    let mut lab = Lab::start(3).await;
    let asset = put(&lab, &lab.admin(1), &film(60)).await;
    said(&lab, "a part begins", 3).await;
    let holder = holder(&lab);
    let victim = (1..=3).find(|number| *number != holder).unwrap();
    lab.kill(victim).await;
    said(&lab, "a part begins", 4).await;
    lab.start_again(victim).await;
    // Whoever puts it together is killed; its own part goes with it.
    lab.kill(holder).await;
    said(&lab, "a job begins", 2).await;
    let found = settled(&lab.admin(victim), &asset).await;
    assert_eq!(found["state"], "ready", "{found}");
    lab.start_again(holder).await;
    plays_whole(&lab, victim, &asset, 60 * 25).await;
    nothing_left_over(&lab, &[1, 2, 3], &asset, 2).await;
    let pieces: usize = (1..=3).map(|number| says(&lab, number, "one piece of work again")).sum();
    assert_eq!(pieces, 0, "it stayed divided");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_that_fails_is_made_with_the_rest_and_a_cancelled_video_is_made_anew() {
    let lab = Lab::start(3).await;
    let admin = lab.admin(1);
    let asset = put(&lab, &admin, &film(48)).await;
    said(&lab, "a part begins", 2).await;
    let holder = holder(&lab);
    let begun = |number: &usize| *number != holder && says(&lab, *number, "a part begins") > 0;
    let victim = (1..=3).find(begun).expect("another node has a part too");
    let began = Instant::now();
    while says(&lab, victim, "a part failed") == 0 {
        for worker in workers_of(lab.process(victim)) {
            // It may have ended by itself meanwhile.
            let _ = kill_process(Pid::from_raw(worker.cast_signed()).unwrap(), Signal::KILL);
        }
        assert!(began.elapsed() < Duration::from_secs(60), "the part does not fail");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    said(&lab, "one piece of work again", 1).await;
    let cancelled = admin.post(&format!("/assets/{asset}/cancel"), &json!({})).await;
    assert!(cancelled.status < 300, "{}", cancelled.text());
    let found = settled(&admin, &asset).await;
    assert_eq!(found["reason_code"], "cancelled", "{found}");

    let retried = admin.post(&format!("/assets/{asset}/retry"), &json!({})).await;
    assert!(retried.status < 300, "{}", retried.text());
    said(&lab, "a job begins", 2).await;
    let cancelled = admin.post(&format!("/assets/{asset}/cancel"), &json!({})).await;
    assert!(cancelled.status < 300, "{}", cancelled.text());
    wait_for("all workers to be gone", || async {
        (1..=3).all(|number| workers_of(lab.process(number)).is_empty()).then_some(())
    })
    .await;
    let retried = admin.post(&format!("/assets/{asset}/retry"), &json!({})).await;
    assert!(retried.status < 300, "{}", retried.text());
    let found = settled(&admin, &asset).await;
    assert_eq!(found["state"], "ready", "{found}");
    plays_whole(&lab, 3, &asset, 48 * 25).await;
    nothing_left_over(&lab, &[1, 2, 3], &asset, 2).await;
}

/// What viewers get of one rendition.
#[derive(Default)]
struct Rendition {
    /// Bytes of each segment.
    sizes: Vec<u64>,
    /// When the pictures are shown, in microseconds.
    times: Vec<u64>,
    /// When those are shown that are keyframes.
    keyframes: Vec<u64>,
}

/// A presentation as it comes out.
struct Shown {
    /// From the end of the upload to the end of the work.
    took: Duration,
    /// By name.
    renditions: BTreeMap<String, Rendition>,
    /// How many parts it was made in.
    parts: usize,
}

/// Uploads the film to `count` nodes, each held to a share of a processor where one is given, and gives what comes of it.
async fn made_by(count: usize, film: &[u8], percent: Option<u32>) -> Shown {
    let lab = Lab::start(count).await;
    let hold = |number| Some(Held::to_percent(lab.process(number), percent?));
    let held: Vec<Held> = (1..=count).filter_map(hold).collect();
    let admin = lab.admin(1);
    let asset = put(&lab, &admin, film).await;
    let began = Instant::now();
    let found = settled(&admin, &asset).await;
    let took = began.elapsed();
    drop(held);
    assert_eq!(found["state"], "ready", "{found}");
    let path = view(&admin, &asset).await;
    let mut made = BTreeMap::new();
    for name in renditions(&admin.get(&format!("{path}main.m3u8")).await.text()) {
        let index = admin.get(&format!("{path}{name}/index.m3u8")).await.text();
        assert_eq!(pipeline::hls_check::check(&index), [], "{index}");
        let mut rendition = Rendition::default();
        for number in 0..index.matches("#EXTINF").count() {
            let segment = admin.get(&format!("{path}{name}/{number}.m4s")).await;
            assert_eq!(segment.status, 200, "{name}: {number}");
            rendition.sizes.push(segment.bytes.len() as u64);
        }
        if name.starts_with('v') {
            rendition.times = shown(&lab, 1, &path, &name);
            rendition.keyframes = probed(&lab, 1, &path, &name, &["-skip_frame", "nokey"]);
        }
        made.insert(name, rendition);
    }
    let parts = (1..=count).map(|number| says(&lab, number, "a part is made")).sum();
    Shown { took, renditions: made, parts }
}

/// Most that the bits of the two segments around a seam may differ from what one node spends there.
const SEAM_PERCENT: f64 = 10.0;

/// Prove 6: what three nodes make of a clip is what one makes, but for the bits of its pictures. With `MEDIAKEEP_LONG` the clip
/// is five minutes long and each node is held to half a core: then three are done in half the time of one, too. The gate has a
/// smaller picture of two parts, and neither the time nor a machine that it may hold to anything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_make_what_one_makes() {
    let is_long = std::env::var_os("MEDIAKEEP_LONG").is_some();
    let (size, seconds) = if is_long { ("640x360", 300) } else { ("320x180", 40) };
    let percent = std::env::var("MEDIAKEEP_CORE_PERCENT").ok().and_then(|text| text.parse().ok());
    let percent = is_long.then(|| percent.unwrap_or(50));
    let film = film_of(size, seconds);
    let one = made_by(1, &film, percent).await;
    let three = made_by(3, &film, percent).await;
    assert_eq!(one.parts, 0, "one node alone works as ever");
    assert!(three.parts >= 2, "{} parts", three.parts);
    assert!(one.renditions.keys().eq(three.renditions.keys()));
    for (name, Rendition { sizes, times, keyframes }) in &three.renditions {
        let known = &one.renditions[name];
        if name.starts_with('a') {
            assert_eq!(*sizes, known.sizes, "the sound is made by one node as ever");
            continue;
        }
        assert_eq!(*keyframes, known.keyframes, "{name}");
        assert_eq!(*times, known.times, "{name}");
        assert_eq!(times.len(), seconds as usize * 25, "{name}");
        assert!(times.windows(2).all(|pair| pair[1] - pair[0] == 40_000), "{name}: {times:?}");
        let segments = sizes.len();
        for seam in (1..three.parts).map(|part| segments * part / three.parts) {
            let around = |sizes: &[u64]| sizes[seam - 1] + sizes[seam];
            #[expect(clippy::cast_precision_loss, reason = "a few megabytes")]
            let percent = (around(sizes) as f64 / around(&known.sizes) as f64 - 1.0) * 100.0;
            println!("{name} at segment {seam}: {percent:+.1} %");
            assert!(percent.abs() <= SEAM_PERCENT, "{name} at segment {seam}: {percent:+.1} %");
        }
    }
    let share = three.took.as_secs_f64() / one.took.as_secs_f64();
    let (one, three) = (one.took.as_secs_f64(), three.took.as_secs_f64());
    println!("one node {one:.1} s, three nodes {three:.1} s: {share:.2}");
    assert!(!is_long || share <= 0.5, "one node {one:.1} s, three nodes {three:.1} s: {share:.2}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_film_waits_for_room_on_a_full_disk_and_is_made_once_there_is_some() {
    let lab = Lab::start_on_disks(1, 1_024).await;
    let admin = lab.admin(1);
    let asset = put(&lab, &admin, &film(30)).await;
    wait_for("a worker to begin", || async { workers_of(lab.process(1)).first().copied() }).await;
    lab.disk(1).make(Room::Little);
    wait_for("the work to wait for room", || async {
        (says(&lab, 1, "it waits for room") > 0 && workers_of(lab.process(1)).is_empty()).then_some(())
    })
    .await;
    let waits = admin.get(&format!("/assets/{asset}")).await.expect(200);
    assert_eq!(waits["state"], "processing", "{waits}");
    lab.disk(1).make(Room::Plenty);
    let found = settled(&admin, &asset).await;
    assert_eq!(found["state"], "ready", "{found}");
    assert_eq!(says(&lab, 1, "a job failed"), 0);
    plays_whole(&lab, 1, &asset, 30 * 25).await;
}
