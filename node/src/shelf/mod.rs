//! The shelf: finished pieces of ciphertext kept in memory, so that a popular video is not read and checked again for
//! every viewer.
//!
//! Bounded by bytes, whatever the number of viewers. Two who ask for the same piece at once cause one load; a load that
//! fails or whose caller goes away is taken over by the next in line.

mod shelved;

pub use shelved::Shelf;
pub use shelved::ShelfKey;
