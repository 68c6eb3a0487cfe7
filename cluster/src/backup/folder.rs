//! A folder as a place for backups: a disk or network share that the operator has mounted.
//!
//! An object is written beside, synced, renamed into place, and its folder synced: what has its name is whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};

use super::target::{ByteStream, Entry, OpenTargets, Stored, Target, TargetError, TargetLogin};
use crate::blocking::blocking;
use crate::command::{TargetPlace, TargetSettings};

/// What is not whole yet.
const HALF: &str = ".half";
const PIECE: usize = 1024 * 1024;
/// A share whose server is gone may keep whoever asks for ever, and with them all backups to other places. Longer than any
/// one step takes; the longest is to sync a large file.
const SILENCE: Duration = Duration::from_secs(15 * 60);

/// A folder.
#[derive(Debug, Clone)]
pub struct FolderTarget {
    root: Arc<PathBuf>,
}

impl FolderTarget {
    /// The folder `root`, which must exist.
    ///
    /// # Errors
    /// [`TargetError::Unreachable`] when it does not.
    pub fn open(root: &Path) -> Result<Self, TargetError> {
        let found = fs::metadata(root).map_err(|error| unreachable(root, &error))?;
        if !found.is_dir() {
            return Err(TargetError::Unreachable(format!("{} is not a folder", root.display())));
        }
        Ok(Self { root: Arc::new(root.to_owned()) })
    }

    fn path(&self, name: &str) -> Result<PathBuf, TargetError> {
        let plain = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains('\0');
        if name.split('/').all(plain) {
            Ok(self.root.join(name))
        } else {
            Err(TargetError::Failed(format!("`{name}` is not a name")))
        }
    }
}

fn unreachable(root: &Path, error: &io::Error) -> TargetError {
    TargetError::Unreachable(format!("{}: {error}", root.display()))
}

fn failed(error: &io::Error) -> TargetError {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => TargetError::Full,
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => TargetError::Denied(error.to_string()),
        ErrorKind::StaleNetworkFileHandle | ErrorKind::HostUnreachable | ErrorKind::TimedOut => {
            TargetError::Unreachable(error.to_string())
        }
        _ => TargetError::Failed(error.to_string()),
    }
}

async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, TargetError> + Send + 'static,
) -> Result<T, TargetError> {
    let done = tokio::time::timeout(SILENCE, blocking(work)).await;
    let done = done.map_err(|_| TargetError::Unreachable("the disk or share does not answer".to_owned()))?;
    done.map_err(|error| TargetError::Failed(error.to_string()))?
}

/// Makes the folders above `path`, each durable in the one above it.
fn make_parents(root: &Path, path: &Path) -> io::Result<()> {
    let Some(parent) = path.parent().filter(|parent| parent.starts_with(root) && *parent != root) else {
        return Ok(());
    };
    if parent.is_dir() {
        return Ok(());
    }
    make_parents(root, parent)?;
    match fs::DirBuilder::new().mode(0o700).create(parent) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    sync_folder(parent.parent().unwrap_or(root))
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// A file that is not whole yet; gone again unless it is finished.
struct Half {
    file: Option<File>,
    half: PathBuf,
    path: PathBuf,
    length: u64,
}

impl Half {
    fn begin(root: &Path, path: PathBuf) -> io::Result<Self> {
        make_parents(root, &path)?;
        let mut half = path.clone().into_os_string();
        half.push(HALF);
        let half = PathBuf::from(half);
        // Never the same file as another try that is given up and may still wake: it would write into this one.
        match fs::remove_file(&half) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&half)?;
        Ok(Self { file: Some(file), half, path, length: 0 })
    }

    fn add(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(file) = &mut self.file {
            file.write_all(bytes)?;
        }
        self.length += bytes.len() as u64;
        Ok(())
    }

    fn finish(mut self) -> io::Result<()> {
        if let Some(file) = self.file.take() {
            file.sync_all()?;
        }
        fs::rename(&self.half, &self.path)?;
        sync_folder(self.path.parent().unwrap_or(Path::new("/")))
    }
}

