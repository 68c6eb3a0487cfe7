//! The Blobs of an asset as a run names and sends them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use data_encoding::HEXLOWER;
use futures_util::StreamExt;
use futures_util::stream;

use super::target::{ByteStream, TargetError};
use crate::blob::{BlobName, TRAILER_LENGTH, read_trailer};
use crate::id::{AssetId, NodeId};
use crate::state::{Asset, State};
use crate::transfer::Replicas;

/// A sealed Blob, and who has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) name: BlobName,
    /// Bytes of its file.
    pub(super) length: u64,
    /// The hash its trailer names.
    pub(super) hash: [u8; 32],
    pub(super) holders: Vec<NodeId>,
}

impl Found {
    /// Its name at a target.
    pub(super) fn object(&self) -> String {
        object_name(self.name, &self.hash)
    }
}

/// What an object of a Blob is called.
pub(super) fn object_name(name: BlobName, hash: &[u8; 32]) -> String {
    format!("{}{}/{}-{}", super::BLOBS, name.asset, name.blob, HEXLOWER.encode(hash))
}

/// Reads what [`object_name`] wrote.
pub(super) fn parse_object(name: &str) -> Option<(BlobName, [u8; 32])> {
    let (asset, rest) = name.strip_prefix(super::BLOBS)?.split_once('/')?;
    let (blob, hash) = rest.split_once('-')?;
    let hash = HEXLOWER.decode(hash.as_bytes()).ok()?.try_into().ok()?;
    Some((BlobName { asset: asset.parse().ok()?, blob: blob.parse().ok()? }, hash))
}

/// What an asset has, in the order of ids, and what it should have and nobody offers.
pub(super) struct Inventory {
    pub(super) found: Vec<Found>,
    pub(super) missing: Vec<String>,
}

/// Asks every holder of an asset. What State knows the hash of must have it.
pub(super) async fn inventory(bytes: &Replicas, state: &State, asset: &Asset) -> Inventory {
    let mut found: BTreeMap<BlobName, Found> = BTreeMap::new();
    let mut unheard = Vec::new();
    for holder in state.holders(asset.id).iter() {
        let Ok(listed) = bytes.listed(holder, &[asset.id]).await else {
            unheard.push(holder);
            continue;
        };
        for (name, length, hash) in listed {
            let known = asset.blob(name.blob).and_then(|blob| blob.sealed);
            if known.is_some_and(|known| known.hash != hash) {
                continue;
            }
            let one = found.entry(name).or_insert_with(|| Found { name, length, hash, holders: Vec::new() });
            if (one.length, one.hash) == (length, hash) {
                one.holders.push(holder);
            }
        }
    }
    let sealed = asset.blobs.iter().filter(|blob| blob.sealed.is_some());
    let lost = sealed.filter(|blob| !found.contains_key(&BlobName { asset: asset.id, blob: blob.id }));
    let mut missing: Vec<String> = lost.map(|blob| flaw(asset.id, blob.id, "no node has it")).collect();
    if found.is_empty() && missing.is_empty() && !unheard.is_empty() {
        missing.push(format!("{}{}: no holder answers", super::BLOBS, asset.id));
    }
    Inventory { found: found.into_values().collect(), missing }
}

fn flaw(asset: AssetId, blob: crate::id::BlobId, what: &str) -> String {
    format!("{}{asset}/{blob}: {what}", super::BLOBS)
}

/// BLAKE3 of a whole file, once all of it was read and found to be what its trailer says.
#[derive(Debug, Clone, Default)]
pub(super) struct WholeHash(Arc<Mutex<Option<[u8; 32]>>>);

impl WholeHash {
    pub(super) fn get(&self) -> Option<[u8; 32]> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, hash: [u8; 32]) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(hash);
    }
}

/// The bytes of a sealed Blob as `node` has them. The last piece is given only when all before it and itself are what
/// the trailer says: whoever stores them never ends up with a damaged copy under a good name.
pub(super) fn stream_of(bytes: &Replicas, node: NodeId, found: &Found) -> (ByteStream, WholeHash) {
    let whole = WholeHash::default();
    let reading = Reading {
        bytes: bytes.clone(),
        node,
        name: found.name,
        length: found.length,
        hash: found.hash,
        checked: Checked::new(found.length),
        whole: whole.clone(),
    };
    (stream::try_unfold(reading, Reading::next).boxed(), whole)
}

struct Reading {
    bytes: Replicas,
    node: NodeId,
    name: BlobName,
    length: u64,
    hash: [u8; 32],
    checked: Checked,
    whole: WholeHash,
}

impl Reading {
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, TargetError> {
        if self.checked.at == self.length {
            return Ok(None);
        }
        let source = |error: &dyn std::fmt::Display| TargetError::Source(error.to_string());
        let piece = self.bytes.piece(self.name, self.node, self.checked.at).await;
        let piece = piece.map_err(|error| source(&error))?;
        let rest = self.length - self.checked.at;
        if piece.is_empty() || piece.len() as u64 > rest {
            return Err(source(&"a copy has another length than it had"));
        }
        self.checked.add(&piece);
        if self.checked.at == self.length {
            match self.checked.end() {
                Some((hash, whole)) if hash == self.hash => self.whole.set(whole),
                _ => {
                    if self.node == self.bytes.node() {
                        self.bytes.repairs().damaged(self.name);
                    }
                    return Err(source(&"a copy is damaged"));
                }
            }
        }
        Ok(Some((piece, self)))
    }
}

/// Hashes the bytes of a sealed Blob's file as they come: all of them, and those before the trailer.
pub(super) struct Checked {
    at: u64,
    /// Where the trailer begins.
    end: u64,
    before: blake3::Hasher,
    whole: blake3::Hasher,
    trailer: Vec<u8>,
}

impl Checked {
    pub(super) fn new(length: u64) -> Self {
        Self {
            at: 0,
            end: length.saturating_sub(TRAILER_LENGTH as u64),
            before: blake3::Hasher::new(),
            whole: blake3::Hasher::new(),
            trailer: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, piece: &[u8]) {
        let split = usize::try_from(self.end.saturating_sub(self.at)).unwrap_or(usize::MAX).min(piece.len());
        self.before.update(&piece[..split]);
        self.trailer.extend_from_slice(&piece[split..]);
        self.whole.update(piece);
        self.at += piece.len() as u64;
    }

    /// The hash of what comes before the trailer, when the trailer names the same, and of the whole file.
    pub(super) fn end(&self) -> Option<([u8; 32], [u8; 32])> {
        let hash = *self.before.finalize().as_bytes();
        let trailer = read_trailer(&self.trailer).ok()?;
        (trailer.hash == hash).then(|| (hash, *self.whole.finalize().as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::BlobId;

    #[test]
    fn an_object_is_named_by_what_it_holds() {
        let name = BlobName { asset: AssetId([1; 16]), blob: BlobId([2; 16]) };
        assert_eq!(parse_object(&object_name(name, &[9; 32])), Some((name, [9; 32])));
        for wrong in ["blobs/x/y-00", "runs/a/b", "blobs/", ""] {
            assert_eq!(parse_object(wrong), None, "{wrong}");
        }
    }
}
