//! The snapshot folder. Every file is in it twice: nothing else on a lone node could make up for a damaged one.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use data_encoding::HEXLOWER;

use super::chunker::{Chunker, LONGEST};
use super::{ChunkRef, ChunkSource, Manifest, SnapshotError, hash};
use crate::disk::{Disk, files};
use crate::keyring::AeadKey;
use crate::persist::{self, Persist};
use crate::raft::types::{LogId, StoredMembership};

const MANIFEST: &str = "manifest";
const CHUNKS: &str = "chunks";
/// Where the second copies are.
const SPARE: &str = "spare";
const MANIFEST_CONTEXT: &[u8] = b"manifest";

/// This node's snapshots. Clones share the folder, and write one after another.
#[derive(Clone)]
pub struct SnapshotFolder {
    disk: Arc<dyn Disk>,
    key: Arc<AeadKey>,
    writing: Arc<Mutex<()>>,
}

/// How much of a snapshot had to be written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    /// Chunks written.
    pub fresh: usize,
    /// Chunks the snapshot before had already.
    pub reused: usize,
}

impl SnapshotFolder {
    /// Opens the folder that `disk` is rooted in. Blocks.
    ///
    /// # Errors
    /// When it cannot be made or synced.
    pub fn open(disk: Arc<dyn Disk>, key: Arc<AeadKey>) -> Result<Self, SnapshotError> {
        disk.make_dir(Path::new(CHUNKS))?;
        disk.make_dir(Path::new(SPARE))?;
        disk.make_dir(&Path::new(SPARE).join(CHUNKS))?;
        disk.sync_dir(Path::new(SPARE))?;
        disk.sync_dir(Path::new(""))?;
        Ok(Self { disk, key, writing: Arc::default() })
    }

    /// The newest snapshot, when there is one.
    ///
    /// # Errors
    /// [`SnapshotError::Damaged`] when neither copy of the manifest opens.
    pub fn newest(&self) -> Result<Option<Manifest>, SnapshotError> {
        let (first, second) = copies(Path::new(MANIFEST));
        match self.manifest(&first) {
            Ok(Some(manifest)) => Ok(Some(manifest)),
            // Written second, so it is the same or the one before, whose chunks are there until both are the same.
            first => match self.manifest(&second) {
                Ok(Some(manifest)) => Ok(Some(manifest)),
                second => first.and(second),
            },
        }
    }

    fn manifest(&self, path: &Path) -> Result<Option<Manifest>, SnapshotError> {
        let Some(sealed) = files::read_if_present(&*self.disk, path)? else { return Ok(None) };
        let plain =
            self.key.open(MANIFEST_CONTEXT, &sealed).map_err(|error| damaged("its manifest", &error))?;
        persist::decode(&plain).map(Some).map_err(|error| damaged("its manifest", &error))
    }

    /// Makes both copies of everything in the newest snapshot whole again where one of them is. Gives how many files had
    /// to be written. What is whole in neither copy is left as it is: reading it says so.
    ///
    /// # Errors
    /// When the disk fails, or neither copy of the manifest opens.
    pub fn mend(&self) -> Result<usize, SnapshotError> {
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(manifest) = self.newest()? else { return Ok(0) };
        let mut mended = 0;
        for chunk in &manifest.chunks {
            let name = chunk.name;
            mended += self.mend_one(&path(chunk), &|sealed| hash(sealed) == name)?;
        }
        mended += self.mend_one(Path::new(MANIFEST), &|sealed| {
            let plain = self.key.open(MANIFEST_CONTEXT, sealed).ok();
            plain.is_some_and(|plain| persist::decode(&plain).is_ok_and(|held: Manifest| held == manifest))
        })?;
        if mended > 0 {
            self.sweep()?;
        }
        Ok(mended)
    }

    fn mend_one(&self, path: &Path, is_whole: &dyn Fn(&[u8]) -> bool) -> Result<usize, SnapshotError> {
        let (first, second) = copies(path);
        let read = |path: &Path| -> Result<Option<Vec<u8>>, SnapshotError> {
            Ok(files::read_if_present(&*self.disk, path)?.filter(|sealed| is_whole(sealed)))
        };
        let (whole, broken) = match (read(&first)?, read(&second)?) {
            (Some(whole), None) => (whole, second),
            (None, Some(whole)) => (whole, first),
            (Some(_), Some(_)) | (None, None) => return Ok(0),
        };
        files::write_atomically(&*self.disk, &broken, &whole)?;
        Ok(1)
    }

