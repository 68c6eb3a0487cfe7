//! The hash of a copy, made as its pieces arrive: in any order, since a writer has several messages under way at once. Used by
//! the copies that other nodes write.

use std::collections::BTreeMap;

use bytes::Bytes;

/// Pieces that came before their turn and are still to be hashed: a few messages of a writer are under way at once.
const PIECES_AHEAD: usize = 8;

/// The hash of all bytes of a copy up to some length.
pub(super) struct RunningHash {
    upto: u64,
    hasher: Box<blake3::Hasher>,
    ahead: BTreeMap<u64, Bytes>,
}

impl RunningHash {
    /// That of a file's first bytes.
    pub(super) fn of(first: &[u8]) -> Self {
        let mut hasher = Box::new(blake3::Hasher::new());
        hasher.update(first);
        Self { upto: first.len() as u64, hasher, ahead: BTreeMap::new() }
    }

    /// With a piece more, in any order. `None` when it lies over what is hashed already, or too many are ahead of their turn:
    /// then only the file itself tells.
    pub(super) fn with(mut self, offset: u64, bytes: &Bytes) -> Option<Self> {
        if offset < self.upto || self.ahead.len() >= PIECES_AHEAD {
            return None;
        }
        if self.ahead.insert(offset, bytes.clone()).is_some() {
            return None;
        }
        while let Some(piece) = self.ahead.remove(&self.upto) {
            self.hasher.update(&piece);
            self.upto += piece.len() as u64;
        }
        Some(self)
    }

    /// The length that is hashed, and its hash to go on with.
    pub(super) fn known(self) -> (u64, Box<blake3::Hasher>) {
        (self.upto, self.hasher)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces() -> Vec<(u64, Bytes)> {
        let mut at = 4;
        let mut piece = |(number, length): (u8, usize)| {
            let piece = (at, Bytes::from(vec![number; length]));
            at += length as u64;
            piece
        };
        [(1, 3), (2, 1), (3, 0), (4, 4000), (5, 70_000), (6, 5)].map(&mut piece).into()
    }

    #[test]
    fn pieces_in_any_order_have_the_hash_of_the_whole() {
        let pieces = pieces();
        let mut whole = b"head".to_vec();
        pieces.iter().for_each(|(_, bytes)| whole.extend_from_slice(bytes));
        for order in [[0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0], [3, 1, 0, 2, 5, 4]] {
            let mut hash = RunningHash::of(b"head");
            for at in order.into_iter().filter(|at| !pieces[*at].1.is_empty()) {
                let (offset, bytes) = &pieces[at];
                hash = hash.with(*offset, bytes).unwrap();
            }
            let (upto, hasher) = hash.known();
            assert_eq!(upto, whole.len() as u64, "{order:?}");
            assert_eq!(hasher.finalize(), blake3::hash(&whole), "{order:?}");
        }
    }

    #[test]
    fn what_is_written_over_is_left_to_the_file() {
        let over = RunningHash::of(b"head").with(4, &Bytes::from_static(b"more")).unwrap();
        assert!(over.with(6, &Bytes::from_static(b"another")).is_none());
        let mut twice = RunningHash::of(b"head");
        twice = twice.with(10, &Bytes::from_static(b"more")).unwrap();
        assert!(twice.with(10, &Bytes::from_static(b"other")).is_none());
    }

    #[test]
    fn not_more_is_kept_than_a_writer_has_under_way() {
        let mut hash = Some(RunningHash::of(b""));
        for number in 0..=PIECES_AHEAD as u64 {
            hash = hash.expect("few are ahead").with(10 + number, &Bytes::from_static(b"x"));
        }
        assert!(hash.is_none());
    }
}
