//! Every parser of this crate that meets a damaged disk or another machine, fed with good input damaged at random.

use bytes::Bytes;
use cluster::JoinToken;
use cluster::audit::AuditLog;
use cluster::audit_record::{AuditRecord, ChainHead};
use cluster::blob::{
    BlobKind, Footer, Frame, FrameBody, Header, HeaderKind, Mark, Tail, Trailer, seal_footer, seal_frame,
    seal_tail,
};
use cluster::disk::{Disk, RealDisk, SimulatedDisk, StopFlag, files};
use cluster::net::tls::parsers as tls_parsers;
use cluster::persist;
use cluster::recovery::RecoveryKey;
use std::path::Path;
use std::sync::Arc;

use crate::parsers::{self, NAME, blob_keys, key};
use crate::support::{Home, note, system};

fn whole_file(disk: &dyn Disk, name: &str) -> Vec<u8> {
    files::read_if_present(disk, Path::new(name)).unwrap().unwrap()
}

/// The journal and watermark of a real node, and its State as a snapshot holds it.
async fn of_a_node() -> (Vec<u8>, Vec<u8>, Vec<u8>) {
    let home = Home::new();
    let node = home.create().await;
    for number in 0..5 {
        node.propose(system(), note(&format!("note {number}"))).await.unwrap();
    }
    let state = persist::encode(&*node.state()).unwrap();
    node.shutdown().await;
    let disk = RealDisk::open(home.config.dir.join("raft")).unwrap();
    (whole_file(&disk, "journal"), whole_file(&disk, "watermark"), state)
}

fn audit_segment() -> Vec<u8> {
    let disk = Arc::new(SimulatedDisk::new(1 << 20));
    let log = AuditLog::open(disk.clone(), key().clone(), StopFlag::new()).unwrap();
    let mut head = ChainHead::default();
    let record = |number: u64| AuditRecord {
        sequence: 0,
        time_ms: number,
        actor: system(),
        action: "test".to_owned(),
        target: "target".to_owned(),
        application: None,
        result: "ok".to_owned(),
        details: std::collections::BTreeMap::new(),
        previous_hash: [0; 32],
        hash: [0; 32],
    };
    let records: Vec<_> = (0..4).map(|number| head.advance(record(number))).collect();
    log.append(&records).unwrap();
    whole_file(&*disk, "00000000000000000001.audit")
}

fn blob_parts() -> [Vec<u8>; 5] {
    let header = Header { name: NAME, kind: BlobKind::Original };
    let tail = Tail { sequence: 8, epoch: 2, records: 3, frames_length: 400, frames: 5, bytes: vec![9; 300] };
    let mark = Mark { length: 10, bytes: Bytes::from_static(b"a mark") };
    let frame = |number| {
        let frame = Frame { epoch: 1, number, body: FrameBody::Mark(mark.clone()) };
        seal_frame(blob_keys(), &frame).unwrap()
    };
    let footer = Footer { length: 12_345, epochs: Default::default(), marks: vec![mark.clone()] };
    [
        header.encode(HeaderKind::Records).to_vec(),
        Trailer { epoch: 1, footer_length: 200, hash: [7; 32] }.encode().to_vec(),
        seal_footer(blob_keys(), 1, &footer).unwrap(),
        seal_tail(blob_keys(), &tail).unwrap(),
        [frame(0), frame(1), frame(2)].concat(),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn no_damaged_input_brings_a_parser_of_the_cluster_down() {
    let (journal, watermark, state) = of_a_node().await;
    let recovery = RecoveryKey::generate().unwrap().to_text().as_bytes().to_vec();
    let [header, trailer, footer, tail, frames] = blob_parts();
    tokio::task::spawn_blocking(move || {
        crate::mutation::survive(&[
            ("log", "journal", journal, &parsers::read_log),
            ("log", "watermark", watermark, &parsers::read_log),
            ("encoded", "state", state, &parsers::read_encoded),
            ("audit", "audit segment", audit_segment(), &parsers::read_audit_segment),
            ("blob", "blob header", header, &parsers::read_blob_parts),
            ("blob", "blob trailer", trailer, &parsers::read_blob_parts),
            ("blob", "blob index", footer, &parsers::read_blob_parts),
            ("blob", "blob tail", tail, &parsers::read_blob_parts),
            ("blob", "blob frames", frames, &parsers::read_blob_parts),
            ("peers", "frames between nodes", tls_parsers::example(), &parsers::read_from_peers),
            (
                "typed_keys",
                "join token",
                JoinToken::example().to_text().as_bytes().to_vec(),
                &parsers::read_typed_keys,
            ),
            ("typed_keys", "recovery key", recovery, &parsers::read_typed_keys),
        ]);
    })
    .await
    .unwrap();
}
