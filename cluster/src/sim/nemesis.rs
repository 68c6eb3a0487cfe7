//! Whoever makes trouble.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::chance::Chance;
use super::clock::keep_together;
use super::growth::come_and_go;
use super::network::Weather;
use super::world::World;
use crate::disk::{Survival, files};
use crate::id::NodeId;

/// Worlds of a hundred in which a node comes for good, and another may leave.
const MEMBERS_PERCENT: u64 = 20;

/// How long whoever cuts the power with a promise waits for one.
const STRIKES_WITHIN: Duration = Duration::from_secs(1);

/// Makes trouble until the world is calm.
pub(super) async fn run(world: World) {
    let mut chance = world.chance("nemesis");
    let mut may_spoil = true;
    tokio::spawn(keep_together(world.clone()));
    if world.chance("whether members change").percent(MEMBERS_PERCENT) {
        tokio::spawn(come_and_go(world.clone()));
    }
    while !world.is_calm() {
        let pause = chance.between(100, 1200);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        if world.is_calm() {
            return;
        }
        let members = world.members();
        let Some(node) = chance.pick(&members) else { return };
        match chance.below(100) {
            0..14 => crash(&world, &mut chance, node),
            14..18 => {
                world.note(format_args!("the power fails everywhere"));
                members.iter().for_each(|node| crash(&world, &mut chance, *node));
            }
            18..28 => strike(&world, &mut chance, &members, node).await,
            28..42 => partition(&world, &mut chance, &members),
            42..52 => world.network().mend(),
            52..62 => weather(&world, &mut chance),
            62..76 => disk(&world, &mut chance, node),
            76..82 => clock(&world, &mut chance, node),
            82..92 => cut_log(&world, &mut chance, node),
            92..95 => world.network().stall(node, Duration::from_millis(chance.between(100, 3000))),
            // At most one node of a world loses what it acknowledged, so that the others always hold it.
            _ if may_spoil && chance.percent(60) => may_spoil = !spoil(&world, &mut chance, node),
            _ if may_spoil => may_spoil = !world.lose(node),
            _ => {}
        }
    }
}

fn crash(world: &World, chance: &mut Chance, node: NodeId) {
    let survival = match chance.below(4) {
        0 => Survival::None,
        1 => Survival::All,
        _ => Survival::Random(chance.any()),
    };
    let back_after_ms = chance.between(50, 2500);
    world.crash(node, survival, back_after_ms);
}

/// The moment somebody is promised something, or sees it, the power fails everywhere: by then it is on as many disks as it must
/// be. The disks of all but one node may be slow meanwhile, so that little more is on them than must be, and that one may come
/// back last.
async fn strike(world: &World, chance: &mut Chance, members: &[NodeId], quick: NodeId) {
    let slow_us = if chance.percent(80) { chance.between(10_000, 120_000) } else { 1000 };
    let (by_promise, comes_last) = (chance.percent(50), chance.percent(70));
    let set_pace = |slow_us: u64| {
        let seats = world.seats();
        seats.iter().filter(|(node, _)| **node != quick).for_each(|(_, seat)| seat.pace.set(slow_us));
    };
    set_pace(slow_us);
    let occasion = if by_promise { "promise" } else { "showing" };
    world.note(format_args!(
        "the power fails with the next {occasion}; disks but that of {quick} take {slow_us} us"
    ));
    let news = async { if by_promise { world.next_promise().await } else { world.next_showing().await } };
    // What comes later than this is as good as any other moment.
    drop(tokio::time::timeout(STRIKES_WITHIN, news).await);
    for node in members {
        let survival = if chance.percent(70) { Survival::None } else { Survival::Random(chance.any()) };
        let is_last = comes_last && *node == quick;
        let back_after_ms = if is_last { chance.between(2000, 5000) } else { chance.between(50, 2500) };
        world.crash(*node, survival, back_after_ms);
    }
    set_pace(1000);
}

