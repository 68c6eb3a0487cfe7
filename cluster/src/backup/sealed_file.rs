//! A file sealed in pieces: what is written to a disk or sent is never plain, and memory does not grow with its length.
//!
//! `MKSEAL01`, then pieces: the length of the sealed piece (4 bytes) and the piece. Each is bound to the file's purpose,
//! its number and whether it is the last.

use std::io::{self, Read, Write};

use zeroize::Zeroizing;

use crate::keyring::{AeadKey, SEAL_OVERHEAD};

const MAGIC: &[u8; 8] = b"MKSEAL01";
/// Plaintext bytes of a full piece.
pub const PIECE: usize = 256 * 1024;

fn context(purpose: &str, number: u64, last: bool) -> Vec<u8> {
    [purpose.as_bytes(), &number.to_be_bytes(), &[u8::from(last)]].concat()
}

/// Seals what is written to it.
pub(super) struct Sealing<W> {
    key: AeadKey,
    purpose: &'static str,
    out: W,
    piece: Zeroizing<Vec<u8>>,
    number: u64,
}

impl<W: Write> Sealing<W> {
    pub(super) fn new(key: AeadKey, purpose: &'static str, mut out: W) -> io::Result<Self> {
        out.write_all(MAGIC)?;
        Ok(Self { key, purpose, out, piece: Zeroizing::new(Vec::with_capacity(PIECE)), number: 0 })
    }

    fn put(&mut self, last: bool) -> io::Result<()> {
        let context = context(self.purpose, self.number, last);
        let sealed = self.key.seal(&context, &self.piece).map_err(io::Error::other)?;
        let length = u32::try_from(sealed.len()).map_err(io::Error::other)?;
        self.out.write_all(&length.to_be_bytes())?;
        self.out.write_all(&sealed)?;
        self.number += 1;
        self.piece.clear();
        Ok(())
    }

    /// Seals the last piece and gives back what was written to.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.put(true)?;
        self.out.flush()?;
        Ok(self.out)
    }
}

impl<W: Write> Write for Sealing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.piece.len() == PIECE {
            self.put(false)?;
        }
        let taken = bytes.len().min(PIECE - self.piece.len());
        self.piece.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Opens what [`Sealing`] wrote; a file that was cut off is an error, never a shorter one.
pub(super) struct Opening<R> {
    key: AeadKey,
    purpose: &'static str,
    input: R,
    piece: Zeroizing<Vec<u8>>,
    at: usize,
    number: u64,
    ended: bool,
}

impl<R: Read> Opening<R> {
    pub(super) fn new(key: AeadKey, purpose: &'static str, mut input: R) -> io::Result<Self> {
        let mut magic = [0; 8];
        input.read_exact(&mut magic)?;
        if &magic != MAGIC {
            return Err(damaged());
        }
        Ok(Self { key, purpose, input, piece: Zeroizing::default(), at: 0, number: 0, ended: false })
    }

    fn next(&mut self) -> io::Result<()> {
        let mut length = [0; 4];
        self.input.read_exact(&mut length)?;
        let length = usize::try_from(u32::from_be_bytes(length)).map_err(io::Error::other)?;
        if length > PIECE + SEAL_OVERHEAD {
            return Err(damaged());
        }
        let mut sealed = vec![0; length];
        self.input.read_exact(&mut sealed)?;
        let open = |last| self.key.open(&context(self.purpose, self.number, last), &sealed);
        // Only the last piece is short of full; the flag it is bound to decides.
        (self.piece, self.ended) = match open(false) {
            Ok(piece) => (piece, false),
            Err(_) => (open(true).map_err(|_| damaged())?, true),
        };
        self.at = 0;
        self.number += 1;
        Ok(())
    }
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the sealed file is damaged")
}

impl<R: Read> Read for Opening<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.piece.len() {
            if self.ended {
                return Ok(0);
            }
            self.next()?;
        }
        let given = buffer.len().min(self.piece.len() - self.at);
        buffer[..given].copy_from_slice(&self.piece[self.at..self.at + given]);
        self.at += given;
        Ok(given)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> AeadKey {
        AeadKey::new(&[7; 32]).unwrap()
    }

    fn sealed(plain: &[u8]) -> Vec<u8> {
        let mut sealing = Sealing::new(key(), "test", Vec::new()).unwrap();
        sealing.write_all(plain).unwrap();
        sealing.finish().unwrap()
    }

    fn opened(sealed: &[u8], purpose: &'static str) -> io::Result<Vec<u8>> {
        let mut plain = Vec::new();
        Opening::new(key(), purpose, sealed)?.read_to_end(&mut plain)?;
        Ok(plain)
    }

    #[test]
    fn a_file_of_any_length_comes_back_and_only_for_its_purpose() {
        for length in [0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 2 * PIECE + 17] {
            let plain: Vec<u8> = (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect();
            let sealed = sealed(&plain);
            assert_eq!(opened(&sealed, "test").unwrap(), plain, "{length} bytes");
            assert!(opened(&sealed, "other").is_err());
        }
    }

    #[test]
    fn a_cut_or_changed_file_is_an_error() {
        let whole = sealed(&vec![9; PIECE + 100]);
        for cut in [0, 7, 8, 12, whole.len() / 2, PIECE + SEAL_OVERHEAD + 12, whole.len() - 1] {
            assert!(opened(&whole[..cut], "test").is_err(), "cut at {cut}");
        }
        for at in [3, 9, 40, whole.len() - 5] {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            assert!(opened(&changed, "test").is_err(), "changed at {at}");
        }
    }
}
