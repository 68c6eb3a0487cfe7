//! Whatever is done to the audit log of a stopped node, `mediakeep audit verify` names the first record that is not as it
//! was written.

use std::fs;
use std::path::PathBuf;

use cluster::audit::{AuditFilter, AuditLog};
use cluster::audit_record::{AuditRecord, ChainHead};
use cluster::disk::{RealDisk, StopFlag};
use cluster::seal::{KeyFileSeal, Seal};
use std::sync::Arc;
use tokio::process::Command;

use crate::damaged::{Home, Story, no_panic};
use crate::support::{program, stop};

/// The first bytes of a segment, and of a record in it: length, checksum, number.
const START: usize = 8;
const PREFIX: usize = 16;

/// The records of the first segment, each as its bytes.
struct Segment {
    path: PathBuf,
    start: Vec<u8>,
    records: Vec<Vec<u8>>,
}

impl Segment {
    fn read(home: &Home) -> Self {
        let path = home.data().join("audit").join(format!("{:020}.audit", 1));
        let content = fs::read(&path).unwrap();
        let (start, mut rest) = content.split_at(START);
        let mut records = Vec::new();
        while !rest.is_empty() {
            let length = u32::from_be_bytes(rest[..4].try_into().unwrap());
            let (record, after) = rest.split_at(PREFIX + usize::try_from(length).unwrap());
            records.push(record.to_vec());
            rest = after;
        }
        Self { path, start: start.to_vec(), records }
    }

    fn write(&self) {
        let content: Vec<u8> = self.start.iter().chain(self.records.iter().flatten()).copied().collect();
        fs::write(&self.path, content).unwrap();
    }
}

/// The checksum a record carries, so that a change shows only to whoever has the key.
fn checksummed(record: &mut [u8]) {
    let sum = crc32c::crc32c_append(crc32c::crc32c(&record[8..PREFIX]), &record[PREFIX..]);
    record[4..8].copy_from_slice(&sum.to_be_bytes());
}

struct Tampering {
    name: &'static str,
    change: fn(&mut Segment),
    /// The record that is named.
    first: usize,
    /// What is said of it.
    words: &'static str,
}

const TAMPERINGS: [Tampering; 10] = [
    Tampering {
        name: "an edited byte",
        change: |segment| segment.records[4][40] ^= 1,
        first: 5,
        words: "not what was written",
    },
    Tampering {
        name: "an edited byte under a right checksum",
        change: |segment| {
            segment.records[4][40] ^= 1;
            checksummed(&mut segment.records[4]);
        },
        first: 5,
        words: "not what was written",
    },
    Tampering {
        name: "another number under a right checksum",
        change: |segment| {
            segment.records[4][15] = 9;
            checksummed(&mut segment.records[4]);
        },
        first: 5,
        words: "not there",
    },
    Tampering {
        name: "a deleted record",
        change: |segment| drop(segment.records.remove(2)),
        first: 3,
        words: "not there",
    },
    Tampering {
        name: "a deleted first record",
        change: |segment| drop(segment.records.remove(0)),
        first: 1,
        words: "not there",
    },
    Tampering {
        name: "two records in each other's place",
        change: |segment| segment.records.swap(3, 4),
        first: 4,
        words: "not there",
    },
    Tampering {
        name: "one record's content under the number of another",
        change: |segment| {
            let other = segment.records[5][PREFIX..].to_vec();
            let length = u32::try_from(other.len()).unwrap().to_be_bytes();
            segment.records[3].splice(PREFIX.., other);
            segment.records[3][..4].copy_from_slice(&length);
            checksummed(&mut segment.records[3]);
        },
        first: 4,
        words: "not what was written",
    },
    Tampering {
        name: "a record put in a second time",
        change: |segment| {
            let again = segment.records[2].clone();
            segment.records.insert(4, again);
        },
        first: 3,
        words: "there twice",
    },
    Tampering {
        name: "an earlier state of the file",
        change: |segment| segment.records.truncate(4),
        first: 5,
        words: "not there",
    },
    Tampering {
        name: "no records at all",
        change: |segment| segment.records.clear(),
        first: 1,
        words: "not there",
    },
];

