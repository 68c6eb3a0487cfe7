//! A power cut at every single disk operation of a Blob's life, with nothing, everything or a torn part of what was not
//! synced surviving.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)] // a test may panic

use std::sync::Arc;

use cluster::disk::{Disk, SimulatedDisk, Survival};
use cluster::keyring::DataKey;

#[path = "support/blob_story.rs"]
mod blob_story;

use blob_story::{ASSET, BLOB, Story, recover, store_on};

const ROOMY: u64 = 1 << 30;

/// The simulated disk as the store takes it.
fn handle(disk: &SimulatedDisk) -> Arc<dyn Disk> {
    Arc::new(disk.clone())
}

#[tokio::test]
async fn a_power_cut_at_any_operation_loses_nothing_acknowledged() {
    let key = DataKey::random().unwrap();
    let calm = SimulatedDisk::new(ROOMY);
    Story::default().live(&handle(&calm), &key).await.unwrap();
    let operations = calm.operations();
    assert!(operations > 40, "only {operations} operations: the story is too short");
    for cut in 0..=operations {
        for survival in [Survival::None, Survival::All, Survival::Random(cut), Survival::Random(cut + 1000)] {
            let case = format!("cut at operation {cut} of {operations}, {survival:?}");
            let disk = SimulatedDisk::new(ROOMY);
            disk.cut_power_at(cut);
            let mut story = Story::default();
            let outcome = story.live(&handle(&disk), &key).await;
            // The last operation only clears up after the sealing.
            assert_eq!(outcome.is_ok(), cut + 1 >= operations, "{case}: {outcome:?}");
            recover(&handle(&disk.after_power_cut(survival)), &key, story, &case).await;
        }
    }
}

/// A cut during the recovery from a cut: recovery, too, may be interrupted anywhere.
#[tokio::test]
async fn a_power_cut_during_recovery_loses_nothing_acknowledged() {
    let key = DataKey::random().unwrap();
    let calm = SimulatedDisk::new(ROOMY);
    Story::default().live(&handle(&calm), &key).await.unwrap();
    for first in (8..calm.operations()).step_by(3) {
        for second in 0..14 {
            let disk = SimulatedDisk::new(ROOMY);
            disk.cut_power_at(first);
            let mut story = Story::default();
            let _ = story.live(&handle(&disk), &key).await;
            let disk = disk.after_power_cut(Survival::Random(first));
            disk.cut_power_at(second);
            if let Ok(blobs) = store_on(&handle(&disk)) {
                story.epoch += 1;
                if let Ok(writer) = blobs.take_over(ASSET, BLOB, story.epoch, &key).await {
                    story.written.truncate(writer.length() as usize);
                    story.marks.truncate(writer.mark_count());
                    let _ = story.append_marked(&writer, 3000).await;
                }
            }
            let case = format!("cut at operation {first}, then at {second} of the recovery");
            recover(&handle(&disk.after_power_cut(Survival::Random(second))), &key, story, &case).await;
        }
    }
}
