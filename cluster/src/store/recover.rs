//! From the files on disk to a Blob in use, and the clearing up at start.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::content::{Content, Parts};
use super::paths::{FileKind, ROOT, asset_folder};
use super::progress::{Progress, Published};
use super::{BlobError, Inner, Paths};
use crate::blob::cipher::BlobKeys;
use crate::blob::{
    BlobKind, BlobName, Epochs, FRAMES_AT, Footer, FormatError, FrameBody, FrameReader, HEADER_LENGTH,
    Header, HeaderKind, MAX_MARKS_TOTAL, Mark, RECORD, SLOT_LENGTH, TRAILER_LENGTH, Tail, open_footer,
    open_tail, read_trailer, record_at, slot_at,
};
use crate::disk::DiskFile;
use crate::id::AssetId;
use crate::keyring::DataKey;

/// More frames than this are not read: the marks allowed, each with what a frame adds.
const MAX_FRAMES_LENGTH: u64 = 4 * MAX_MARKS_TOTAL as u64;

/// What the `.open` file says.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) kind: BlobKind,
    /// The last barrier.
    pub(super) tail: Tail,
    pub(super) epochs: Epochs,
    pub(super) marks: Vec<Mark>,
    /// All bytes of the frames area, beyond the last barrier too.
    pub(super) frames: Vec<u8>,
}

impl Found {
    /// Whether nothing was ever acknowledged but the creation itself.
    pub(super) fn is_untouched(&self) -> bool {
        self.tail.sequence == 1 && self.tail.length() == 0
    }
}

/// Reads `length` bytes at `offset`, or as many as there are.
pub(super) fn read_some(file: &dyn DiskFile, offset: u64, length: usize) -> Result<Vec<u8>, BlobError> {
    let mut bytes = vec![0; length];
    let read = file.read_at(offset, &mut bytes).map_err(|error| BlobError::from_io(&error))?;
    bytes.truncate(read);
    Ok(bytes)
}

fn length_of(file: &dyn DiskFile) -> Result<u64, BlobError> {
    file.len().map_err(|error| BlobError::from_io(&error))
}

fn header_of(file: &dyn DiskFile, kind: HeaderKind, name: BlobName) -> Result<Header, BlobError> {
    Ok(Header::decode(&read_some(file, 0, HEADER_LENGTH)?, kind, name)?)
}

/// Reads the `.open` file: the newer sound tail, and every frame it acknowledges.
pub(super) fn read_open(keys: &BlobKeys, file: &dyn DiskFile) -> Result<Found, BlobError> {
    let header = header_of(file, HeaderKind::Open, keys.name())?;
    let slots = [0, 1].map(|parity| {
        let slot = read_some(file, slot_at(parity), SLOT_LENGTH)?;
        Ok::<_, BlobError>(open_tail(keys, &slot).ok().filter(|tail| tail.sequence % 2 == parity))
    });
    let [even, odd] = slots;
    let tail = [even?, odd?].into_iter().flatten().max_by_key(|tail| tail.sequence);
    let tail = tail.ok_or(FormatError::Damaged("tail"))?;

    let area = length_of(file)?.saturating_sub(FRAMES_AT).min(MAX_FRAMES_LENGTH);
    let area = usize::try_from(area).map_err(|_| FormatError::TooLong("frames"))?;
    let frames = read_some(file, FRAMES_AT, area)?;
    let mut found = Found { kind: header.kind, tail, epochs: Epochs::default(), marks: Vec::new(), frames };
    let acknowledged =
        usize::try_from(found.tail.frames_length).map_err(|_| FormatError::TooLong("frames"))?;
    let bytes = found.frames.get(..acknowledged).ok_or(FormatError::Damaged("frame"))?;
    let mut reader = FrameReader::new(keys, bytes);
    while reader.count() < found.tail.frames {
        let frame = reader.read()?;
        if !take_frame(&mut found.epochs, &mut found.marks, frame.epoch, frame.body) {
            return Err(FormatError::Damaged("frame").into());
        }
    }
    let whole = reader.position() == acknowledged;
    let lengths = found.marks.last().is_none_or(|mark| mark.length <= found.tail.length());
    if whole && lengths && found.epochs.newest() == found.tail.epoch {
        Ok(found)
    } else {
        Err(FormatError::Damaged("frame").into())
    }
}

/// Adds one frame to what is known. `false` if it cannot follow.
pub(super) fn take_frame(epochs: &mut Epochs, marks: &mut Vec<Mark>, epoch: u64, body: FrameBody) -> bool {
    match body {
        FrameBody::Epoch { first_record } => epochs.push(epoch, first_record),
        FrameBody::Mark(mark) => {
            let follows = marks.last().is_none_or(|last| last.length <= mark.length);
            let fits = follows && epoch == epochs.newest();
            if fits {
                marks.push(mark);
            }
            fits
        }
    }
}

