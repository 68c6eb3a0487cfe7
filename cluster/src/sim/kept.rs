//! What must hold of Blobs at the end: all that was acknowledged is read through every node, every asset has its good
//! copies, what is purged is gone, and what is in the trash goes when its time is over and not before.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use super::ledger::{Ledger, Upload, Wanted};
use super::node::Node;
use super::uploads::{Uploader, give_up, read_all};
use super::world::World;
use crate::blob::BlobName;
use crate::id::{AssetId, BlobId};
use crate::state::{Life, State};
use crate::store::BlobError;
use crate::workers::CopyNode;

/// How long copies may take to be whole once nothing hinders anybody, by the world's time.
const WITHIN: Duration = Duration::from_secs(45);
/// How often that is looked at.
const LOOK: Duration = Duration::from_millis(250);
/// Tries to take an upload over before it counts as lost.
const TRIES: u32 = 25;
const HOUR_MS: u64 = 3_600_000;

/// Brings all uploads to their end and holds everything against the ledger.
pub(super) async fn settle(world: &World, ledger: &Ledger) {
    for upload in ledger.all() {
        finish(world, ledger, upload.asset).await;
    }
    let members =
        async || world.changing().into_iter().map(|what| format!("not at its end: {what}")).collect();
    if !comes_true(world, "members are settled", members).await {
        return;
    }
    if !comes_true(world, "copies are whole", || copies_at_fault(world, ledger)).await {
        return;
    }
    read_everywhere(world, ledger).await;
    if world.chance("trash").percent(40) {
        empty_trash(world, ledger).await;
    }
}

fn any_node(world: &World) -> Option<Node> {
    world.up().into_iter().next()
}

/// Seals what is still open.
async fn finish(world: &World, ledger: &Ledger, asset: AssetId) {
    let chance = world.chance(&format!("finish {asset}"));
    let mut uploader = Uploader { number: 0, world: world.clone(), ledger: ledger.clone(), chance };
    let mut last = None;
    for _ in 0..TRIES {
        let Some(node) = world.node_for(None, &mut uploader.chance) else { return };
        let (Ok(state), Some(upload)) = (CopyNode::linearizable(&node).await, ledger.get(asset)) else {
            tokio::time::sleep(LOOK).await;
            continue;
        };
        let Some(record) = state.asset(asset) else { return };
        let open = record.blobs.iter().any(|blob| blob.sealed.is_none());
        if !open || !record.is_live() {
            return;
        }
        last = uploader.resume(&node, &upload).await.err();
        if last == Some(BlobError::NotFound) && upload.promised.is_empty() {
            give_up(&node, ledger, asset).await;
        }
        tokio::time::sleep(LOOK).await;
    }
    world.violation(format_args!("{asset} cannot be finished: {last:?}"));
}

