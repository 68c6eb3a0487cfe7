//! A seeded world: several nodes with the real consensus, State and log over a simulated network, disk and clock, on one
//! thread whose time stands still until everybody waits. The same seed gives the same run, event for event.
//!
//! ```text
//! clients -> proposer -> openraft -> journal and watermark (SimulatedDisk)   nemesis: crashes, power cuts, partitions,
//!                           |    \-> State, audit, snapshots                 loss, slow, full and failing disks, flipped
//!                           \------> Network -> the other nodes              bits, clock jumps, log cuts, lost nodes
//! uploaders -> Replicas -> Blobs (SimulatedDisk) and the other holders; repair, rebalance, scrub, collect, expire, forget
//! ```
//! First clients work while there is trouble; then all trouble ends and the nodes must agree. What they heard must have
//! one order that explains it ([`history`]), and all nodes must hold the same ([`oracle`]). Where Blobs were written, each
//! must be whole in its copies and read as it was acknowledged, and what was purged must be gone ([`kept`]).
//!
//! Two things are not here and must be given by whoever runs it: the process's `getrandom`, on which the order of hash
//! maps and tokio's choices depend, and a process of its own for each run (tokio numbers its runtimes).

mod chance;
mod clock;
mod copies;
mod duel;
mod early;
mod folder;
mod forgetful;
mod growth;
mod history;
mod kept;
mod layer;
mod ledger;
mod lenient;
mod nemesis;
mod network;
mod node;
mod oracle;
mod pace;
mod table;
mod trace;
mod uploads;
mod workload;
mod world;

use std::time::Duration;

pub use chance::{fill, is_here};
use history::{Heard, History};
use ledger::Ledger;
pub(crate) use pace::rest;
use trace::Trace;
use uploads::Uploader;
use workload::Client;
use world::World;

/// Clients there are.
const CLIENTS: u64 = 4;
/// And those that write Blobs, in worlds that have some.
const UPLOADERS: u64 = 3;
/// How long a founding may take, by the world's time.
const FOUND_WITHIN: Duration = Duration::from_secs(30);

/// A fault of the program, planted to show that it is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Planted {
    /// The log's syncs do nothing.
    SkipSync,
    /// A leader counts a copy that is not there.
    AcknowledgeAtOneCopy,
    /// A read asks nobody whether this node still leads.
    ReadWithoutAsking,
    /// A change that is sent again is not known to be the same.
    ForgetRequests,
    /// The syncs of Blobs do nothing.
    SkipBlobSync,
    /// A writer counts a copy that is not there.
    AcknowledgeBlobAtOneCopy,
    /// A holder takes the writes of a writer that was fenced off.
    AcceptLowerEpoch,
    /// What is in the trash is removed before its time.
    IgnoreGrace,
    /// A leader says that a record is agreed before its own disk has it.
    AgreeBeforeDurable,
    /// A follower says that it has a record before its disk has it.
    AnswerBeforeDurable,
    /// A node carries out, and answers, what its disk does not have yet.
    ApplyBeforeDurable,
}

/// What world to run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Everything follows from it.
    pub seed: u64,
    /// Events kept to be read, the newest ones.
    pub keep: usize,
    /// A fault that is to be found.
    pub planted: Option<Planted>,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Hash over every event in order.
    pub hash: String,
    /// How many there were.
    pub events: u64,
    /// The newest of them.
    pub kept: Vec<String>,
    /// What must not have happened and did.
    pub violations: Vec<String>,
    /// Calls of clients that were answered.
    pub answered: usize,
    /// Nodes that were cut off.
    pub crashes: u64,
    /// Nodes that were replaced by new ones.
    pub replaced: u64,
    /// Messages sent.
    pub messages: u64,
    /// Messages lost.
    pub lost: u64,
}

/// Runs one world from nothing to its end.
///
/// # Errors
/// When no runtime could be made.
pub fn run(plan: Plan) -> std::io::Result<Report> {
    chance::enter(plan.seed);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    let report = runtime.block_on(live(plan));
    drop(runtime);
    chance::leave();
    Ok(report)
}

async fn live(plan: Plan) -> Report {
    let trace = Trace::new(plan.keep);
    let world = World::new(plan, trace.clone());
    let (history, ledger) = (History::default(), Ledger::default());
    let mut chance = world.chance("plan");
    let count = if chance.percent(25) { 5 } else { 3 };
    let uploaders = if world.has_blobs() { UPLOADERS } else { 0 };
    if tokio::time::timeout(FOUND_WITHIN, growth::found(&world, count)).await.is_err() {
        world.violation(format_args!("no cluster was founded in time"));
    } else {
        trouble(&world, &history, &ledger, uploaders).await;
        peace(&world, &history, &ledger).await;
    }
    let (hash, events, kept, violations) = trace.finish();
    let (crashes, replaced) = world.counts();
    let (messages, lost) = world.network().counts();
    let answered = history.answered();
    Report { hash, events, kept, violations, answered, crashes, replaced, messages, lost }
}

/// Clients at work, and trouble.
async fn trouble(world: &World, history: &History, ledger: &Ledger, uploaders: u64) {
    let mut clients = Vec::new();
    for number in 1..=uploaders {
        let chance = world.chance(&format!("uploader {number}"));
        let uploader = Uploader { number, world: world.clone(), ledger: ledger.clone(), chance };
        clients.push(tokio::spawn(uploader.run()));
    }
    for number in 1..=CLIENTS {
        clients.push(tokio::spawn(client(world, history, number).run()));
    }
    tokio::spawn(nemesis::run(world.clone()));
    let lasts_ms = world.chance("length").between(3000, 7000);
    tokio::time::sleep(Duration::from_millis(lasts_ms)).await;
    world.note(format_args!("all trouble ends"));
    world.calm();
    // A little longer, so that every run also shows work after the faults.
    tokio::time::sleep(Duration::from_millis(500)).await;
    world.end_clients();
    for client in clients {
        if let Err(error) = client.await {
            world.violation(format_args!("a client ended abnormally: {error}"));
        }
    }
}

fn client(world: &World, history: &History, number: u64) -> Client {
    let chance = world.chance(&format!("client {number}"));
    Client { number, world: world.clone(), history: history.clone(), chance, leader: None }
}

/// Nothing hinders anybody: the nodes must come to agree, take one more change, and show what was acknowledged.
async fn peace(world: &World, history: &History, ledger: &Ledger) {
    if !oracle::agreed(world).await {
        return world.violation(format_args!("the nodes did not agree in time"));
    }
    let mut last = client(world, history, CLIENTS + 1);
    let mut heard = last.one_more().await;
    if heard == Heard::Nothing {
        heard = last.one_more().await;
    }
    if !matches!(heard, Heard::Done | Heard::Refused("duplicate_id")) {
        world.violation(format_args!("one more change came to {heard:?}"));
    }
    last.look_at_all().await;
    if world.has_blobs() {
        kept::settle(world, ledger).await;
    }
    if !oracle::agreed(world).await {
        return world.violation(format_args!("the nodes did not agree at the end"));
    }
    oracle::compare(world).await;
    if let Err(inexplicable) = history.explain() {
        world.violation(format_args!("{inexplicable}"));
    }
}
