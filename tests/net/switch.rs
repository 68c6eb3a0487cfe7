//! A small Ethernet switch in this process: every node has a network namespace of its own whose only cable ends here. It
//! cuts, delays, loses and doubles frames from one port to another, each direction for itself. Nothing of the kernel but
//! TAP devices is needed for that.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use rand::RngExt;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Longest frame.
const FRAME: usize = 2048;
/// How soon a port notices that the switch ends.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// What happens to frames from one port to another.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Path {
    /// None arrives.
    pub cut: bool,
    /// Each takes this long.
    pub delay: Duration,
    /// And up to this much longer, each for itself: they overtake one another.
    pub jitter: Duration,
    /// So many of a hundred are lost.
    pub lost_percent: u32,
    /// So many of a hundred arrive twice.
    pub doubled_percent: u32,
}

struct Shared {
    ports: Vec<File>,
    paths: RwLock<Vec<Vec<Path>>>,
    late: Mutex<BinaryHeap<Reverse<Late>>>,
    woken: Condvar,
    ending: AtomicBool,
}

/// A frame on its way.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Late {
    due: Instant,
    port: usize,
    frame: Vec<u8>,
}

/// The switch. It ends when it is dropped.
pub struct Switch {
    shared: Arc<Shared>,
}

/// The hardware address of the device behind port `port`.
pub fn hardware_address(port: usize) -> String {
    format!("02:6d:6b:00:00:{port:02x}")
}

impl Switch {
    /// Switches between `ports`: TAP devices whose hardware addresses are those of [`hardware_address`].
    pub fn start(ports: Vec<File>) -> Self {
        let count = ports.len();
        let shared = Arc::new(Shared {
            ports,
            paths: RwLock::new(vec![vec![Path::default(); count]; count]),
            late: Mutex::default(),
            woken: Condvar::new(),
            ending: AtomicBool::new(false),
        });
        for port in 0..count {
            let shared = shared.clone();
            std::thread::spawn(move || shared.take_from(port));
        }
        let later = shared.clone();
        std::thread::spawn(move || later.deliver_late());
        Self { shared }
    }

    /// From now on `change` holds for frames from `from` to `to`.
    pub fn change(&self, from: usize, to: usize, change: impl FnOnce(&mut Path)) {
        let mut paths = self.shared.paths.write().unwrap_or_else(PoisonError::into_inner);
        change(&mut paths[from][to]);
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        self.shared.ending.store(true, Ordering::Relaxed);
        self.shared.woken.notify_all();
    }
}

impl Shared {
    fn take_from(&self, port: usize) {
        let mut buffer = [0; FRAME];
        let mut file = &self.ports[port];
        while !self.ending.load(Ordering::Relaxed) {
            let mut ready = [PollFd::new(&self.ports[port], PollFlags::IN)];
            if !matches!(poll(&mut ready, Some(&LOOK)), Ok(1)) {
                continue;
            }
            match file.read(&mut buffer) {
                Ok(length) if length >= 12 => self.pass_on(port, &buffer[..length]),
                Ok(_) => {}
                // The device has no network any more: its namespace is gone.
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    fn pass_on(&self, from: usize, frame: &[u8]) {
        let is_for_all = frame[0] & 1 == 1;
        for to in (0..self.ports.len()).filter(|to| *to != from) {
            if is_for_all || usize::from(frame[5]) == to {
                self.send(from, to, frame);
            }
        }
    }

    fn send(&self, from: usize, to: usize, frame: &[u8]) {
        let path = self.paths.read().unwrap_or_else(PoisonError::into_inner)[from][to];
        let mut chance = rand::rng();
        if path.cut || chance.random_range(0..100) < path.lost_percent {
            return;
        }
        let copies = if chance.random_range(0..100) < path.doubled_percent { 2 } else { 1 };
        for _ in 0..copies {
            if path.delay.is_zero() && path.jitter.is_zero() {
                self.write(to, frame);
                continue;
            }
            let jitter = path.jitter.mul_f64(chance.random());
            let late = Late { due: Instant::now() + path.delay + jitter, port: to, frame: frame.to_vec() };
            self.late().push(Reverse(late));
            self.woken.notify_one();
        }
    }

    /// A device that takes no frame loses it, as a full cable would.
    fn write(&self, to: usize, frame: &[u8]) {
        drop((&self.ports[to]).write(frame));
    }

    fn late(&self) -> MutexGuard<'_, BinaryHeap<Reverse<Late>>> {
        self.late.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn deliver_late(&self) {
        let mut late = self.late();
        while !self.ending.load(Ordering::Relaxed) {
            let now = Instant::now();
            let wait = match late.peek() {
                Some(Reverse(next)) if next.due <= now => {
                    if let Some(Reverse(next)) = late.pop() {
                        self.write(next.port, &next.frame);
                    }
                    continue;
                }
                Some(Reverse(next)) => next.due - now,
                None => Duration::from_millis(100),
            };
            (late, _) = self.woken.wait_timeout(late, wait).unwrap_or_else(PoisonError::into_inner);
        }
    }
}
