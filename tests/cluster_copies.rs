//! Copies between real nodes: a holder is killed in the middle of an upload, its folder is lost, bytes of it rot; a node
//! joins, another one goes for good. Whoever reads or watches notices nothing, and in the end every copy is back. Copies are
//! counted on the disks.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use data_encoding::HEXLOWER;
use reqwest::Method;
use serde_json::json;

#[path = "../cluster/src/sim/history.rs"]
#[allow(dead_code, reason = "the simulated world uses more of it")]
mod history;
#[path = "media_support.rs"]
#[allow(dead_code, reason = "the tests of media use more of it")]
mod media_support;
mod net;
#[path = "support/mod.rs"]
mod support;

use media_support::{begin, longer_clip, ready, send, view};
use net::lab::Lab;
use support::{Client, wait_for};

/// Bytes that are no film: the upload is what counts.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(next).take(length).collect()
}

fn hash(bytes: &[u8]) -> String {
    HEXLOWER.encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref())
}

/// The sealed copies of `asset` on node `number`: file name and hash of what is in it.
fn copies(lab: &Lab, number: usize, asset: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for path in files(&lab.dir(number).join("blobs/blobs").join(asset)) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if let (true, Ok(bytes)) = (name.ends_with(".blob"), std::fs::read(&path)) {
            found.insert(name, hash(&bytes));
        }
    }
    found
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    entries.filter_map(|entry| Some(entry.ok()?.path())).collect()
}

/// Waits until exactly three of `numbers` hold all of `asset`, the same to the byte, and nothing lies set aside.
async fn three_copies(lab: &Lab, numbers: &[usize], asset: &str) {
    wait_for("three whole copies that are the same", || async {
        let mut held: Vec<_> = numbers.iter().map(|number| copies(lab, *number, asset)).collect();
        held.retain(|copies| !copies.is_empty());
        let aside = numbers.iter().any(|number| {
            files(&lab.dir(*number).join("blobs/blobs").join(asset))
                .iter()
                .any(|path| path.extension().is_some_and(|ending| ending == "corrupt" || ending == "part"))
        });
        (held.len() == 3 && held.windows(2).all(|pair| pair[0] == pair[1]) && !aside).then_some(())
    })
    .await;
}

/// Reads the original through one node, from the first byte to the last.
async fn read(client: &Client, asset: &str) -> Vec<u8> {
    let wanted = json!({ "what": "original" });
    let link = client.post(&format!("/assets/{asset}/downloads"), &wanted).await.expect(201);
    let answer = client.get(&format!("={}", link["url"].as_str().unwrap())).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.bytes
}

/// Uploads `bytes` in pieces through `client`; before each piece `meanwhile` is told how many were taken.
async fn upload(client: &Client, bytes: &[u8], mut meanwhile: impl AsyncFnMut(usize)) -> String {
    let asset = begin(client, bytes.len()).await;
    let mut at = 0;
    for number in 0.. {
        meanwhile(number).await;
        let piece = &bytes[at..bytes.len().min(at + (4 << 20))];
        // What is not taken is sent again from where the server says it is.
        let answer = send(client, &asset, at, piece).await;
        at = if answer.status == 204 { at + piece.len() } else { offset(client, &asset).await };
        if at == bytes.len() {
            return asset;
        }
        assert!(number < 60, "the upload does not get on: {} {}", answer.status, answer.text());
    }
    asset
}

async fn offset(client: &Client, asset: &str) -> usize {
    wait_for("the upload can go on", || async {
        let request = media_support::tus(client, Method::HEAD, &format!("/uploads/{asset}"));
        let answer = request.send().await.ok()?;
        answer.headers().get("upload-offset")?.to_str().ok()?.parse().ok()
    })
    .await
}

