//! Power cuts and failing syncs on a real file system (FUSE): first the Blob store alone, then a whole node.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)] // a test may panic

use std::sync::Arc;

use cluster::disk::{Disk, RealDisk};
use cluster::keyring::DataKey;
use cluster::store::BlobError;

#[path = "support/blob_story.rs"]
mod blob_story;
#[path = "support/power_cut_fs.rs"]
mod power_cut_fs;

use blob_story::{Story, recover};
use power_cut_fs::{Left, Names, PowerCutDisk};

const ROOMY: u64 = 1 << 30;

fn on(folder: &std::path::Path) -> std::io::Result<Arc<dyn Disk>> {
    Ok(Arc::new(RealDisk::open(folder.join("data"))?))
}

/// Cuts at evenly spread operations, through the kernel and the real disk code.
#[tokio::test]
async fn the_blob_store_survives_a_power_cut_on_a_real_file_system() {
    let key = DataKey::random().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let calm = PowerCutDisk::new(Names::Strict, ROOMY);
    let mounted = calm.mount(folder.path());
    Story::default().live(&on(folder.path()).unwrap(), &key).await.unwrap();
    mounted.unmount();
    let operations = calm.operations();
    assert!(operations > 40, "only {operations} operations reached the file system");

    for cut in (1..operations).step_by(2) {
        for left in [Left::Nothing, Left::Everything, Left::Some(cut)] {
            let case = format!("cut at operation {cut} of {operations}, {left:?}");
            let disk = PowerCutDisk::new(Names::Strict, ROOMY);
            disk.cut_at(cut);
            let mounted = disk.mount(folder.path());
            let mut story = Story::default();
            if let Ok(handle) = on(folder.path()) {
                let _ = story.live(&handle, &key).await;
            }
            mounted.unmount();
            let mounted = disk.after_cut(left).mount(folder.path());
            recover(&on(folder.path()).expect(&case), &key, story, &case).await;
            mounted.unmount();
        }
    }
}

#[tokio::test]
async fn a_failed_sync_of_a_real_file_system_stops_the_store() {
    let key = DataKey::random().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let disk = PowerCutDisk::new(Names::Strict, ROOMY);
    let mounted = disk.mount(folder.path());
    let handle = on(folder.path()).unwrap();
    disk.fail_next_sync();
    let outcome = Story::default().live(&handle, &key).await;
    assert!(matches!(outcome, Err(BlobError::Failed(_))), "{outcome:?}");
    assert_eq!(disk.syncs_failed(), 1);
    drop(handle);
    mounted.unmount();
}
