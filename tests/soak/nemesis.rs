//! Trouble by seed: single faults and pairs of them, each held for some seconds and ended again, written down with its time.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use rand::RngExt;
use rand::rngs::Xoshiro256PlusPlus;
use reqwest::Method;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::net::disk::Room;
use crate::net::lab::Lab;
use crate::net::switch::Path;
use crate::support::{self, workers_of};

/// What can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A node is killed.
    Kill,
    /// Two are, at the same moment.
    KillTwo,
    /// All are.
    KillAll,
    /// A process is stopped as if its machine slept.
    Sleep,
    /// A node reaches no other one and none reaches it.
    CutOff,
    /// A node hears nobody.
    Deaf,
    /// Nobody hears a node.
    Mute,
    /// Two nodes cannot reach one another.
    Between,
    /// The cables of a node come and go, several times a second.
    Flapping,
    /// All ways are long and lossy.
    Lossy,
    /// A disk has room for agreement only.
    LittleRoom,
    /// A disk has none at all.
    NoRoom,
    /// A bit of a copy rots.
    Rot,
    /// A copy is lost with its folder.
    Lost,
    /// A node is stopped in order.
    Restart,
    /// Whatever transcodes is killed.
    Workers,
    /// A node is to give up its part.
    Drain,
}

/// How often each is drawn.
const TABLE: &[(Fault, u32)] = &[
    (Fault::Kill, 5),
    (Fault::KillTwo, 2),
    (Fault::KillAll, 2),
    (Fault::Sleep, 4),
    (Fault::CutOff, 4),
    (Fault::Deaf, 2),
    (Fault::Mute, 2),
    (Fault::Between, 2),
    (Fault::Flapping, 2),
    (Fault::Lossy, 3),
    (Fault::LittleRoom, 2),
    (Fault::NoRoom, 2),
    (Fault::Rot, 3),
    (Fault::Lost, 2),
    (Fault::Restart, 3),
    (Fault::Workers, 2),
    (Fault::Drain, 2),
];

/// How long a flapping cable is as it is.
const FLAP: Duration = Duration::from_millis(300);
/// Of a hundred strikes so many are pairs.
const PAIRS_PERCENT: u32 = 60;

/// A fault that is there now.
#[derive(Debug)]
struct Running {
    fault: Fault,
    node: usize,
}

/// Makes trouble.
pub struct Nemesis {
    dice: Xoshiro256PlusPlus,
    began: Instant,
    /// Everything done, with its time.
    pub log: Vec<String>,
    running: Vec<Running>,
    asleep: BTreeSet<usize>,
    had_no_room: BTreeSet<usize>,
    /// Which node has a copy that is bad, by asset: one of three at most, or there would be nothing to mend it from.
    hurt: BTreeMap<String, usize>,
}

impl Nemesis {
    pub fn new(dice: Xoshiro256PlusPlus) -> Self {
        Self {
            dice,
            began: Instant::now(),
            log: Vec::new(),
            running: Vec::new(),
            asleep: BTreeSet::new(),
            had_no_room: BTreeSet::new(),
            hurt: BTreeMap::new(),
        }
    }

    /// All copies are whole again.
    pub fn all_mended(&mut self) {
        self.hurt.clear();
    }

    fn note(&mut self, what: String) {
        let line = format!("{:7.1} s  {what}", self.began.elapsed().as_secs_f64());
        println!("{line}");
        self.log.push(line);
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.dice.random_range(0..bound)
    }

