//! When repair looks at an asset at all: as soon as a file of it is final, and at no other change; and what it says is missing.

use cluster::command::AssetPatch;

use super::*;

/// Whether repair, waiting at that node, has anything to look at by now.
async fn is_woken(repair: &mut Repair<Member>) -> bool {
    tokio::time::timeout(Duration::from_secs(1), repair.wait()).await.is_ok()
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_did_not_come_is_made_once_its_blob_is_sealed_and_a_new_title_asks_nobody() {
    let town = Town::of(3);
    let poor = *town.members.keys().next_back().unwrap();
    let mut repair = town.repair(poor);
    // Everything there is has been compared: from here on events alone tell.
    run(&mut repair).await;
    let name = town.asset(30).await;
    town.members[&poor].replicas.here().remove(name.asset).await.unwrap();
    assert!(is_woken(&mut repair).await, "nobody would look before everything is compared again");
    run(&mut repair).await;
    town.assert_kept(name, 3).await;

    let others: Vec<NodeId> = town.members.keys().copied().filter(|node| *node != poor).collect();
    let asked = || others.iter().map(|node| town.wires.calls(*node)).sum::<u32>();
    while is_woken(&mut repair).await {
        run(&mut repair).await;
    }
    let before = asked();
    let patch = AssetPatch { title: Some("Another title".to_owned()), ..AssetPatch::default() };
    let title = agreed::describe(name.asset, patch);
    let applied = town.parliament.world.lock().unwrap().apply(&owner(), title);
    assert!(applied.outcome.is_ok() && !applied.events.is_empty());
    applied.events.into_iter().for_each(|event| _ = town.parliament.events.send(event).unwrap());
    assert!(!is_woken(&mut repair).await, "a title is no file");
    assert_eq!(asked(), before);
}

/// The retry finds nothing to do any more, and what was missing must not be told for ever.
#[tokio::test(start_paused = true)]
async fn nothing_is_missing_of_what_was_purged_before_it_could_be_mended() {
    let town = Town::of(3);
    let [purged, kept] = [town.asset(30).await, town.asset(31).await];
    let poor = *town.members.keys().next_back().unwrap();
    for (id, member) in &town.members {
        if *id == poor {
            member.replicas.here().remove(purged.asset).await.unwrap();
        } else {
            spoil(member, purged);
        }
    }
    let mut repair = town.repair(poor);
    run(&mut repair).await;
    let missing = || town.members[&poor].replicas.protection().missing_bytes;
    assert!(missing() > RECORD as u64, "nobody has a sound copy: {}", missing());

    // Another that is mended meanwhile does not hide it.
    town.members[&poor].replicas.here().remove(kept.asset).await.unwrap();
    town.members[&poor].replicas.repairs().look_at(kept.asset);
    run(&mut repair).await;
    town.assert_kept(kept, 3).await;
    assert!(missing() > RECORD as u64, "it is still missing: {}", missing());
    {
        let mut world = town.parliament.world.lock().unwrap();
        world.ok(&owner(), AssetCommand::Trash { asset: purged.asset });
        world.ok(&owner(), AssetCommand::Purge { asset: purged.asset });
    }
    tokio::time::advance(Duration::from_secs(11)).await;
    run(&mut repair).await;
    assert_eq!(missing(), 0, "nobody wants it any more");
}

/// Changes a bit of a node's copy.
fn spoil(member: &Member, name: BlobName) {
    let files = member.disk.files();
    let path = files.iter().find(|path| path.to_string_lossy().contains(&name.blob.to_string())).unwrap();
    member.disk.flip_bit(path, 4_000, 3);
}
