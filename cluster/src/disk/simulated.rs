//! A disk in memory that fails on demand: a power cut at the n-th operation, lost and torn unsynced writes, a full
//! disk, failing syncs, errors and flipped bits. Deterministic for a seed.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, SeedableRng};

use super::{Capacity, Disk, DiskFile};

/// Writes tear at this granularity.
const SECTOR: usize = 512;

/// What a power cut leaves of writes and folder changes that were not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Survival {
    /// Nothing.
    None,
    /// Everything: as after a mere kill.
    All,
    /// A random part, torn at sectors, chosen by this seed.
    Random(u64),
}

/// A simulated disk. Clones are the same disk.
#[derive(Debug, Clone)]
pub struct SimulatedDisk {
    platter: Arc<Mutex<Platter>>,
}

#[derive(Debug, Clone)]
struct Inode {
    volatile: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
}

#[derive(Debug, Clone)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Cut(usize),
}

/// A change of a folder: names that went and the name that came, together.
#[derive(Debug, Clone)]
struct FolderChange {
    folder: PathBuf,
    gone: Option<PathBuf>,
    come: Option<(PathBuf, Entry)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entry {
    Folder,
    File(usize),
}

#[derive(Debug)]
struct Platter {
    inodes: Vec<Inode>,
    names: BTreeMap<PathBuf, Entry>,
    durable_names: BTreeMap<PathBuf, Entry>,
    pending_names: Vec<FolderChange>,
    operations: u64,
    cut_at: Option<u64>,
    fail_sync_at: Option<u64>,
    fail_write_at: Option<u64>,
    total: u64,
}

impl SimulatedDisk {
    /// An empty disk of `total` bytes.
    #[must_use]
    pub fn new(total: u64) -> Self {
        Self {
            platter: Arc::new(Mutex::new(Platter {
                inodes: Vec::new(),
                names: BTreeMap::new(),
                durable_names: BTreeMap::new(),
                pending_names: Vec::new(),
                operations: 0,
                cut_at: None,
                fail_sync_at: None,
                fail_write_at: None,
                total,
            })),
        }
    }

    fn platter(&self) -> MutexGuard<'_, Platter> {
        self.platter.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Operations so far that could change something.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.platter().operations
    }

    /// Cuts the power when operation number `operation` (counted from 0) is attempted.
    pub fn cut_power_at(&self, operation: u64) {
        self.platter().cut_at = Some(operation);
    }

    /// Makes the first sync at or after operation number `operation` fail once, losing what it should have kept.
    pub fn fail_sync_at(&self, operation: u64) {
        self.platter().fail_sync_at = Some(operation);
    }

    /// Makes the first write at or after operation number `operation` fail once with an I/O error.
    pub fn fail_write_at(&self, operation: u64) {
        self.platter().fail_write_at = Some(operation);
    }

    /// Changes how large the disk is.
    pub fn resize(&self, total: u64) {
        self.platter().total = total;
    }

    /// Bytes in use.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.platter().used()
    }

    /// What is on the disk after a power cut now: a new disk with nothing unsynced but what `survival` leaves.
    #[must_use]
    pub fn after_power_cut(&self, survival: Survival) -> Self {
        let platter = self.platter();
        let mut chance = Chance::new(survival);
        let mut names = platter.durable_names.clone();
        for change in &platter.pending_names {
            if chance.keeps() {
                change.apply(&mut names);
            }
        }
        let inodes = platter.inodes.iter().map(|inode| {
            let kept = chance.contents(inode);
            Inode { volatile: kept.clone(), durable: kept, pending: Vec::new() }
        });
        let fresh = Self::new(platter.total);
        {
            let mut after = fresh.platter();
            after.inodes = inodes.collect();
            after.durable_names = names.clone();
            after.names = names;
        }
        fresh
    }

    /// Flips one bit of a file, on the platter and in memory.
    pub fn flip_bit(&self, path: &Path, offset: usize, bit: u8) {
        let mut platter = self.platter();
        if let Some(Entry::File(inode)) = platter.names.get(path).copied() {
            let inode = &mut platter.inodes[inode];
            for bytes in [&mut inode.volatile, &mut inode.durable] {
                if let Some(byte) = bytes.get_mut(offset) {
                    *byte ^= 1 << bit;
                }
            }
        }
    }

    /// The current contents of a file.
    #[must_use]
    pub fn contents(&self, path: &Path) -> Option<Vec<u8>> {
        let platter = self.platter();
        match platter.names.get(path)? {
            Entry::File(inode) => Some(platter.inodes[*inode].volatile.clone()),
            Entry::Folder => None,
        }
    }

    /// Replaces the contents of a file, durably.
    pub fn replace(&self, path: &Path, contents: Vec<u8>) {
        let mut platter = self.platter();
        if let Some(Entry::File(inode)) = platter.names.get(path).copied() {
            platter.inodes[inode] =
                Inode { volatile: contents.clone(), durable: contents, pending: Vec::new() };
        }
    }

    /// Every file there is.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        let platter = self.platter();
        let files = platter.names.iter().filter(|(_, entry)| matches!(entry, Entry::File(_)));
        files.map(|(path, _)| path.clone()).collect()
    }
}

