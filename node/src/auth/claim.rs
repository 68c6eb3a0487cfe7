//! The claim code: shown on the machine, typed once into the set-up page. There is no default account.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rand::RngExt;
use rustix::fs::{Mode, OFlags};
use subtle::ConstantTimeEq;

use super::token::SecretText;

const FILE: &str = "claim-code";
/// Groups of five; no letters that look alike.
pub const ALPHABET: &[u8; 32] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZ";
/// Letters of a code.
pub const LETTERS: usize = 20;

/// The code of a node that nobody has claimed yet.
#[derive(Debug)]
pub struct ClaimCode {
    file: PathBuf,
    code: Mutex<Option<SecretText>>,
}

impl ClaimCode {
    /// A claimed node has none. An unclaimed one keeps its code over restarts in a 0600 file.
    pub fn open(dir: &Path, claimed: bool) -> std::io::Result<Self> {
        let file = dir.join(FILE);
        let code = if claimed {
            remove(&file)?;
            None
        } else {
            Some(SecretText::new(read(&file)?.map_or_else(|| make(&file), Ok)?))
        };
        Ok(Self { file, code: Mutex::new(code) })
    }

    /// The code to show on the machine.
    #[must_use]
    pub fn shown(&self) -> Option<SecretText> {
        self.code.lock().ok().and_then(|code| code.clone())
    }

    /// Compares in constant time; spaces, dashes and case do not matter.
    #[must_use]
    pub fn matches(&self, offered: &SecretText) -> bool {
        let offered = plain(offered.expose());
        self.shown().is_some_and(|code| plain(code.expose()).as_bytes().ct_eq(offered.as_bytes()).into())
    }

    /// The node is claimed: the code and its file go.
    pub fn used(&self) -> std::io::Result<()> {
        if let Ok(mut code) = self.code.lock() {
            *code = None;
        }
        remove(&self.file)
    }
}

fn plain(code: &str) -> String {
    code.chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|letter| letter.to_ascii_uppercase())
        .take(64)
        .collect()
}

fn read(file: &Path) -> std::io::Result<Option<String>> {
    match std::fs::read_to_string(file) {
        Ok(text) if plain(&text).len() == LETTERS => Ok(Some(text.trim().to_owned())),
        Ok(_) => Ok(None),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn make(file: &Path) -> std::io::Result<String> {
    let bytes: [u8; LETTERS] = rand::rng().random();
    let letters: Vec<u8> = bytes.iter().map(|byte| ALPHABET[usize::from(byte & 31)]).collect();
    let groups: Vec<String> =
        letters.chunks(5).map(|group| String::from_utf8_lossy(group).into_owned()).collect();
    let code = groups.join("-");
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC;
    let mut opened = std::fs::File::from(rustix::fs::open(file, flags, Mode::RUSR | Mode::WUSR)?);
    std::io::Write::write_all(&mut opened, code.as_bytes())?;
    opened.sync_all()?;
    Ok(code)
}

fn remove(file: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_code_survives_a_restart_and_ends_with_the_claim() {
        let dir = tempfile::tempdir().unwrap();
        let code = ClaimCode::open(dir.path(), false).unwrap().shown().unwrap();
        let again = ClaimCode::open(dir.path(), false).unwrap();
        assert_eq!(again.shown(), Some(code.clone()));
        let mode = std::fs::metadata(dir.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        again.used().unwrap();
        assert!(!again.matches(&code));
        assert!(!dir.path().join(FILE).exists());
        assert_eq!(ClaimCode::open(dir.path(), true).unwrap().shown(), None);
    }

    #[test]
    fn it_may_be_typed_carelessly_but_not_wrongly() {
        let dir = tempfile::tempdir().unwrap();
        let code = ClaimCode::open(dir.path(), false).unwrap();
        let shown = code.shown().unwrap().expose().to_owned();
        assert!(code.matches(&SecretText::new(shown.to_lowercase().replace('-', " "))));
        assert!(!code.matches(&SecretText::new(shown[..shown.len() - 1].to_owned())));
        assert!(!code.matches(&SecretText::new(String::new())));
    }
}
