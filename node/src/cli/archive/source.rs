//! An exported folder as `import` reads it: nothing is followed out of it, and nothing is used whose SHA-256 differs.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

use cluster::id::AssetId;
use indicatif::ProgressBar;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::super::error::CliError;
use super::error::ArchiveError;
use super::files::{facts_of, hashed};
use super::record::Head;
use super::{APPLICATION, ASSET, ASSETS, BEGUN, FORMAT, HEAD, SUMS, VERSION};

/// No JSON, picture or captions of an export are larger.
const LARGEST_SMALL: u64 = 64 * 1024 * 1024;
/// No line of `SHA256SUMS` is longer: a hash and a path.
const LONGEST_LINE: u64 = 4096;

/// An exported folder. What it keeps in memory are the names of its files.
#[derive(Debug)]
pub struct Exported {
    root: PathBuf,
    sums: BTreeMap<String, String>,
}

impl Exported {
    /// Looks at a folder: whole, of a version that is known, and without a way out of it.
    pub fn open(root: &Path) -> Result<(Self, Head), CliError> {
        let head_path = root.join(HEAD);
        let facts = match head_path.symlink_metadata() {
            Ok(facts) => facts,
            Err(_) if root.join(BEGUN).symlink_metadata().is_ok() => {
                return Err(ArchiveError::CutOff(root.to_owned()).into());
            }
            Err(_) => return Err(ArchiveError::NoExport(root.to_owned()).into()),
        };
        if !facts.is_file() {
            return Err(outside(HEAD, "it is not a plain file"));
        }
        let bytes = small(&head_path, HEAD)?;
        let other = || ArchiveError::OtherFormat(head_path.clone());
        let said: Value = serde_json::from_slice(&bytes).map_err(|_| other())?;
        if said["format"] != FORMAT {
            return Err(other().into());
        }
        match said["version"].as_u64() {
            Some(VERSION) => {}
            Some(version) => return Err(ArchiveError::Version(version).into()),
            None => return Err(other().into()),
        }
        let exported = Self { root: root.to_owned(), sums: sums(root)? };
        exported.stays_inside()?;
        exported.fits(HEAD, &facts_of(&bytes).sha256)?;
        let head = serde_json::from_value(said).map_err(|error| unreadable(HEAD, &error))?;
        Ok((exported, head))
    }

    /// The folders of applications.
    pub fn applications(&self) -> Vec<String> {
        let ending = format!("/{APPLICATION}");
        let folders = self.sums.keys().filter_map(|name| name.strip_suffix(&ending));
        folders.filter(|folder| !folder.contains('/')).map(str::to_owned).collect()
    }

    /// The folders of the assets of an application.
    pub fn assets(&self, folder: &str) -> Vec<String> {
        let beginning = format!("{folder}/{ASSETS}/");
        let below = self.sums.range(beginning.clone()..).map(|(name, _)| name);
        let below = below.take_while(|name| name.starts_with(&beginning));
        let places = below.filter_map(|name| name.strip_suffix(ASSET)?.strip_suffix('/'));
        places
            .filter(|place| place[beginning.len()..].parse::<AssetId>().is_ok())
            .map(str::to_owned)
            .collect()
    }

    /// Where a listed file is.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// What the list says of a file.
    pub fn sha256(&self, name: &str) -> Result<&str, CliError> {
        let unlisted = || outside(name, "SHA256SUMS does not list it");
        self.sums.get(name).map(String::as_str).ok_or_else(unlisted)
    }

    /// A small file, once it is known to be what was exported.
    pub fn bytes(&self, name: &str) -> Result<Vec<u8>, CliError> {
        self.sha256(name)?;
        let bytes = small(&self.path(name), name)?;
        self.fits(name, &facts_of(&bytes).sha256)?;
        Ok(bytes)
    }

    /// A JSON file, once it is known to be what was exported.
    pub fn json<T: DeserializeOwned>(&self, name: &str) -> Result<T, CliError> {
        serde_json::from_slice(&self.bytes(name)?).map_err(|error| unreadable(name, &error))
    }

    /// Reads a file through: it is what was exported.
    pub fn verify(&self, name: &str) -> Result<(), CliError> {
        self.sha256(name)?;
        let path = self.path(name);
        if !path.symlink_metadata().is_ok_and(|facts| facts.is_file()) {
            return Err(ArchiveError::Missing { name: name.to_owned() }.into());
        }
        self.fits(name, &hashed(&path, &ProgressBar::hidden())?.sha256)
    }

    fn fits(&self, name: &str, found: &str) -> Result<(), CliError> {
        if self.sha256(name)? == found {
            return Ok(());
        }
        Err(ArchiveError::Changed { name: name.to_owned() }.into())
    }

    /// Every listed name, and every folder on the way to it, is what it says and no way elsewhere.
    fn stays_inside(&self) -> Result<(), CliError> {
        let mut seen = HashSet::new();
        for name in self.sums.keys() {
            let ends = name.match_indices('/').map(|(at, _)| at).chain([name.len()]);
            for end in ends {
                let part = &name[..end];
                if !seen.insert(part) {
                    continue;
                }
                match self.root.join(part).symlink_metadata() {
                    Ok(facts) if facts.is_symlink() => return Err(outside(part, "it is a symbolic link")),
                    Ok(facts) if facts.is_dir() != (end < name.len()) => {
                        return Err(outside(part, "it is not a plain file"));
                    }
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::NotFound => break,
                    Err(error) => return Err(CliError::file(self.root.join(part))(error)),
                }
            }
        }
        Ok(())
    }
}

