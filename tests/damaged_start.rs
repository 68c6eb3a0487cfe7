//! A real node that finds its files damaged, missing or newer than itself: it mends them from what it has twice, or stops
//! with a sentence that says what happened, what was kept and what to do. It never panics, and never goes on as if nothing
//! had been lost.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::stream::{self, StreamExt};
use serde_json::json;
use tokio::process::Command;

use crate::damaged::{DAMAGES, Damage, Home, Start, Story, copy_folder, no_panic};
use crate::support::{PASSPHRASE, files, program, started, stop};

/// Nodes started at once.
const AT_ONCE: usize = 3;

/// Any one damaged file of the data folder costs nothing that was acknowledged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_damaged_file_loses_nothing() {
    let story = Arc::new(Story::told().await);
    let data = story.home.data();
    let all = files(&data).into_iter().map(|path| path.strip_prefix(&data).unwrap().to_owned());
    // The lock is empty and holds nothing.
    let all: Vec<PathBuf> = all.filter(|path| path != Path::new("lock")).collect();
    for expected in ["snapshots/manifest", "snapshots/spare/manifest", "identity", "format", "raft/current"] {
        assert!(all.contains(&PathBuf::from(expected)), "no {expected} among {all:?}");
    }
    let cases: Vec<_> = all.iter().flat_map(|path| DAMAGES.map(|damage| (path.clone(), damage))).collect();
    stream::iter(cases)
        .map(|(path, damage)| {
            let story = story.clone();
            async move {
                let what = format!("{damage:?} of {}", path.display());
                let home = story.home.copy();
                damage.inflict(&home.data().join(&path));
                let running = match home.start().await {
                    Start::Runs(running) => running,
                    Start::Stops(words) => panic!("{what}: {words}"),
                };
                let verdict = story.is_whole(&home, running, &what).await;
                // A tail that is cut off may come again from the log; nothing else that is done to the audit log may.
                let hits_audit = path.starts_with("audit");
                let comes_again = damage == Damage::Cut && verdict["ok"] == true;
                assert!(verdict["ok"] == !hits_audit || comes_again, "{what}: {verdict}");
                if let Some(reason) = verdict["reason"].as_str() {
                    assert!(reason.starts_with("record "), "{what}: the first bad record is named: {reason}");
                }
                story.is_recoverable(&home, &what);
                no_panic(&home, &what);
                // What was mended stays so.
                if path.starts_with("snapshots") || path.starts_with("identity") {
                    let (first, second) = both_copies(&home.data(), &path);
                    assert_eq!(fs::read(first).unwrap(), fs::read(second).unwrap(), "{what}");
                }
            }
        })
        .buffer_unordered(AT_ONCE)
        .collect::<Vec<()>>()
        .await;
}

/// The file and its second copy, whichever of them is given.
fn both_copies(data: &Path, path: &Path) -> (PathBuf, PathBuf) {
    if path.starts_with("identity") || path.starts_with("identity.spare") {
        return (data.join("identity"), data.join("identity.spare"));
    }
    let inner = path.strip_prefix("snapshots").unwrap();
    let inner = inner.strip_prefix("spare").unwrap_or(inner);
    (data.join("snapshots").join(inner), data.join("snapshots/spare").join(inner))
}

/// One thing that cannot be made up for.
struct Loss {
    name: &'static str,
    inflict: fn(&Home),
    /// What the last words of the node must hold.
    words: &'static [&'static str],
}

fn spoil_all(folder: &Path) {
    for path in files(folder) {
        Damage::MiddleByte.inflict(&path);
    }
}

const LOSSES: [Loss; 8] = [
    Loss {
        name: "both copies of the snapshot",
        inflict: |home| spoil_all(&home.data().join("snapshots")),
        words: &["snapshot", "either copy", "nothing was changed", "backup"],
    },
    Loss {
        name: "both manifests",
        inflict: |home| {
            fs::remove_file(home.data().join("snapshots/manifest")).unwrap();
            fs::remove_file(home.data().join("snapshots/spare/manifest")).unwrap();
        },
        words: &["snapshot", "gone", "nothing was changed", "backup"],
    },
    Loss {
        name: "the snapshot folder",
        inflict: |home| fs::remove_dir_all(home.data().join("snapshots")).unwrap(),
        words: &["snapshot", "gone", "nothing was changed", "backup"],
    },
    Loss {
        name: "log and snapshot",
        inflict: |home| {
            fs::remove_dir_all(home.data().join("snapshots")).unwrap();
            fs::remove_dir_all(home.data().join("raft")).unwrap();
        },
        words: &["log of this node", "gone", "as it was", "backup"],
    },
    Loss {
        name: "both copies of the identity",
        inflict: |home| {
            Damage::Cut.inflict(&home.data().join("identity"));
            Damage::FirstByte.inflict(&home.data().join("identity.spare"));
        },
        words: &["who this node is", "nothing was changed", "backup"],
    },
    Loss {
        name: "the key file",
        inflict: |home| Damage::Gone.inflict(&home.key()),
        words: &["no node key", "recover"],
    },
    Loss {
        name: "a byte of the key file",
        inflict: |home| Damage::MiddleByte.inflict(&home.key()),
        words: &["not a readable node key", "recover"],
    },
    Loss {
        name: "a folder of a newer version",
        inflict: |home| fs::write(home.data().join("format"), "mediakeep data folder, format 99\n").unwrap(),
        words: &["newer", "99", "nothing was changed"],
    },
];

