//! Past the page cache: large writes, and large reads of what is read once. Copying into fresh pages of the cache costs
//! several times what the disk itself does, and pushes out what viewers read. What does not fill whole pages at both ends
//! goes through the cache as ever, so that a file holds the same bytes after the same writes. Called by the real disk alone.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rustix::fs::OFlags;

/// What has so many bytes goes past the cache. What viewers of a live stream ask for at once comes in smaller ones.
const FROM: usize = 512 * 1024;
/// Offsets, lengths and memory are multiples of this: as large as the sectors of any disk that is sold.
const ALIGNMENT: usize = 4096;
/// Written or read through aligned memory at a time.
const AT_ONCE: usize = 1024 * 1024;
/// Buffers that are kept for the next: as many as are used at the same time.
const KEPT: usize = 4;

/// Aligned memory that the files of one disk share.
#[derive(Debug, Default)]
pub(super) struct Buffers(Mutex<Vec<Vec<u8>>>);

impl Buffers {
    fn with<T>(&self, work: impl FnOnce(&mut [u8]) -> T) -> T {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut memory = kept.unwrap_or_else(|| vec![0; AT_ONCE + ALIGNMENT]);
        let start = memory.as_ptr().align_offset(ALIGNMENT);
        let outcome = work(&mut memory[start..start + AT_ONCE]);
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT {
            kept.push(memory);
        }
        outcome
    }
}

fn is_aligned(bytes: &[u8]) -> bool {
    bytes.as_ptr().addr().is_multiple_of(ALIGNMENT)
}

/// How far into a page a position lies.
fn into_page(offset: u64) -> usize {
    usize::try_from(offset % ALIGNMENT as u64).expect("less than a page")
}

/// The part of a write of `length` bytes at `offset` that fills whole pages, if that is enough to be worth it.
fn whole_pages(offset: u64, length: usize) -> Option<Range<usize>> {
    if length < FROM {
        return None;
    }
    let into_page = into_page(offset);
    let from = (ALIGNMENT - into_page) % ALIGNMENT;
    let upto = length - (into_page + length) % ALIGNMENT;
    Some(from..upto)
}

/// A file's second face, opened when the first large write comes.
#[derive(Debug)]
pub(super) struct Direct {
    buffers: Arc<Buffers>,
    file: OnceLock<Option<File>>,
}

impl Direct {
    pub(super) fn new(buffers: Arc<Buffers>) -> Self {
        Self { buffers, file: OnceLock::new() }
    }

    /// Reads from `file`, which is always the same one, as much as there is. A large read leaves the cache as it is.
    ///
    /// # Errors
    /// What the disk says.
    pub(super) fn read_once_at(&self, file: &File, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        if bytes.len() < FROM {
            return read_all_at(file, bytes, offset);
        }
        let direct = self.file.get_or_init(|| opened_again(file)).as_ref();
        let done = direct.map_or(0, |direct| self.read_pages(direct, bytes, offset));
        // The file ends, or there is no way past the cache.
        Ok(done + read_all_at(file, &mut bytes[done..], offset + done as u64)?)
    }

    /// Reads by whole pages until the end, or to where the disk refuses: what it has to say is said to whoever asks the cache.
    fn read_pages(&self, direct: &File, bytes: &mut [u8], offset: u64) -> usize {
        self.buffers.with(|buffer| {
            let mut done = 0;
            while done < bytes.len() {
                let at = offset + done as u64;
                let into_page = into_page(at);
                let wanted = (into_page + bytes.len() - done).next_multiple_of(ALIGNMENT).min(AT_ONCE);
                let read = direct.read_at(&mut buffer[..wanted], at - into_page as u64).unwrap_or(0);
                let Some(found) = buffer[..read].get(into_page..).filter(|found| !found.is_empty()) else {
                    break;
                };
                let taken = found.len().min(bytes.len() - done);
                bytes[done..done + taken].copy_from_slice(&found[..taken]);
                done += taken;
                if read < wanted {
                    break;
                }
            }
            done
        })
    }

    /// Writes to `file`, which is always the same one. What is large goes past the cache as far as it fills pages, where
    /// the file system knows a way.
    ///
    /// # Errors
    /// What the disk says; any part may have been written then.
    pub(super) fn write_all_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        let Some(pages) = whole_pages(offset, bytes.len()) else {
            return file.write_all_at(bytes, offset);
        };
        let Some(direct) = self.file.get_or_init(|| opened_again(file)) else {
            return file.write_all_at(bytes, offset);
        };
        let (from, upto) = (offset + pages.start as u64, offset + pages.end as u64);
        file.write_all_at(&bytes[..pages.start], offset)?;
        self.write_pages(file, direct, &bytes[pages.clone()], from)?;
        file.write_all_at(&bytes[pages.end..], upto)
    }

    fn write_pages(&self, file: &File, direct: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.buffers.with(|buffer| {
            let mut at = offset;
            for piece in bytes.chunks(AT_ONCE) {
                let aligned = if is_aligned(piece) {
                    piece
                } else {
                    buffer[..piece.len()].copy_from_slice(piece);
                    &buffer[..piece.len()]
                };
                let written = written_directly(direct, aligned, at)?;
                // The rest after a short write is for the cache: it need not begin where a page does.
                if written < piece.len() {
                    file.write_all_at(&piece[written..], at + written as u64)?;
                }
                at += piece.len() as u64;
            }
            Ok(())
        })
    }
}

