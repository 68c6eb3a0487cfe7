//! A soak: three real nodes under load while faults, and pairs of faults, come and go by a seed; then trouble stops, and
//! within minutes everything acknowledged is there in three copies and no node has more open than it had before.
//!
//! `MEDIAKEEP_SOAK_SEED` repeats what a run printed, as far as faults go: what meets them when is up to the machine.
//! `MEDIAKEEP_SOAK_MINUTES` makes it longer: `./just soak`.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::print_stdout, reason = "whoever repeats the fault needs the seed, and what was done when")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::Xoshiro256PlusPlus;
use reqwest::Method;
use serde_json::Value;

#[path = "../cluster/src/sim/history.rs"]
#[allow(dead_code, reason = "the simulated world uses more of it")]
mod history;
#[path = "soak/load.rs"]
mod load;
#[path = "media_support.rs"]
#[allow(dead_code, reason = "the tests of media use more of it")]
mod media_support;
#[path = "soak/nemesis.rs"]
mod nemesis;
mod net;
#[path = "soak/oracle.rs"]
mod oracle;
#[path = "soak/rest.rs"]
mod rest;
#[path = "support/mod.rs"]
mod support;

use load::{Books, Load, locked};
use nemesis::Nemesis;
use net::clients::Crowd;
use net::lab::Lab;
use rest::Rest;

/// Clients of metadata.
const CLIENTS: usize = 4;
/// The disk of each node.
const DISK_MIB: u64 = 1_024;
/// After trouble stops everything is well within this time.
const WELL_WITHIN: Duration = Duration::from_secs(300);

/// How long everything takes.
struct Plan {
    /// Load without trouble, before what is open is counted.
    warm_up: Duration,
    /// Trouble in one round; after each everything is checked.
    round: Duration,
    /// All rounds.
    whole: Duration,
    /// A fault, from its beginning.
    held: std::ops::Range<Duration>,
}

impl Plan {
    fn new() -> Self {
        let seconds = Duration::from_secs;
        match std::env::var("MEDIAKEEP_SOAK_MINUTES").ok().map(|text| text.parse::<f64>().unwrap()) {
            Some(minutes) => Self {
                warm_up: seconds(30),
                round: seconds(120),
                whole: Duration::from_secs_f64(minutes * 60.0),
                held: seconds(1)..seconds(12),
            },
            None => {
                let short = seconds(18);
                Self { warm_up: seconds(6), round: short, whole: short, held: seconds(1)..seconds(4) }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_and_pairs_of_them_lose_nothing_and_leave_nothing_behind() {
    let seed = std::env::var("MEDIAKEEP_SOAK_SEED").ok().map(|text| text.parse().unwrap());
    let seed: u64 = seed.unwrap_or_else(|| rand::random_range(1..1_000_000));
    println!("MEDIAKEEP_SOAK_SEED={seed}");
    let plan = Plan::new();
    let mut lab = Lab::start_on_disks(3, DISK_MIB).await;
    let books = Arc::new(Books::default());

    let (crowd, load) = (Crowd::gather(&lab, CLIENTS).await, Load::begin(&lab, &books, seed));
    tokio::time::sleep(plan.warm_up).await;
    quiet(&lab, crowd, load, &books).await;
    let before = rest::settled(&lab, Duration::from_secs(20)).await;
    println!("before: {before:?}");
    let mut bound = Bound::new(&before);

    let mut nemesis = Nemesis::new(Xoshiro256PlusPlus::seed_from_u64(seed));
    let began = Instant::now();
    for round in 1.. {
        let (crowd, load) = (Crowd::gather(&lab, CLIENTS).await, Load::begin(&lab, &books, seed + round));
        // Kept everywhere and not written any more, by what the last check found.
        let assets: Vec<String> = locked(&books.kept).iter().map(|kept| kept.asset.clone()).collect();
        let until = Instant::now() + plan.round;
        while Instant::now() < until {
            nemesis.strike(&mut lab, plan.held.clone(), &assets).await;
            crowd.progress().await;
            assert!(!load.has_failed(), "a client has found something wrong: see above");
        }
        quiet(&lab, crowd, load, &books).await;
        nemesis.all_mended();
        let after = rest::comes_down_to(&lab, &bound.most(), WELL_WITHIN).await;
        bound.learn(&after);
        println!("after round {round}: {after:?}");
        if began.elapsed() >= plan.whole {
            break;
        }
    }
}

/// What nodes may have at rest.
struct Bound {
    before: Rest,
    /// The most memory of any node at rest after the first round.
    memory_kib: Option<u64>,
}

impl Bound {
    fn new(before: &[Rest]) -> Self {
        Self { before: rest::most(before), memory_kib: None }
    }

    /// The first round of trouble is where caches, and the allocator's arenas of all threads, first fill: a warm-up without
    /// trouble does not make them. From then on all rounds are alike, and a tenth more is a leak. Less is none: a node that was
    /// killed begins small. Nodes make connections anew, and threads for blocking work stay for seconds: a few are no leak.
    fn most(&self) -> Rest {
        let memory_kib = self.memory_kib.map_or(self.before.memory_kib * 3 / 2, |most| most * 11 / 10);
        Rest { memory_kib, files: self.before.files + 8, threads: self.before.threads + 2, ..self.before }
    }

    fn learn(&mut self, after: &[Rest]) {
        let most = rest::most(after).memory_kib.max(self.before.memory_kib);
        self.memory_kib.get_or_insert(most);
    }
}

/// Ends the load, and waits until everything is well.
async fn quiet(lab: &Lab, crowd: Crowd, load: Load, books: &Arc<Books>) {
    load.end().await;
    crowd.disperse(lab).await;
    give_up_unfinished(lab).await;
    oracle::holds(lab, books, WELL_WITHIN).await;
    clear(lab).await;
    println!("{} files are kept, {} gone", locked(&books.kept).len(), locked(&books.gone).len());
    println!("answers: {:?}", std::mem::take(&mut *locked(&books.answers)));
}

/// Gives up the uploads whose beginning nobody heard of: no client will bring them to their end, and the cluster waits for one.
async fn give_up_unfinished(lab: &Lab) {
    let admin = lab.admin(1);
    let path = format!("/applications/{}/assets?limit=500", lab.application);
    let request = admin.request(Method::GET, &path).header("cache-control", "no-cache");
    let list = admin.send(request).await.expect(200);
    let (mut finished, mut given_up) = (0, 0);
    for asset in list["items"].as_array().unwrap() {
        if asset["state"] != "uploading" {
            finished += 1;
            continue;
        }
        let path = format!("/uploads/{}", asset["id"].as_str().unwrap());
        let answer = admin.send(media_support::tus(&admin, Method::DELETE, &path)).await;
        // One that was sent at once has an end of its own.
        println!("unfinished: {} {}", asset["id"], answer.status);
        given_up += 1;
    }
    println!("{finished} uploads are finished, {given_up} given up");
}

/// Deletes all collections: the next clients make their own, by the same names.
async fn clear(lab: &Lab) {
    let admin = lab.admin(1);
    loop {
        let path = format!("/applications/{}/collections?limit=500", lab.application);
        let request = admin.request(Method::GET, &path).header("cache-control", "no-cache");
        let list = admin.send(request).await.expect(200);
        let items: Vec<Value> = list["items"].as_array().unwrap().clone();
        if items.is_empty() {
            return;
        }
        for collection in items {
            let id = collection["id"].as_str().unwrap();
            admin.delete(&format!("/collections/{id}")).await.expect(204);
        }
    }
}
