//! A snapshot goes only to a node whose release can read it.

use std::path::Path;
use std::sync::Mutex;

use async_trait::async_trait;
use openraft::CommittedLeaderId;
use openraft::storage::RaftStateMachine;

use super::*;
use crate::audit::AuditLog;
use crate::clock::SystemClock;
use crate::disk::{RealDisk, StopFlag};
use crate::keyring::AeadKey;
use crate::persist::{Persist, PersistError};
use crate::raft::machine::{Machine, Restored, Shown};
use crate::raft::snapshot::{SnapshotFolder, SnapshotImage};
use crate::raft::time::ClusterTime;
use crate::raft::types::{LogId, StoredMembership};
use crate::state::{PreviousState, State};

/// What the release that writes State in version 2 understands, as it stands there.
#[derive(Serialize, Deserialize)]
enum OldHead {
    Append,
    Vote,
    Offer,
    Chunk(ChunkHash),
    Install,
}

/// A node of that release: it answers as that one does, and notes what it understood.
#[derive(Debug, Default)]
struct OldNode {
    understood: Mutex<Vec<&'static str>>,
}

#[async_trait]
impl Net for OldNode {
    async fn call(
        &self,
        node: NodeId,
        _service: Service,
        message: Message,
        _deadline: Duration,
    ) -> Result<Message, NetError> {
        let head = postcard::from_bytes::<OldHead>(&message.head);
        let head =
            head.map_err(|error| NetError::Refused { node, reason: format!("not understood: {error}") })?;
        let (what, body) = match head {
            OldHead::Offer => ("offer", postcard::to_allocvec(&vec![0_u32]).unwrap()),
            OldHead::Chunk(_) => ("chunk", postcard::to_allocvec(&()).unwrap()),
            OldHead::Install => {
                let installed = SnapshotResponse::new(Vote::new(1, 1));
                ("install", postcard::to_allocvec(&installed).unwrap())
            }
            OldHead::Append | OldHead::Vote => ("other", Vec::new()),
        };
        self.understood.lock().unwrap().push(what);
        Ok(Message { head: Bytes::new(), body: body.into() })
    }
}

/// State as the version before writes it.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct Old(PreviousState);

impl Persist for Old {
    const VERSION: u8 = State::VERSION - 1;
    type Previous = Self;
    fn migrate(previous: Self) -> Option<Self> {
        Some(previous)
    }
}

/// State as the next release might write it.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct Next(State);

impl Persist for Next {
    const VERSION: u8 = State::VERSION + 1;
    type Previous = State;
    fn migrate(previous: State) -> Option<Self> {
        Some(Self(previous))
    }
}

fn folder(dir: &Path) -> SnapshotFolder {
    let disk = Arc::new(RealDisk::open(dir.to_owned()).unwrap());
    SnapshotFolder::open(disk, Arc::new(AeadKey::new(&[7; 32]).unwrap())).unwrap()
}

fn written<T: Persist>(folder: &SnapshotFolder, value: &T) -> Snapshot {
    let last = LogId::new(CommittedLeaderId::new(1, 1), 9);
    let (manifest, _) = folder.write(value, (Some(last), StoredMembership::default(), 9)).unwrap();
    let meta = manifest.meta();
    let image = SnapshotImage { manifest: Some(manifest), source: Arc::new(folder.clone()) };
    Snapshot { meta, snapshot: Box::new(image) }
}

#[tokio::test]
async fn a_node_of_the_release_before_is_sent_nothing_it_cannot_read() {
    let dir = tempfile::tempdir().unwrap();
    let folder = folder(dir.path());
    let old = Arc::new(OldNode::default());
    let peer = Peer { node: 3, net: old.clone(), durable: Durable::everything(), told: false };

    let refused =
        peer.send_snapshot(Vote::new(1, 1), &written(&folder, &State::default())).await.unwrap_err();
    let said = refused.to_string();
    assert!(said.starts_with("node 3 does not take State in version 3 (not understood"), "{said}");
    assert!(said.ends_with("follows once it runs a release that reads it"), "{said}");
    assert_eq!(*old.understood.lock().unwrap(), [""; 0], "nothing reached it");

    // What was written before the update may still be sent as it always was.
    let before: PreviousState = postcard::from_bytes(&old_state()).unwrap();
    peer.send_snapshot(Vote::new(1, 1), &written(&folder, &Old(before))).await.unwrap();
    assert_eq!(*old.understood.lock().unwrap(), ["offer", "chunk", "install"]);
}

/// An empty State of version 2: three numbers and a hash, no cluster, and sixteen empty tables.
fn old_state() -> Vec<u8> {
    let mut bytes =
        postcard::to_allocvec(&(0_u64, 0_u64, crate::audit_record::ChainHead::default())).unwrap();
    bytes.extend([0; 17]);
    bytes
}

#[tokio::test]
async fn a_node_keeps_its_own_snapshot_when_it_is_handed_one_of_a_newer_release() {
    let [dir, audit_dir, sender] = std::array::from_fn(|_| tempfile::tempdir().unwrap());
    let ours = folder(dir.path());
    let before = written(&ours, &State::default()).snapshot.manifest;
    let key = Arc::new(AeadKey::new(&[7; 32]).unwrap());
    let stop = StopFlag::new();
    let disk = Arc::new(RealDisk::open(audit_dir.path().to_owned()).unwrap());
    let audit = AuditLog::open(disk, key, stop.clone()).unwrap();
    let time = ClusterTime::start(Arc::new(SystemClock::default()), 0);
    let shown = Shown::new(Restored::read(&ours).unwrap(), time);
    let mut machine = Machine::new(shown, ours.clone(), audit, Durable::everything());

    let next = written(&folder(sender.path()), &Next(State::default()));
    let error = machine.install_snapshot(&next.meta, next.snapshot).await.unwrap_err();
    let expected = PersistError::UnknownVersion { found: State::VERSION + 1, newest: State::VERSION };
    assert!(error.to_string().contains(&expected.to_string()), "{error}");
    assert!(stop.reason().unwrap().contains("could not be installed"), "it says why it cannot go on");
    assert_eq!(ours.newest().unwrap(), before);
    SnapshotFolder::read::<State>(&before.unwrap(), &ours).unwrap();
}
