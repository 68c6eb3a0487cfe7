//! Files of an export: written whole or not at all, hashed piece by piece, and listed in `SHA256SUMS`.

use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{Context, SHA256, digest};
use data_encoding::HEXLOWER;
use indicatif::ProgressBar;
use serde::Serialize;

use super::super::error::CliError;
use super::super::fetch::Fetched;

const PIECE: usize = 256 * 1024;
/// The ending of a file that is not whole yet.
pub const PART: &str = ".part";

/// A file's length and SHA-256, read piece by piece.
pub fn hashed(path: &Path, bar: &ProgressBar) -> Result<Fetched, CliError> {
    let mut file = File::open(path).map_err(CliError::file(path))?;
    let (mut hash, mut length, mut piece) = (Context::new(&SHA256), 0, vec![0; PIECE]);
    loop {
        let read = file.read(&mut piece).map_err(CliError::file(path))?;
        if read == 0 {
            return Ok(Fetched { length, sha256: HEXLOWER.encode(hash.finish().as_ref()) });
        }
        hash.update(&piece[..read]);
        let read = u64::try_from(read).unwrap_or(0);
        length += read;
        bar.inc(read);
    }
}

/// Length and SHA-256 of bytes.
pub fn facts_of(bytes: &[u8]) -> Fetched {
    let sha256 = HEXLOWER.encode(digest(&SHA256, bytes).as_ref());
    Fetched { length: u64::try_from(bytes.len()).unwrap_or(u64::MAX), sha256 }
}

/// What an export says in JSON, for people and programs.
pub fn json_bytes(value: &impl Serialize) -> Result<Vec<u8>, CliError> {
    let mut bytes = serde_json::to_vec_pretty(value).map_err(|error| CliError::Answer(error.to_string()))?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Writes a file whole or not at all, durably; leaves one alone that is so already.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<Fetched, CliError> {
    let is_same = path.symlink_metadata().is_ok_and(|facts| facts.is_file())
        && fs::read(path).is_ok_and(|there| there == bytes);
    if !is_same {
        let part = part_of(path);
        let write = || -> std::io::Result<()> {
            let mut file = File::create(&part)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&part, path)
        };
        write().map_err(CliError::file(path))?;
    }
    Ok(facts_of(bytes))
}

/// Makes names in a folder durable.
pub fn sync_folder(folder: &Path) -> Result<(), CliError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(CliError::file(folder))
}

/// Makes a folder; one that is a way elsewhere is refused.
pub fn make_folder(folder: &Path) -> Result<(), CliError> {
    match folder.symlink_metadata() {
        Ok(facts) if facts.is_dir() => Ok(()),
        Ok(_) => Err(CliError::file(folder)(std::io::ErrorKind::NotADirectory.into())),
        Err(_) => fs::create_dir(folder).map_err(CliError::file(folder)),
    }
}

fn part_of(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(PART);
    path.with_file_name(name)
}

/// `SHA256SUMS`, as it is written: what `sha256sum -c` reads.
#[derive(Debug)]
pub struct SumsWriter {
    path: PathBuf,
    file: BufWriter<File>,
    /// Lines so far.
    pub files: u64,
}

impl SumsWriter {
    /// Begins it anew; the one before stays until this one is whole.
    pub fn create(path: PathBuf) -> Result<Self, CliError> {
        let part = part_of(&path);
        let mut options = OpenOptions::new();
        let file =
            options.write(true).create(true).truncate(true).open(&part).map_err(CliError::file(&part))?;
        Ok(Self { path, file: BufWriter::new(file), files: 0 })
    }

    /// One file, named from the top of the export on.
    pub fn add(&mut self, name: &str, sha256: &str) -> Result<(), CliError> {
        self.files += 1;
        writeln!(self.file, "{sha256}  {name}").map_err(CliError::file(&self.path))
    }

    /// Gives it its name.
    pub fn finish(mut self) -> Result<(), CliError> {
        let written = self.file.flush().and_then(|()| self.file.get_ref().sync_all());
        written.and_then(|()| fs::rename(part_of(&self.path), &self.path)).map_err(CliError::file(&self.path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_written_once_and_left_alone_when_it_is_so_already() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        let facts = write_whole(&path, b"one").unwrap();
        let before = fs::metadata(&path).unwrap().modified().unwrap();
        assert_eq!(write_whole(&path, b"one").unwrap(), facts);
        assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), before);
        assert_eq!(hashed(&path, &ProgressBar::hidden()).unwrap(), facts);
        write_whole(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_that_leads_elsewhere_is_not_written_to() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("assets");
        std::os::unix::fs::symlink("/tmp", &link).unwrap();
        assert!(make_folder(&link).is_err());
    }
}