/// Cuts links: around one node, both ways or one, or any of them.
fn partition(world: &World, chance: &mut Chance, members: &[NodeId]) {
    world.network().mend();
    let Some(alone) = chance.pick(members) else { return };
    let kind = chance.below(4);
    world.note(format_args!("links are cut in way {kind} around {alone}"));
    for from in members {
        for to in members.iter().filter(|to| *to != from) {
            let is_cut = match kind {
                0 => *from == alone || *to == alone,
                1 => *from == alone,
                2 => *to == alone,
                _ => chance.percent(35),
            };
            if is_cut {
                world.network().cut(*from, *to);
            }
        }
    }
}

fn weather(world: &World, chance: &mut Chance) {
    let weather = Weather {
        delay_us: chance.between(100, 20_000),
        jitter_us: chance.between(100, 60_000),
        loss_percent: chance.below(25),
        held_up_percent: chance.below(10),
    };
    world.note(format_args!("{weather:?}"));
    world.network().set_weather(if chance.percent(30) { Weather::CLEAR } else { weather });
}

/// What a disk can do: be slow, be full, fail a write or a sync, lose its power between two operations.
fn disk(world: &World, chance: &mut Chance, node: NodeId) {
    let mut seats = world.seats();
    let Some(seat) = seats.get_mut(&node) else { return };
    let soon = seat.disk.operations() + chance.below(60);
    let kind = chance.below(6);
    world.note(format_args!("the disk of node {node} fails in way {kind} at operation {soon}"));
    seat.armed |= kind > 1;
    match kind {
        0 | 1 => seat.pace.set(chance.between(1000, 400_000)),
        2 => seat.disk.resize(seat.disk.used() + chance.below(4000)),
        3 => seat.disk.fail_write_at(soon),
        4 => seat.disk.fail_sync_at(soon),
        _ => seat.disk.cut_power_at(soon),
    }
}

fn clock(world: &World, chance: &mut Chance, node: NodeId) {
    let hour_ms = 3_600_000;
    let ahead_ms = i64::try_from(chance.below(4 * hour_ms)).unwrap_or(0) - 7_200_000;
    world.note(format_args!("the wall clock of node {node} is {ahead_ms} ms ahead"));
    if let Some(seat) = world.seats().get(&node) {
        seat.clock.set_ahead(ahead_ms);
        world.note_clock_set();
    }
}

fn cut_log(world: &World, chance: &mut Chance, node: NodeId) {
    let Some(node) = world.seats().get(&node).and_then(|seat| seat.node.clone()) else { return };
    let keep = chance.below(6000);
    world.note(format_args!("node {} takes a snapshot and keeps {keep} bytes of its log", node.id));
    tokio::spawn(async move { node.cut_log(keep).await });
}

/// Flips a bit of a file of a node that ends and comes back, in every second case of one of its Blobs.
fn spoil(world: &World, chance: &mut Chance, node: NodeId) -> bool {
    world.crash(node, Survival::All, 300);
    let mut seats = world.seats();
    let Some(seat) = seats.get_mut(&node) else { return false };
    let mut all: Vec<PathBuf> = seat.disk.files();
    let of_blobs: Vec<PathBuf> = all.iter().filter(|path| path.starts_with("bytes")).cloned().collect();
    if !of_blobs.is_empty() && chance.percent(50) {
        all = of_blobs;
    }
    let numbers: Vec<usize> = (0..all.len()).collect();
    let Some(file) = chance.pick(&numbers).and_then(|at| all.get(at)) else { return false };
    let length = seat.disk.contents(file).map_or(0, |contents| contents.len());
    let at = usize::try_from(chance.below(length as u64)).unwrap_or(0);
    // The note of how far scrubbing is goes with it: the next round begins at once.
    drop(files::remove_if_present(&seat.disk, Path::new("bytes/scrub")));
    seat.disk.flip_bit(file, at, u8::try_from(chance.below(8)).unwrap_or(0));
    seat.spoiled = true;
    let folder = file.iter().next().unwrap_or_default().to_string_lossy().into_owned();
    world.note(format_args!("a bit of node {node} flips in {folder} at {at} of {length}"));
    true
}
