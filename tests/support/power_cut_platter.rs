//! What the disk behind [`super::PowerCutFs`] holds: what programs see, and apart from it what is durable.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::time::{Duration, UNIX_EPOCH};

use fuser::{Errno, FileAttr, FileType, INodeNo};

use super::Names;

/// What is torn is torn between two of these.
const SECTOR: usize = 512;
/// The number of the topmost folder.
pub(super) const ROOT: u64 = 1;

#[derive(Debug, Clone)]
pub(super) struct Inode {
    pub(super) kind: FileType,
    pub(super) mode: u16,
    pub(super) volatile: Vec<u8>,
    pub(super) durable: Vec<u8>,
    pub(super) pending: Vec<Change>,
}

#[derive(Debug, Clone)]
pub(super) enum Change {
    Write(usize, Vec<u8>),
    Cut(usize),
}

pub(super) type Name = (u64, OsString);

#[derive(Debug, Clone)]
pub(super) struct NameChange {
    pub(super) folder: u64,
    pub(super) gone: Option<Name>,
    pub(super) come: Option<(Name, u64)>,
}

impl NameChange {
    pub(super) fn apply(&self, names: &mut BTreeMap<Name, u64>) {
        if let Some(gone) = &self.gone {
            names.remove(gone);
        }
        if let Some((name, inode)) = &self.come {
            names.insert(name.clone(), *inode);
        }
    }
}

#[derive(Debug)]
pub(super) struct Platter {
    pub(super) policy: Names,
    pub(super) inodes: HashMap<u64, Inode>,
    pub(super) next: u64,
    pub(super) names: BTreeMap<Name, u64>,
    pub(super) durable_names: BTreeMap<Name, u64>,
    pub(super) pending_names: Vec<NameChange>,
    pub(super) operations: u64,
    pub(super) cut_at: Option<u64>,
    pub(super) cut: bool,
    pub(super) fail_sync: bool,
    pub(super) syncs_failed: u64,
    /// How long a sync takes.
    pub(super) sync_takes: Duration,
    pub(super) total: u64,
}

impl Inode {
    pub(super) fn after_cut(&self, keeps: &mut impl FnMut() -> bool) -> Vec<u8> {
        let mut contents = self.durable.clone();
        for change in &self.pending {
            match change {
                Change::Cut(length) if keeps() => contents.resize(*length, 0),
                Change::Cut(_) => {}
                Change::Write(offset, bytes) => {
                    for (number, sector) in bytes.chunks(SECTOR).enumerate() {
                        if keeps() {
                            put(&mut contents, offset + number * SECTOR, sector);
                        }
                    }
                }
            }
        }
        contents
    }

    pub(super) fn attributes(&self, number: u64) -> FileAttr {
        let size = self.volatile.len() as u64;
        FileAttr {
            ino: INodeNo(number),
            size,
            blocks: size.div_ceil(512),
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind: self.kind,
            perm: self.mode,
            nlink: if self.kind == FileType::Directory { 2 } else { 1 },
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        }
    }
}

fn put(contents: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if contents.len() < end {
        contents.resize(end, 0);
    }
    contents[offset..end].copy_from_slice(bytes);
}

impl Platter {
    pub(super) fn alive(&self) -> Result<(), Errno> {
        if self.cut { Err(Errno::EIO) } else { Ok(()) }
    }

    /// Counts a changing operation.
    pub(super) fn operate(&mut self) -> Result<(), Errno> {
        if self.cut_at.is_some_and(|at| self.operations >= at) {
            self.cut = true;
        }
        self.operations += 1;
        self.alive()
    }

    pub(super) fn inode(&mut self, number: INodeNo) -> Result<&mut Inode, Errno> {
        self.inodes.get_mut(&number.0).ok_or(Errno::ENOENT)
    }

    pub(super) fn find(&self, parent: INodeNo, name: &OsStr) -> Result<u64, Errno> {
        self.names.get(&(parent.0, name.to_owned())).copied().ok_or(Errno::ENOENT)
    }

    pub(super) fn change_names(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.pending_names.push(change);
    }

    pub(super) fn commit_names(&mut self, folder: Option<u64>) {
        let (now, later) = std::mem::take(&mut self.pending_names)
            .into_iter()
            .partition(|change| folder.is_none_or(|folder| change.folder == folder));
        self.pending_names = later;
        let now: Vec<NameChange> = now;
        for change in now {
            change.apply(&mut self.durable_names);
        }
    }

    pub(super) fn used(&self) -> u64 {
        self.names
            .values()
            .filter_map(|number| self.inodes.get(number))
            .map(|inode| inode.volatile.len() as u64)
            .sum()
    }

    pub(super) fn make(
        &mut self,
        parent: INodeNo,
        name: &OsStr,
        kind: FileType,
        mode: u32,
    ) -> Result<FileAttr, Errno> {
        self.operate()?;
        if self.find(parent, name).is_ok() {
            return Err(Errno::EEXIST);
        }
        let number = self.next;
        self.next += 1;
        let mode = (mode & 0o777) as u16;
        let inode = Inode { kind, mode, volatile: vec![], durable: vec![], pending: vec![] };
        let attributes = inode.attributes(number);
        self.inodes.insert(number, inode);
        let come = Some(((parent.0, name.to_owned()), number));
        self.change_names(NameChange { folder: parent.0, gone: None, come });
        Ok(attributes)
    }

    pub(super) fn write(&mut self, number: INodeNo, offset: u64, bytes: &[u8]) -> Result<(), Errno> {
        self.operate()?;
        let total = self.total;
        let used = self.used();
        let inode = self.inode(number)?;
        let offset = usize::try_from(offset).map_err(|_| Errno::EFBIG)?;
        let growth = (offset + bytes.len()).saturating_sub(inode.volatile.len()) as u64;
        if used + growth > total {
            return Err(Errno::ENOSPC);
        }
        put(&mut inode.volatile, offset, bytes);
        inode.pending.push(Change::Write(offset, bytes.to_vec()));
        Ok(())
    }

    pub(super) fn sync(&mut self, number: INodeNo, folder: bool) -> Result<(), Errno> {
        self.operate()?;
        let fails = std::mem::take(&mut self.fail_sync);
        self.syncs_failed += u64::from(fails);
        let inode = self.inode(number)?;
        let pending = std::mem::take(&mut inode.pending);
        if fails {
            return Err(Errno::EIO);
        }
        for change in pending {
            match change {
                Change::Write(offset, bytes) => put(&mut inode.durable, offset, &bytes),
                Change::Cut(length) => inode.durable.resize(length, 0),
            }
        }
        match self.policy {
            Names::Journalled => self.commit_names(None),
            Names::Strict if folder => self.commit_names(Some(number.0)),
            Names::Strict => {}
        }
        Ok(())
    }

    pub(super) fn remove(&mut self, parent: INodeNo, name: &OsStr, folder: bool) -> Result<(), Errno> {
        self.operate()?;
        let number = self.find(parent, name)?;
        if folder && self.names.keys().any(|(parent, _)| *parent == number) {
            return Err(Errno::ENOTEMPTY);
        }
        let gone = Some((parent.0, name.to_owned()));
        self.change_names(NameChange { folder: parent.0, gone, come: None });
        Ok(())
    }
}
