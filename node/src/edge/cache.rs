//! What an edge holds: files of assets, sealed one by one on its disk, and the most wanted of them in memory.
//!
//! ```text
//! cache/<asset>-<entry>/<name>    one file, sealed by the edge's storage key; <entry>: as of which it was fetched
//! cache/gone-<number>/            what is being removed
//! ```
//! A file is written under another name and renamed, and opens only whole and unchanged: nothing half-written is ever
//! given out. Bounded in bytes: what was used longest ago goes first, and what is kept warm goes last.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use cluster::id::{AssetId, BlobId};
use cluster::keyring::{AeadKey, StorageKey};

use super::index::Index;
use crate::shelf::{Shelf, ShelfKey};

const PURPOSE: &str = "edge cache";

/// A file's name: of its Blob and its path, which together never mean other bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name([u8; 16]);

impl Name {
    /// The name of `file` below the View, whose bytes come from `blob`.
    #[must_use]
    pub fn of(blob: BlobId, file: &str) -> Self {
        let hash = cluster::authority::fingerprint(&[&blob.as_bytes()[..], file.as_bytes()].concat());
        let mut name = [0; 16];
        name.copy_from_slice(&hash[..16]);
        Self(name)
    }

    fn text(self) -> String {
        data_encoding::HEXLOWER.encode(&self.0)
    }

    fn parse(text: &str) -> Option<Self> {
        let bytes = data_encoding::HEXLOWER.decode(text.as_bytes()).ok()?;
        bytes.try_into().ok().map(Self)
    }

    fn shelf(self) -> ShelfKey {
        ShelfKey { blob: self.0, offset: 0 }
    }
}

/// Where a file was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// In memory.
    Memory,
    /// On the disk.
    Disk,
    /// It had to be fetched.
    Fetched,
}

/// Clones share it.
#[derive(Clone)]
pub struct Cache {
    folder: Arc<PathBuf>,
    key: Arc<AeadKey>,
    shelf: Shelf,
    most_bytes: u64,
    index: Arc<Mutex<Index>>,
    numbers: Arc<AtomicU64>,
}

