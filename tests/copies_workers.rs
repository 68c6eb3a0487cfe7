//! The workers on copies: each told as a story over several stores, with State applied for real and one parliament in
//! place of consensus.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use cluster::ProposeError;
use cluster::actor::Actor;
use cluster::blob::{BlobKind, BlobName, RECORD};
use cluster::command::{AssetCommand, ClusterCommand, Command};
use cluster::disk::{SimulatedDisk, StopFlag, Survival};
use cluster::event::Event;
use cluster::id::{AssetId, BlobId, NodeId};
use cluster::keyring::DataKey;
use cluster::outcome::Outcome;
use cluster::placement::Candidate;
use cluster::state::{Asset, Holders, State};
use cluster::store::{BlobError, Blobs, BlobsConfig, Report};
use cluster::transfer::{Leaving, Map, Replicas, Standing};
use cluster::worker::{Worked, Worker};
use cluster::workers::{Collect, CopyNode, Count, Forget, Named, Purpose, Repair, Scrub};
use tokio::sync::broadcast;

use crate::copies_support::{Wires, content};
use crate::state_world::{self as agreed, NODE, admit, blob_id, join_token, owner};

#[path = "copies_repair.rs"]
mod repair;

/// Agreement in one place: what is proposed is applied.
#[derive(Debug)]
struct Parliament {
    world: Mutex<agreed::World>,
    events: broadcast::Sender<Event>,
}

impl Parliament {
    fn state(&self) -> State {
        self.world.lock().unwrap().state.clone()
    }
}

impl Map for Parliament {
    fn holders(&self, asset: AssetId) -> Holders {
        self.state().holders(asset)
    }
    fn site_of(&self, node: NodeId) -> Option<String> {
        self.state().node(node).map(|node| node.site.clone())
    }
    fn candidates(&self) -> Vec<Candidate> {
        self.state().candidates()
    }
    fn knows(&self, asset: AssetId) -> bool {
        self.state().asset(asset).is_some()
    }
    fn standing(&self, name: BlobName) -> Standing {
        Standing::of(&self.state(), name)
    }
}

/// One node.
#[derive(Debug, Clone)]
struct Member {
    parliament: Arc<Parliament>,
    replicas: Replicas,
    disk: SimulatedDisk,
}

#[async_trait]
impl CopyNode for Member {
    fn state(&self) -> Arc<State> {
        Arc::new(self.parliament.state())
    }
    async fn linearizable(&self) -> Result<Arc<State>, ProposeError> {
        Ok(self.state())
    }
    async fn propose(&self, command: Command) -> Result<Outcome, ProposeError> {
        let actor = Actor::system(self.replicas.node());
        let applied = self.parliament.world.lock().unwrap().apply(&actor, command);
        for event in applied.events {
            // Nobody may be listening.
            let _ = self.parliament.events.send(event);
        }
        Ok(applied.outcome?)
    }
    fn leads(&self) -> bool {
        true
    }
    fn events(&self) -> broadcast::Receiver<Event> {
        self.parliament.events.subscribe()
    }
    fn now_ms(&self) -> u64 {
        self.parliament.world.lock().unwrap().now_ms
    }
    fn bytes(&self) -> &Replicas {
        &self.replicas
    }
}

/// Several nodes that agree.
struct Town {
    wires: Arc<Wires>,
    parliament: Arc<Parliament>,
    members: BTreeMap<NodeId, Member>,
    key: DataKey,
}

impl Town {
    fn of(nodes: u8) -> Self {
        let world = Mutex::new(agreed::World::claimed());
        let parliament = Arc::new(Parliament { world, events: broadcast::channel(256).0 });
        let key = DataKey::random().unwrap();
        let mut town = Self { wires: Wires::new(1), parliament, members: BTreeMap::new(), key };
        town.start(NODE);
        for number in 2..=nodes {
            town.join(number);
        }
        town
    }

