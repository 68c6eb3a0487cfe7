//! A new Blob on disk: both files whole and durable before the first byte can be written.

use std::io::ErrorKind;
use std::sync::Arc;

use super::content::{Content, Hashes, Parts, Writing};
use super::paths::FileKind;
use super::progress::{Progress, Published};
use super::recover::read_open;
use super::{BlobError, BlobWriter, Inner, Paths};
use crate::blob::cipher::BlobKeys;
use crate::blob::{
    BlobKind, BlobName, Epochs, FRAMES_AT, Frame, FrameBody, HEADER_LENGTH, Header, HeaderKind, Tail,
    seal_frame, seal_tail, slot_at,
};
use crate::disk::DiskFile;
use crate::keyring::DataKey;

/// The two files of a new Blob.
struct NewFiles {
    data: Arc<dyn DiskFile>,
    open: Arc<dyn DiskFile>,
    frames_length: u64,
}

impl Inner {
    pub(super) fn create(
        self: &Arc<Self>,
        name: BlobName,
        kind: BlobKind,
        epoch: u64,
        key: DataKey,
    ) -> Result<BlobWriter, BlobError> {
        if !self.creating().insert(name) {
            return Err(BlobError::Exists);
        }
        let created = self.create_alone(name, kind, epoch, key);
        self.creating().remove(&name);
        created
    }

    fn create_alone(
        self: &Arc<Self>,
        name: BlobName,
        kind: BlobKind,
        epoch: u64,
        key: DataKey,
    ) -> Result<BlobWriter, BlobError> {
        self.running()?;
        self.room_for_new(kind)?;
        self.begin_here(name, epoch)?;
        let paths = Paths::of(name);
        self.make_folder(&paths)?;
        self.refuse_existing(name, &key, &paths)?;
        let mut epochs = Epochs::default();
        if !epochs.push(epoch, 0) {
            return Err(BlobError::Fenced { have: 0, got: epoch });
        }
        let files = self.write_new_files(name, kind, epoch, &key, &paths);
        let NewFiles { data, open, frames_length } = files.inspect_err(|_| self.remove_leftovers(&paths))?;
        self.unless_dropped(name)?;
        let epochs = Arc::new(epochs);
        let published = Published {
            progress: Progress::default(),
            records: 0,
            tail: None,
            epochs: Arc::clone(&epochs),
            tickets: 0,
            removed: false,
        };
        let parts = Parts {
            kind,
            data_key: key,
            data,
            open: Some(open),
            published,
            marks: Vec::new(),
            sequence: 1,
            elsewhere: false,
        };
        let content = self.register(Arc::new(Content::new(Arc::clone(self), name, parts)));
        let header = Header { name, kind }.encode(HeaderKind::Records);
        *content.writing() = Some(Writing {
            cipher: content.keys.records(epoch)?,
            epochs,
            records: 0,
            tail: Vec::new(),
            frames_length,
            frames: 1,
            frames_dirty: false,
            tickets: 0,
            hashes: Some(Hashes::new(kind, &header)),
            buffer: Vec::new(),
            over: false,
            mirror: None,
        });
        Ok(BlobWriter::new(content, epoch))
    }

    /// Refuses to create over a Blob; clears what an interrupted creation left.
    fn refuse_existing(&self, name: BlobName, key: &DataKey, paths: &Paths) -> Result<(), BlobError> {
        let names = self.disk.list(&paths.folder).map_err(|error| BlobError::from_io(&error))?;
        let files = names.iter().filter_map(|file| FileKind::parse(file));
        let files: Vec<FileKind> =
            files.filter(|(blob, _)| *blob == name.blob).map(|(_, kind)| kind).collect();
        if files.contains(&FileKind::Blob)
            || files.contains(&FileKind::Open) && !self.never_was(name, key, paths)
        {
            return Err(BlobError::Exists);
        }
        if !files.is_empty() {
            self.remove_leftovers(paths);
        }
        Ok(())
    }

    /// Whether a Blob with an `.open` file was never acknowledged: its data file is missing and nothing was written.
    fn never_was(&self, name: BlobName, key: &DataKey, paths: &Paths) -> bool {
        let no_data = self.disk.open(&paths.data).is_err_and(|error| error.kind() == ErrorKind::NotFound);
        let untouched = || {
            let found =
                read_open(&BlobKeys::new(key.clone(), name), self.disk.open(&paths.open).ok()?.as_ref());
            Some(found.ok()?.is_untouched())
        };
        no_data && untouched() == Some(true)
    }

    /// Removes the files of a creation that did not end. Best effort: the next start does it again.
    fn remove_leftovers(&self, paths: &Paths) {
        for path in [&paths.new_open, &paths.open, &paths.data] {
            let _ = self.disk.remove_file(path);
        }
    }

    /// Writes both files. The `.open` file gets its name last: it is what makes the Blob exist.
    fn write_new_files(
        &self,
        name: BlobName,
        kind: BlobKind,
        epoch: u64,
        key: &DataKey,
        paths: &Paths,
    ) -> Result<NewFiles, BlobError> {
        let io = |error: std::io::Error| BlobError::from_io(&error);
        let header = Header { name, kind };
        let keys = BlobKeys::new(key.clone(), name);
        let data = self.disk.create(&paths.data).map_err(io)?;
        data.write_at(0, &header.encode(HeaderKind::Records)).map_err(io)?;

        let frame = Frame { epoch, number: 0, body: FrameBody::Epoch { first_record: 0 } };
        let frame = seal_frame(&keys, &frame)?;
        let frames_length = frame.len() as u64;
        let tail = Tail { sequence: 1, epoch, records: 0, frames_length, frames: 1, bytes: Vec::new() };
        let open = self.disk.create(&paths.new_open).map_err(io)?;
        open.write_at(0, &header.encode(HeaderKind::Open)).map_err(io)?;
        open.write_at(slot_at(1), &seal_tail(&keys, &tail)?).map_err(io)?;
        open.write_at(FRAMES_AT, &frame).map_err(io)?;

        self.synced("a new Blob", data.sync_data())?;
        self.synced("a new Blob", open.sync_data())?;
        self.disk.rename(&paths.new_open, &paths.open).map_err(io)?;
        self.synced("an asset's folder", self.disk.sync_dir(&paths.folder))?;
        debug_assert_eq!(data.len().ok(), Some(HEADER_LENGTH as u64));
        Ok(NewFiles { data, open, frames_length })
    }
}