    /// A fault or a pair of them, held for a time within `held`; gives when everything was ended. `assets` are those whose
    /// copies may be hurt: kept on all nodes, and not written any more.
    pub async fn strike(&mut self, lab: &mut Lab, held: std::ops::Range<Duration>, assets: &[String]) {
        let is_pair = self.dice.random_range(0..100) < PAIRS_PERCENT;
        let first = self.draw();
        self.begin(lab, first, assets).await;
        if is_pair {
            let between = Duration::from_millis(self.below(1_500));
            self.hold(lab, between).await;
            let second = loop {
                let second = self.draw();
                if second != first {
                    break second;
                }
            };
            self.begin(lab, second, assets).await;
        }
        let time = self.dice.random_range(held);
        self.hold(lab, time).await;
        while !self.running.is_empty() {
            let which = self.below(self.running.len() as u64);
            let over = self.running.swap_remove(usize::try_from(which).unwrap());
            self.end(lab, &over).await;
            if !self.running.is_empty() {
                let between = Duration::from_millis(self.below(2_000));
                self.hold(lab, between).await;
            }
        }
        self.supervise(lab);
        lab.all_ready().await;
        for node in std::mem::take(&mut self.had_no_room) {
            self.ends_or_goes_on(lab, node).await;
        }
        self.note("over".to_owned());
    }

    fn draw(&mut self) -> Fault {
        let all: u32 = TABLE.iter().map(|(_, weight)| weight).sum();
        let mut left = self.dice.random_range(0..all);
        for (fault, weight) in TABLE {
            if left < *weight {
                return *fault;
            }
            left -= weight;
        }
        Fault::Kill
    }

    /// The leader as often as not, and otherwise any.
    async fn node(&mut self, lab: &Lab) -> usize {
        let (wants_leader, other) = (self.below(2) == 0, usize::try_from(self.below(3)).unwrap() + 1);
        if !wants_leader {
            return other;
        }
        for at in lab.up() {
            let answer = lab.admin(at).request(Method::GET, "/cluster").timeout(Duration::from_secs(1));
            let Ok(answer) = answer.send().await else { continue };
            let Ok(cluster) = answer.json::<serde_json::Value>().await else { continue };
            let nodes = cluster["nodes"].as_array().into_iter().flatten();
            let leads = nodes.filter(|node| node["role"] == "leader" && node["alive"] == true);
            let number =
                leads.filter_map(|node| node["name"].as_str()?.strip_prefix('n')?.parse().ok()).next();
            if let Some(number) = number {
                return number;
            }
        }
        other
    }

    async fn begin(&mut self, lab: &mut Lab, fault: Fault, assets: &[String]) {
        let node = self.node(lab).await;
        self.take_ended(lab);
        let is_up = lab.up().contains(&node);
        let next = node % 3 + 1;
        let mut what = format!("{fault:?} at {node}");
        match fault {
            Fault::Kill => self.kill(lab, &[node]).await,
            Fault::KillTwo => self.kill(lab, &[node, next]).await,
            Fault::KillAll => self.kill(lab, &[1, 2, 3]).await,
            Fault::Sleep if is_up => {
                lab.signal(node, Signal::STOP);
                self.asleep.insert(node);
            }
            Fault::CutOff | Fault::Deaf | Fault::Mute | Fault::Between => cut(lab, fault, node),
            Fault::Lossy => long_and_lossy(lab, true),
            Fault::LittleRoom => lab.disk(node).make(Room::Little),
            Fault::NoRoom => {
                self.had_no_room.insert(node);
                lab.disk(node).make(Room::None);
            }
            Fault::Rot | Fault::Lost => what = self.hurt(lab, fault, node, assets),
            Fault::Restart if is_up && !self.asleep.contains(&node) && !self.had_no_room.contains(&node) => {
                lab.stop(node).await;
            }
            Fault::Drain => self.drain(lab, node, true).await,
            Fault::Workers => self.kill_workers(lab),
            Fault::Flapping => {}
            Fault::Sleep | Fault::Restart => what += ": not now",
        }
        self.note(what);
        self.running.push(Running { fault, node });
    }

    async fn kill(&mut self, lab: &mut Lab, numbers: &[usize]) {
        let numbers: Vec<usize> = lab.up().into_iter().filter(|number| numbers.contains(number)).collect();
        numbers.iter().for_each(|number| {
            self.asleep.remove(number);
        });
        lab.kill_all(&numbers).await;
    }

