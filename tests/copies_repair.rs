//! When repair looks at an asset at all: as soon as a file of it is final, and at no other change.

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