impl Platter {
    fn used(&self) -> u64 {
        let files = self.names.values().filter_map(|entry| match entry {
            Entry::File(inode) => Some(self.inodes[*inode].volatile.len() as u64),
            Entry::Folder => None,
        });
        files.sum()
    }

    /// Counts an operation; after the power cut every one fails.
    fn operate(&mut self) -> io::Result<()> {
        let number = self.operations;
        self.operations += 1;
        match self.cut_at {
            Some(cut) if number >= cut => Err(io::Error::other("the power is cut")),
            _ => Ok(()),
        }
    }

    /// Whether a trap set for an operation springs now, once.
    fn springs(trap: &mut Option<u64>, operations: u64) -> bool {
        trap.take_if(|at| operations > *at).is_some()
    }

    fn change_names(&mut self, change: FolderChange) {
        change.apply(&mut self.names);
        self.pending_names.push(change);
    }

    fn lookup(&self, path: &Path) -> io::Result<Entry> {
        self.names.get(path).copied().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }
}

impl FolderChange {
    fn apply(&self, names: &mut BTreeMap<PathBuf, Entry>) {
        if let Some(gone) = &self.gone {
            names.remove(gone);
        }
        if let Some((path, entry)) = &self.come {
            names.insert(path.clone(), *entry);
        }
    }
}

struct Chance {
    survival: Survival,
    rng: Xoshiro256PlusPlus,
}

impl Chance {
    fn new(survival: Survival) -> Self {
        let seed = if let Survival::Random(seed) = survival { seed } else { 0 };
        Self { survival, rng: Xoshiro256PlusPlus::seed_from_u64(seed) }
    }

    fn keeps(&mut self) -> bool {
        match self.survival {
            Survival::None => false,
            Survival::All => true,
            Survival::Random(_) => self.rng.next_u32().is_multiple_of(2),
        }
    }

    /// What stays of a file: its durable bytes with some of the pending changes, torn.
    fn contents(&mut self, inode: &Inode) -> Vec<u8> {
        let mut contents = inode.durable.clone();
        for change in &inode.pending {
            match change {
                Change::Cut(length) if self.keeps() => contents.resize(*length, 0),
                Change::Cut(_) => {}
                Change::Write { offset, bytes } => {
                    for (number, sector) in bytes.chunks(SECTOR).enumerate() {
                        if self.keeps() {
                            put(&mut contents, offset + number * SECTOR, sector);
                        }
                    }
                }
            }
        }
        contents
    }
}

fn put(contents: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if contents.len() < end {
        contents.resize(end, 0);
    }
    contents[offset..end].copy_from_slice(bytes);
}

fn folder_of(path: &Path) -> PathBuf {
    path.parent().unwrap_or(Path::new("")).to_owned()
}

