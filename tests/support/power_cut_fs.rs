//! A file system (FUSE) whose power can be cut: it keeps what programs wrote apart from what they made durable, and a
//! cut leaves only the latter, plus a chosen part of the rest. It can also fail a sync, once.
//!
//! Everything is in memory. Reads see every write at once, as the page cache would show it; a write becomes durable by
//! fsync of its file, a name by fsync of its folder (or, with [`Names::Journalled`], by any fsync, as ext4 does it).

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use fuser::{
    BackgroundSession, BsdFileFlags, Config, Errno, FileHandle, FileType, Filesystem, FopenFlags, Generation,
    INodeNo, LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory,
    ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, SeedableRng};

const CLOSED_WITHIN: Duration = Duration::from_secs(5);
const TTL: Duration = Duration::from_secs(1);

#[path = "power_cut_platter.rs"]
mod platter;

use platter::{Change, Inode, NameChange, Platter, ROOT};

/// When names become durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// By fsync of their folder only: the least that POSIX promises.
    Strict,
    /// By any fsync, in order, as a journalling file system commits them.
    Journalled,
}

/// What a cut leaves of what was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    Nothing,
    Everything,
    /// A random part, torn at sectors.
    Some(u64),
}

/// The disk behind the mounts. Clones are the same disk.
#[derive(Debug, Clone)]
pub struct PowerCutDisk {
    platter: Arc<Mutex<Platter>>,
}

impl PowerCutDisk {
    pub fn new(policy: Names, total: u64) -> Self {
        let root = Inode {
            kind: FileType::Directory,
            mode: 0o755,
            volatile: vec![],
            durable: vec![],
            pending: vec![],
        };
        Self {
            platter: Arc::new(Mutex::new(Platter {
                policy,
                inodes: HashMap::from([(ROOT, root)]),
                next: ROOT + 1,
                names: BTreeMap::new(),
                durable_names: BTreeMap::new(),
                pending_names: Vec::new(),
                operations: 0,
                cut_at: None,
                cut: false,
                fail_sync: false,
                syncs_failed: 0,
                sync_takes: Duration::ZERO,
                total,
            })),
        }
    }

    fn platter(&self) -> MutexGuard<'_, Platter> {
        self.platter.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changing operations so far.
    pub fn operations(&self) -> u64 {
        self.platter().operations
    }

    /// Cuts the power at the given changing operation.
    pub fn cut_at(&self, operation: u64) {
        self.platter().cut_at = Some(operation);
    }

    /// Cuts the power now: nothing written from here on counts, everything fails.
    pub fn cut_now(&self) {
        self.platter().cut = true;
    }

    /// Makes the next fsync fail and lose what it should have kept.
    pub fn fail_next_sync(&self) {
        self.platter().fail_sync = true;
    }

    /// From now on each sync takes this long. Reads and writes do not wait for it.
    #[allow(dead_code, reason = "one story uses it")]
    pub fn slow_syncs(&self, each: Duration) {
        self.platter().sync_takes = each;
    }

    /// How many syncs were made to fail.
    pub fn syncs_failed(&self) -> u64 {
        self.platter().syncs_failed
    }

    /// The disk as it is found after the cut.
    pub fn after_cut(&self, left: Left) -> Self {
        let platter = self.platter();
        let fresh = Self::new(platter.policy, platter.total);
        let seed = if let Left::Some(seed) = left { seed } else { 0 };
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut keeps = || match left {
            Left::Nothing => false,
            Left::Everything => true,
            Left::Some(_) => rng.next_u32().is_multiple_of(2),
        };
        {
            let mut after = fresh.platter();
            after.durable_names = platter.durable_names.clone();
            for change in &platter.pending_names {
                match platter.policy {
                    Names::Strict if !keeps() => {}
                    // A journal is committed in order: the first change that is lost loses all after it.
                    Names::Journalled if !keeps() => break,
                    _ => change.apply(&mut after.durable_names),
                }
            }
            after.names = after.durable_names.clone();
            let mut numbers: Vec<_> = platter.inodes.keys().copied().collect();
            numbers.sort_unstable();
            for number in numbers {
                let inode = &platter.inodes[&number];
                let contents = inode.after_cut(&mut keeps);
                let kept =
                    Inode { volatile: contents.clone(), durable: contents, pending: vec![], ..inode.clone() };
                after.inodes.insert(number, kept);
            }
            after.next = platter.next;
        }
        fresh
    }

    /// Mounts the disk. The mount ends when the handle is dropped.
    pub fn mount(&self, at: &Path) -> Mounted {
        let filesystem = PowerCutFs { platter: Arc::clone(&self.platter) };
        let session = fuser::spawn_mount(filesystem, at, &Config::default());
        let session = session.unwrap_or_else(|error| {
            panic!("these tests need FUSE: /dev/fuse and the right to mount (root): {error}")
        });
        Mounted { session: Some(session), at: at.to_owned() }
    }
}

/// A mounted disk.
pub struct Mounted {
    session: Option<BackgroundSession>,
    at: PathBuf,
}

impl Mounted {
    /// Unmounts and waits until it is so. All files must be closed, or be those of a process that is just ending: a worker
    /// lives a moment longer than the node that was killed.
    pub fn unmount(mut self) {
        let began = Instant::now();
        while is_in_use(&self.at) && began.elapsed() < CLOSED_WITHIN {
            std::thread::sleep(Duration::from_millis(10));
        }
        if let Some(session) = self.session.take() {
            session.umount_and_join().expect("unmounting: every file must be closed");
        }
    }
}

/// Whether any process has a file below `folder` open.
fn is_in_use(folder: &Path) -> bool {
    let numbers = std::fs::read_dir("/proc").into_iter().flatten().flatten().map(|found| found.path());
    let files = numbers.filter_map(|process| std::fs::read_dir(process.join("fd")).ok()).flatten().flatten();
    files.filter_map(|file| std::fs::read_link(file.path()).ok()).any(|target| target.starts_with(folder))
}

