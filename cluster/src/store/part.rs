//! Sealed copies that come from another node as they are, and damaged ones set aside.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use super::held::verified;
use super::{BlobError, Blobs, Inner, Paths, blocking};
use crate::blob::{BlobName, FormatError, HEADER_LENGTH, Header, HeaderKind};
use crate::disk::DiskFile;

/// Made durable at a time while a copy comes: all of it at the end would keep the disk from whoever reads meanwhile.
const DURABLE_EVERY: u64 = 8 * 1024 * 1024;

/// A sealed copy on its way here. Dropped before it is finished, it leaves a file that the next start removes.
pub struct PartCopy {
    inner: Arc<Inner>,
    name: BlobName,
    file: Arc<dyn DiskFile>,
    length: u64,
    hash: Box<blake3::Hasher>,
    hashed: u64,
    /// Bytes before the trailer.
    end: u64,
}

impl Blobs {
    /// Begins a copy of `file_length` bytes. What an earlier try left is thrown away.
    ///
    /// # Errors
    /// [`BlobError::Full`], or what the disk says.
    pub async fn part_begin(&self, name: BlobName, file_length: u64) -> Result<PartCopy, BlobError> {
        let inner = Arc::clone(&self.inner);
        blocking(move || {
            inner.running()?;
            inner.room_to_write()?;
            if inner.capacity()?.free < file_length {
                return Err(BlobError::Full);
            }
            let end = file_length.checked_sub(crate::blob::TRAILER_LENGTH as u64);
            let end = end.ok_or(FormatError::Damaged("trailer"))?;
            let paths = Paths::of(name);
            inner.make_folder(&paths)?;
            let _ = inner.disk.remove_file(&paths.part);
            let file = inner.disk.create(&paths.part).map_err(|error| BlobError::from_io(&error))?;
            inner.unless_dropped(name)?;
            Ok(PartCopy { inner, name, file, length: 0, hash: Box::default(), hashed: 0, end })
        })
        .await
    }

    /// Sets a sealed copy that was found damaged aside, so that nothing is read from it any more.
    ///
    /// # Errors
    /// What the disk says.
    pub async fn set_aside(&self, name: BlobName) -> Result<(), BlobError> {
        let inner = Arc::clone(&self.inner);
        blocking(move || {
            let paths = Paths::of(name);
            inner.disk.rename(&paths.blob, &paths.corrupt).map_err(|error| BlobError::from_io(&error))?;
            inner.synced("an asset's folder", inner.disk.sync_dir(&paths.folder))?;
            inner.forget(name);
            Ok(())
        })
        .await
    }
}

impl fmt::Debug for PartCopy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PartCopy({:?}, {} bytes)", self.name, self.length)
    }
}

impl PartCopy {
    /// How many bytes are here.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Adds the next bytes.
    ///
    /// # Errors
    /// [`BlobError::Full`], or what the disk says.
    pub async fn add(mut self, bytes: Bytes) -> Result<Self, BlobError> {
        blocking(move || {
            let written = self.file.write_at(self.length, &bytes);
            written.map_err(|error| BlobError::from_io(&error))?;
            let before = self.length;
            self.length += bytes.len() as u64;
            let hashed = usize::try_from(self.end - self.hashed).unwrap_or(usize::MAX).min(bytes.len());
            self.hash.update(&bytes[..hashed]);
            self.hashed += hashed as u64;
            if self.length / DURABLE_EVERY > before / DURABLE_EVERY {
                self.inner.synced("a copy", self.file.sync_data())?;
            }
            Ok(self)
        })
        .await
    }

    /// Checks the whole copy against the hash it must have, makes it durable and gives it its final name. A copy that
    /// was set aside is removed then.
    ///
    /// # Errors
    /// [`BlobError::Damaged`] when it is not that copy: nothing is here then.
    pub async fn finish(self, wanted: [u8; 32]) -> Result<(), BlobError> {
        blocking(move || {
            let paths = Paths::of(self.name);
            let found = self.check(wanted);
            if found.is_err() {
                let _ = self.inner.disk.remove_file(&paths.part);
            }
            found?;
            let (inner, io) = (&self.inner, |error: std::io::Error| BlobError::from_io(&error));
            inner.synced("a copy", self.file.sync_data())?;
            inner.disk.rename(&paths.part, &paths.blob).map_err(io)?;
            inner.synced("an asset's folder", inner.disk.sync_dir(&paths.folder))?;
            inner.forget(self.name);
            for path in [&paths.open, &paths.data, &paths.corrupt, &paths.fence] {
                let _ = inner.disk.remove_file(path);
            }
            inner.lanes.end(|name| name == self.name);
            inner.unless_dropped(self.name)
        })
        .await
    }

    fn check(&self, wanted: [u8; 32]) -> Result<(), BlobError> {
        let header = super::recover::read_some(self.file.as_ref(), 0, HEADER_LENGTH)?;
        Header::decode(&header, HeaderKind::Records, self.name)?;
        let found = verified(self.file.as_ref(), Some((self.hashed, self.hash.clone())))?;
        if found == wanted { Ok(()) } else { Err(FormatError::Damaged("copy").into()) }
    }
}
