//! The seed, and everything drawn from it. One per thread: a world is one thread.

use std::cell::RefCell;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, SeedableRng};

thread_local! {
    static HERE: RefCell<Option<Xoshiro256PlusPlus>> = const { RefCell::new(None) };
}

/// Makes this thread a simulated world, whose keys, nonces, ids and timeouts come from `seed`.
pub(super) fn enter(seed: u64) {
    HERE.set(Some(Xoshiro256PlusPlus::seed_from_u64(seed)));
}

/// Makes this thread an ordinary one again.
pub(super) fn leave() {
    HERE.set(None);
}

/// Whether this thread is a simulated world.
#[must_use]
pub fn is_here() -> bool {
    HERE.with_borrow(Option::is_some)
}

/// Fills `bytes` from the seed, where this thread is a simulated world.
pub fn fill(bytes: &mut [u8]) -> bool {
    HERE.with_borrow_mut(|chance| chance.as_mut().map(|chance| chance.fill_bytes(bytes)).is_some())
}

/// One stream of choices. Each part of a world has its own, so that one more choice here moves nothing there.
#[derive(Debug, Clone)]
pub(super) struct Chance(Xoshiro256PlusPlus);

impl Chance {
    /// The choices of `part` under `seed`.
    pub(super) fn new(seed: u64, part: &str) -> Self {
        let mut mixed = [0; 8];
        mixed.copy_from_slice(&blake3::hash(format!("{part} {seed}").as_bytes()).as_bytes()[..8]);
        Self(Xoshiro256PlusPlus::seed_from_u64(u64::from_le_bytes(mixed)))
    }

    /// Any number.
    pub(super) fn any(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `end`, which is not 0.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.any() % end.max(1)
    }

    /// A number from `first` to `last`.
    pub(super) fn between(&mut self, first: u64, last: u64) -> u64 {
        first + self.below(last.saturating_sub(first) + 1)
    }

    /// Yes, so many times in a hundred.
    pub(super) fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of `all`, when there is one.
    pub(super) fn pick<T: Copy>(&mut self, all: &[T]) -> Option<T> {
        let at = self.below(all.len() as u64);
        all.get(usize::try_from(at).unwrap_or(0)).copied()
    }
}
