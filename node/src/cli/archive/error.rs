//! Why an export or an import did not work: one plain sentence each.

use std::path::PathBuf;

/// Why an export or an import did not work.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The folder is somebody else's.
    #[error("{} holds something else ({found}); name an empty or a new folder", .folder.display())]
    NotOurs {
        /// Which folder.
        folder: PathBuf,
        /// What lies in it.
        found: String,
    },
    /// The folder holds an export of something else.
    #[error(
        "{} holds an export of something else; give the same applications, --trashed and --renditions as then, or another \
         folder", .0.display()
    )]
    OtherExport(PathBuf),
    /// Bytes that the node has are missing in the folder.
    #[error(
        "{missing} of {all} assets could not be exported whole; they are listed above and in export.json. The same command \
         tries them again"
    )]
    NotWhole {
        /// So many.
        missing: u64,
        /// Of so many.
        all: u64,
    },
    /// No export lies there.
    #[error("{} is not an export of mediakeep: there is no export.json in it", .0.display())]
    NoExport(PathBuf),
    /// An export that did not come to its end.
    #[error("the export in {} was cut off; run `mediakeep export` into it again first", .0.display())]
    CutOff(PathBuf),
    /// Another format.
    #[error("{} is not an export.json of mediakeep", .0.display())]
    OtherFormat(PathBuf),
    /// A format of a newer program.
    #[error("the export has format version {0}; this program reads version {known}", known = super::VERSION)]
    Version(u64),
    /// What is named cannot be followed without leaving the folder.
    #[error("`{name}` is refused: {reason}")]
    Outside {
        /// What is named.
        name: String,
        /// Why it is not followed.
        reason: &'static str,
    },
    /// A line of SHA256SUMS that is none.
    #[error("line {line} of SHA256SUMS is not a SHA-256 and a file's name")]
    Sums {
        /// Which, from 1.
        line: usize,
    },
    /// A file is not what was exported.
    #[error(
        "{name} is not what was exported: its SHA-256 differs from the one in SHA256SUMS; it was not sent"
    )]
    Changed {
        /// The file, within the folder.
        name: String,
    },
    /// A file is not there.
    #[error("{name} is missing in the folder")]
    Missing {
        /// The file, within the folder.
        name: String,
    },
    /// A description of an application or asset that cannot be read.
    #[error("{name} cannot be read: {reason}")]
    Record {
        /// The file, within the folder.
        name: String,
        /// Why.
        reason: String,
    },
    /// There is no such application in the folder.
    #[error("there is no application `{0}` in the export")]
    NoApplication(String),
    /// An application must be made, and the caller may not.
    #[error("there is no application `{0}` here, and only a cluster admin can make one")]
    MayNotMake(String),
    /// No room for the field that says where an asset comes from.
    #[error(
        "it has {most} own fields already, so there is no room for `{field}`; remove one at the source and export again",
        field = super::ORIGIN
    )]
    NoRoomForOrigin {
        /// As many as there may be.
        most: u32,
    },
    /// The node says that it has other bytes.
    #[error("the node has other bytes than the export: SHA-256 {found} instead of {expected}")]
    Differs {
        /// By the node.
        found: String,
        /// By the export.
        expected: String,
    },
    /// Not everything is there.
    #[error("{failed} of {all} assets were not brought in as they were exported; they are listed above")]
    NotAll {
        /// So many.
        failed: u64,
        /// Of so many.
        all: u64,
    },
}