    /// Keeps what is there for this long.
    async fn hold(&mut self, lab: &mut Lab, time: Duration) {
        let until = Instant::now() + time;
        let mut is_cut = false;
        while Instant::now() < until {
            tokio::time::sleep(FLAP.min(until - Instant::now())).await;
            is_cut = !is_cut;
            let flapping = self.running.iter().filter(|running| running.fault == Fault::Flapping);
            flapping.for_each(|running| lab.isolate(&[running.node], is_cut));
        }
    }

    async fn end(&mut self, lab: &mut Lab, over: &Running) {
        let node = over.node;
        match over.fault {
            Fault::Kill | Fault::KillTwo | Fault::KillAll | Fault::Restart => self.supervise(lab),
            Fault::Sleep => {
                if self.asleep.remove(&node) {
                    lab.signal(node, Signal::CONT);
                }
            }
            Fault::CutOff | Fault::Deaf | Fault::Mute | Fault::Between | Fault::Flapping => {
                // Two of them may have cut the same cable: what the other one cut stays so.
                lab.each_path(|path| path.cut = false);
                self.running.iter().for_each(|running| cut(lab, running.fault, running.node));
            }
            Fault::Lossy => long_and_lossy(lab, false),
            Fault::LittleRoom | Fault::NoRoom => {
                lab.disk(node).make(Room::Plenty);
                self.supervise(lab);
            }
            Fault::Drain => self.drain(lab, node, false).await,
            Fault::Rot | Fault::Lost | Fault::Workers => return,
        }
        self.note(format!("{:?} at {node} ends", over.fault));
    }

    /// Nodes that ended by themselves: only what had no room on its disk may do so.
    fn take_ended(&mut self, lab: &mut Lab) {
        for number in lab.take_ended() {
            assert!(self.had_no_room.contains(&number), "node {number} has ended by itself");
            self.asleep.remove(&number);
            self.note(format!("node {number} has ended"));
        }
    }

    /// Starts again whatever does not run, as the machine's supervisor does: unless there is no room for it yet.
    fn supervise(&mut self, lab: &mut Lab) {
        self.take_ended(lab);
        let has_no_room =
            |number: &usize| self.running.iter().any(|run| run.fault == Fault::NoRoom && run.node == *number);
        let up = lab.up();
        let down: Vec<usize> =
            (1..=3).filter(|number| !up.contains(number) && !has_no_room(number)).collect();
        down.into_iter().for_each(|number| lab.begin_again(number));
    }

