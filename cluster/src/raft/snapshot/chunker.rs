//! Cuts the bytes of State into chunks where the bytes themselves say so.
//!
//! State is written in key order. A cut falls where a rolling hash of the last bytes has a pattern, so a change moves only
//! the cuts near it: the chunks of every other key range come out the same as in the snapshot before, and are reused.

use std::io::{self, Write};

/// No chunk but the last is shorter.
pub const SHORTEST: usize = 16 * 1024;
/// No chunk is longer.
pub const LONGEST: usize = 256 * 1024;
/// 16 bits that must be zero: a cut every 64 KiB or so past the shortest.
const PATTERN: u64 = 0xFFFF << 40;

/// A writer that hands on whole chunks.
#[derive(Debug)]
pub struct Chunker<F> {
    table: Box<[u64; 256]>,
    rolling: u64,
    chunk: Vec<u8>,
    emit: F,
}

impl<F: FnMut(&[u8]) -> io::Result<()>> Chunker<F> {
    /// A chunker that calls `emit` with every chunk in turn.
    pub fn new(emit: F) -> Self {
        Self { table: Box::new(table()), rolling: 0, chunk: Vec::with_capacity(LONGEST), emit }
    }

    /// Hands on what is left.
    ///
    /// # Errors
    /// Those of `emit`.
    pub fn finish(mut self) -> io::Result<()> {
        if self.chunk.is_empty() { Ok(()) } else { (self.emit)(&self.chunk) }
    }

    fn push(&mut self, byte: u8) -> io::Result<()> {
        self.chunk.push(byte);
        self.rolling = (self.rolling << 1).wrapping_add(self.table[usize::from(byte)]);
        let length = self.chunk.len();
        if length >= LONGEST || (length >= SHORTEST && self.rolling & PATTERN == 0) {
            (self.emit)(&self.chunk)?;
            self.chunk.clear();
            self.rolling = 0;
        }
        Ok(())
    }
}

impl<F: FnMut(&[u8]) -> io::Result<()>> Write for Chunker<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        bytes.iter().try_for_each(|byte| self.push(*byte))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Fixed numbers without pattern (splitmix64). They are part of no format: another table only cuts elsewhere.
fn table() -> [u64; 256] {
    let mut state = 0x6D65_6469_616B_6565_u64;
    std::array::from_fn(|_| {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut chunks = Vec::new();
        let mut chunker = Chunker::new(|chunk: &[u8]| {
            chunks.push(chunk.to_vec());
            Ok(())
        });
        chunker.write_all(bytes).unwrap();
        chunker.finish().unwrap();
        chunks
    }

    fn noise(length: usize) -> Vec<u8> {
        let mut state = 1_u64;
        let next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            state.to_be_bytes()[0]
        };
        std::iter::repeat_with(next).take(length).collect()
    }

    #[test]
    fn chunks_are_the_bytes_in_order_and_within_bounds() {
        let bytes = noise(3_000_000);
        let chunks = cut(&bytes);
        assert_eq!(chunks.concat(), bytes);
        assert!(chunks.len() > 20, "{} chunks", chunks.len());
        let (_, whole) = chunks.split_last().unwrap();
        assert!(whole.iter().all(|chunk| (SHORTEST..=LONGEST).contains(&chunk.len())));
        assert!(cut(&[]).is_empty());
    }

    #[test]
    fn an_insertion_changes_only_the_chunks_around_it() {
        let before = noise(3_000_000);
        let mut after = before.clone();
        after.splice(1_500_000..1_500_000, *b"a new asset");
        let old: std::collections::HashSet<_> = cut(&before).into_iter().collect();
        let new = cut(&after);
        let fresh = new.iter().filter(|chunk| !old.contains(*chunk)).count();
        assert!(fresh <= 3, "{fresh} of {} chunks changed", new.len());
    }
}