async fn put_clip(lab: &Lab, client: &Client, bytes: &[u8]) -> String {
    let path = format!("/applications/{}/files/clip.mp4", lab.application);
    let answer = client.send(client.request(Method::PUT, &path).body(bytes.to_vec())).await.expect(201);
    answer["asset"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_holder_is_killed_in_an_upload_and_loses_its_folder_and_bytes_rot() {
    let mut lab = Lab::start(3).await;
    let bytes = noise(24 << 20);
    let admin = lab.admin(1);
    let leader = lab.leader(1).await;
    let victim = if leader == 1 { 2 } else { leader };
    let asset = upload(&admin, &bytes, async |number| {
        if number == 2 {
            lab.kill(victim).await;
        }
    })
    .await;
    let other = 6 - 1 - victim;
    assert_eq!(hash(&read(&lab.admin(other), &asset).await), hash(&bytes), "through the node that is left");
    lab.start_again(victim).await;
    three_copies(&lab, &[1, 2, 3], &asset).await;
    assert_eq!(hash(&read(&lab.admin(victim), &asset).await), hash(&bytes));

    // A whole folder is lost under a running node.
    std::fs::remove_dir_all(lab.dir(victim).join("blobs/blobs").join(&asset)).unwrap();
    assert_eq!(hash(&read(&lab.admin(victim), &asset).await), hash(&bytes), "from the other copies");
    three_copies(&lab, &[1, 2, 3], &asset).await;

    // Bytes rot in a different place of each of two copies.
    for (number, place) in [(other, 100_000), (victim, 9_000_000)] {
        let folder = lab.dir(number).join("blobs/blobs").join(&asset);
        let file = files(&folder).into_iter().find(|path| path.metadata().unwrap().len() > 20 << 20).unwrap();
        let mut stored = std::fs::read(&file).unwrap();
        stored[place] ^= 1;
        std::fs::write(&file, stored).unwrap();
        assert_eq!(hash(&read(&lab.admin(number), &asset).await), hash(&bytes), "what rots is never shown");
    }
    three_copies(&lab, &[1, 2, 3], &asset).await;
}

/// Plays one rendition as a viewer does, at the pace of the film; any error it speaks of fails.
fn viewer(lab: &Lab, at: usize, path: &str, rendition: &str) -> tokio::task::JoinHandle<String> {
    let url = format!("{}{}{rendition}/index.m3u8", lab.url(at), path.trim_start_matches('='));
    let mut command = tokio::process::Command::new("ffmpeg");
    command
        .args(["-v", "error", "-xerror", "-readrate", "1", "-tls_verify", "1", "-ca_file"])
        .arg(lab.authority());
    command.args(["-i", &url, "-f", "null", "-"]).kill_on_drop(true);
    tokio::spawn(async move {
        let output = command.output().await.expect("ffmpeg is installed");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() { said.trim().to_owned() } else { format!("{} {said}", output.status) }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_notices_neither_lost_nor_joined_nor_removed_nodes() {
    let mut lab = Lab::start_with(3, 4, "").await;
    let admin = lab.admin(1);
    let film = put_clip(&lab, &admin, longer_clip()).await;
    ready(&admin, &film).await;
    let mut assets = vec![film.clone()];
    for number in 0..6 {
        let path = format!("/applications/{}/files/{number}.bin", lab.application);
        let answer =
            admin.send(admin.request(Method::PUT, &path).body(noise(600_000 + number))).await.expect(201);
        assets.push(answer["asset"].as_str().unwrap().to_owned());
    }
    for asset in &assets {
        three_copies(&lab, &[1, 2, 3], asset).await;
    }

    // Node 1 has to fetch from others what is watched, and one of those is killed.
    let path = view(&admin, &film).await;
    let main = admin.get(&format!("{path}main.m3u8")).await.text();
    let rendition = media_support::renditions(&main).into_iter().rfind(|name| name.starts_with('v')).unwrap();
    std::fs::remove_dir_all(lab.dir(1).join("blobs/blobs").join(&film)).unwrap();
    let watching = viewer(&lab, 1, &path, &rendition);
    tokio::time::sleep(Duration::from_secs(4)).await;
    lab.kill(2).await;
    assert_eq!(watching.await.unwrap(), "", "while a node is lost");
    lab.start_again(2).await;
    three_copies(&lab, &[1, 2, 3], &film).await;

    // A leader that is cut off is still named as one where it is; nothing new is watched there all the same.
    let leader = lab.leader(1).await;
    let alone = lab.admin(leader);
    let running = format!("{}key/0", view(&alone, &film).await);
    lab.isolate(&[leader], true);
    tokio::time::sleep(Duration::from_secs(8)).await;
    let begin = alone.post(&format!("/assets/{film}/views"), &json!({})).await;
    begin.expect_problem(503, "no_leader");
    assert_eq!(alone.get(&running).await.status, 200, "what runs goes on for its grace");
    lab.isolate(&[leader], false);
    wait_for("views begin again", || async {
        (alone.post(&format!("/assets/{film}/views"), &json!({})).await.status == 201).then_some(())
    })
    .await;

    // A fourth node comes and takes its share by itself, while somebody watches.
    let watching = viewer(&lab, 1, &path, &rendition);
    lab.join(4).await;
    assert_eq!(watching.await.unwrap(), "", "while a node joins");
    wait_for("the new node holds its share", || async {
        let held = assets.iter().filter(|asset| !copies(&lab, 4, asset).is_empty()).count();
        (held >= 2).then_some(())
    })
    .await;

    // One goes for good: everything is back at three copies on those that stay.
    let id = lab.id_of(3, 1).await;
    let watching = viewer(&lab, 1, &path, &rendition);
    admin.delete(&format!("/nodes/{id}")).await.expect(204);
    assert_eq!(watching.await.unwrap(), "", "while a node is removed");
    assert!(!lab.ended(3).await, "a removed node says that it had to stop");
    for asset in &assets {
        three_copies(&lab, &[1, 2, 4], asset).await;
    }
    let again = admin.post(&format!("/nodes/{id}/drain"), &json!({ "draining": true })).await;
    assert_eq!(again.status, 404, "its number never comes back");
}
