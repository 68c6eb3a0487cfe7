//! Plays an asset through a capability URL, as any player would, and checks every playlist on the way.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::Path;

use pipeline::hls_check::{Playlist, Presentation, Resource, check_presentation, read};
use serde_json::json;
use tokio::process::Command;

use crate::support::Client;

/// Checks the whole presentation by the rules, and decodes its lightest variant and its sound with ffmpeg.
pub async fn check(client: &Client, asset: &str, ca: &Path) -> Result<(), String> {
    let request = json!({ "carrier": "path", "any_address": true });
    let view = client.post(&format!("/assets/{asset}/views"), &request).await.expect(201);
    let address = view["playlist_url"].as_str().expect("an address").to_owned();
    let folder = address.strip_suffix("main.m3u8").ok_or("no multivariant playlist")?.to_owned();
    let player = Client { token: None, ..client.clone() };
    let main = text(&player, &address).await?;
    let files = everything(&player, &folder, &main).await?;
    let violations = check_presentation(&presentation(&main, &files));
    if !violations.is_empty() {
        return Err(format!("playlists: {violations:?}"));
    }
    let main = if address.starts_with("https:") { address } else { format!("{}{address}", player.base) };
    decode(&main, ca).await
}

async fn fetch(player: &Client, address: &str) -> Result<Vec<u8>, String> {
    let path = address.strip_prefix(&player.base).unwrap_or(address);
    let answer = player.get(&format!("={path}")).await;
    if answer.status == 200 {
        Ok(answer.bytes)
    } else {
        Err(format!("{path}: {} {}", answer.status, answer.text()))
    }
}

async fn text(player: &Client, address: &str) -> Result<String, String> {
    String::from_utf8(fetch(player, address).await?).map_err(|_| format!("{address} is no text"))
}

/// Everything that the playlists name, by address relative to the multivariant one.
async fn everything(player: &Client, folder: &str, main: &str) -> Result<BTreeMap<String, Vec<u8>>, String> {
    let Playlist::Multivariant(list) = read(main).0 else { return Err("no multivariant playlist".into()) };
    let variants = list.variants.iter().map(|variant| variant.uri.clone());
    let mut files = BTreeMap::new();
    for playlist in variants.chain(list.media.iter().filter_map(|media| media.uri.clone())) {
        let bytes = fetch(player, &format!("{folder}{playlist}")).await?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Playlist::Media(media) = read(&text).0 else { return Err(format!("{playlist} has no segments")) };
        let near = playlist.rsplit_once('/').map_or("", |(near, _)| near);
        for segment in &media.segments {
            for uri in segment.map.iter().chain([&segment.uri]) {
                let name = format!("{near}/{uri}");
                if let Entry::Vacant(place) = files.entry(name) {
                    let bytes = fetch(player, &format!("{folder}{}", place.key())).await?;
                    place.insert(bytes);
                }
            }
        }
        files.insert(playlist, bytes);
    }
    Ok(files)
}

fn presentation<'a>(main: &'a str, files: &'a BTreeMap<String, Vec<u8>>) -> Presentation<'a> {
    let resource = |name: &str, bytes: &'a Vec<u8>| {
        if name.ends_with(".m3u8") {
            Resource::Playlist(std::str::from_utf8(bytes).unwrap_or_default())
        } else if name.ends_with(".mp4") {
            Resource::Header(bytes)
        } else {
            Resource::Segment(bytes.len() as u64)
        }
    };
    let resources = files.iter().map(|(name, bytes)| (name.clone(), resource(name, bytes))).collect();
    Presentation { multivariant: main, resources }
}

/// Decodes to the end; anything that ffmpeg has to say against it is wrong.
async fn decode(address: &str, ca: &Path) -> Result<(), String> {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-xerror", "-tls_verify", "1", "-ca_file"]).arg(ca);
    command.args(["-i", address, "-map", "0:v?", "-map", "0:a?", "-f", "null", "-"]);
    let output = command.kill_on_drop(true).output().await.expect("ffmpeg must be installed");
    let errors = String::from_utf8_lossy(&output.stderr);
    if output.status.success() && errors.trim().is_empty() {
        Ok(())
    } else {
        Err(format!("ffmpeg: {errors}"))
    }
}
