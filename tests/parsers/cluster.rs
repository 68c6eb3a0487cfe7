//! The parsers of the cluster: what comes from a disk that may be damaged, from other nodes, and from whoever knocks on the
//! door between nodes. Shared by the tests and the fuzz targets.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use cluster::JoinToken;
use cluster::audit::{AuditLog, Verdict};
use cluster::audit_record::{AuditRecord, ChainHead};
use cluster::blob::{
    BlobKind, BlobName, FrameReader, Header, HeaderKind, open_footer, open_tail, read_trailer, slot_stamp,
};
use cluster::command::Command;
use cluster::disk::{Disk, SimulatedDisk, StopFlag, files};
use cluster::entry::Entry;
use cluster::id::{AssetId, BlobId};
use cluster::keyring::{AeadKey, DataKey};
use cluster::net::tls::parsers as tls_parsers;
use cluster::persist;
use cluster::raft::log::{journal, record, watermark};
use cluster::raft::snapshot::Manifest;
use cluster::recovery::{RecoveryKey, RecoveryShare};
use cluster::state::State;

const ROOM: u64 = 1 << 30;

/// The Blob all parts belong to.
pub const NAME: BlobName = BlobName { asset: AssetId([1; 16]), blob: BlobId([2; 16]) };

/// A key that is the same for good input and for its reader.
pub fn key() -> &'static Arc<AeadKey> {
    static KEY: LazyLock<Arc<AeadKey>> =
        LazyLock::new(|| Arc::new(AeadKey::new(&[3; 32]).expect("a cipher")));
    &KEY
}

/// The same for Blobs.
pub fn blob_keys() -> &'static cluster::blob::cipher::BlobKeys {
    static KEYS: LazyLock<cluster::blob::cipher::BlobKeys> =
        LazyLock::new(|| cluster::blob::cipher::BlobKeys::new(DataKey::random().expect("randomness"), NAME));
    &KEYS
}

/// Header, trailer, index, tail slot and frames of a Blob, whichever of them the bytes are meant as.
pub fn read_blob_parts(bytes: &[u8]) {
    for kind in [HeaderKind::Records, HeaderKind::Open] {
        if let Ok(header) = Header::decode(bytes, kind, NAME) {
            assert_eq!(header.name, NAME, "a header names its Blob");
            assert_ne!(header.kind, BlobKind::Audit, "none of the good ones is this");
        }
    }
    if let Ok(trailer) = read_trailer(bytes) {
        let _ = trailer.footer_at(bytes.len() as u64);
    }
    let _ = slot_stamp(bytes);
    let _ = open_footer(blob_keys(), 1, 0, bytes);
    let _ = open_tail(blob_keys(), bytes);
    let mut frames = FrameReader::new(blob_keys(), bytes);
    while frames.read().is_ok() {}
}

/// Everything this node's own log keeps: records, journal, watermark.
pub fn read_log(bytes: &[u8]) {
    if record::position(bytes).is_ok() {
        let _ = record::decode(bytes, key());
    }
    for name in ["journal", "watermark"] {
        let disk = SimulatedDisk::new(ROOM);
        files::write_atomically(&disk, Path::new(name), bytes).expect("there is room");
        let _ = journal::replay(&disk).expect("the disk is good");
        let _ = watermark::read(&disk).expect("the disk is good");
    }
}

/// A segment of the audit log: opened, walked, and written on to.
pub fn read_audit_segment(bytes: &[u8]) {
    let disk = Arc::new(SimulatedDisk::new(ROOM));
    files::write_atomically(&*disk, Path::new("00000000000000000001.audit"), bytes).expect("there is room");
    let Ok(log) = AuditLog::open(disk.clone(), key().clone(), StopFlag::new()) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let head = ChainHead { sequence: u64::MAX, ..ChainHead::default() };
    let verdict = runtime.block_on(log.verify(head)).expect("the disk is good");
    assert!(!matches!(verdict, Verdict::Intact { .. }), "a chain that does not reach its head is broken");
    assert!(disk.list(Path::new("")).is_ok_and(|names| !names.is_empty()), "nothing is thrown away");
}

/// What is kept in snapshots and what nodes tell each other in postcard.
pub fn read_encoded(bytes: &[u8]) {
    if let Ok(state) = persist::decode::<State>(bytes) {
        let again = persist::encode(&state).expect("a State that was read can be written");
        assert!(persist::decode::<State>(&again).is_ok_and(|read| read == state), "and reads back the same");
    }
    let _ = persist::decode::<Manifest>(bytes);
    let _ = persist::decode::<AuditRecord>(bytes);
    let _ = postcard::from_bytes::<Command>(bytes);
    let _ = postcard::from_bytes::<Entry>(bytes);
}

/// What comes over a connection between nodes: frames, greetings, requests to join, requests about copies.
pub fn read_from_peers(bytes: &[u8]) {
    tls_parsers::read_all(bytes);
}

/// What people type and paste: join tokens, recovery keys and shares.
pub fn read_typed_keys(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(token) = JoinToken::parse(&text) {
        assert!(
            JoinToken::parse(&token.to_text()).is_ok_and(|again| again == token),
            "it reads back the same"
        );
    }
    let _ = RecoveryKey::parse(&text);
    let _ = RecoveryShare::parse(&text);
}