impl Drop for Half {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            // What cannot be removed is written over by the next try, or removed when runs are given up.
            let _ = fs::remove_file(&self.half);
        }
    }
}

#[async_trait]
impl Target for FolderTarget {
    async fn put(
        &self,
        name: &str,
        length: u64,
        mut bytes: ByteStream,
        _lock_until_ms: Option<u64>,
    ) -> Result<Stored, TargetError> {
        let (root, path) = (self.root.clone(), self.path(name)?);
        let io = |error: io::Error| failed(&error);
        let mut half = apart(move || {
            fs::metadata(root.as_path()).map_err(|error| unreachable(&root, &error))?;
            Half::begin(&root, path).map_err(io)
        })
        .await?;
        while let Some(piece) = bytes.try_next().await? {
            half = apart(move || half.add(&piece).map(|()| half).map_err(io)).await?;
        }
        if half.length != length {
            return Err(TargetError::Source(format!("{} bytes came instead of {length}", half.length)));
        }
        apart(move || half.finish().map_err(io)).await?;
        Ok(Stored::default())
    }

    async fn find(&self, name: &str) -> Result<Option<Entry>, TargetError> {
        let (path, name) = (self.path(name)?, name.to_owned());
        apart(move || match fs::metadata(path) {
            Ok(found) => Ok(Some(Entry { name, length: found.len(), version: String::new() })),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(&error)),
        })
        .await
    }

    async fn get(&self, name: &str, _version: &str) -> Result<ByteStream, TargetError> {
        let (path, name) = (self.path(name)?, name.to_owned());
        let file = apart(move || match File::open(path) {
            Ok(file) => Ok(file),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(TargetError::Absent(name)),
            Err(error) => Err(failed(&error)),
        })
        .await?;
        let pieces = stream::try_unfold(file, |mut file| {
            apart(move || {
                let mut piece = vec![0; PIECE];
                let read = file.read(&mut piece).map_err(|error| failed(&error))?;
                piece.truncate(read);
                Ok((read > 0).then(|| (Bytes::from(piece), file)))
            })
        });
        Ok(pieces.boxed())
    }

    fn list(&self, prefix: &str) -> BoxStream<'static, Result<Entry, TargetError>> {
        let walk = Walk { root: self.root.clone(), prefix: prefix.to_owned(), folders: vec![None] };
        stream::try_unfold(walk, |walk| apart(move || walk.next())).map_ok(stream_of).try_flatten().boxed()
    }

    async fn remove(&self, name: &str, _version: &str) -> Result<(), TargetError> {
        let (root, path) = (self.root.clone(), self.path(name)?);
        apart(move || {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(&error)),
                _ => {}
            }
            // A folder that is empty now goes, too; one that is not stays.
            let mut folder = path.parent();
            while let Some(empty) = folder.filter(|folder| *folder != root.as_path()) {
                if fs::remove_dir(empty).is_err() {
                    break;
                }
                folder = empty.parent();
            }
            match sync_folder(folder.unwrap_or(&root)) {
                Err(error) if error.kind() != ErrorKind::NotFound => Err(failed(&error)),
                _ => Ok(()),
            }
        })
        .await
    }
}

fn stream_of(entries: Vec<Entry>) -> BoxStream<'static, Result<Entry, TargetError>> {
    stream::iter(entries.into_iter().map(Ok)).boxed()
}

/// A walk through folders in the order of names. In memory is one folder's names at a time for each level.
struct Walk {
    root: Arc<PathBuf>,
    prefix: String,
    /// Folders still to be walked, the next one last; none is the root.
    folders: Vec<Option<String>>,
}