    /// A node that had no room may still be about to end when it has room again: then it is started. One that does not carries out
    /// a change that is made through it, which goes through its own log.
    async fn ends_or_goes_on(&mut self, lab: &mut Lab, node: usize) {
        let began = Instant::now();
        loop {
            if lab.take_ended().contains(&node) {
                self.note(format!("node {node} has ended late"));
                lab.begin_again(node);
                lab.all_ready().await;
                return;
            }
            if takes_part(&lab.admin(node), node, false).await {
                return;
            }
            assert!(began.elapsed() < support::DEADLINE, "node {node} neither ends nor goes on");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Spoils or removes one node's copy of an asset that all have.
    fn hurt(&mut self, lab: &Lab, fault: Fault, node: usize, assets: &[String]) -> String {
        let whole: Vec<&String> = assets.iter().filter(|asset| !self.hurt.contains_key(*asset)).collect();
        if whole.is_empty() {
            return format!("{fault:?} at {node}: nothing to hurt");
        }
        let asset = whole[self.dice.random_range(0..whole.len())].clone();
        let folder = |number: usize| lab.dir(number).join("blobs/blobs").join(&asset);
        let largest = |number: usize| {
            let files = support::files(&folder(number)).into_iter();
            let sealed = files.filter(|path| path.extension().is_some_and(|ending| ending == "blob"));
            sealed.max_by_key(|path| path.metadata().map_or(0, |found| found.len()))
        };
        let Some(file) = largest(node).filter(|_| (1..=3).all(|number| largest(number).is_some())) else {
            return format!("{fault:?} at {node}: {asset} is not everywhere");
        };
        self.hurt.insert(asset.clone(), node);
        let done = if fault == Fault::Lost { std::fs::remove_dir_all(folder(node)) } else { self.rot(&file) };
        // A client may have deleted it meanwhile.
        let how = done.map_or_else(|error| format!(": {error}"), |()| String::new());
        format!("{fault:?} at {node}: {asset}{how}")
    }

    /// Changes a bit in place, which takes no room on the disk.
    fn rot(&mut self, file: &std::path::Path) -> std::io::Result<()> {
        let mut bytes = std::fs::read(file)?;
        let place = self.dice.random_range(0..bytes.len());
        bytes[place] ^= 1 << self.below(8);
        let file = std::fs::File::options().write(true).open(file)?;
        file.write_all_at(&bytes[place..=place], place as u64)
    }

    fn kill_workers(&mut self, lab: &Lab) {
        for worker in lab.up().into_iter().flat_map(|number| workers_of(lab.process(number))) {
            // It may have ended meanwhile.
            let _ = kill_process(Pid::from_raw(worker.cast_signed()).unwrap(), Signal::KILL);
        }
    }

    /// Asks whoever answers; that a node takes its part again has to be heard.
    async fn drain(&mut self, lab: &mut Lab, node: usize, draining: bool) {
        let began = Instant::now();
        loop {
            for at in lab.up() {
                if takes_part(&lab.admin(at), node, draining).await {
                    return;
                }
            }
            if draining {
                self.note(format!("nobody takes that node {node} is to be emptied"));
                return;
            }
            if self.running.iter().all(|running| running.fault == Fault::Drain) {
                lab.all_ready().await;
            } else if began.elapsed() > Duration::from_secs(10) {
                // What is there besides may keep anybody from taking it.
                let others: Vec<Running> = std::mem::take(&mut self.running);
                for other in others {
                    Box::pin(self.end(lab, &other)).await;
                }
            }
            assert!(began.elapsed() < Duration::from_secs(120), "node {node} cannot take its part again");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// Tells the cluster through `client` whether a node gives up its part; gives whether that was taken.
async fn takes_part(client: &support::Client, node: usize, draining: bool) -> bool {
    let Some(id) = id_of(client, node).await else { return false };
    let request = client.request(Method::POST, &format!("/nodes/{id}/drain"));
    let answer = request.json(&json!({ "draining": draining })).send().await;
    answer.is_ok_and(|answer| answer.status() == 204)
}

async fn id_of(client: &support::Client, node: usize) -> Option<String> {
    let answer = client.request(Method::GET, "/cluster").send().await.ok()?;
    let cluster: serde_json::Value = answer.json().await.ok()?;
    let found = cluster["nodes"].as_array()?.iter().find(|found| found["name"] == format!("n{node}"))?;
    found["id"].as_str().map(str::to_owned)
}

/// Cuts what the fault cuts.
fn cut(lab: &Lab, fault: Fault, node: usize) {
    let next = node % 3 + 1;
    let one_way = |from: usize, to: usize| lab.path(from, to, |path| path.cut = true);
    for other in (1..=3).filter(|other| *other != node) {
        match fault {
            Fault::CutOff => lab.isolate(&[node], true),
            Fault::Deaf => one_way(other, node),
            Fault::Mute => one_way(node, other),
            Fault::Between if other == next => {
                one_way(node, next);
                one_way(next, node);
            }
            _ => {}
        }
    }
}

fn long_and_lossy(lab: &Lab, is_so: bool) {
    let millis = Duration::from_millis;
    let bad =
        Path { delay: millis(20), jitter: millis(60), lost_percent: 20, doubled_percent: 5, cut: false };
    let wanted = if is_so { bad } else { Path::default() };
    lab.each_path(|path| *path = Path { cut: path.cut, ..wanted });
}
