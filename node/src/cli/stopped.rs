//! A stopped node on this machine: its folder, and how its key is unlocked. For the commands that work on the disk.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use cluster::ClusterConfig;
use cluster::seal::{PassphraseSeal, Seal};
use zeroize::Zeroizing;

use super::error::CliError;
use super::people::ask_hidden;
use super::recover::key_file_seal;

/// Which node.
#[derive(Debug, Args)]
pub(super) struct StoppedNode {
    /// The data folder of the stopped node.
    #[arg(long, env = "MEDIAKEEP_DIR")]
    dir: PathBuf,
    /// The node's key file; beside the data folder when missing.
    #[arg(long)]
    key_file: Option<PathBuf>,
    /// The node's key is sealed by a passphrase.
    #[arg(long, conflicts_with = "key_file")]
    passphrase: bool,
}

impl StoppedNode {
    /// How it is opened.
    pub(super) fn settings(&self) -> ClusterConfig {
        ClusterConfig::new(&self.dir, "", "")
    }

    /// Its data folder.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// What unlocks its key; asks for the passphrase where there is one.
    pub(super) fn seal(&self) -> Result<Arc<dyn Seal>, CliError> {
        if !self.passphrase {
            return key_file_seal(&self.dir, self.key_file.as_deref());
        }
        let passphrase = Zeroizing::new(ask_hidden("Passphrase: ", "--key-file")?);
        let seal = PassphraseSeal::new(self.dir.join("node-key.sealed"), passphrase);
        Ok(Arc::new(seal.map_err(|error| CliError::Recovery(error.to_string()))?))
    }
}
