//! Uploads that were begun and not finished, so that the same command goes on where it stopped.
//!
//! The file names nothing: an upload is found by a hash of node, application and source.

use std::collections::BTreeMap;
use std::path::PathBuf;

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use url::Url;

use super::connection::{uploads_file, write_private};
use super::error::CliError;

/// Kept at once; the oldest is forgotten.
const MOST: usize = 100;

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Kept {
    location: String,
    begun_ms: u64,
}

/// One upload among the unfinished ones.
#[derive(Debug)]
pub struct Unfinished {
    path: PathBuf,
    key: String,
    all: BTreeMap<String, Kept>,
}

impl Unfinished {
    /// Looks for an earlier attempt of the same upload.
    pub fn load(node: &Url, application: &str, what: &str) -> Result<Self, CliError> {
        Self::load_from(uploads_file()?, node, application, what)
    }

    fn load_from(path: PathBuf, node: &Url, application: &str, what: &str) -> Result<Self, CliError> {
        let all = match std::fs::read(&path) {
            // Nothing is lost with it but the chance to go on.
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_default(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(CliError::file(path)(error)),
        };
        let named = format!("{}\n{application}\n{what}", node.origin().ascii_serialization());
        let key = HEXLOWER.encode(digest(&SHA256, named.as_bytes()).as_ref());
        Ok(Self { path, key, all })
    }

    /// Where the earlier attempt goes on.
    pub fn location(&self) -> Option<&str> {
        self.all.get(&self.key).map(|kept| kept.location.as_str())
    }

    /// Notes that it was begun.
    pub fn remember(&mut self, location: &str) -> Result<(), CliError> {
        let since_epoch = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
        let begun_ms = u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX);
        self.all.insert(self.key.clone(), Kept { location: location.to_owned(), begun_ms });
        while self.all.len() > MOST {
            let oldest = self.all.iter().min_by_key(|(_, kept)| kept.begun_ms).map(|(key, _)| key.clone());
            oldest.and_then(|key| self.all.remove(&key));
        }
        self.save()
    }

    /// It is finished, or given up.
    pub fn forget(&mut self) -> Result<(), CliError> {
        if self.all.remove(&self.key).is_some() { self.save() } else { Ok(()) }
    }

    fn save(&self) -> Result<(), CliError> {
        let text = serde_json::to_vec(&self.all).map_err(|error| CliError::Answer(error.to_string()))?;
        write_private(&self.path, &text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_is_found_again_and_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("uploads.json");
        let node = Url::parse("https://a.example").unwrap();
        let load = |what: &str| Unfinished::load_from(path.clone(), &node, "app", what).unwrap();
        let mut upload = load("/films/secret-name.mp4");
        assert_eq!(upload.location(), None);
        upload.remember("/api/v1/uploads/x").unwrap();
        assert_eq!(load("/films/secret-name.mp4").location(), Some("/api/v1/uploads/x"));
        assert_eq!(load("/films/other.mp4").location(), None);
        assert!(!std::fs::read_to_string(&path).unwrap().contains("secret-name"));
        load("/films/secret-name.mp4").forget().unwrap();
        assert_eq!(load("/films/secret-name.mp4").location(), None);
    }

    #[test]
    fn a_damaged_note_and_too_many_do_no_harm() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("uploads.json");
        std::fs::write(&path, b"not json").unwrap();
        let node = Url::parse("https://a.example").unwrap();
        for number in 0..MOST + 5 {
            let mut upload = Unfinished::load_from(path.clone(), &node, "app", &number.to_string()).unwrap();
            upload.remember("/x").unwrap();
        }
        assert_eq!(Unfinished::load_from(path, &node, "app", "").unwrap().all.len(), MOST);
    }
}
