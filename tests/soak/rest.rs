//! What a node has open at rest: files, threads, memory, worker processes, temporary files.

use std::time::{Duration, Instant};

use crate::net::lab::Lab;
use crate::support;

/// What one node has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rest {
    pub files: usize,
    pub threads: usize,
    /// Memory of its own that is resident, KiB.
    pub memory_kib: u64,
    pub workers: usize,
    /// Temporary files, also those beside what is kept.
    pub temporary: usize,
}

impl Rest {
    /// Of node `number`.
    pub fn of(lab: &Lab, number: usize) -> Self {
        let process = lab.process(number);
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
        let figure = |name: &str| -> u64 {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().unwrap()
        };
        let is_temporary = |path: &std::path::PathBuf| {
            let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
            ["tmp", "corrupt", "part", "new"].contains(&ending)
        };
        let beside = support::files(&lab.dir(number)).into_iter().filter(is_temporary).count();
        Self {
            files: std::fs::read_dir(format!("/proc/{process}/fd")).unwrap().count(),
            threads: usize::try_from(figure("Threads")).unwrap(),
            memory_kib: figure("RssAnon"),
            workers: support::workers_of(process).len(),
            temporary: beside + support::files(&lab.temporary(number)).len(),
        }
    }

    /// Of all three.
    pub fn of_all(lab: &Lab) -> Vec<Self> {
        (1..=3).map(|number| Self::of(lab, number)).collect()
    }

    fn is_within(&self, bound: &Self) -> bool {
        self.files <= bound.files
            && self.threads <= bound.threads
            && self.memory_kib <= bound.memory_kib
            && self.workers <= bound.workers
            && self.temporary <= bound.temporary
    }
}

/// The most of each that any of them has.
pub fn most(of: &[Rest]) -> Rest {
    of.iter().fold(Rest::default(), |most, one| Rest {
        files: most.files.max(one.files),
        threads: most.threads.max(one.threads),
        memory_kib: most.memory_kib.max(one.memory_kib),
        workers: most.workers.max(one.workers),
        temporary: most.temporary.max(one.temporary),
    })
}

/// Waits until no node has more than `bound`, and gives what they have.
pub async fn comes_down_to(lab: &Lab, bound: &Rest, longest: Duration) -> Vec<Rest> {
    let began = Instant::now();
    loop {
        let now = Rest::of_all(lab);
        if now.iter().all(|rest| rest.is_within(bound)) {
            return now;
        }
        assert!(began.elapsed() < longest, "more is open than {bound:?} after {longest:?} of rest: {now:#?}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Waits until what the nodes have has stayed the same for some seconds, and gives it.
pub async fn settled(lab: &Lab, longest: Duration) -> Vec<Rest> {
    let (began, mut since, mut last) = (Instant::now(), Instant::now(), Rest::of_all(lab));
    let shape = |of: &[Rest]| -> Vec<(usize, usize, usize)> {
        of.iter().map(|rest| (rest.files, rest.threads, rest.workers)).collect()
    };
    while since.elapsed() < Duration::from_secs(3) && began.elapsed() < longest {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let now = Rest::of_all(lab);
        if shape(&now) != shape(&last) {
            since = Instant::now();
        }
        last = now;
    }
    last
}