    fn start(&mut self, id: NodeId) {
        let disk = SimulatedDisk::new(1 << 32);
        let blobs = Blobs::open(Arc::new(disk.clone()), StopFlag::new(), BlobsConfig::default()).unwrap();
        let map = Arc::clone(&self.parliament) as Arc<dyn Map>;
        let replicas = Replicas::new(id, blobs, self.wires.end(id), map);
        self.wires.connect(id, replicas.service());
        self.members.insert(id, Member { parliament: Arc::clone(&self.parliament), replicas, disk });
    }

    /// A node joins at a site of its own.
    fn join(&mut self, number: u8) -> NodeId {
        let id = {
            let mut world = self.parliament.world.lock().unwrap();
            world.ok(&owner(), join_token(number));
            let name = format!("node {number}");
            let Outcome::Node(id) =
                world.ok(&agreed::node(), admit(number, &name, &format!("site {number}")))
            else {
                panic!("a node id")
            };
            world.ok(&agreed::node(), ClusterCommand::ActivateNode { node: id });
            id
        };
        self.start(id);
        id
    }

    fn remove(&mut self, id: NodeId) {
        self.wires.disconnect(id);
        self.members.remove(&id);
        self.parliament.world.lock().unwrap().ok(&owner(), ClusterCommand::RemoveNode { node: id });
    }

    /// An asset with one sealed Blob.
    async fn asset(&self, number: u8) -> BlobName {
        let asset = self.parliament.world.lock().unwrap().asset(number);
        let name = BlobName { asset, blob: blob_id(number) };
        let at = self.holders(asset)[0];
        let member = &self.members[&at];
        let create = member.replicas.create(asset, name.blob, BlobKind::Original, 1, &self.key);
        let writer = create.await.unwrap();
        writer.append(content(RECORD + usize::from(number))).await.unwrap();
        let sealed = writer.seal().await.unwrap();
        let (length, hash) = (sealed.length, sealed.hash);
        let seal = AssetCommand::SealBlob { asset, blob: name.blob, epoch: 1, length, hash };
        member.propose(seal.into()).await.unwrap();
        for holder in self.holders(asset) {
            self.wait_for(holder, name).await;
        }
        name
    }

