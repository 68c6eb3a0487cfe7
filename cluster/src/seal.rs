//! What stands between a stolen disk and the node's secrets: a key file elsewhere, or a passphrase given at start.
//! (A third way, the machine's TPM, is the appliance's.)

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::keyring::{KeyError, NodeSecrets};

mod key_file;
mod passphrase;

pub use key_file::KeyFileSeal;
pub use passphrase::{PassphraseCost, PassphraseSeal};

/// Which kind of seal a node uses, for `status` and the console.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealMode {
    /// A key file outside the data folder: a stolen machine can be read.
    KeyFile,
    /// A passphrase somebody types at every start.
    Passphrase,
}

impl SealMode {
    /// Whether the console must say that a stolen machine can be read.
    #[must_use]
    pub fn stolen_machine_can_be_read(self) -> bool {
        self == Self::KeyFile
    }
}

/// Keeps a node's secrets at rest and gives them back at start.
pub trait Seal: Debug + Send + Sync + 'static {
    /// Which kind this is.
    fn mode(&self) -> SealMode;

    /// Gives back the secrets stored earlier. Blocks; a passphrase seal takes about a second.
    ///
    /// # Errors
    /// [`SealError::Absent`] when none were stored yet; the others say why they cannot be had.
    fn unlock(&self) -> Result<NodeSecrets, SealError>;

    /// Stores `secrets` durably. Never replaces what is there.
    ///
    /// # Errors
    /// [`SealError::Present`] when something is stored already.
    fn store(&self, secrets: &NodeSecrets) -> Result<(), SealError>;

    /// Unlocks, or makes and stores new secrets when there are none.
    ///
    /// # Errors
    /// As the two above.
    fn unlock_or_create(&self) -> Result<NodeSecrets, SealError> {
        match self.unlock() {
            Err(SealError::Absent(_)) => {
                let secrets = NodeSecrets::generate()?;
                self.store(&secrets)?;
                Ok(secrets)
            }
            other => other,
        }
    }
}

/// Why a node's secrets cannot be had or stored.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// Nothing was stored yet.
    #[error("there is no node key at {}", .0.display())]
    Absent(PathBuf),
    /// Something is stored already and is not replaced.
    #[error("there is a node key at {} already", .0.display())]
    Present(PathBuf),
    /// Others may read or change the key file.
    #[error("{} has mode {mode:03o}: only its owner may have access (chmod 600)", .path.display())]
    TooOpen {
        /// The key file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The key file lies in the data folder: whoever takes the disk has both.
    #[error("the key file {} must not lie in the data folder {}", .path.display(), .data.display())]
    InsideDataFolder {
        /// The key file.
        path: PathBuf,
        /// The data folder.
        data: PathBuf,
    },
    /// The file is not one of ours, or damaged.
    #[error("{} is not a readable node key: {reason}", .path.display())]
    Damaged {
        /// The key file.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The passphrase does not open it.
    #[error("the passphrase is wrong")]
    WrongPassphrase,
    /// An empty passphrase protects nothing.
    #[error("the passphrase is empty")]
    EmptyPassphrase,
    /// The file could not be read or written.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The key file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The keys themselves.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// No file of ours is longer; a longer one is not read.
const LONGEST_FILE: u64 = 4096;

/// Reads a private file: a regular file, with no access for group and others.
fn read_private(path: &Path) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => SealError::Absent(path.to_owned()),
        _ => SealError::Io { path: path.to_owned(), source },
    };
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(SealError::TooOpen { path: path.to_owned(), mode });
    }
    if !metadata.is_file() || metadata.len() > LONGEST_FILE {
        return Err(SealError::Damaged { path: path.to_owned(), reason: "not a small regular file" });
    }
    let mut contents = Zeroizing::new(Vec::with_capacity(4096));
    file.take(LONGEST_FILE).read_to_end(&mut contents).map_err(failed)?;
    Ok(contents)
}

/// Writes a private file that must not exist yet, durable when this returns and never seen half written.
fn write_private(path: &Path, contents: &[u8]) -> Result<(), SealError> {
    if path.symlink_metadata().is_ok() {
        return Err(SealError::Present(path.to_owned()));
    }
    let failed = |source| SealError::Io { path: path.to_owned(), source };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(failed)?;
    let temporary = path.with_extension("new");
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary).map_err(failed)?;
    file.write_all(contents).and_then(|()| file.sync_all()).map_err(failed)?;
    // A hard link, unlike a rename, does not replace what another process put there meanwhile.
    fs::hard_link(&temporary, path).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => SealError::Present(path.to_owned()),
        _ => failed(error),
    })?;
    fs::remove_file(&temporary).and_then(|()| File::open(folder)?.sync_all()).map_err(failed)
}

#[cfg(test)]
mod tests;