/// Waits until nothing is at fault any more; what still is in the end is a violation.
async fn comes_true<F: Future<Output = Vec<String>>>(
    world: &World,
    what: &str,
    look: impl Fn() -> F,
) -> bool {
    let until = tokio::time::Instant::now() + WITHIN;
    loop {
        let faults = look().await;
        if faults.is_empty() {
            world.note(format_args!("{what}"));
            return true;
        }
        if tokio::time::Instant::now() >= until {
            faults.iter().for_each(|fault| world.violation(format_args!("{fault}")));
            return false;
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn copies_at_fault(world: &World, ledger: &Ledger) -> Vec<String> {
    let Some(state) = any_node(world).map(|node| node.shown.state.load_full()) else {
        return vec!["no node is up".to_owned()];
    };
    let mut faults = Vec::new();
    for upload in ledger.all() {
        let asset = upload.asset;
        match state.asset(asset) {
            None if upload.wanted == Wanted::Kept => faults.push(format!("{asset} is forgotten")),
            None => faults.extend(left_over(world, asset).await),
            Some(_) if upload.wanted == Wanted::Gone => {
                faults.push(format!("{asset} was purged and is there"))
            }
            Some(record) => {
                if !record.is_live() && !upload.perhaps_trashed {
                    faults.push(format!("{asset} is in the trash and nobody asked for it"));
                }
                faults.extend(copies_of(world, &state, &upload).await);
            }
        }
    }
    faults
}

/// The faults of the copies of one asset: each holder has each sealed Blob whole, and nobody else has any.
async fn copies_of(world: &World, state: &State, upload: &Upload) -> Vec<String> {
    let asset = upload.asset;
    let mut faults = Vec::new();
    let Some(record) = state.asset(asset) else { return faults };
    let holders = state.holders(asset);
    let sealed = record.blobs.iter().filter_map(|blob| Some((blob.id, blob.sealed?)));
    let sealed: Vec<(BlobId, crate::state::SealedBlob)> = sealed.collect();
    if sealed.is_empty() {
        return faults;
    }
    if state.is_under_protected(asset) {
        faults.push(format!("{asset} is held by {holders:?} only"));
    }
    for node in world.up() {
        if !holders.contains(node.id) {
            faults.extend(left_on(&node, asset).await);
            continue;
        }
        for (blob, wanted) in &sealed {
            let found = node.bytes.verify(BlobName { asset, blob: *blob }).await;
            if found != Ok(wanted.hash) {
                faults.push(format!("the copy of {asset} on node {} is {found:?}", node.id));
            }
        }
    }
    let up: BTreeSet<_> = world.up().iter().map(|node| node.id).collect();
    faults.extend(
        holders.iter().filter(|node| !up.contains(node)).map(|node| format!("{asset} is held by {node}")),
    );
    faults
}

async fn left_over(world: &World, asset: AssetId) -> Vec<String> {
    let mut faults = Vec::new();
    for node in world.up() {
        faults.extend(left_on(&node, asset).await);
    }
    faults
}

async fn left_on(node: &Node, asset: AssetId) -> Option<String> {
    let assets = node.bytes.here().assets().await;
    let is_left = assets.map_or(true, |assets| assets.contains(&asset));
    is_left.then(|| {
        let names = node.bytes.here().disk().list(&Path::new("blobs").join(asset.to_string()));
        format!("files of {asset} are left on node {}: {names:?}", node.id)
    })
}

/// Every node reads the same, and all that was acknowledged is in it.
async fn read_everywhere(world: &World, ledger: &Ledger) {
    let Some(state) = any_node(world).map(|node| node.shown.state.load_full()) else { return };
    for upload in ledger.all() {
        let Some(record) = state.asset(upload.asset) else { continue };
        if record.blobs.iter().any(|blob| blob.sealed.is_none()) {
            continue;
        }
        for node in world.up() {
            let (asset, id) = (upload.asset, node.id);
            match read_all(&node, &upload).await {
                Err(error) => world.violation(format_args!("{asset} is not read at node {id}: {error}")),
                Ok(content) => {
                    world.note(format_args!("node {id} reads {} bytes of {asset}", content.len()));
                    if let Err(what) = ledger.promise(asset, &content, true) {
                        world.violation(format_args!("node {id} reads other bytes: {what}"));
                    }
                }
            }
        }
    }
}

/// What is in the trash stays there as long as it is to, and is gone with its files when it was due twice.
async fn empty_trash(world: &World, ledger: &Ledger) {
    let Some(state) = any_node(world).map(|node| node.shown.state.load_full()) else { return };
    let trashed =
        state.assets_after(None, 1000).into_iter().filter_map(|asset| match state.asset(asset)?.life {
            Life::Trashed { until_ms, .. } => Some((asset, until_ms)),
            Life::Live => None,
        });
    let trashed: Vec<(AssetId, u64)> = trashed.collect();
    let (Some(first), Some(last)) =
        (trashed.iter().map(|one| one.1).min(), trashed.iter().map(|one| one.1).max())
    else {
        return;
    };
    let times: Vec<u64> = world.up().iter().map(|node| node.shown.time.now_ms()).collect();
    let now_ms = times.iter().copied().max().unwrap_or(0);
    let apart_ms = times.iter().map(|time_ms| now_ms - time_ms).max().unwrap_or(0);
    // Clocks that were set during the trouble say different things about what is due.
    if world.clocks_were_set() {
        return;
    }
    world.leap(first.saturating_sub(now_ms).saturating_sub(HOUR_MS));
    tokio::time::sleep(Duration::from_secs(2)).await;
    if !comes_true(world, "what is in the trash is whole", || copies_at_fault(world, ledger)).await {
        return;
    }
    still_there(world, &trashed, "before its time is over");
    world.leap(HOUR_MS + apart_ms + last.saturating_sub(first));
    let noted = || async {
        let Some(state) = any_node(world).map(|node| node.shown.state.load_full()) else { return Vec::new() };
        let is_noted = |asset: &AssetId| match state.asset(*asset).map(|asset| &asset.life) {
            Some(Life::Trashed { noted_due_ms, .. }) => noted_due_ms.is_some(),
            _ => true,
        };
        let late = trashed.iter().filter(|(asset, _)| !is_noted(asset));
        let times: Vec<_> = world.up().iter().map(|node| (node.id, node.shown.time.now_ms())).collect();
        late.map(|(asset, until_ms)| format!("{asset} is not noted as due at {until_ms} by {times:?}"))
            .collect()
    };
    if !comes_true(world, "what is due is noted", noted).await {
        return;
    }
    still_there(world, &trashed, "when it was due once");
    world.leap(HOUR_MS + apart_ms);
    for (asset, _) in &trashed {
        ledger.change(*asset, |upload| upload.wanted = Wanted::PerhapsGone);
    }
    let gone = || async {
        let Some(state) = any_node(world).map(|node| node.shown.state.load_full()) else { return Vec::new() };
        let mut faults = Vec::new();
        for (asset, _) in &trashed {
            match state.asset(*asset) {
                Some(_) => faults.push(format!("{asset} is still in the trash")),
                None => faults.extend(left_over(world, *asset).await),
            }
        }
        faults
    };
    comes_true(world, "the trash is empty", gone).await;
}

fn still_there(world: &World, trashed: &[(AssetId, u64)], when: &str) {
    for node in world.up() {
        let state = node.shown.state.load_full();
        for (asset, _) in trashed.iter().filter(|(asset, _)| state.asset(*asset).is_none()) {
            world.violation(format_args!("{asset} is purged {when}"));
        }
    }
}
