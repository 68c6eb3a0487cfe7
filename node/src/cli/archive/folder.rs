//! The folder an export is written into: is it ours, what was it begun for, and what lies in it from before.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use cluster::id::{ApplicationId, AssetId, ID_LENGTH};
use serde::de::DeserializeOwned;

use super::super::error::CliError;
use super::super::file_name::own_name;
use super::error::ArchiveError;
use super::files::{PART, json_bytes, make_folder, sync_folder, write_whole};
use super::record::{ApplicationRecord, AssetRecord, Begun, Head, Selection};
use super::{APPLICATION, ASSET, ASSETS, AUDIT, BEGUN, FORMAT, HEAD, SUMS, VERSION};

/// The folder an export is written into.
#[derive(Debug)]
pub struct ExportFolder {
    /// Where it is.
    pub path: PathBuf,
}

impl ExportFolder {
    /// Takes a folder that is new, empty, or holds an export of the same.
    pub fn open(path: &Path, selection: &Selection) -> Result<Self, CliError> {
        let folder = Self { path: path.to_owned() };
        if path.symlink_metadata().is_err() {
            let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
            made.map_err(CliError::file(path))?;
        }
        let strange = folder.names(path)?.into_iter().find(|name| !folder.is_of_an_export(name));
        if let Some(found) = strange {
            return Err(ArchiveError::NotOurs { folder: path.to_owned(), found }.into());
        }
        let before = match folder.read::<Begun>(BEGUN) {
            Some(begun) => Some((begun.format, begun.version, begun.selection)),
            None => folder.read::<Head>(HEAD).map(|head| (head.format, head.version, head.selection)),
        };
        match before {
            Some((format, VERSION, before)) if format == FORMAT => {
                if !selection.goes_on(&before) {
                    return Err(ArchiveError::OtherExport(path.to_owned()).into());
                }
            }
            Some(_) => return Err(ArchiveError::OtherFormat(path.join(HEAD)).into()),
            None => {
                if let Some(found) = folder.names(path)?.into_iter().next() {
                    return Err(ArchiveError::NotOurs { folder: path.to_owned(), found }.into());
                }
            }
        }
        Ok(folder)
    }

    /// From now on, and until [`ExportFolder::finish`], the folder says that it is not whole.
    pub fn begin(&self, selection: &Selection) -> Result<(), CliError> {
        let begun = Begun { format: FORMAT.to_owned(), version: VERSION, selection: selection.clone() };
        write_whole(&self.path.join(BEGUN), &json_bytes(&begun)?)?;
        sync_folder(&self.path)?;
        self.remove(HEAD)
    }

    /// It is as whole as `head` says.
    pub fn finish(&self, head: &[u8]) -> Result<(), CliError> {
        write_whole(&self.path.join(HEAD), head)?;
        sync_folder(&self.path)?;
        self.remove(BEGUN)
    }

    fn remove(&self, name: &str) -> Result<(), CliError> {
        let path = self.path.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(CliError::file(path)(error)),
            _ => sync_folder(&self.path),
        }
    }

    /// The folder of an application: the one it had before, whatever it was called then.
    pub fn application(&self, id: ApplicationId, name: &str) -> Result<String, CliError> {
        let ending = format!("-{id}");
        let before = self.names(&self.path)?.into_iter().find(|found| found.ends_with(&ending));
        let folder = before.unwrap_or_else(|| format!("{}{ending}", own_name(name, "application")));
        make_folder(&self.path.join(&folder))?;
        make_folder(&self.path.join(&folder).join(ASSETS))?;
        Ok(folder)
    }

    /// Everything from an earlier export that `is_new` does not name: applications, and assets with their folders.
    pub fn kept(&self, is_new: impl Fn(&str) -> bool) -> Result<Kept, CliError> {
        let mut kept = Kept::default();
        for folder in self.names(&self.path)?.into_iter().filter(|name| is_application(name)) {
            let name = format!("{folder}/{APPLICATION}");
            if !is_new(&name) && self.read::<ApplicationRecord>(&name).is_some() {
                kept.applications.push(name);
            }
            for id in self.names(&self.path.join(&folder).join(ASSETS)).unwrap_or_default() {
                let place = format!("{folder}/{ASSETS}/{id}");
                if id.parse::<AssetId>().is_err() || is_new(&place) {
                    continue;
                }
                if let Some(record) = self.read::<AssetRecord>(&format!("{place}/{ASSET}")) {
                    kept.assets.push((place, record));
                }
            }
        }
        Ok(kept)
    }

    /// A JSON file of an earlier export; what cannot be read is as good as none.
    pub fn read<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        let path = self.path.join(name);
        if !path.symlink_metadata().is_ok_and(|facts| facts.is_file()) {
            return None;
        }
        serde_json::from_slice(&fs::read(path).ok()?).ok()
    }

    fn names(&self, folder: &Path) -> Result<Vec<String>, CliError> {
        let entries = fs::read_dir(folder).map_err(CliError::file(folder))?;
        let mut names = Vec::new();
        for entry in entries {
            let name = entry.map_err(CliError::file(folder))?.file_name();
            names.push(name.to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }

    fn is_of_an_export(&self, name: &str) -> bool {
        let known = [HEAD, BEGUN, SUMS, AUDIT];
        let whole = name.strip_suffix(PART).unwrap_or(name);
        let is_folder = self.path.join(name).symlink_metadata().is_ok_and(|facts| facts.is_dir());
        if is_folder { is_application(name) } else { known.contains(&whole) }
    }
}

/// What an earlier export left and the node does not show any more.
#[derive(Debug, Default)]
pub struct Kept {
    /// Their `application.json`.
    pub applications: Vec<String>,
    /// Folders, and what their `asset.json` says.
    pub assets: Vec<(String, AssetRecord)>,
}

/// `name-id`.
fn is_application(name: &str) -> bool {
    let Some(at) = name.len().checked_sub(ID_LENGTH + 1) else { return false };
    name.is_char_boundary(at)
        && name[at..].starts_with('-')
        && name[at + 1..].parse::<ApplicationId>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "00000000000000000000000001";

    fn selection() -> Selection {
        Selection { all: true, applications: vec![ID.to_owned()], trashed: false, renditions: false }
    }

    #[test]
    fn a_folder_with_something_else_in_it_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("letter.txt"), "dear").unwrap();
        let refused = ExportFolder::open(folder.path(), &selection()).unwrap_err().to_string();
        assert!(refused.contains("holds something else (letter.txt)"), "{refused}");
        fs::remove_file(folder.path().join("letter.txt")).unwrap();
        // A folder that looks like an application's, without a word of an export.
        fs::create_dir(folder.path().join(format!("Videos-{ID}"))).unwrap();
        assert!(ExportFolder::open(folder.path(), &selection()).is_err());
    }

    #[test]
    fn a_folder_that_was_begun_is_gone_on_with_by_the_same_command_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/export");
        let export = ExportFolder::open(&path, &selection()).unwrap();
        export.begin(&selection()).unwrap();
        assert_eq!(export.application(ID.parse().unwrap(), "../Ü: 1").unwrap(), format!("Ü_ 1-{ID}"));
        assert_eq!(export.application(ID.parse().unwrap(), "Renamed").unwrap(), format!("Ü_ 1-{ID}"));
        ExportFolder::open(&path, &selection()).unwrap();
        let other = Selection { all: false, ..selection() };
        let refused = ExportFolder::open(&path, &other).unwrap_err().to_string();
        assert!(refused.contains("an export of something else"), "{refused}");
    }
}