    /// Writes `value` as the new snapshot and lets the old one go.
    ///
    /// # Errors
    /// When any step fails; the old snapshot is whole then.
    pub fn write<T: Persist>(
        &self,
        value: &T,
        (last, membership, entries): (Option<LogId>, StoredMembership, u64),
    ) -> Result<(Manifest, Written), SnapshotError> {
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.known_chunks();
        let mut chunks = Vec::new();
        let mut written = Written::default();
        let mut chunker = Chunker::new(|plain: &[u8]| {
            let chunk = self.keep(plain, &known, &mut written).map_err(std::io::Error::other)?;
            chunks.push(chunk);
            Ok(())
        });
        std::io::Write::write_all(&mut chunker, &[T::VERSION])?;
        let chunker =
            postcard::to_io(value, chunker).map_err(|error| SnapshotError::Unencodable(error.to_string()))?;
        chunker.finish()?;
        let manifest = Manifest { last, membership, entries, chunks };
        self.put_in_place(&manifest)?;
        Ok((manifest, written))
    }

    /// Takes over a snapshot from elsewhere: chunks that are here already are not asked for.
    ///
    /// # Errors
    /// When a chunk cannot be had or written; the old snapshot is whole then.
    pub fn take_over(
        &self,
        manifest: &Manifest,
        source: &dyn ChunkSource,
    ) -> Result<(Manifest, Written), SnapshotError> {
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.known_chunks();
        let mut written = Written::default();
        let mut ours = Manifest { chunks: Vec::new(), ..manifest.clone() };
        for chunk in &manifest.chunks {
            let kept = match known.get(&chunk.hash) {
                Some(kept) if self.is_whole(kept) => {
                    written.reused += 1;
                    *kept
                }
                _ => self.keep(&source.chunk(chunk)?, &known, &mut written)?,
            };
            ours.chunks.push(kept);
        }
        self.put_in_place(&ours)?;
        Ok((ours, written))
    }

