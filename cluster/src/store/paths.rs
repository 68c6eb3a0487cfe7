//! The names of a Blob's files.

use std::path::{Path, PathBuf};

use crate::blob::BlobName;
use crate::id::{AssetId, BlobId};

/// The folder of all Blobs.
pub(super) const ROOT: &str = "blobs";

/// What a file in an asset's folder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileKind {
    /// Records of an open Blob.
    Data,
    /// Tails and frames of an open Blob.
    Open,
    /// The same, not finished: the creation was interrupted.
    NewOpen,
    /// A sealed Blob.
    Blob,
    /// The lowest epoch that may still write to this copy.
    Fence,
    /// The same, not finished.
    NewFence,
    /// A sealed Blob on its way here from another node.
    Part,
    /// A sealed Blob that was found damaged, set aside until a good copy is there.
    Corrupt,
}

impl FileKind {
    const ALL: [(Self, &'static str); 8] = [
        (Self::Data, "data"),
        (Self::Open, "open"),
        (Self::NewOpen, "open-new"),
        (Self::Blob, "blob"),
        (Self::Fence, "fence"),
        (Self::NewFence, "fence-new"),
        (Self::Part, "part"),
        (Self::Corrupt, "corrupt"),
    ];

    /// Reads a file name.
    pub(super) fn parse(file_name: &str) -> Option<(BlobId, Self)> {
        let (blob, ending) = file_name.split_once('.')?;
        let (kind, _) = Self::ALL.into_iter().find(|(_, known)| *known == ending)?;
        Some((blob.parse().ok()?, kind))
    }
}

/// The folder of an asset's Blobs.
pub(super) fn asset_folder(asset: AssetId) -> PathBuf {
    Path::new(ROOT).join(asset.to_string())
}

/// The files of one Blob.
#[derive(Debug, Clone)]
pub(super) struct Paths {
    pub(super) name: BlobName,
    pub(super) folder: PathBuf,
    pub(super) data: PathBuf,
    pub(super) open: PathBuf,
    pub(super) new_open: PathBuf,
    pub(super) blob: PathBuf,
    pub(super) fence: PathBuf,
    pub(super) new_fence: PathBuf,
    pub(super) part: PathBuf,
    pub(super) corrupt: PathBuf,
}

impl Paths {
    pub(super) fn of(name: BlobName) -> Self {
        let folder = asset_folder(name.asset);
        let file = |wanted: FileKind| {
            let ending =
                FileKind::ALL.into_iter().find(|(kind, _)| *kind == wanted).map_or("", |(_, ending)| ending);
            folder.join(format!("{}.{ending}", name.blob))
        };
        Self {
            name,
            data: file(FileKind::Data),
            open: file(FileKind::Open),
            new_open: file(FileKind::NewOpen),
            blob: file(FileKind::Blob),
            fence: file(FileKind::Fence),
            new_fence: file(FileKind::NewFence),
            part: file(FileKind::Part),
            corrupt: file(FileKind::Corrupt),
            folder,
        }
    }
}
