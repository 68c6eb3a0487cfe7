//! A seeded world: several nodes with the real consensus, State and log over a simulated network, disk and clock, on one
//! thread whose time stands still until everybody waits. The same seed gives the same run, event for event.
//!
//! ```text
//! clients -> proposer -> openraft -> journal and watermark (SimulatedDisk)   nemesis: crashes, power cuts, partitions,
//!                           |    \-> State, audit, snapshots                 loss, slow, full and failing disks, flipped
//!                           \------> Network -> the other nodes              bits, clock jumps, log cuts
//! ```
//! First clients work while there is trouble; then all trouble ends and the nodes must agree. What they heard must have
//! one order that explains it ([`history`]), and all nodes must hold the same ([`oracle`]).
//!
//! Two things are not here and must be given by whoever runs it: the process's `getrandom`, on which the order of hash
//! maps and tokio's choices depend, and a process of its own for each run (tokio numbers its runtimes).

mod chance;
mod clock;
mod early;
mod folder;
mod forgetful;
mod history;
mod nemesis;
mod network;
mod node;
mod oracle;
mod replace;
mod table;
mod trace;
mod workload;
mod world;

use std::time::Duration;

pub use chance::{fill, is_here};
use history::{Heard, History};
use trace::Trace;
use workload::Client;
use world::World;

/// Clients there are.
const CLIENTS: u64 = 4;
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
    let history = History::default();
    if tokio::time::timeout(FOUND_WITHIN, found(&world)).await.is_err() {
        world.violation(format_args!("no cluster was founded in time"));
    } else {
        trouble(&world, &history).await;
        peace(&world, &history).await;
    }
    let (hash, events, kept, violations) = trace.finish();
    let (crashes, replaced) = world.counts();
    let (messages, lost) = world.network().counts();
    let answered = history.answered();
    Report { hash, events, kept, violations, answered, crashes, replaced, messages, lost }
}

/// Starts the nodes and tells the cluster what clients need.
async fn found(world: &World) {
    let mut chance = world.chance("plan");
    let count = if chance.percent(25) { 5 } else { 3 };
    let ids: Vec<_> = (0..count).map(|_| world.new_seat()).collect();
    for id in &ids {
        world.start(*id).await;
    }
    let Some(first) = world.up().into_iter().next() else { return };
    let voters: std::collections::BTreeSet<u64> = ids.iter().map(|id| id.0).collect();
    if let Err(error) = first.raft.initialize(voters).await {
        return world.violation(format_args!("the first members were refused: {error}"));
    }
    for (actor, command) in workload::beginnings(first.id, first.shown.time.now_ms()) {
        loop {
            let leader = replace::leader(world);
            let answer = match leader {
                Some(leader) => leader.propose(actor.clone(), command.clone(), None).await,
                None => Err(crate::ProposeError::NotLeader { leader: None }),
            };
            match answer {
                Ok(_) => break,
                Err(crate::ProposeError::Refused(refusal)) => {
                    return world.violation(format_args!("a beginning was refused: {refusal}"));
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }
}

/// Clients at work, and trouble.
async fn trouble(world: &World, history: &History) {
    let mut clients = Vec::new();
    for number in 1..=CLIENTS {
        clients.push(tokio::spawn(client(world, history, number).run()));
    }
    tokio::spawn(nemesis::run(world.clone()));
    let lasts_ms = world.chance("length").between(4000, 9000);
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
async fn peace(world: &World, history: &History) {
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
    if !oracle::agreed(world).await {
        return world.violation(format_args!("the nodes did not agree at the end"));
    }
    oracle::compare(world).await;
    if let Err(inexplicable) = history.explain() {
        world.violation(format_args!("{inexplicable}"));
    }
}
