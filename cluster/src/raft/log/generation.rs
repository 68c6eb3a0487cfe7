//! The folders sled lives in. A new one is made whole beside the old one, and `current` then names it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::LogError;
use super::content::Content;
use super::database::{Database, Databases, Held};
use super::files;
use super::tree::LogTree;

const CURRENT: &str = "current";
const PREFIX: &str = "sled-";

/// sled databases, each in a folder of its own in the log's folder.
#[derive(Debug, Clone)]
pub struct SledFolders {
    dir: PathBuf,
}

/// The folder of one generation.
#[must_use]
pub fn folder(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{PREFIX}{number}"))
}

impl SledFolders {
    /// Those in `dir`.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    fn numbers(&self) -> io::Result<Vec<u64>> {
        let mut numbers = Vec::new();
        for found in fs::read_dir(&self.dir)? {
            let name = found?.file_name();
            let number = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
            numbers.extend(number.and_then(|number| number.parse::<u64>().ok()));
        }
        Ok(numbers)
    }
}

impl Databases for SledFolders {
    /// A damaged name can only mean the one folder there is. Among several it means none: no folder has number 0.
    fn current(&self) -> io::Result<Option<u64>> {
        let Some(content) = files::read_if_present(&self.dir.join(CURRENT))? else { return Ok(None) };
        if let Ok(number) = String::from_utf8_lossy(&content).trim().parse() {
            return Ok(Some(number));
        }
        let numbers = self.numbers()?;
        Ok(Some(if let [only] = numbers.as_slice() { *only } else { 0 }))
    }

    fn newest(&self) -> io::Result<u64> {
        Ok(self.numbers()?.into_iter().max().unwrap_or(0))
    }

    fn open(&self, number: u64, deadline: Duration) -> Result<Held, LogError> {
        // sled would make what it does not find.
        if !folder(&self.dir, number).is_dir() {
            return Err(LogError::Damaged { what: format!("the folder {PREFIX}{number} is not there") });
        }
        let (tree, content) = LogTree::open(&folder(&self.dir, number), deadline)?;
        Ok((Arc::new(tree), content))
    }

    fn create(&self, number: u64, content: &Content) -> Result<Arc<dyn Database>, LogError> {
        let tree = LogTree::create(&folder(&self.dir, number), content)?;
        files::write_atomically(&self.dir.join(CURRENT), format!("{number}\n").as_bytes())?;
        Ok(Arc::new(tree))
    }

    fn remove(&self, number: u64) -> io::Result<()> {
        fs::remove_dir_all(folder(&self.dir, number))?;
        files::sync_dir(&self.dir)
    }

    fn remove_others(&self, keep: u64) -> io::Result<()> {
        self.numbers()?
            .into_iter()
            .filter(|number| *number != keep)
            .try_for_each(|number| self.remove(number))
    }
}