impl Cache {
    /// Opens what an earlier start has left in `dir`; at most so many bytes on disk and in memory. Blocks.
    ///
    /// # Errors
    /// When the folder cannot be used.
    pub fn open(dir: &Path, key: &StorageKey, most_bytes: u64, shelf_bytes: usize) -> io::Result<Self> {
        let folder = dir.join("cache");
        fs::create_dir_all(&folder)?;
        let key = key.purpose(PURPOSE).map_err(io::Error::other)?;
        let mut index = Index::default();
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            let asset = path.file_name().and_then(|name| name.to_str()).and_then(read_folder_name);
            match asset.filter(|(asset, _)| index.entry(*asset).is_none()) {
                Some((asset, entry)) => scan(&mut index, asset, entry, &path)?,
                // What was being removed, or nothing of ours.
                None if path.is_dir() => fs::remove_dir_all(&path)?,
                None => fs::remove_file(&path)?,
            }
        }
        let cache = Self {
            folder: Arc::new(folder),
            key: Arc::new(key),
            shelf: Shelf::new(shelf_bytes),
            most_bytes,
            index: Arc::new(Mutex::new(index)),
            numbers: Arc::new(AtomicU64::new(1)),
        };
        cache.make_room(0);
        Ok(cache)
    }

    /// The file `name` of `asset`: from memory, from the disk, or by `fetch`, whose bytes are then kept. `entry` is the
    /// one up to which is known that they may be.
    ///
    /// # Errors
    /// What `fetch` says.
    pub async fn get<E, F>(
        &self,
        asset: AssetId,
        entry: u64,
        name: Name,
        fetch: impl FnOnce() -> F,
    ) -> Result<(Bytes, Found), E>
    where
        F: Future<Output = Result<Bytes, E>>,
    {
        let found = Mutex::new(Found::Memory);
        let note = |now| *found.lock().unwrap_or_else(PoisonError::into_inner) = now;
        let load = || async {
            if let Some(bytes) = self.read(asset, name).await {
                note(Found::Disk);
                return Ok(bytes);
            }
            let bytes = fetch().await?;
            note(Found::Fetched);
            self.write(asset, entry, name, bytes.clone()).await;
            Ok(bytes)
        };
        let bytes = self.shelf.get(name.shelf(), load).await?;
        if !self.lock().touch(asset, name) {
            // What is not on the disk is not found again when it must go: it stays in memory for nobody.
            self.shelf.forget_blob(name.0);
        }
        let found = *found.lock().unwrap_or_else(PoisonError::into_inner);
        Ok((bytes, found))
    }

    /// Keeps bytes on the disk that nobody has asked for yet. What cannot be kept is fetched when somebody does.
    pub async fn keep(&self, asset: AssetId, entry: u64, name: Name, bytes: Bytes) {
        self.write(asset, entry, name, bytes).await;
    }

    /// Whether the file is on the disk.
    #[must_use]
    pub fn has(&self, asset: AssetId, name: Name) -> bool {
        self.lock().has(asset, name)
    }

    /// Whether `bytes` more can be kept without removing anything that is kept warm.
    #[must_use]
    pub fn has_room(&self, bytes: u64) -> bool {
        self.lock().warm_bytes() + bytes <= self.most_bytes
    }

    /// These assets are kept warm now. Gives those that have lost a file since they were.
    pub fn pin(&self, assets: HashSet<AssetId>) -> HashSet<AssetId> {
        self.lock().pin(assets)
    }

    /// What is held, each with the Entry as of which its oldest file was fetched.
    #[must_use]
    pub fn held(&self) -> Vec<(AssetId, u64)> {
        self.lock().held().collect()
    }

    /// Bytes on the disk.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.lock().bytes()
    }

    /// Bytes there may be.
    #[must_use]
    pub fn most_bytes(&self) -> u64 {
        self.most_bytes
    }

    /// Forgets all of `asset`, here and in memory; what was fetched before `entry` and is on its way is not kept either.
    /// When this returns, nothing of it is given out any more.
    pub fn forget(&self, asset: AssetId, entry: u64) {
        let kept = {
            let mut index = self.lock();
            index.forget(asset, entry)
        };
        let Some((kept_entry, names)) = kept else { return };
        for name in names {
            self.shelf.forget_blob(name.0);
        }
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let gone = self.folder.join(format!("gone-{number}"));
        let folder = self.folder_of(asset, kept_entry);
        // Renamed first: a start in between finds nothing to give out.
        let removed = fs::rename(&folder, &gone).and_then(|()| fs::remove_dir_all(&gone));
        if let Err(error) = removed.or_else(unless_absent) {
            tracing::error!(%error, %asset, "what an asset left on this edge could not be removed");
        }
    }

    /// Forgets everything.
    pub fn forget_all(&self) {
        for (asset, _) in self.held() {
            self.forget(asset, u64::MAX);
        }
    }

    async fn read(&self, asset: AssetId, name: Name) -> Option<Bytes> {
        let entry = self.lock().entry_of(asset, name)?;
        let (path, key) = (self.folder_of(asset, entry).join(name.text()), self.key.clone());
        let read = tokio::task::spawn_blocking(move || {
            let sealed = fs::read(&path)?;
            key.open(&place(asset, name), &sealed).map_err(io::Error::other)
        });
        match read.await.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok(plain) => Some(Bytes::from_owner(plain)),
            Err(error) => {
                tracing::warn!(%error, %asset, "a file on this edge is damaged and is fetched again");
                self.remove(asset, name);
                None
            }
        }
    }

    async fn write(&self, asset: AssetId, entry: u64, name: Name, bytes: Bytes) {
        let cache = self.clone();
        let written = tokio::task::spawn_blocking(move || cache.write_now(asset, entry, name, &bytes));
        if let Err(error) = written.await.unwrap_or_else(|error| Err(io::Error::other(error))) {
            tracing::warn!(%error, %asset, "a file could not be kept on this edge");
        }
    }

    fn write_now(&self, asset: AssetId, entry: u64, name: Name, bytes: &[u8]) -> io::Result<()> {
        let sealed = self.key.seal(&place(asset, name), bytes).map_err(io::Error::other)?;
        let length = sealed.len() as u64;
        if length > self.most_bytes {
            return Ok(());
        }
        self.make_room(length);
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let fresh = self.folder.join(format!("new-{number}"));
        fs::write(&fresh, &sealed)?;
        // Under the lock: a file must not appear in a folder that is being forgotten.
        let mut index = self.lock();
        if index.is_forgotten(asset, entry) {
            drop(index);
            return fs::remove_file(&fresh);
        }
        let entry = index.entry(asset).unwrap_or(entry);
        let folder = self.folder_of(asset, entry);
        fs::create_dir_all(&folder)?;
        fs::rename(&fresh, folder.join(name.text()))?;
        index.add(asset, entry, name, length);
        Ok(())
    }

    fn make_room(&self, wanted: u64) {
        loop {
            let (asset, name) = {
                let index = self.lock();
                if index.bytes() + wanted <= self.most_bytes {
                    return;
                }
                let Some(oldest) = index.oldest() else { return };
                oldest
            };
            self.remove(asset, name);
        }
    }

    fn remove(&self, asset: AssetId, name: Name) {
        self.shelf.forget_blob(name.0);
        let mut index = self.lock();
        let Some(entry) = index.entry(asset) else { return };
        if !index.remove(asset, name) {
            return;
        }
        let removed = fs::remove_file(self.folder_of(asset, entry).join(name.text()));
        if let Err(error) = removed.or_else(unless_absent) {
            tracing::warn!(%error, %asset, "a file of this edge could not be removed");
        }
    }

    fn folder_of(&self, asset: AssetId, entry: u64) -> PathBuf {
        self.folder.join(format!("{asset}-{entry}"))
    }

    fn lock(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Cache({})", self.folder.display())
    }
}

