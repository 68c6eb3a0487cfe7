//! The newest of what was said, as much of it as there is room for.

use std::collections::{HashSet, VecDeque};
use std::hash::Hash;

/// Remembers at most so many; of more, the oldest are forgotten.
#[derive(Debug)]
pub(super) struct Remembered<T> {
    most: usize,
    order: VecDeque<T>,
    known: HashSet<T>,
}

impl<T: Copy + Eq + Hash> Remembered<T> {
    pub(super) fn new(most: usize) -> Self {
        Self { most, order: VecDeque::new(), known: HashSet::new() }
    }

    pub(super) fn insert(&mut self, one: T) {
        if !self.known.insert(one) {
            return;
        }
        self.order.push_back(one);
        if self.order.len() > self.most
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    pub(super) fn contains(&self, one: &T) -> bool {
        self.known.contains(one)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_known_and_the_oldest_go() {
        let mut remembered = Remembered::new(2);
        for one in [1, 2, 2, 3] {
            remembered.insert(one);
        }
        assert!(!remembered.contains(&1) && remembered.contains(&2) && remembered.contains(&3));
    }
}
