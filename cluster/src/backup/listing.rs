//! The list of a run's objects: one JSON line each, in the order of their names, read and written line by line.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use data_encoding::HEXLOWER;
use futures_util::stream;
use futures_util::{StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};

use super::target::{ByteStream, Target, TargetError};
use crate::blocking::blocking;

const PIECE: usize = 1024 * 1024;
/// No line is longer.
const LINE: u64 = 8 * 1024;

/// One object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Line {
    pub(super) name: String,
    pub(super) length: u64,
    /// BLAKE3, in hex.
    pub(super) hash: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) version: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) locked_until_ms: Option<u64>,
}

impl Line {
    pub(super) fn hash(&self) -> Option<[u8; 32]> {
        HEXLOWER.decode(self.hash.as_bytes()).ok()?.try_into().ok()
    }
}

/// A list that is being written.
pub(super) struct ListWriter {
    out: BufWriter<File>,
    path: PathBuf,
    last: String,
}

/// A file that lies in the scratch folder.
#[derive(Debug, Clone)]
pub(super) struct LocalFile {
    pub(super) path: PathBuf,
    pub(super) length: u64,
    /// BLAKE3.
    pub(super) hash: [u8; 32],
}

impl ListWriter {
    pub(super) fn create(path: PathBuf) -> io::Result<Self> {
        Ok(Self { out: BufWriter::new(File::create(&path)?), path, last: String::new() })
    }

    /// Adds the next object; its name must follow the one before.
    pub(super) fn add(&mut self, line: &Line) -> io::Result<()> {
        if line.name <= self.last {
            return Err(io::Error::other(format!("`{}` does not follow `{}`", line.name, self.last)));
        }
        serde_json::to_writer(&mut self.out, line)?;
        self.out.write_all(b"\n")?;
        self.last.clone_from(&line.name);
        Ok(())
    }

    pub(super) async fn finish(mut self) -> io::Result<LocalFile> {
        self.out.flush()?;
        LocalFile::of(self.path).await
    }
}

impl LocalFile {
    /// A file with its length and hash.
    pub(super) async fn of(path: PathBuf) -> io::Result<Self> {
        blocking(move || {
            let mut hasher = blake3::Hasher::new();
            let mut file = File::open(&path)?;
            let length = io::copy(&mut file, &mut hasher)?;
            Ok(Self { path, length, hash: *hasher.finalize().as_bytes() })
        })
        .await
        .map_err(io::Error::other)?
    }

    /// Its bytes.
    pub(super) async fn stream(&self) -> io::Result<ByteStream> {
        let path = self.path.clone();
        let file = blocking(move || File::open(path)).await.map_err(io::Error::other)??;
        let source = |error: &dyn std::fmt::Display| TargetError::Source(error.to_string());
        let pieces = stream::try_unfold(file, move |mut file| async move {
            let read = blocking(move || {
                let mut piece = vec![0; PIECE];
                let read = io::Read::read(&mut file, &mut piece)?;
                piece.truncate(read);
                Ok::<_, io::Error>((piece, file))
            });
            let (piece, file) =
                read.await.map_err(|error| source(&error))?.map_err(|error| source(&error))?;
            Ok((!piece.is_empty()).then(|| (Bytes::from(piece), file)))
        });
        Ok(pieces.boxed())
    }
}

/// Reads a list line by line.
pub(super) struct ListReader {
    input: BufReader<File>,
    next: Option<Line>,
}

impl ListReader {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let mut reader = Self { input: BufReader::new(File::open(path)?), next: None };
        reader.advance()?;
        Ok(reader)
    }

    /// The next line, without taking it.
    pub(super) fn peek(&self) -> Option<&Line> {
        self.next.as_ref()
    }

    /// Takes the next line.
    pub(super) fn take(&mut self) -> io::Result<Option<Line>> {
        let taken = self.next.take();
        if taken.is_some() {
            self.advance()?;
        }
        Ok(taken)
    }

    /// Passes over all before `name`, and takes the line of that name when there is one.
    pub(super) fn find(&mut self, name: &str) -> io::Result<Option<Line>> {
        while self.peek().is_some_and(|line| line.name.as_str() < name) {
            self.take()?;
        }
        if self.peek().is_some_and(|line| line.name == name) { self.take() } else { Ok(None) }
    }

    fn advance(&mut self) -> io::Result<()> {
        let mut text = Vec::new();
        io::Read::take(&mut self.input, LINE).read_until(b'\n', &mut text)?;
        self.next = if text.is_empty() { None } else { Some(serde_json::from_slice(&text)?) };
        Ok(())
    }
}

/// Fetches an object into a file; what is not as it must be is an error, and no file.
pub(super) async fn fetch(
    target: &dyn Target,
    name: &str,
    version: &str,
    expected: Option<(u64, [u8; 32])>,
    path: PathBuf,
) -> Result<LocalFile, TargetError> {
    let local = |error: &dyn std::fmt::Display| TargetError::Source(error.to_string());
    let mut bytes = target.get(name, version).await?;
    let mut file = File::create(&path).map_err(|error| local(&error))?;
    let mut hasher = blake3::Hasher::new();
    let mut length = 0;
    while let Some(piece) = bytes.try_next().await? {
        hasher.update(&piece);
        length += piece.len() as u64;
        let write = blocking(move || file.write_all(&piece).map(|()| file)).await;
        file = write.map_err(|error| local(&error))?.map_err(|error| local(&error))?;
    }
    let hash = *hasher.finalize().as_bytes();
    if expected.is_some_and(|expected| expected != (length, hash)) {
        return Err(TargetError::Failed(format!("`{name}` is not what was stored")));
    }
    Ok(LocalFile { path, length, hash })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &str) -> Line {
        let hash = HEXLOWER.encode(&[3; 32]);
        Line { name: name.to_owned(), length: 5, hash, version: String::new(), locked_until_ms: None }
    }

    #[tokio::test]
    async fn a_list_is_found_in_order_and_refuses_another() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("list");
        let mut writer = ListWriter::create(path.clone()).unwrap();
        for name in ["a", "b", "d"] {
            writer.add(&line(name)).unwrap();
        }
        assert!(writer.add(&line("c")).is_err() && writer.add(&line("d")).is_err());
        let written = writer.finish().await.unwrap();
        assert_eq!(written.hash, *blake3::hash(&std::fs::read(&path).unwrap()).as_bytes());

        let mut reader = ListReader::open(&path).unwrap();
        assert_eq!(reader.find("0").unwrap(), None);
        assert_eq!(reader.find("b").unwrap(), Some(line("b")));
        assert_eq!(reader.find("c").unwrap(), None);
        assert_eq!(reader.take().unwrap(), Some(line("d")));
        assert_eq!(reader.take().unwrap(), None);
    }
}
