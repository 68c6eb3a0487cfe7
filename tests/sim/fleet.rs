//! Runs many worlds, each in a process of its own, as many at once as there are cores.

use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use cluster::sim::{Planted, Report};

const SEED: &str = "MEDIAKEEP_SIM_SEED";
const KEEP: &str = "MEDIAKEEP_SIM_KEEP";
const PLANTED: &str = "MEDIAKEEP_SIM_PLANTED";
/// Events shown of a world that broke a promise.
const SHOWN: usize = 60;
const TOLD: &str = "world told: ";

/// One world as the environment names it.
pub struct Asked {
    pub seed: u64,
    pub keep: usize,
    pub planted: Option<Planted>,
}

/// What came of one.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    pub seed: u64,
    pub is_well: bool,
    pub hash: Option<String>,
    pub answered: u64,
    pub crashes: u64,
    pub replaced: u64,
    pub messages: u64,
    pub lost: u64,
    pub said: String,
}

const ALL_PLANTED: [(&str, Planted); 11] = [
    ("skip-sync", Planted::SkipSync),
    ("one-copy", Planted::AcknowledgeAtOneCopy),
    ("read-without-asking", Planted::ReadWithoutAsking),
    ("forget-requests", Planted::ForgetRequests),
    ("skip-blob-sync", Planted::SkipBlobSync),
    ("one-copy-of-a-blob", Planted::AcknowledgeBlobAtOneCopy),
    ("lower-epoch", Planted::AcceptLowerEpoch),
    ("no-grace", Planted::IgnoreGrace),
    ("agree-before-durable", Planted::AgreeBeforeDurable),
    ("answer-before-durable", Planted::AnswerBeforeDurable),
    ("apply-before-durable", Planted::ApplyBeforeDurable),
];

pub fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

impl Asked {
    pub fn of(seed: u64, planted: Option<Planted>) -> Self {
        Self { seed, keep: SHOWN, planted }
    }

    pub fn from_environment() -> Self {
        let planted = std::env::var(PLANTED).ok();
        let planted = planted.map(|name| ALL_PLANTED.iter().find(|(one, _)| *one == name).unwrap().1);
        let keep = number(KEEP).map_or(SHOWN, |keep| usize::try_from(keep).unwrap());
        Self { seed: number(SEED).unwrap_or(1), keep, planted }
    }

    fn planted_name(&self) -> Option<&'static str> {
        ALL_PLANTED.iter().find(|(_, one)| Some(*one) == self.planted).map(|(name, _)| *name)
    }

    /// What runs this world again, with all of its events.
    pub fn command(&self) -> String {
        let planted = self.planted_name().map(|name| format!("{PLANTED}={name} ")).unwrap_or_default();
        format!(
            "{SEED}={} {KEEP}=1000000 {planted}cargo nextest run --workspace --test sim one_world",
            self.seed
        )
    }

    fn run(&self) -> Outcome {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "one_world", "--nocapture", "--test-threads=1"]);
        command.env(SEED, self.seed.to_string()).env(KEEP, self.keep.to_string()).env_remove(PLANTED);
        command.envs(self.planted_name().map(|name| (PLANTED, name)));
        let output = command.output().unwrap();
        let said =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let mut outcome = Outcome { seed: self.seed, is_well: output.status.success(), ..Outcome::default() };
        if let Some(told) = said.lines().find_map(|line| line.split_once(TOLD)) {
            let words: Vec<&str> = told.1.split_whitespace().collect();
            let count = |at: usize| words[at].parse().unwrap();
            outcome.hash = Some(words[0].to_owned());
            (outcome.answered, outcome.crashes, outcome.replaced) = (count(1), count(2), count(3));
            (outcome.messages, outcome.lost) = (count(4), count(5));
        }
        outcome.said = said;
        outcome
    }
}

/// Says what a world came to, for the process that started it.
#[expect(clippy::print_stdout, reason = "the process that started it reads it")]
pub fn tell(report: &Report) {
    let Report { hash, answered, crashes, replaced, messages, lost, .. } = report;
    println!("{TOLD}{hash} {answered} {crashes} {replaced} {messages} {lost}");
}

/// Runs a world for each seed and gives what came of them, in the order of the seeds.
pub fn run(seeds: &[u64], planted: Option<Planted>) -> Vec<Outcome> {
    let next = AtomicUsize::new(0);
    let outcomes = Mutex::new(vec![Outcome::default(); seeds.len()]);
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(seed) = seeds.get(at) else { return };
                    let outcome = Asked::of(*seed, planted).run();
                    outcomes.lock().unwrap()[at] = outcome;
                }
            });
        }
    });
    outcomes.into_inner().unwrap()
}
