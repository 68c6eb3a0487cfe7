//! Sealing: the last record, the index and the trailer go behind the records that are there, and the file gets its final
//! name. Nothing is copied.

use std::sync::Arc;

use aws_lc_rs::digest;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::BlobError;
use super::content::{Content, End, Hashes, Writing, finish};
use super::mirror::{FileWrite, Mirror};
use super::recover::read_some;
use crate::blob::{
    BlobKind, Footer, FormatError, Header, HeaderKind, RECORD, SEALED_RECORD, TRAILER_LENGTH, Trailer,
    read_trailer, record_at, seal_footer,
};
use crate::keyring::TAG_LENGTH;

/// What a sealed Blob is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// Plaintext bytes.
    pub length: u64,
    /// BLAKE3 of the sealed file up to its trailer: any node can check it without a key.
    pub hash: [u8; 32],
    /// SHA-256 of the plaintext, for originals.
    pub plaintext_sha256: Option<[u8; 32]>,
}

/// A Blob that is sealed here.
pub(super) struct SealedHere {
    pub(super) end: End,
    /// Others seal it, too: who, and by which write.
    pub(super) waits: Option<(Arc<dyn Mirror>, u64)>,
}

/// Seals the Blob for the writer of `epoch` on this node. Blocks.
pub(super) fn seal(content: &Content, epoch: u64) -> Result<SealedHere, BlobError> {
    content.store.running()?;
    let sealed = {
        let mut writing = content.writing();
        let state = content.current(&mut writing, epoch)?;
        let outcome = write_end(content, state);
        // Sealed or failed: either way nothing more is written in this epoch, so no nonce of it is used twice.
        state.over = true;
        let here = outcome?;
        // Whoever takes over from now on must not write to what is a sealed file by now.
        _ = content.end.set(here.end);
        here
    };
    // The index says all that was in the `.open` file. Should this fail, the next start clears up.
    let _ = content.store.disk.remove_file(&content.paths.open);
    Ok(sealed)
}

/// Writes the last record, index and trailer, makes them durable and renames the file.
fn write_end(content: &Content, state: &mut Writing) -> Result<SealedHere, BlobError> {
    let io = |error: std::io::Error| BlobError::from_io(&error);
    let mut hashes = match state.hashes.take() {
        Some(hashes) => hashes,
        None => read_again(content, state)?,
    };
    let mut last = vec![0; state.tail.len() + TAG_LENGTH];
    state.cipher.seal(state.records, true, &state.tail, &mut last).map_err(FormatError::from)?;
    let footer =
        Footer { length: state.length(), epochs: (*state.epochs).clone(), marks: content.marks().clone() };
    last.extend_from_slice(&seal_footer(&content.keys, state.cipher.epoch(), &footer)?);
    hashes.sealed.update(&last);
    let hash = *hashes.sealed.finalize().as_bytes();
    let footer_length = last.len() as u64 - state.tail.len() as u64 - TAG_LENGTH as u64;
    let trailer = Trailer { epoch: state.cipher.epoch(), footer_length, hash }.encode();
    let waits = state.mirror.as_ref().map(|mirror| {
        let (offset, trailer_at) = (record_at(state.records), record_at(state.records) + last.len() as u64);
        mirror.push(FileWrite::Data { offset, bytes: Bytes::copy_from_slice(&last) });
        let trailer = Bytes::copy_from_slice(&trailer);
        (Arc::clone(mirror), mirror.push(FileWrite::Seal { offset: trailer_at, trailer, hash }))
    });
    last.extend_from_slice(&trailer);

    let store = &content.store;
    content.data.write_at(record_at(state.records), &last).map_err(io)?;
    store.synced("a sealed Blob", content.data.sync_data())?;
    store.disk.rename(&content.paths.data, &content.paths.blob).map_err(io)?;
    store.synced("an asset's folder", store.disk.sync_dir(&content.paths.folder))?;
    let sealed = Sealed { length: footer.length, hash, plaintext_sha256: hashes.plaintext.map(finish) };
    Ok(SealedHere { end: End { sealed, records: state.records }, waits })
}

/// Tells readers that the Blob is complete.
pub(super) fn publish(content: &Content, end: &End) {
    let marks = content.marks().len();
    content.publish(|published| {
        published.progress.length = end.sealed.length;
        published.progress.marks = marks;
        published.progress.sealed = true;
        published.records = end.records;
        published.tail = None;
    });
}

/// The hashes of all there is, from the disk, each record of it checked: for a Blob that was taken over.
fn read_again(content: &Content, state: &Writing) -> Result<Hashes, BlobError> {
    let header = Header { name: content.name(), kind: content.kind }.encode(HeaderKind::Records);
    let mut hashes = Hashes::new(content.kind, &header);
    let mut plaintext = vec![0; RECORD];
    let epochs = content.published.borrow().epochs.clone();
    for number in 0..state.records {
        let sealed = read_some(content.data.as_ref(), record_at(number), SEALED_RECORD)?;
        let corrupt = BlobError::Corrupt { record: number };
        let epoch = epochs.of_record(number).ok_or_else(|| corrupt.clone())?;
        let cipher = content.keys.records(epoch)?;
        cipher.open(number, false, &sealed, &mut plaintext).map_err(|_| corrupt)?;
        hashes.sealed.update(&sealed);
        hashes.add_plaintext(&plaintext);
    }
    hashes.add_plaintext(&state.tail);
    Ok(hashes)
}

/// What a sealed Blob on this disk is: for a node that was killed between sealing it and telling State.
pub(super) fn describe(content: &Content) -> Result<Sealed, BlobError> {
    let store = &content.store;
    store.synced("a sealed Blob", content.data.sync_data())?;
    store.synced("an asset's folder", store.disk.sync_dir(&content.paths.folder))?;
    let file_length = content.data.len().map_err(|error| BlobError::from_io(&error))?;
    let trailer_at = file_length.checked_sub(TRAILER_LENGTH as u64).ok_or(FormatError::Damaged("trailer"))?;
    let trailer = read_trailer(&read_some(content.data.as_ref(), trailer_at, TRAILER_LENGTH)?)?;
    let length = content.published.borrow().progress.length;
    let plaintext_sha256 = match content.kind {
        BlobKind::Original => {
            let mut context = digest::Context::new(&digest::SHA256);
            let mut offset = 0;
            while offset < length {
                let piece = super::reader::read_blocking(content, offset, u64::from(super::MAX_READ))?;
                offset += piece.len() as u64;
                context.update(&piece);
            }
            Some(finish(context))
        }
        _ => None,
    };
    Ok(Sealed { length, hash: trailer.hash, plaintext_sha256 })
}