    /// Keeps one chunk of a snapshot that is being received, sealed as all here is. It is part of no snapshot yet.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn receive(&self, plain: &[u8]) -> Result<ChunkRef, SnapshotError> {
        self.keep(plain, &HashMap::new(), &mut Written::default())
    }

    /// Reads back what [`SnapshotFolder::write`] wrote.
    ///
    /// # Errors
    /// [`SnapshotError::Damaged`] naming the first chunk that is not what it should be.
    pub fn read<T: Persist>(manifest: &Manifest, source: &dyn ChunkSource) -> Result<T, SnapshotError> {
        let mut bytes = Vec::new();
        for chunk in &manifest.chunks {
            bytes.extend_from_slice(&source.chunk(chunk)?);
        }
        persist::decode(&bytes).map_err(|error| damaged("State", &error))
    }

    /// Removes chunk files that the newest snapshot does not name.
    ///
    /// # Errors
    /// When the folder cannot be read or a file not removed.
    pub fn sweep(&self) -> Result<usize, SnapshotError> {
        let named: HashSet<String> = self
            .newest()?
            .iter()
            .flat_map(|manifest| &manifest.chunks)
            .map(|chunk| HEXLOWER.encode(&chunk.name))
            .collect();
        let (first, second) = copies(Path::new(CHUNKS));
        let removed = self.sweep_folder(&second, &named)?;
        Ok(removed.max(self.sweep_folder(&first, &named)?))
    }

    fn sweep_folder(&self, folder: &Path, named: &HashSet<String>) -> Result<usize, SnapshotError> {
        let mut removed = 0;
        for name in self.disk.list(folder)? {
            if !named.contains(&name) {
                self.disk.remove_file(&folder.join(name))?;
                removed += 1;
            }
        }
        self.disk.sync_dir(folder)?;
        Ok(removed)
    }

    /// Chunks of the newest snapshot by the hash of what they hold. A damaged manifest knows none: all is written anew.
    fn known_chunks(&self) -> HashMap<super::ChunkHash, ChunkRef> {
        let newest = self.newest().ok().flatten();
        let chunks = newest.map(|manifest| manifest.chunks).unwrap_or_default();
        chunks.into_iter().map(|chunk| (chunk.hash, chunk)).collect()
    }

    /// Both files are there and what they should be: a damaged one is written anew, never passed on.
    fn is_whole(&self, chunk: &ChunkRef) -> bool {
        let (first, second) = copies(&path(chunk));
        [first, second].iter().all(|path| self.sealed_chunk(path, chunk).is_ok())
    }

    /// One copy of a chunk, as it lies there.
    fn sealed_chunk(&self, path: &Path, chunk: &ChunkRef) -> Result<Vec<u8>, SnapshotError> {
        let name = || HEXLOWER.encode(&chunk.name);
        let sealed = files::read_if_present(&*self.disk, path)?
            .ok_or_else(|| SnapshotError::Damaged(format!("chunk {} is missing", name())))?;
        if sealed.len() > LONGEST * 2 || hash(&sealed) != chunk.name {
            return Err(SnapshotError::Damaged(format!("chunk {} does not have its hash", name())));
        }
        Ok(sealed)
    }

    /// Both copies, one after the other.
    fn write_twice(&self, path: &Path, bytes: &[u8]) -> Result<(), SnapshotError> {
        let (first, second) = copies(path);
        files::write_atomically(&*self.disk, &first, bytes)?;
        Ok(files::write_atomically(&*self.disk, &second, bytes)?)
    }

    fn keep(
        &self,
        plain: &[u8],
        known: &HashMap<super::ChunkHash, ChunkRef>,
        written: &mut Written,
    ) -> Result<ChunkRef, SnapshotError> {
        let content = hash(plain);
        if let Some(chunk) = known.get(&content).filter(|chunk| self.is_whole(chunk)) {
            written.reused += 1;
            return Ok(*chunk);
        }
        let sealed =
            self.key.seal(&content, plain).map_err(|error| SnapshotError::Unencodable(error.to_string()))?;
        let length =
            u32::try_from(plain.len()).map_err(|error| SnapshotError::Unencodable(error.to_string()))?;
        let chunk = ChunkRef { hash: content, length, name: hash(&sealed) };
        self.write_twice(&path(&chunk), &sealed)?;
        written.fresh += 1;
        Ok(chunk)
    }

    fn put_in_place(&self, manifest: &Manifest) -> Result<(), SnapshotError> {
        let plain =
            persist::encode(manifest).map_err(|error| SnapshotError::Unencodable(error.to_string()))?;
        let sealed = self
            .key
            .seal(MANIFEST_CONTEXT, &plain)
            .map_err(|error| SnapshotError::Unencodable(error.to_string()))?;
        self.write_twice(Path::new(MANIFEST), &sealed)?;
        self.sweep()?;
        Ok(())
    }
}

fn path(chunk: &ChunkRef) -> PathBuf {
    Path::new(CHUNKS).join(HEXLOWER.encode(&chunk.name))
}

/// A file and its second copy.
fn copies(path: &Path) -> (PathBuf, PathBuf) {
    (path.to_owned(), Path::new(SPARE).join(path))
}

impl ChunkSource for SnapshotFolder {
    fn chunk(&self, chunk: &ChunkRef) -> Result<Vec<u8>, SnapshotError> {
        let (first, second) = copies(&path(chunk));
        let sealed = self
            .sealed_chunk(&first, chunk)
            .or_else(|error| self.sealed_chunk(&second, chunk).map_err(|_| error))?;
        let name = HEXLOWER.encode(&chunk.name);
        let plain =
            self.key.open(&chunk.hash, &sealed).map_err(|error| damaged(&format!("chunk {name}"), &error))?;
        Ok(plain.to_vec())
    }
}

impl fmt::Debug for SnapshotFolder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SnapshotFolder({:?})", self.disk)
    }
}

fn damaged(what: &str, error: &dyn fmt::Display) -> SnapshotError {
    SnapshotError::Damaged(format!("{what}: {error}"))
}
