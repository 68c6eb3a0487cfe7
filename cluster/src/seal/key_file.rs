//! The key file: the node's root secret in a file only its owner may read, outside the data folder. It protects a disk
//! that is thrown away or stolen alone, not a machine stolen whole, and `status` says so.

use std::path::{Path, PathBuf};

use aws_lc_rs::digest;
use zeroize::{Zeroize, Zeroizing};

use super::{Seal, SealError, SealMode, read_private, write_private};
use crate::keyring::{KEY_LENGTH, NodeSecrets};

const FIRST_LINE: &str = "mediakeep node key 1";

/// A seal by key file.
#[derive(Debug)]
pub struct KeyFileSeal {
    path: PathBuf,
}

impl KeyFileSeal {
    /// A seal by the key file at `path`, which must not lie in the data folder `data`.
    ///
    /// # Errors
    /// [`SealError::InsideDataFolder`].
    pub fn new(path: impl Into<PathBuf>, data: &Path) -> Result<Self, SealError> {
        let path = path.into();
        if resolved(&path).starts_with(resolved(data)) {
            return Err(SealError::InsideDataFolder { path, data: data.to_owned() });
        }
        Ok(Self { path })
    }
}

impl Seal for KeyFileSeal {
    fn mode(&self) -> SealMode {
        SealMode::KeyFile
    }

    fn unlock(&self) -> Result<NodeSecrets, SealError> {
        let contents = read_private(&self.path)?;
        let damaged = |reason| SealError::Damaged { path: self.path.clone(), reason };
        let text = std::str::from_utf8(&contents).map_err(|_| damaged("not text"))?;
        let mut lines = text.lines();
        if lines.next() != Some(FIRST_LINE) {
            return Err(damaged("not a node key of this version"));
        }
        let line = lines.next().ok_or_else(|| damaged("cut short"))?;
        let decoded =
            data_encoding::HEXLOWER.decode(line.as_bytes()).map_err(|_| damaged("not hexadecimal"))?;
        let mut root = Zeroizing::new([0; KEY_LENGTH]);
        let decoded = Zeroizing::new(decoded);
        let (secret, check) = decoded.split_at_checked(KEY_LENGTH).ok_or_else(|| damaged("cut short"))?;
        if check != checksum(secret) {
            return Err(damaged("its checksum does not fit"));
        }
        root.copy_from_slice(secret);
        Ok(NodeSecrets::from_root(root)?)
    }

    fn store(&self, secrets: &NodeSecrets) -> Result<(), SealError> {
        let mut bytes = Zeroizing::new(secrets.root().to_vec());
        bytes.extend_from_slice(&checksum(secrets.root()));
        let mut line = data_encoding::HEXLOWER.encode(&bytes);
        let text = Zeroizing::new(format!("{FIRST_LINE}\n{line}\n"));
        line.zeroize();
        write_private(&self.path, text.as_bytes())
    }
}

fn checksum(secret: &[u8]) -> [u8; 4] {
    let hash = digest::digest(&digest::SHA256, secret);
    [hash.as_ref()[0], hash.as_ref()[1], hash.as_ref()[2], hash.as_ref()[3]]
}

/// The path with the links of its longest existing part followed.
fn resolved(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let existing = absolute.ancestors().find_map(|part| Some((part, part.canonicalize().ok()?)));
    match existing {
        Some((part, real)) => absolute.strip_prefix(part).map_or(real.clone(), |rest| real.join(rest)),
        None => absolute,
    }
}