/// What `mediakeep audit verify` answers and says.
async fn verified(home: &Home) -> (bool, String) {
    let running = home.runs().await;
    let admin = home.admin(&running).await;
    let mut command = Command::new(program());
    command.args(["audit", "verify"]).env("MEDIAKEEP_URL", &running.url);
    command.env("MEDIAKEEP_CA", home.data().join("tls/ca.pem")).env("MEDIAKEEP_TOKEN", admin.token.unwrap());
    let output = command.output().await.unwrap();
    stop(running.child).await;
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), said)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_tampering_is_found_and_its_first_record_named() {
    let story = Story::told().await;
    // What the log still holds would be written again: whoever tampers goes for what it does not hold any more.
    story.home.cut_log().await;
    let (whole, said) = verified(&story.home.copy()).await;
    assert!(whole && said.contains("whole"), "{said}");
    for Tampering { name, change, first, words } in TAMPERINGS {
        let home = story.home.copy();
        let mut segment = Segment::read(&home);
        change(&mut segment);
        segment.write();
        // For one of them also after more was written: the evidence stays.
        for _ in 0..if name == TAMPERINGS[0].name { 2 } else { 1 } {
            let (whole, said) = verified(&home).await;
            assert!(!whole, "{name} goes unnoticed: {said}");
            let expected = format!("record {first} is {words}");
            assert!(said.contains(&expected), "{name}: no `{expected}` in: {said}");
        }
        no_panic(&home, name);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn segments_in_each_others_place_are_found() {
    let story = Story::told().await;
    story.home.cut_log().await;
    // A torn end makes the next start begin a new segment; that alone is no flaw.
    let first = Segment::read(&story.home);
    let count = first.records.len();
    fs::write(&first.path, [fs::read(&first.path).unwrap(), vec![9; 7]].concat()).unwrap();
    let (whole, said) = verified(&story.home).await;
    assert!(whole, "{said}");
    let second = first.path.with_file_name(format!("{:020}.audit", count + 1));
    assert!(second.exists(), "no second segment");
    story.home.cut_log().await;

    let swapped = story.home.copy();
    let folder = swapped.data().join("audit");
    let [one, two] = [&first.path, &second].map(|path| folder.join(path.file_name().unwrap()));
    fs::rename(&one, folder.join("aside")).unwrap();
    fs::rename(&two, &one).unwrap();
    fs::rename(folder.join("aside"), &two).unwrap();
    let (whole, said) = verified(&swapped).await;
    assert!(!whole && said.contains("record 1 is not there"), "{said}");

    let cut = story.home.copy();
    fs::remove_file(cut.data().join("audit").join(first.path.file_name().unwrap())).unwrap();
    let (whole, said) = verified(&cut).await;
    assert!(!whole && said.contains("record 1 is not there"), "{said}");
}

/// Whoever has the node's key can write records that open; the chain, whose head is in State, still tells.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_forged_with_the_nodes_own_key_is_found() {
    let story = Story::told().await;
    story.home.cut_log().await;
    let secrets = KeyFileSeal::new(story.home.key(), &story.home.data()).unwrap().unlock().unwrap();
    let key = Arc::new(secrets.storage_key().unwrap().purpose("audit").unwrap());
    let open = |home: &Home| {
        let disk = Arc::new(RealDisk::open(home.data().join("audit")).unwrap());
        AuditLog::open(disk, key.clone(), StopFlag::new()).unwrap()
    };
    let page = open(&story.home).query(AuditFilter::default(), None, 1_000).await.unwrap();
    let mut records: Vec<AuditRecord> = page.records.into_iter().rev().collect();
    let last = records.len();
    records[3].target = "somebody else".to_owned();
    let forge = |records: &[AuditRecord]| {
        let home = story.home.copy();
        fs::remove_file(Segment::read(&home).path).unwrap();
        open(&home).append(records).unwrap();
        home
    };
    let (whole, said) = verified(&forge(&records)).await;
    assert!(!whole && said.contains("record 4 is changed"), "{said}");

    // With every hash made anew, only the head in State is left to tell, and it does: at the record it speaks of.
    let mut head = ChainHead::default();
    let chained: Vec<_> = records.into_iter().map(|record| head.advance(record)).collect();
    let (whole, said) = verified(&forge(&chained)).await;
    assert!(!whole, "{said}");
    let named = (last..=last + 3).any(|number| said.contains(&format!("record {number} is changed")));
    assert!(named, "{said}");
}
