//! Why a command did not work: one plain sentence each.

use std::io;
use std::path::PathBuf;

/// Why a command did not work.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// No address was given and nobody has logged in.
    #[error("which node? log in first (`mediakeep login`), or give --url or MEDIAKEEP_URL")]
    NoAddress,
    /// An address that is none.
    #[error("`{0}` is not an address such as https://media.example.org")]
    BadAddress(String),
    /// No credential.
    #[error("log in first (`mediakeep login`), or give MEDIAKEEP_TOKEN")]
    NotLoggedIn,
    /// The credential counts no longer.
    #[error("the sign-in has ended; log in again (`mediakeep login`)")]
    SignInEnded,
    /// The node cannot be reached, or its certificate is not trusted.
    #[error("cannot reach {url}: {reason}")]
    Unreachable {
        /// Its address, without path or secrets.
        url: String,
        /// The innermost cause.
        reason: String,
    },
    /// The node said no.
    #[error("{detail} ({code})")]
    Refused {
        /// HTTP status.
        status: u16,
        /// The stable code.
        code: String,
        /// The sentence for people.
        detail: String,
    },
    /// An answer that is not what the API promises.
    #[error("the node gave an answer that is not understood: {0}")]
    Answer(String),
    /// A local file.
    #[error("{}: {source}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file with nothing in it.
    #[error("{} is empty", .0.display())]
    EmptyFile(PathBuf),
    /// The file is not the one whose upload began.
    #[error("{} changed while it was uploaded; nothing was kept of the half, upload it again", .0.display())]
    FileChanged(PathBuf),
    /// What came is not what the node keeps.
    #[error("the download of {} is damaged: its checksum does not fit", .0.display())]
    Damaged(PathBuf),
    /// A file that is there already.
    #[error("{} exists already; name another file with --output", .0.display())]
    Exists(PathBuf),
    /// The asset cannot be processed.
    #[error("the asset {asset} could not be processed: {reason}")]
    AssetFailed {
        /// Which.
        asset: String,
        /// Why.
        reason: String,
    },
    /// More than one application to choose from, or none.
    #[error("{0}")]
    WhichApplication(String),
    /// A question needs a terminal or an option.
    #[error("{0}")]
    Usage(String),
    /// The audit chain does not hold.
    #[error("the audit log is damaged: {0}")]
    AuditBroken(String),
    /// A backup, a check of one, or a restore.
    #[error("{0}")]
    Backup(String),
    /// An export, or the import of one.
    #[error(transparent)]
    Archive(#[from] super::archive::ArchiveError),
    /// The recovery key, the seal or the key file.
    #[error("{0}")]
    Recovery(String),
}

impl CliError {
    /// A local file that could not be read or written.
    pub(super) fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }

    /// Whether trying again may help: the way to the node, or the node, failed for now.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused { status, .. } => matches!(status, 409 | 423 | 429 | 500 | 502 | 503 | 504),
            _ => false,
        }
    }

    /// Whether the node did nothing, and said so: too much is asked of it, or nobody leads.
    #[must_use]
    pub fn is_turned_away(&self) -> bool {
        matches!(self, Self::Refused { status: 429 | 503, .. })
    }

    /// Whether the way to the node, or the node, failed for now, and not what was asked for.
    #[must_use]
    pub fn is_outage(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused { status, .. } => matches!(status, 429 | 500 | 502 | 503 | 504),
            _ => false,
        }
    }
}