/// Reads until all is read or the file ends.
pub(super) fn read_all_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while done < bytes.len() {
        match file.read_at(&mut bytes[done..], offset + done as u64) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// The very file, whatever its name is by now.
fn opened_again(file: &File) -> Option<File> {
    let flags = i32::try_from(OFlags::DIRECT.bits()).ok()?;
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    OpenOptions::new().read(true).write(true).custom_flags(flags).open(path).ok()
}

/// How many bytes the disk took: none where it refuses the alignment.
fn written_directly(direct: &File, aligned: &[u8], offset: u64) -> io::Result<usize> {
    loop {
        match direct.write_at(aligned, offset) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::InvalidInput => return Ok(0),
            other => return other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_is_split_where_pages_begin() {
        let large = FROM + 1000;
        for (offset, length, expected) in [
            (0, FROM - 1, None),
            (0, FROM, Some(0..FROM)),
            (4096, FROM, Some(0..FROM)),
            (1, FROM, Some(4095..FROM - 1)),
            (4095, FROM, Some(1..FROM - 4095)),
            (100, large, Some(3996..large - 1100)),
            (u64::MAX - 4095, FROM, Some(0..FROM)),
        ] {
            let found = whole_pages(offset, length);
            assert_eq!(found, expected, "{length} at {offset}");
            let Some(part) = found else { continue };
            assert_eq!(
                (offset.wrapping_add(part.start as u64)) % ALIGNMENT as u64,
                0,
                "{length} at {offset}"
            );
            assert_eq!(part.len() % ALIGNMENT, 0, "{length} at {offset}");
        }
    }

    fn pattern(at: usize, number: usize) -> u8 {
        (at * 31 + at / 251 + number * 7).to_le_bytes()[0]
    }

    /// Whatever lies in the cache, and wherever the file ends.
    #[test]
    fn what_is_read_once_is_what_is_read_ever() {
        let folder = tempfile::tempdir().unwrap();
        let bytes: Vec<u8> = (0..3 * AT_ONCE + 777).map(|at| pattern(at, 0)).collect();
        let path = folder.path().join("file");
        std::fs::write(&path, &bytes).unwrap();
        let file = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        file.sync_all().unwrap();
        let end = bytes.len();
        for (offset, length) in [
            (0, FROM),
            (1, FROM - 1),
            (0, end),
            (0, 2 * end),
            (36, 2 * AT_ONCE),
            (4095, AT_ONCE + 2),
            (AT_ONCE, FROM + 4096),
            (end - FROM - 9, FROM + 100),
            (end - 1, FROM),
            (end, FROM),
            (end + 5000, FROM),
        ] {
            for kept in [0..0, 0..end, offset.min(end)..(offset + 70_000).min(end), end / 2..end] {
                rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
                read_all_at(&file, &mut vec![0; kept.len()], kept.start as u64).unwrap();
                let mut found = vec![0; length];
                let direct = Direct::new(Arc::default());
                let read = direct.read_once_at(&file, &mut found, offset as u64).unwrap();
                let expected = &bytes[offset.min(end)..(offset + length).min(end)];
                assert!(found[..read] == *expected, "{length} at {offset} with {kept:?}: {read}");
            }
        }
    }

    /// Large and small writes in any order, over one another and past the end, leave what the same writes to memory do.
    #[test]
    fn what_is_written_in_both_ways_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let file = File::create_new(&path).unwrap();
        let direct = Direct::new(Arc::default());
        let mut model: Vec<u8> = Vec::new();
        let writes = [
            (0, 36),
            (36, FROM + 77),
            (FROM + 113, 3 * AT_ONCE + 5),
            (10, AT_ONCE),
            (FROM, 4096),
            (4096, AT_ONCE + 4096),
            (5 * AT_ONCE + 1, FROM),
            (5 * AT_ONCE - 3, 10),
            (5 * AT_ONCE, 2 * AT_ONCE),
        ];
        for (number, (offset, length)) in writes.into_iter().enumerate() {
            let bytes: Vec<u8> = (0..length).map(|at| pattern(at, number)).collect();
            model.resize(model.len().max(offset + length), 0);
            model[offset..offset + length].copy_from_slice(&bytes);
            direct.write_all_at(&file, &bytes, offset as u64).unwrap();
            assert!(std::fs::read(&path).unwrap() == model, "after {length} at {offset}");
        }
        std::fs::rename(&path, folder.path().join("another name")).unwrap();
        std::fs::write(&path, b"not this").unwrap();
        direct.write_all_at(&file, &vec![9; 2 * AT_ONCE], 0).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"not this");
        assert_eq!(file.metadata().unwrap().len(), model.len() as u64);
    }
}