/// What cannot be mended is said plainly, every time again, and nothing else in the folder is touched.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_lost_for_good_is_named_and_nothing_else_is_touched() {
    let story = Story::told().await;
    for Loss { name, inflict, words } in LOSSES {
        let home = story.home.copy();
        inflict(&home);
        let kept = |home: &Home| -> Vec<(PathBuf, Vec<u8>)> {
            // Opening sled alone tidies its own files; the journal beside it holds the same records.
            let all =
                files(&home.data()).into_iter().filter(|path| !path.to_string_lossy().contains("/sled-"));
            all.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
        };
        let before = kept(&home);
        for _ in 0..2 {
            let Start::Stops(said) = home.start().await else {
                panic!("{name}: it runs as if nothing had happened")
            };
            for word in words {
                assert!(said.contains(word), "{name}: no `{word}` in: {said}");
            }
        }
        let after = kept(&home);
        let names = |all: &[(PathBuf, Vec<u8>)]| all.iter().map(|(path, _)| path.clone()).collect::<Vec<_>>();
        assert_eq!(names(&after), names(&before), "{name}");
        for ((path, before), (_, after)) in before.iter().zip(&after) {
            assert!(before == after, "{name}: {} was changed", path.display());
        }
        no_panic(&home, name);
    }
}

/// The log alone is gone: what the snapshot knows can be looked at, and the loss must be accepted by name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_is_gone_is_a_loss_and_not_a_new_beginning() {
    let story = Story::told().await;
    let home = story.home.copy();
    fs::remove_dir_all(home.data().join("raft")).unwrap();
    for _ in 0..2 {
        let running = home.runs().await;
        let login = json!({ "username": "anna", "password": PASSPHRASE });
        home.client(&running).post("/sessions", &login).await.expect_problem(503, "read_only");
        stop(running.child).await;
        assert!(home.log().contains("acknowledged log records are missing"), "{}", home.log());
    }
    let accept = async |records: &[&str]| {
        let mut command = Command::new(program());
        command.arg("accept-loss").arg("--dir").arg(home.data()).arg("--key-file").arg(home.key());
        let output = command.args(records).output().await.unwrap();
        let said =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        said
    };
    let said = accept(&[]).await;
    let range = said.split("--records ").nth(1).unwrap().trim().to_owned();
    accept(&["--records", &range]).await;
    let running = home.runs().await;
    let admin = home.admin(&running).await;
    let applications = admin.get("/applications").await.expect(200).to_string();
    assert!(
        applications.contains("In the snapshot") && !applications.contains("In the log"),
        "{applications}"
    );
    assert_eq!(admin.get("/audit/verify").await.expect(200)["ok"], true);
    stop(running.child).await;
    no_panic(&home, "accepted loss");
}

/// A node of several that has lost who it is does not take itself for the first one, whose name any folder without an
/// identity would have.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_of_several_without_an_identity_is_nobody() {
    let root = tempfile::tempdir().unwrap();
    let mut command = Command::new(program());
    command.args(["dev", "--nodes", "2", "--stop-with-input", "--dir"]).arg(root.path().join("dev"));
    let (dev, _) = started(&mut command, "two nodes").await;
    stop(dev).await;
    let home = Home { root: tempfile::tempdir().unwrap() };
    copy_folder(&root.path().join("dev/n2"), &home.data());
    fs::copy(root.path().join("dev/n2.key"), home.key()).unwrap();
    for name in ["identity", "identity.spare"] {
        fs::remove_file(home.data().join(name)).unwrap();
    }
    let Start::Stops(said) = home.start().await else { panic!("it took itself for another node") };
    assert!(said.contains("who this node is") && said.contains("joins again"), "{said}");
    no_panic(&home, "no identity");
}