struct PowerCutFs {
    platter: Arc<Mutex<Platter>>,
}

impl PowerCutFs {
    fn platter(&self) -> MutexGuard<'_, Platter> {
        self.platter.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sync(&self, number: INodeNo, folder: bool, reply: ReplyEmpty) {
        let takes = self.platter().sync_takes;
        if takes.is_zero() {
            return answer(reply, self.platter().sync(number, folder));
        }
        let late = Self { platter: Arc::clone(&self.platter) };
        std::thread::spawn(move || {
            std::thread::sleep(takes);
            answer(reply, late.platter().sync(number, folder));
        });
    }
}

/// Answers an operation that gives nothing.
fn answer(reply: ReplyEmpty, outcome: Result<(), Errno>) {
    match outcome {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(error),
    }
}

impl Filesystem for PowerCutFs {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let platter = self.platter();
        let found = platter.alive().and_then(|()| platter.find(parent, name));
        match found {
            Ok(number) => reply.entry(&TTL, &platter.inodes[&number].attributes(number), Generation(0)),
            Err(error) => reply.error(error),
        }
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.platter().inode(ino) {
            Ok(inode) => reply.attr(&TTL, &inode.attributes(ino.0)),
            Err(error) => reply.error(error),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        _: Option<u32>,
        _: Option<u32>,
        size: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let mut platter = self.platter();
        let outcome = platter.operate().and_then(|()| {
            let inode = platter.inode(ino)?;
            if let Some(mode) = mode {
                inode.mode = (mode & 0o777) as u16;
            }
            if let Some(size) = size {
                let size = usize::try_from(size).map_err(|_| Errno::EFBIG)?;
                inode.volatile.resize(size, 0);
                inode.pending.push(Change::Cut(size));
            }
            Ok(inode.attributes(ino.0))
        });
        match outcome {
            Ok(attributes) => reply.attr(&TTL, &attributes),
            Err(error) => reply.error(error),
        }
    }

    fn mkdir(&self, _: &Request, parent: INodeNo, name: &OsStr, mode: u32, _: u32, reply: ReplyEntry) {
        match self.platter().make(parent, name, FileType::Directory, mode) {
            Ok(attributes) => reply.entry(&TTL, &attributes, Generation(0)),
            Err(error) => reply.error(error),
        }
    }

    fn create(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _: u32,
        _: i32,
        reply: ReplyCreate,
    ) {
        match self.platter().make(parent, name, FileType::RegularFile, mode) {
            Ok(attributes) => {
                reply.created(&TTL, &attributes, Generation(0), FileHandle(0), FopenFlags::empty());
            }
            Err(error) => reply.error(error),
        }
    }

    fn link(&self, _: &Request, ino: INodeNo, newparent: INodeNo, newname: &OsStr, reply: ReplyEntry) {
        let mut platter = self.platter();
        let linked = platter.operate().and_then(|()| {
            if platter.find(newparent, newname).is_ok() {
                return Err(Errno::EEXIST);
            }
            let come = Some(((newparent.0, newname.to_owned()), ino.0));
            platter.change_names(NameChange { folder: newparent.0, gone: None, come });
            Ok(platter.inode(ino)?.attributes(ino.0))
        });
        match linked {
            Ok(attributes) => reply.entry(&TTL, &attributes, Generation(0)),
            Err(error) => reply.error(error),
        }
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer(reply, self.platter().remove(parent, name, false));
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer(reply, self.platter().remove(parent, name, true));
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        _: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let mut platter = self.platter();
        let outcome = platter.operate().and_then(|()| {
            let number = platter.find(parent, name)?;
            let gone = Some((parent.0, name.to_owned()));
            let come = Some(((newparent.0, newname.to_owned()), number));
            platter.change_names(NameChange { folder: newparent.0, gone, come });
            Ok(())
        });
        answer(reply, outcome);
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        match self.platter().alive() {
            Ok(()) => reply.opened(FileHandle(0), FopenFlags::empty()),
            Err(error) => reply.error(error),
        }
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let mut platter = self.platter();
        match platter.alive().and_then(|()| platter.inode(ino)) {
            Ok(inode) => {
                let length = inode.volatile.len();
                let start = usize::try_from(offset).unwrap_or(length).min(length);
                reply.data(&inode.volatile[start..(start + size as usize).min(length)]);
            }
            Err(error) => reply.error(error),
        }
    }

    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.platter().write(ino, offset, data) {
            Ok(()) => reply.written(u32::try_from(data.len()).unwrap()),
            Err(error) => reply.error(error),
        }
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsync(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        self.sync(ino, false, reply);
    }

    fn fsyncdir(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        self.sync(ino, true, reply);
    }

    fn readdir(&self, _: &Request, ino: INodeNo, _: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let platter = self.platter();
        let own = [(ino.0, OsString::from(".")), (ROOT, OsString::from(".."))].into_iter();
        let inside = platter.names.iter().filter(|((parent, _), _)| *parent == ino.0);
        let entries = own.chain(inside.map(|((_, name), number)| (*number, name.clone())));
        for (at, (number, name)) in entries.enumerate().skip(usize::try_from(offset).unwrap_or(usize::MAX)) {
            let kind = platter.inodes.get(&number).map_or(FileType::Directory, |inode| inode.kind);
            if reply.add(INodeNo(number), at as u64 + 1, kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        let platter = self.platter();
        let free = platter.total.saturating_sub(platter.used()) / 4096;
        reply.statfs(platter.total / 4096, free, free, 1 << 20, 1 << 20, 4096, 255, 4096);
    }
}
