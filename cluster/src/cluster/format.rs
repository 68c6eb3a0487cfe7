//! The format of the data folder as a whole, written down in it. A build refuses a folder that a newer one has written to,
//! before it looks at anything else: what it cannot read is then never taken for damage, and never "repaired".

use super::{ClusterConfig, OpenError};
use crate::raft::log::files;

/// The format this build writes. Raise it whenever the version of a type on disk rises: a test keeps the list.
pub(super) const FORMAT: u32 = 1;
const NAME: &str = "format";
const WORDS: &str = "mediakeep data folder, format ";

/// Refuses a folder of a newer format, and notes this build's format in an older one.
///
/// # Errors
/// [`OpenError::Newer`]; nothing was changed then.
pub(super) fn check(config: &ClusterConfig) -> Result<(), OpenError> {
    let path = config.dir.join(NAME);
    let text = files::read_if_present(&path)?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let found = text.as_deref().and_then(|text| text.strip_prefix(WORDS)?.trim_end().parse::<u32>().ok());
    match found {
        Some(FORMAT) => return Ok(()),
        Some(found) if found > FORMAT => {
            return Err(OpenError::Newer { dir: config.dir.clone(), found, known: FORMAT });
        }
        None if text.is_some() => {
            tracing::warn!(path = %path.display(), "the note of the folder's format is damaged and is written anew");
        }
        _ => {}
    }
    Ok(files::write_atomically(&path, format!("{WORDS}{FORMAT}\n").as_bytes())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit_record::AuditRecord;
    use crate::cluster::identity::Identity;
    use crate::persist::Persist;
    use crate::raft::log::watermark::Watermark;
    use crate::raft::snapshot::Manifest;
    use crate::raft::types::{LogId, Vote};
    use crate::state::State;

    #[test]
    fn a_folder_of_a_newer_format_is_refused_untouched_and_an_older_one_is_noted() {
        let folder = tempfile::tempdir().unwrap();
        let config = ClusterConfig::new(folder.path(), "one", "home");
        let path = folder.path().join(NAME);
        for before in [None, Some(""), Some("mediakeep data folder, format 0\n"), Some("\u{0}\u{1}")] {
            drop(std::fs::remove_file(&path));
            if let Some(before) = before {
                std::fs::write(&path, before).unwrap();
            }
            check(&config).unwrap();
            let noted = std::fs::read_to_string(&path).unwrap();
            assert_eq!(noted, format!("mediakeep data folder, format {FORMAT}\n"));
        }
        let newer = format!("{WORDS}{}\n", FORMAT + 1);
        std::fs::write(&path, &newer).unwrap();
        let refused = check(&config).unwrap_err().to_string();
        assert!(refused.contains("newer") && refused.contains("nothing was changed"), "{refused}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), newer);
    }

    /// Whoever raises a version raises the format too, so that the build before refuses the folder.
    #[test]
    fn the_format_covers_the_version_of_every_type_on_disk() {
        let versions = [
            ("State", State::VERSION),
            ("snapshot manifest", Manifest::VERSION),
            ("log record", crate::raft::log::record::VERSION),
            ("log id", LogId::VERSION),
            ("vote", Vote::VERSION),
            ("watermark", Watermark::VERSION),
            ("audit record", AuditRecord::VERSION),
            ("identity", Identity::VERSION),
            ("Blob format", crate::blob::FORMAT_VERSION),
        ];
        let expected = [
            ("State", 3),
            ("snapshot manifest", 1),
            ("log record", 2),
            ("log id", 1),
            ("vote", 1),
            ("watermark", 1),
            ("audit record", 1),
            ("identity", 1),
            ("Blob format", 1),
        ];
        assert_eq!((FORMAT, versions), (1, expected));
    }
}
