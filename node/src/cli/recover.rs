//! `recover`: a node whose key file or passphrase is lost gets its key back by the recovery key. Works on the data
//! folder of a stopped node, like `accept-loss`; no other client command does.

use std::io::{BufRead, IsTerminal, stdin};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use cluster::ClusterConfig;
use cluster::keyring::NodeSecrets;
use cluster::recovery::{RecoveryError, RecoveryKey, RecoveryShare};
use cluster::seal::{KeyFileSeal, PassphraseSeal, Seal};
use zeroize::Zeroizing;

use super::error::CliError;
use super::people::ask_hidden;
use super::shown;
use crate::config::Config;

/// Give a node its lost key back, by the recovery key or enough of its shares.
#[derive(Debug, Args)]
pub struct Recover {
    /// The data folder of the stopped node.
    #[arg(long, env = "MEDIAKEEP_DIR")]
    dir: PathBuf,
    /// Where to write the node's key; beside the data folder when missing.
    #[arg(long)]
    key_file: Option<PathBuf>,
    /// Seal the key by a new passphrase instead of a key file.
    #[arg(long, conflicts_with = "key_file")]
    passphrase: bool,
}

impl Recover {
    /// Carries it out.
    pub fn run(self) -> Result<(), CliError> {
        let settings = ClusterConfig::new(&self.dir, "", "");
        let path = settings.recovery_file();
        let sealed = std::fs::read(&path).map_err(CliError::file(&path))?;
        let recovery = read_recovery_key()?;
        let secrets = NodeSecrets::recover(&recovery, &sealed)
            .map_err(|_| CliError::Recovery("this recovery key does not belong to this node".to_owned()))?;
        let seal = self.seal()?;
        seal.store(&secrets).map_err(|error| CliError::Recovery(error.to_string()))?;
        shown::note("The node's key is back. Start the node as usual.");
        Ok(())
    }

    fn seal(&self) -> Result<Arc<dyn Seal>, CliError> {
        let failed = |error: cluster::seal::SealError| CliError::Recovery(error.to_string());
        if self.passphrase {
            let passphrase = Zeroizing::new(ask_hidden("New passphrase: ", "a key file instead")?);
            let path = self.dir.join("node-key.sealed");
            return Ok(Arc::new(PassphraseSeal::new(path, passphrase).map_err(failed)?));
        }
        key_file_seal(&self.dir, self.key_file.as_deref())
    }
}

/// The seal of a node whose key is in a file: the one named, or the one beside the data folder.
pub(super) fn key_file_seal(dir: &Path, key_file: Option<&Path>) -> Result<Arc<dyn Seal>, CliError> {
    let mut config = Config { dir: dir.to_owned(), ..Config::default() };
    config.key_file = key_file.map(Path::to_owned);
    let seal = KeyFileSeal::new(config.key_file(), dir);
    Ok(Arc::new(seal.map_err(|error| CliError::Recovery(error.to_string()))?))
}

/// The recovery key, or its shares one by one until there are enough; from the terminal, or a line each on standard
/// input.
pub(super) fn read_recovery_key() -> Result<RecoveryKey, CliError> {
    let bad = |error: RecoveryError| CliError::Recovery(error.to_string());
    let first = read_line("Recovery key, or one of its shares: ")?;
    match RecoveryKey::parse(&first) {
        // Not a whole key; whatever else is wrong is wrong with one.
        Err(RecoveryError::NotRecoveryText) => {}
        whole => return whole.map_err(bad),
    }
    let mut shares = vec![RecoveryShare::parse(&first).map_err(bad)?];
    while shares.len() < usize::from(shares[0].threshold()) {
        let text = read_line("Another share: ")?;
        shares.push(RecoveryShare::parse(&text).map_err(bad)?);
    }
    RecoveryKey::combine(&shares).map_err(bad)
}

fn read_line(question: &str) -> Result<Zeroizing<String>, CliError> {
    if stdin().is_terminal() {
        return Ok(Zeroizing::new(ask_hidden(question, "the recovery key on standard input")?));
    }
    let mut line = Zeroizing::new(String::new());
    let read = stdin().lock().read_line(&mut line).map_err(CliError::file("standard input"))?;
    if read == 0 {
        return Err(CliError::Recovery(
            "give the recovery key, or enough shares, on standard input".to_owned(),
        ));
    }
    Ok(Zeroizing::new(line.trim().to_owned()))
}