/// Loads a Blob from disk, as far as it was acknowledged.
pub(super) fn load(store: &Arc<Inner>, name: BlobName, key: DataKey) -> Result<Content, BlobError> {
    let paths = Paths::of(name);
    let keys = BlobKeys::new(key.clone(), name);
    match store.disk.open(&paths.blob) {
        Ok(data) => {
            let (footer, kind) = read_sealed(&keys, data.as_ref())?;
            return Ok(sealed_content(store, name, key, kind, data, footer));
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(BlobError::from_io(&error)),
    }
    let open = store.disk.open(&paths.open).map_err(|error| BlobError::from_io(&error))?;
    let found = read_open(&keys, open.as_ref())?;
    let data = store.disk.open(&paths.data).map_err(|error| match error.kind() {
        ErrorKind::NotFound if !found.is_untouched() => BlobError::Damaged(FormatError::Damaged("data file")),
        _ => BlobError::from_io(&error),
    })?;
    header_of(data.as_ref(), HeaderKind::Records, name)?;
    let there = records_in(length_of(data.as_ref())?);
    if there < found.tail.records {
        return Err(BlobError::Corrupt { record: there });
    }
    let published = Published {
        progress: Progress { length: found.tail.length(), marks: found.marks.len(), sealed: false },
        records: found.tail.records,
        tail: Some(Bytes::from(found.tail.bytes)),
        epochs: Arc::new(found.epochs),
        tickets: 0,
        removed: false,
    };
    let sequence = found.tail.sequence;
    let parts = Parts {
        kind: found.kind,
        data_key: key,
        data,
        open: Some(open),
        published,
        marks: found.marks,
        sequence,
        elsewhere: false,
    };
    Ok(Content::new(Arc::clone(store), name, parts))
}

/// Whole records in a data file of this length.
pub(super) fn records_in(file_length: u64) -> u64 {
    let stride = record_at(1) - record_at(0);
    file_length.saturating_sub(record_at(0)) / stride
}

fn sealed_content(
    store: &Arc<Inner>,
    name: BlobName,
    key: DataKey,
    kind: BlobKind,
    data: Arc<dyn DiskFile>,
    footer: Footer,
) -> Content {
    let published = Published {
        progress: Progress { length: footer.length, marks: footer.marks.len(), sealed: true },
        records: footer.length / RECORD as u64,
        tail: None,
        epochs: Arc::new(footer.epochs),
        tickets: 0,
        removed: false,
    };
    let parts = Parts {
        kind,
        data_key: key,
        data,
        open: None,
        published,
        marks: footer.marks,
        sequence: 0,
        elsewhere: false,
    };
    Content::new(Arc::clone(store), name, parts)
}

/// Reads and checks header, trailer and index of a sealed Blob.
pub(super) fn read_sealed(keys: &BlobKeys, file: &dyn DiskFile) -> Result<(Footer, BlobKind), BlobError> {
    let header = header_of(file, HeaderKind::Records, keys.name())?;
    let length = length_of(file)?;
    let trailer_at = length.checked_sub(TRAILER_LENGTH as u64).ok_or(FormatError::Damaged("trailer"))?;
    let trailer = read_trailer(&read_some(file, trailer_at, TRAILER_LENGTH)?)?;
    let footer_at = trailer.footer_at(length)?;
    let footer_length = usize::try_from(trailer.footer_length).map_err(|_| FormatError::TooLong("index"))?;
    let sealed = read_some(file, footer_at, footer_length)?;
    Ok((open_footer(keys, trailer.epoch, footer_at, &sealed)?, header.kind))
}

impl Inner {
    /// Makes the folder of Blobs and clears up in it.
    pub(super) fn start(&self) -> Result<(), BlobError> {
        let io = |error: std::io::Error| BlobError::from_io(&error);
        self.disk.make_dir(ROOT.as_ref()).map_err(io)?;
        self.synced("the data folder", self.disk.sync_dir(Path::new("")))?;
        for folder in self.disk.list(ROOT.as_ref()).map_err(io)? {
            if let Ok(asset) = folder.parse::<AssetId>() {
                self.clear_up(asset)?;
            }
        }
        self.synced("the folder of Blobs", self.disk.sync_dir(ROOT.as_ref()))
    }

    /// Removes what an interrupted creation or sealing left in an asset's folder.
    fn clear_up(&self, asset: AssetId) -> Result<(), BlobError> {
        let io = |error: std::io::Error| BlobError::from_io(&error);
        let folder = asset_folder(asset);
        let names = self.disk.list(&folder).map_err(io)?;
        let mut blobs: BTreeMap<_, Vec<FileKind>> = BTreeMap::new();
        for (blob, kind) in names.iter().filter_map(|name| FileKind::parse(name)) {
            blobs.entry(blob).or_default().push(kind);
        }
        for (blob, files) in blobs {
            let has = |kind| files.contains(&kind);
            let paths = Paths::of(BlobName { asset, blob });
            let useless = [
                (has(FileKind::NewOpen), &paths.new_open),
                (has(FileKind::NewFence), &paths.new_fence),
                (has(FileKind::Part), &paths.part),
                (has(FileKind::Corrupt) && has(FileKind::Blob), &paths.corrupt),
                (has(FileKind::Data) && has(FileKind::Blob), &paths.data),
                (has(FileKind::Open) && has(FileKind::Blob), &paths.open),
                (has(FileKind::Data) && !has(FileKind::Open) && !has(FileKind::Blob), &paths.data),
            ];
            for (_, path) in useless.into_iter().filter(|(useless, _)| *useless) {
                tracing::info!(path = %path.display(), "removing what an interruption left");
                self.disk.remove_file(path).map_err(io)?;
            }
        }
        Ok(())
    }
}