fn read_folder_name(name: &str) -> Option<(AssetId, u64)> {
    let (asset, entry) = name.split_once('-')?;
    Some((asset.parse().ok()?, entry.parse().ok()?))
}

fn scan(index: &mut Index, asset: AssetId, entry: u64, folder: &Path) -> io::Result<()> {
    for file in fs::read_dir(folder)? {
        let file = file?;
        match file.file_name().to_str().and_then(Name::parse) {
            Some(name) => index.add(asset, entry, name, file.metadata()?.len()),
            None => fs::remove_file(file.path())?,
        }
    }
    if index.entry(asset).is_none() {
        fs::remove_dir(folder)?;
    }
    Ok(())
}

/// Ties a sealed file to its place: no other may be passed off for it.
fn place(asset: AssetId, name: Name) -> [u8; 32] {
    let mut place = [0; 32];
    place[..16].copy_from_slice(asset.as_bytes());
    place[16..].copy_from_slice(&name.0);
    place
}

fn unless_absent(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use cluster::keyring::NodeSecrets;

    use super::*;

    const ASSET: AssetId = AssetId([1; 16]);

    fn key() -> StorageKey {
        NodeSecrets::generate().unwrap().storage_key().unwrap()
    }

    fn name(file: &str) -> Name {
        Name::of(BlobId([9; 16]), file)
    }

    async fn get(cache: &Cache, asset: AssetId, entry: u64, file: &str) -> Found {
        let fetch = || async { Ok::<_, Infallible>(Bytes::from(vec![7; 1_000])) };
        let (bytes, found) = cache.get(asset, entry, name(file), fetch).await.unwrap();
        assert_eq!(bytes, vec![7; 1_000]);
        found
    }

    #[tokio::test]
    async fn a_file_is_fetched_once_and_survives_the_process() {
        let (folder, key) = (tempfile::tempdir().unwrap(), key());
        let cache = Cache::open(folder.path(), &key, 100_000, 100_000).unwrap();
        assert_eq!(get(&cache, ASSET, 5, "v720/0.m4s").await, Found::Fetched);
        assert_eq!(get(&cache, ASSET, 6, "v720/0.m4s").await, Found::Memory);
        drop(cache);
        let cache = Cache::open(folder.path(), &key, 100_000, 100_000).unwrap();
        assert_eq!(cache.held(), [(ASSET, 5)]);
        assert_eq!(get(&cache, ASSET, 6, "v720/0.m4s").await, Found::Disk);
    }

    #[tokio::test]
    async fn a_damaged_cut_or_swapped_file_is_fetched_again() {
        let (folder, key) = (tempfile::tempdir().unwrap(), key());
        let cache = Cache::open(folder.path(), &key, 100_000, 0).unwrap();
        get(&cache, ASSET, 5, "a").await;
        get(&cache, ASSET, 5, "b").await;
        let path = |file: &str| cache.folder_of(ASSET, 5).join(name(file).text());
        let good = fs::read(path("a")).unwrap();
        assert!(!good.windows(32).any(|part| part == [7; 32]), "sealed");
        for bad in [good[..good.len() / 2].to_vec(), Vec::new(), fs::read(path("b")).unwrap()] {
            fs::write(path("a"), bad).unwrap();
            assert_eq!(get(&cache, ASSET, 5, "a").await, Found::Fetched);
            assert_eq!(get(&cache, ASSET, 5, "a").await, Found::Disk);
        }
    }

    #[tokio::test]
    async fn what_is_forgotten_is_gone_from_disk_and_memory_and_old_bytes_do_not_come_back() {
        let (folder, key) = (tempfile::tempdir().unwrap(), key());
        let cache = Cache::open(folder.path(), &key, 100_000, 100_000).unwrap();
        get(&cache, ASSET, 5, "a").await;
        cache.forget(ASSET, 9);
        assert_eq!((cache.bytes(), cache.shelf.held()), (0, 0));
        assert_eq!(fs::read_dir(folder.path().join("cache")).unwrap().count(), 0);
        assert_eq!(get(&cache, ASSET, 8, "a").await, Found::Fetched);
        assert_eq!((cache.bytes(), cache.shelf.held()), (0, 0), "fetched before it was to be forgotten");
        assert_eq!(get(&cache, ASSET, 9, "a").await, Found::Fetched);
        assert_eq!(get(&cache, ASSET, 9, "a").await, Found::Memory);
    }

    #[tokio::test]
    async fn the_disk_is_bounded_and_what_is_warm_goes_last() {
        let (folder, key) = (tempfile::tempdir().unwrap(), key());
        let cache = Cache::open(folder.path(), &key, 5_500, 100_000).unwrap();
        let warm = AssetId([2; 16]);
        cache.pin(HashSet::from([warm]));
        get(&cache, warm, 1, "w").await;
        for number in 0..20 {
            get(&cache, ASSET, 1, &number.to_string()).await;
            assert!(cache.bytes() <= 5_500);
        }
        assert!(cache.has(warm, name("w")) && cache.has(ASSET, name("19")) && !cache.has(ASSET, name("0")));
        assert!(cache.has_room(3_000) && !cache.has_room(5_000));
        // What is not kept warm any longer makes room like everything else; what is, is told when a file of it is gone.
        assert_eq!(cache.pin(HashSet::from([ASSET])), HashSet::new());
        assert!(cache.has_room(1_000));
        get(&cache, warm, 1, "x").await;
        assert!(!cache.has(warm, name("w")), "it was used longest ago");
        cache.forget(ASSET, 2);
        assert_eq!(cache.pin(HashSet::new()), HashSet::from([ASSET]));
    }
}
