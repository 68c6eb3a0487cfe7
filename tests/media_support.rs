//! Clips made once by ffmpeg, tus in three calls, and a player that fails on any error.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use reqwest::Method;
use serde_json::Value;

use crate::support::{Answer, Client, Node, wait_for};

/// Four seconds, two segments of sound and picture, the header in front.
pub fn clip() -> &'static [u8] {
    static CLIP: OnceLock<Vec<u8>> = OnceLock::new();
    CLIP.get_or_init(|| made(&["-t", "4"], "320x180", 25))
}

/// Long enough to be interrupted while it is worked on.
pub fn longer_clip() -> &'static [u8] {
    static CLIP: OnceLock<Vec<u8>> = OnceLock::new();
    CLIP.get_or_init(|| made(&["-t", "24"], "640x360", 25))
}

/// Keyframes every two seconds, and from second 27 on none: it seems fit to be passed through, and is not.
pub fn late_clip() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("late.mp4");
    let mut command = Command::new("ffmpeg");
    command.args([
        "-v",
        "error",
        "-f",
        "lavfi",
        "-i",
        "testsrc2=size=426x240:rate=25",
        "-f",
        "lavfi",
        "-i",
        "sine",
    ]);
    command.args(["-t", "36", "-c:v", "libx264", "-preset", "veryfast", "-crf", "30", "-pix_fmt", "yuv420p"]);
    command.args([
        "-g",
        "1000",
        "-sc_threshold",
        "0",
        "-force_key_frames",
        "expr:lt(t,27)*gte(t,n_forced*2)",
    ]);
    command.args(["-c:a", "aac"]).arg(&file);
    assert!(command.status().expect("ffmpeg is installed").success());
    std::fs::read(file).unwrap()
}

/// Pictures beside sound of which every byte is noise.
pub fn clip_with_broken_sound() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("noise.mp4");
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25"]);
    command.args(["-f", "lavfi", "-i", "sine", "-t", "4", "-c:v", "libx264", "-preset", "ultrafast"]);
    command.args(["-c:a", "aac", "-bsf:a", "noise=amount=1"]).arg(&file);
    assert!(command.status().expect("ffmpeg is installed").success());
    std::fs::read(file).unwrap()
}

fn made(length: &[&str], size: &str, rate: u32) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("clip.mp4");
    let video = format!("testsrc2=size={size}:rate={rate}");
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-f", "lavfi", "-i", &video, "-f", "lavfi", "-i", "sine=frequency=440"]);
    command.args(length).args(["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "50"]);
    command.args(["-c:a", "aac", "-movflags", "+faststart"]).arg(&file);
    assert!(command.status().expect("ffmpeg is installed").success());
    std::fs::read(file).unwrap()
}

/// A tus request with its version header.
pub fn tus(client: &Client, method: Method, path: &str) -> reqwest::RequestBuilder {
    client.request(method, path).header("Tus-Resumable", "1.0.0")
}

/// Begins an upload of `length` bytes and gives the asset's id.
pub async fn begin(client: &Client, length: usize) -> String {
    let request = tus(client, Method::POST, "/uploads").header("Upload-Length", length);
    let answer = client.send(request.header("Upload-Metadata", "filename Y2xpcC5tcDQ=")).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let place = answer.header("location");
    place.strip_prefix("/api/v1/uploads/").expect("a place to go on").to_owned()
}

/// Sends `bytes` at `offset`.
pub async fn send(client: &Client, asset: &str, offset: usize, bytes: &[u8]) -> Answer {
    let request = tus(client, Method::PATCH, &format!("/uploads/{asset}")).header("Upload-Offset", offset);
    let request = request.header("Content-Type", "application/offset+octet-stream");
    client.send(request.body(bytes.to_vec())).await
}

/// Uploads a whole file by PUT and gives the asset's id.
pub async fn put(node: &Node, client: &Client, bytes: &[u8]) -> String {
    let path = format!("/applications/{}/files/clip.mp4", node.application());
    let answer = client.send(client.request(Method::PUT, &path).body(bytes.to_vec())).await.expect(201);
    answer["asset"].as_str().unwrap().to_owned()
}

/// Waits until the asset is `ready` or `failed`.
pub async fn settled(client: &Client, asset: &str) -> Value {
    wait_for("the end of processing", || async {
        let asset = client.get(&format!("/assets/{asset}")).await.expect(200);
        ["ready", "failed"].contains(&asset["state"].as_str().unwrap()).then_some(asset)
    })
    .await
}

/// Waits until the asset is ready.
pub async fn ready(client: &Client, asset: &str) {
    let asset = settled(client, asset).await;
    assert_eq!(asset["state"], "ready", "{asset}");
}

/// Starts a View and gives its path up to and with the last slash.
pub async fn view(client: &Client, asset: &str) -> String {
    let view = client.post(&format!("/assets/{asset}/views"), &serde_json::json!({})).await.expect(201);
    let url = view["playlist_url"].as_str().unwrap();
    format!("={}", url.strip_suffix("main.m3u8").unwrap())
}

/// The renditions a main playlist names.
pub fn renditions(main: &str) -> Vec<String> {
    let lines = main.lines().filter_map(|line| line.strip_suffix("/index.m3u8"));
    let names = lines.map(|line| line.rsplit('"').next().unwrap_or(line).to_owned());
    let mut names: Vec<String> = names.filter(|name| !name.starts_with("subs/")).collect();
    names.extend(main.contains("\"a0/index.m3u8\"").then(|| "a0".to_owned()));
    names.sort();
    names.dedup();
    names
}

/// Plays every rendition of a View to the end with ffmpeg, and checks every playlist; gives the renditions.
pub async fn plays(node: &Node, client: &Client, path: &str) -> Vec<String> {
    let main = client.get(&format!("{path}main.m3u8")).await;
    assert_eq!(main.status, 200, "{}", main.text());
    let named = renditions(&main.text());
    assert!(named.iter().any(|name| name.starts_with('v')) && named.contains(&"a0".to_owned()), "{named:?}");
    assert_eq!(pipeline::hls_check::check(&main.text()), [], "{}", main.text());
    for name in &named {
        let index = client.get(&format!("{path}{name}/index.m3u8")).await;
        assert_eq!(index.status, 200, "{}", index.text());
        assert_eq!(pipeline::hls_check::check(&index.text()), [], "{}", index.text());
        let url = format!("{}{}{name}/index.m3u8", node.url(), path.trim_start_matches('='));
        decoded(&node.ready.ca, &url).await;
    }
    named
}

/// Decodes all of `url` with ffmpeg; any error it speaks of fails the test.
pub async fn decoded(ca: &Path, url: &str) {
    let mut command = tokio::process::Command::new("ffmpeg");
    command.args(["-v", "error", "-xerror"]);
    if url.starts_with("https:") {
        command.args(["-tls_verify", "1", "-ca_file"]).arg(ca);
    }
    command.args(["-i", url, "-f", "null", "-"]).kill_on_drop(true);
    let output = tokio::time::timeout(crate::support::DEADLINE, command.output()).await;
    let output = output.expect("ffmpeg ends in time").unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.trim().is_empty(), "ffmpeg: {said}");
}