    async fn wait_for(&self, node: NodeId, name: BlobName) {
        for _ in 0..500 {
            if self.members[&node].replicas.verify(name).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("node {node} has no copy of {name:?}");
    }

    fn holders(&self, asset: AssetId) -> Vec<NodeId> {
        self.parliament.state().holders(asset).iter().collect()
    }

    /// Nodes with a whole copy.
    async fn copies(&self, name: BlobName) -> Vec<NodeId> {
        let mut copies = Vec::new();
        for (id, member) in &self.members {
            if member.replicas.verify(name).await.is_ok() {
                copies.push(*id);
            }
        }
        copies
    }

    fn repair(&self, id: NodeId) -> Repair<Member> {
        Repair::new(self.members[&id].clone(), Purpose::Repair)
    }

    /// Every holder has a whole copy, and nobody else counts.
    async fn assert_kept(&self, name: BlobName, copies: usize) {
        let holders = self.holders(name.asset);
        let there = self.copies(name).await;
        assert_eq!(holders.len(), copies, "{holders:?}");
        assert!(holders.iter().all(|holder| there.contains(holder)), "{holders:?} and {there:?}");
    }
}

/// Works until there is nothing to do.
async fn run(worker: &mut impl Worker) {
    for _ in 0..500 {
        if worker.work().await.unwrap() == Worked::Idle {
            return;
        }
    }
    panic!("{} never ends: {}", worker.name(), worker.status());
}

#[tokio::test]
async fn a_lost_folder_is_made_anew() {
    let town = Town::of(3);
    let names = [town.asset(30).await, town.asset(31).await];
    let poor = town.holders(names[0].asset)[1];
    let member = &town.members[&poor];
    for name in names {
        member.replicas.here().remove(name.asset).await.unwrap();
    }
    run(&mut town.repair(poor)).await;
    for name in names {
        town.assert_kept(name, 3).await;
    }
}

#[tokio::test]
async fn what_one_node_kept_alone_is_kept_three_times_once_there_are_three() {
    let mut town = Town::of(1);
    let name = town.asset(30).await;
    let (second, third) = (town.join(2), town.join(3));
    run(&mut town.repair(NODE)).await;
    assert_eq!(town.holders(name.asset), [NODE]);
    run(&mut town.repair(second)).await;
    town.assert_kept(name, 2).await;
    run(&mut town.repair(third)).await;
    town.assert_kept(name, 3).await;
    assert!(!town.parliament.state().is_under_protected(name.asset));
}

#[tokio::test]
async fn the_place_of_a_removed_node_is_taken_by_another() {
    let mut town = Town::of(4);
    let name = town.asset(30).await;
    let holders = town.holders(name.asset);
    let lost = holders.iter().copied().find(|holder| *holder != NODE).unwrap();
    town.remove(lost);
    let ids: Vec<NodeId> = town.members.keys().copied().collect();
    for id in ids {
        run(&mut town.repair(id)).await;
    }
    town.assert_kept(name, 3).await;
    assert!(!town.holders(name.asset).contains(&lost));
}

#[tokio::test]
async fn a_joining_node_takes_its_share_and_nothing_is_ever_one_copy_short() {
    let mut town = Town::of(3);
    let mut names = Vec::new();
    for number in 30..42 {
        names.push(town.asset(number).await);
    }
    let fourth = town.join(4);
    let mut rebalance = Repair::new(town.members[&fourth].clone(), Purpose::Rebalance);
    while rebalance.work().await.unwrap() == Worked::Busy {
        for name in &names {
            town.assert_kept(*name, 3).await;
        }
    }
    let moved = names.iter().filter(|name| town.holders(name.asset).contains(&fourth)).count();
    assert!((3..=12).contains(&moved), "{moved} of 12 moved: about nine should");
    // The copies that were left go when everybody has theirs, and not before.
    let moved = *names.iter().find(|name| town.holders(name.asset).contains(&fourth)).unwrap();
    let holders = town.holders(moved.asset);
    let left = [1, 2, 3, 4].iter().zip(town.members.keys()).map(|(_, id)| *id);
    let left = left.into_iter().find(|id| !holders.contains(id)).unwrap();
    town.members[&fourth].replicas.here().remove(moved.asset).await.unwrap();
    let mut collect = Collect::new(town.members[&left].clone(), Duration::ZERO);
    run(&mut collect).await;
    assert!(town.copies(moved).await.contains(&left), "the new copy is lost: the old one stays");
    run(&mut town.repair(fourth)).await;
    run(&mut collect).await;
    assert!(!town.copies(moved).await.contains(&left));
    town.assert_kept(moved, 3).await;
}

#[tokio::test]
async fn a_copy_that_has_not_been_unneeded_for_long_stays() {
    let mut town = Town::of(3);
    let name = town.asset(30).await;
    let fourth = town.join(4);
    run(&mut Repair::new(town.members[&fourth].clone(), Purpose::Rebalance)).await;
    let before = town.copies(name).await;
    for member in town.members.values() {
        run(&mut Collect::new(member.clone(), Duration::from_secs(3_600))).await;
    }
    assert_eq!(town.copies(name).await, before);
}

#[tokio::test]
async fn scrub_finds_a_flipped_bit_and_repair_mends_it() {
    let town = Town::of(3);
    let mut names = Vec::new();
    for number in 30..35 {
        names.push(town.asset(number).await);
    }
    let bad = names[2];
    let member = &town.members[&NODE];
    let files = member.disk.files();
    let path = files.iter().find(|path| path.to_string_lossy().contains(&bad.blob.to_string())).unwrap();
    member.disk.flip_bit(path, 4_000, 3);
    let mut scrub = Scrub::new(member.clone());
    run(&mut scrub).await;
    assert_eq!(scrub.status(), "5 copies read since start, 1 of them damaged");
    // The round is over: the next is due in a month, for a worker that starts anew, too.
    run(&mut Scrub::new(member.clone())).await;
    assert!(!town.copies(bad).await.contains(&NODE));
    run(&mut town.repair(NODE)).await;
    town.assert_kept(bad, 3).await;
}

#[tokio::test]
async fn the_count_says_what_may_be_lost() {
    let mut town = Town::of(3);
    town.asset(30).await;
    let mut count = Count::new(town.members[&NODE].clone());
    run(&mut count).await;
    let whole = town.members[&NODE].replicas.protection();
    assert_eq!(whole.assets_by_copies, [0, 0, 0, 1]);
    assert_eq!((whole.copies_wanted, whole.nodes_to_lose, whole.sites_to_lose), (3, 2, 2));
    let other = *town.members.keys().find(|id| **id != NODE).unwrap();
    town.wires.disconnect(other);
    let gone = town.members.remove(&other).unwrap();
    drop(gone.disk.after_power_cut(Survival::None));
    run(&mut count).await;
    let less = town.members[&NODE].replicas.protection();
    assert_eq!(less.assets_by_copies, [0, 0, 1, 0]);
    assert_eq!(less.nodes_to_lose, 1);
}

#[tokio::test]
async fn the_count_says_what_a_node_still_holds_that_is_being_emptied() {
    let town = Town::of(4);
    let name = town.asset(30).await;
    let leaves = *town.holders(name.asset).iter().find(|id| **id != NODE).unwrap();
    let replicas = &town.members[&NODE].replicas;
    let mut count = Count::new(town.members[&NODE].clone());
    run(&mut count).await;
    assert_eq!(replicas.leaving(leaves), None, "it takes part");
    let drain = ClusterCommand::DrainNode { node: leaves, draining: true };
    town.parliament.world.lock().unwrap().ok(&owner(), drain);
    run(&mut count).await;
    assert_eq!(replicas.leaving(leaves), Some(Leaving { assets: 1, written: 0 }));
    for member in town.members.keys().filter(|id| **id != leaves) {
        run(&mut town.repair(*member)).await;
    }
    run(&mut count).await;
    assert_eq!(replicas.leaving(leaves), Some(Leaving::default()), "it is empty");
}

/// Sound by itself, and not what the cluster agreed on: a writer that was fenced off had sealed it before another took over.
#[tokio::test]
async fn a_copy_that_a_fenced_off_writer_sealed_is_replaced() {
    let town = Town::of(3);
    let name = town.asset(30).await;
    let poor = town.holders(name.asset)[1];
    let here = town.members[&poor].replicas.here();
    here.remove(name.asset).await.unwrap();
    let writer = here.create(name.asset, name.blob, BlobKind::Original, 1, &town.key).await.unwrap();
    writer.append(content(RECORD)).await.unwrap();
    let other = writer.seal().await.unwrap();
    let agreed = town.parliament.state().asset(name.asset).unwrap().blob(name.blob).unwrap().sealed.unwrap();
    assert_ne!(other.hash, agreed.hash);
    run(&mut town.repair(poor)).await;
    let report = here.held_report(name).await.unwrap();
    assert!(matches!(report, Report::Sealed { hash, .. } if hash == agreed.hash), "{report:?}");
    town.assert_kept(name, 3).await;
}

/// What was forgotten, as it is told.
#[derive(Debug, Clone, Default)]
struct Forgotten(Arc<Mutex<BTreeSet<AssetId>>>);

#[async_trait]
impl Named for Forgotten {
    async fn named(&self, _: &Asset) -> Result<Vec<BlobId>, String> {
        Ok(Vec::new())
    }
    fn forget_asset(&self, asset: AssetId) {
        self.0.lock().unwrap().insert(asset);
    }
    fn forget_blob(&self, _: BlobId) {}
}

#[tokio::test]
async fn what_was_purged_while_a_node_was_away_goes_when_state_comes_whole() {
    let town = Town::of(3);
    let (purged, kept) = (town.asset(30).await, town.asset(31).await);
    let member = &town.members[&NODE];
    let stray = AssetId([99; 16]);
    let writer = member.replicas.here().create(stray, purged.blob, BlobKind::Original, 1, &town.key).await;
    drop(writer.unwrap());
    let forgotten = Forgotten::default();
    let worker = tokio::spawn(Forget::new(member.clone(), forgotten.clone()).run());
    gone(member, stray).await;
    // No event tells it: this node was away, and a snapshot holds what has become of everything.
    {
        let mut world = town.parliament.world.lock().unwrap();
        world.ok(&owner(), AssetCommand::Trash { asset: purged.asset });
        world.ok(&owner(), AssetCommand::Purge { asset: purged.asset });
    }
    town.parliament.events.send(Event::StateReplaced).unwrap();
    gone(member, purged.asset).await;
    assert_eq!(*forgotten.0.lock().unwrap(), BTreeSet::from([stray, purged.asset]));
    member.replicas.verify(kept).await.unwrap();
    worker.abort();
}

/// Manifests that cannot be read so many times.
struct Unreadable(AtomicU32);

#[async_trait]
impl Named for Unreadable {
    async fn named(&self, _: &Asset) -> Result<Vec<BlobId>, String> {
        let left = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        if left.is_ok() { Err("no holder answers".to_owned()) } else { Ok(Vec::new()) }
    }
    fn forget_asset(&self, _: AssetId) {}
    fn forget_blob(&self, _: BlobId) {}
}

/// A node that comes back may be asked to compare before it reaches those that have the manifest.
#[tokio::test]
async fn what_was_dropped_while_a_node_was_away_goes_though_the_manifest_cannot_be_read_at_once() {
    let town = Town::of(3);
    let name = town.asset(30).await;
    let member = &town.members[&NODE];
    let here = member.replicas.here();
    let dropped = BlobName { blob: BlobId([98; 16]), ..name };
    drop(here.create(name.asset, dropped.blob, BlobKind::Rendition, 1, &town.key).await.unwrap());
    let worker = tokio::spawn(Forget::new(member.clone(), Unreadable(AtomicU32::new(1))).run());
    traceless(member, dropped).await;
    member.replicas.verify(name).await.unwrap();
    worker.abort();
}

#[tokio::test]
async fn a_copy_that_is_on_its_way_when_state_comes_whole_without_it_does_not_arrive() {
    let town = Town::of(3);
    let name = town.asset(30).await;
    let member = &town.members[&NODE];
    let here = member.replicas.here();
    let worker = tokio::spawn(Forget::new(member.clone(), Forgotten::default()).run());
    let coming = BlobName { blob: BlobId([97; 16]), ..name };
    let part = here.part_begin(coming, 1000).await.unwrap();
    town.parliament.events.send(Event::StateReplaced).unwrap();
    traceless(member, coming).await;
    part.finish([0; 32]).await.unwrap_err();
    assert_eq!(here.part_begin(coming, 1000).await.unwrap_err(), BlobError::NotFound);
    member.replicas.verify(name).await.unwrap();
    worker.abort();
}

/// Waits until a node has nothing of a Blob.
async fn traceless(member: &Member, name: BlobName) {
    for _ in 0..500 {
        if !member.replicas.here().traces(name.asset).await.unwrap().contains(&name.blob) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("something of {name:?} is still there");
}

/// Waits until a node has nothing of an asset.
async fn gone(member: &Member, asset: AssetId) {
    for _ in 0..500 {
        if !member.replicas.here().assets().await.unwrap().contains(&asset) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("something of {asset} is still there");
}