impl Disk for SimulatedDisk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut platter = self.platter();
        platter.operate()?;
        if platter.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let folder = folder_of(path);
        if folder != Path::new("") {
            platter.lookup(&folder)?;
        }
        let inode = platter.inodes.len();
        platter.inodes.push(Inode { volatile: Vec::new(), durable: Vec::new(), pending: Vec::new() });
        let come = Some((path.to_owned(), Entry::File(inode)));
        platter.change_names(FolderChange { folder, gone: None, come });
        Ok(Arc::new(SimulatedFile { disk: self.clone(), inode }))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        match self.platter().lookup(path)? {
            Entry::File(inode) => Ok(Arc::new(SimulatedFile { disk: self.clone(), inode })),
            Entry::Folder => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut platter = self.platter();
        platter.operate()?;
        let entry = platter.lookup(from)?;
        let come = Some((to.to_owned(), entry));
        platter.change_names(FolderChange { folder: folder_of(to), gone: Some(from.to_owned()), come });
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut platter = self.platter();
        platter.operate()?;
        platter.lookup(path)?;
        platter.change_names(FolderChange {
            folder: folder_of(path),
            gone: Some(path.to_owned()),
            come: None,
        });
        Ok(())
    }

    fn make_dir(&self, path: &Path) -> io::Result<()> {
        let mut platter = self.platter();
        platter.operate()?;
        if platter.names.get(path) != Some(&Entry::Folder) {
            let come = Some((path.to_owned(), Entry::Folder));
            platter.change_names(FolderChange { folder: folder_of(path), gone: None, come });
        }
        Ok(())
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let mut platter = self.platter();
        platter.operate()?;
        platter.lookup(path)?;
        if platter.names.keys().any(|name| name.parent() == Some(path)) {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        platter.change_names(FolderChange {
            folder: folder_of(path),
            gone: Some(path.to_owned()),
            come: None,
        });
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let platter = self.platter();
        if !path.as_os_str().is_empty() {
            platter.lookup(path)?;
        }
        let inside = platter.names.keys().filter(|name| name.parent() == Some(path));
        Ok(inside.filter_map(|name| Some(name.file_name()?.to_string_lossy().into_owned())).collect())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut platter = self.platter();
        platter.operate()?;
        let operations = platter.operations;
        let fails = Platter::springs(&mut platter.fail_sync_at, operations);
        let (synced, waiting) =
            std::mem::take(&mut platter.pending_names).into_iter().partition(|change| change.folder == path);
        platter.pending_names = waiting;
        if fails {
            return Err(io::Error::other("simulated failure of a sync"));
        }
        let synced: Vec<FolderChange> = synced;
        for change in synced {
            change.apply(&mut platter.durable_names);
        }
        Ok(())
    }

    fn capacity(&self) -> io::Result<Capacity> {
        let platter = self.platter();
        Ok(Capacity { total: platter.total, free: platter.total.saturating_sub(platter.used()) })
    }
}

#[derive(Debug)]
struct SimulatedFile {
    disk: SimulatedDisk,
    inode: usize,
}

impl DiskFile for SimulatedFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let platter = self.disk.platter();
        let contents = &platter.inodes[self.inode].volatile;
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(contents.len());
        let count = buffer.len().min(contents.len() - start);
        buffer[..count].copy_from_slice(&contents[start..start + count]);
        Ok(count)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut platter = self.disk.platter();
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        let outcome = platter.operate();
        let operations = platter.operations;
        let broken = Platter::springs(&mut platter.fail_write_at, operations);
        let growth = (offset + bytes.len()).saturating_sub(platter.inodes[self.inode].volatile.len()) as u64;
        let full = platter.used() + growth > platter.total;
        // A write that fails may have left any part of itself: half is the nastiest.
        let written = if outcome.is_err() || broken || full { &bytes[..bytes.len() / 2] } else { bytes };
        let inode = &mut platter.inodes[self.inode];
        put(&mut inode.volatile, offset, written);
        inode.pending.push(Change::Write { offset, bytes: written.to_vec() });
        outcome?;
        if broken {
            return Err(io::Error::other("simulated failure of a write"));
        }
        if full { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut platter = self.disk.platter();
        platter.operate()?;
        let length = usize::try_from(length).map_err(io::Error::other)?;
        let inode = &mut platter.inodes[self.inode];
        inode.volatile.resize(length, 0);
        inode.pending.push(Change::Cut(length));
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.platter().inodes[self.inode].volatile.len() as u64)
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut platter = self.disk.platter();
        platter.operate()?;
        let operations = platter.operations;
        let fails = Platter::springs(&mut platter.fail_sync_at, operations);
        let inode = &mut platter.inodes[self.inode];
        let pending = std::mem::take(&mut inode.pending);
        if fails {
            // As Linux does: the pages count as clean from now on, and are lost.
            return Err(io::Error::other("simulated failure of a sync"));
        }
        for change in pending {
            match change {
                Change::Write { offset, bytes } => put(&mut inode.durable, offset, &bytes),
                Change::Cut(length) => inode.durable.resize(length, 0),
            }
        }
        Ok(())
    }
}