fn outside(name: &str, reason: &'static str) -> CliError {
    ArchiveError::Outside { name: name.to_owned(), reason }.into()
}

fn unreadable(name: &str, error: &serde_json::Error) -> CliError {
    ArchiveError::Record { name: name.to_owned(), reason: error.to_string() }.into()
}

fn small(path: &Path, name: &str) -> Result<Vec<u8>, CliError> {
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(ArchiveError::Missing { name: name.to_owned() }.into());
        }
        other => other.map_err(CliError::file(path))?,
    };
    let mut bytes = Vec::new();
    file.take(LARGEST_SMALL).read_to_end(&mut bytes).map_err(CliError::file(path))?;
    Ok(bytes)
}

/// `SHA256SUMS`, line by line.
fn sums(root: &Path) -> Result<BTreeMap<String, String>, CliError> {
    let path = root.join(SUMS);
    if !fs::symlink_metadata(&path).map_err(CliError::file(&path))?.is_file() {
        return Err(outside(SUMS, "it is not a plain file"));
    }
    let mut reader = BufReader::new(File::open(&path).map_err(CliError::file(&path))?);
    let mut sums = BTreeMap::new();
    for number in 1.. {
        let mut line = Vec::new();
        let read = (&mut reader).take(LONGEST_LINE).read_until(b'\n', &mut line);
        if read.map_err(CliError::file(&path))? == 0 {
            break;
        }
        let (sha256, name) = listed(&line).ok_or(ArchiveError::Sums { line: number })?;
        if !is_inside(name) {
            return Err(outside(name, "it leads out of the folder"));
        }
        sums.insert(name.to_owned(), sha256.to_ascii_lowercase());
    }
    Ok(sums)
}

/// `HASH  NAME`, or `HASH *NAME`.
fn listed(line: &[u8]) -> Option<(&str, &str)> {
    let line = std::str::from_utf8(line.strip_suffix(b"\n")?).ok()?;
    let (sha256, name) = line.split_at_checked(64)?;
    let name = name.strip_prefix("  ").or_else(|| name.strip_prefix(" *"))?;
    let is_hash = sha256.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_hash && !name.is_empty()).then_some((sha256, name))
}

fn is_inside(name: &str) -> bool {
    name.split('/').all(|part| !matches!(part, "" | "." | "..")) && !name.contains(['\\', '\0'])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with `lines` as its list and a head that fits.
    fn folder(lines: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let head = br#"{"format": "mediakeep-export", "version": 1}"#;
        fs::write(folder.path().join(HEAD), head).unwrap();
        fs::write(folder.path().join(SUMS), format!("{lines}{}  {HEAD}\n", facts_of(head).sha256)).unwrap();
        folder
    }

    fn refused(folder: &tempfile::TempDir) -> String {
        Exported::open(folder.path()).unwrap_err().to_string()
    }

    fn line(name: &str) -> String {
        format!("{}  {name}\n", "0".repeat(64))
    }

    #[test]
    fn no_name_leads_out_of_the_folder() {
        for name in ["../secret", "a/../../secret", "/etc/passwd", "a//b", "./a", "a/.", "a\\..\\b"] {
            let sentence = refused(&folder(&line(name)));
            assert_eq!(sentence, format!("`{name}` is refused: it leads out of the folder"));
        }
    }

    #[test]
    fn no_link_is_followed_neither_as_a_file_nor_on_the_way() {
        let outer = tempfile::tempdir().unwrap();
        fs::write(outer.path().join("secret"), "secret").unwrap();
        let folder = folder(&line("app/secret"));
        std::os::unix::fs::symlink(outer.path(), folder.path().join("app")).unwrap();
        assert_eq!(refused(&folder), "`app` is refused: it is a symbolic link");
        fs::remove_file(folder.path().join("app")).unwrap();
        fs::create_dir(folder.path().join("app")).unwrap();
        std::os::unix::fs::symlink(outer.path().join("secret"), folder.path().join("app/secret")).unwrap();
        assert_eq!(refused(&folder), "`app/secret` is refused: it is a symbolic link");
    }

    #[test]
    fn what_is_no_export_gets_a_sentence() {
        let empty = tempfile::tempdir().unwrap();
        assert!(refused(&empty).ends_with("there is no export.json in it"));
        fs::write(empty.path().join(BEGUN), "{}").unwrap();
        assert!(refused(&empty).contains("was cut off"));
        for (head, sentence) in [
            ("{}", "is not an export.json of mediakeep"),
            ("[", "is not an export.json of mediakeep"),
            (r#"{"format": "mediakeep-export", "version": 2}"#, "the export has format version 2"),
        ] {
            fs::write(empty.path().join(HEAD), head).unwrap();
            assert!(refused(&empty).contains(sentence), "{}", refused(&empty));
        }
        for (list, sentence) in
            [("nonsense\n", "line 1 of SHA256SUMS"), (&line("a")[..60], "line 1 of SHA256SUMS")]
        {
            assert!(refused(&folder(list)).contains(sentence), "{list}");
        }
        let changed = folder("");
        fs::write(changed.path().join(HEAD), r#"{"format": "mediakeep-export", "version": 1, "assets": 7}"#)
            .unwrap();
        assert!(
            refused(&changed).starts_with("export.json is not what was exported"),
            "{}",
            refused(&changed)
        );
    }
}