impl Walk {
    /// The files of the next folder. Folders hold either files or folders, so that this is the order of all names.
    fn next(mut self) -> Result<Option<(Vec<Entry>, Self)>, TargetError> {
        let Some(folder) = self.folders.pop() else { return Ok(None) };
        let path =
            folder.as_ref().map_or_else(|| self.root.as_path().to_owned(), |name| self.root.join(name));
        let mut found = Vec::new();
        let mut below = Vec::new();
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            // Removed since it was seen.
            Err(error) if error.kind() == ErrorKind::NotFound && folder.is_some() => {
                return Ok(Some((found, self)));
            }
            Err(error) => return Err(failed(&error)),
        };
        for entry in entries {
            let entry = entry.map_err(|error| failed(&error))?;
            let file_name = entry.file_name().to_string_lossy().into_owned();
            let name =
                folder.as_ref().map_or_else(|| file_name.clone(), |folder| format!("{folder}/{file_name}"));
            let kind = entry.file_type().map_err(|error| failed(&error))?;
            let inside = format!("{name}/");
            if kind.is_dir() && (inside.starts_with(&self.prefix) || self.prefix.starts_with(&inside)) {
                below.push(name);
            } else if kind.is_file() && name.starts_with(&self.prefix) {
                let length = entry.metadata().map(|found| found.len()).unwrap_or_default();
                found.push(Entry { name, length, version: String::new() });
            }
        }
        found.sort_unstable_by(|one, two| one.name.cmp(&two.name));
        below.sort_unstable_by(|one, two| two.cmp(one));
        self.folders.extend(below.into_iter().map(Some));
        Ok(Some((found, self)))
    }
}

/// Opens folders, and nothing else.
#[derive(Debug, Clone, Default)]
pub struct Folders {
    /// Below which folders a place may be. Empty: anywhere.
    pub allowed: Vec<PathBuf>,
    /// Where no place may be: the node's own data.
    pub refused: Vec<PathBuf>,
}

impl Folders {
    /// Opens the folder at `path`.
    ///
    /// # Errors
    /// [`TargetError::Forbidden`] outside what is allowed, [`TargetError::Unreachable`] when it is not there.
    pub fn folder(&self, path: &str) -> Result<FolderTarget, TargetError> {
        let asked = Path::new(path);
        // Links are followed first: what counts is where the bytes go.
        let real = fs::canonicalize(asked).map_err(|error| unreachable(asked, &error))?;
        let real_of = |path: &PathBuf| fs::canonicalize(path).unwrap_or_else(|_| path.clone());
        let allowed =
            self.allowed.is_empty() || self.allowed.iter().any(|folder| real.starts_with(real_of(folder)));
        let refused =
            self.refused.iter().map(real_of).any(|own| real.starts_with(&own) || own.starts_with(&real));
        if !allowed {
            let folders: Vec<String> = self.allowed.iter().map(|path| path.display().to_string()).collect();
            let sentence = format!("folders for backups lie below {}", folders.join(" or "));
            return Err(TargetError::Forbidden(sentence));
        }
        if refused {
            return Err(TargetError::Forbidden("the node's own data lies there".to_owned()));
        }
        FolderTarget::open(&real)
    }
}

#[async_trait]
impl OpenTargets for Folders {
    async fn open(&self, settings: &TargetSettings, _: &TargetLogin) -> Result<Arc<dyn Target>, TargetError> {
        let TargetPlace::Folder { path } = &settings.place else {
            return Err(TargetError::Failed("only folders are known here".to_owned()));
        };
        let (folders, path) = (self.clone(), path.clone());
        apart(move || Ok(Arc::new(folders.folder(&path)?) as Arc<dyn Target>)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_share_that_does_not_answer_keeps_nobody_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        // Whoever opens a pipe waits for its other end.
        let pipe = folder.path().join("run");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        let target = FolderTarget::open(folder.path()).unwrap();
        let asked = tokio::spawn(async move { target.get("run", "").await.map(drop) });
        tokio::task::yield_now().await;
        tokio::time::advance(SILENCE + Duration::from_secs(1)).await;
        let answer = asked.await.unwrap();
        OpenOptions::new().write(true).open(&pipe).unwrap();
        assert!(matches!(answer, Err(TargetError::Unreachable(_))), "{answer:?}");
    }
}
