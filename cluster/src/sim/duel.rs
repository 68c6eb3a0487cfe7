//! Two writers of one upload: the first cannot be reached by some of the others, or by none, or falls silent, while another
//! takes over. Both go on as if they were alone; what either is told is promised.

use std::time::Duration;

use super::chance::Chance;
use super::node::Node;
use super::uploads::{Uploader, on};
use super::world::World;
use crate::disk::Survival;
use crate::id::NodeId;

/// How long it lasts at most.
const LASTS_MS: u64 = 1500;

impl Uploader {
    /// An upload that is taken over while its writer is apart from the others.
    pub(super) async fn duel(&mut self, begun: u64) {
        let Some((node, writer)) = self.begin(begun).await else { return };
        let asset = writer.name().asset;
        let mut content = Vec::new();
        if !self.append(&node, &writer, &mut content).await {
            return;
        }
        let others: Vec<NodeId> = self.world.members().into_iter().filter(|id| *id != node.id).collect();
        let other = self.chance.pick(&others);
        let (Some(other), Some(upload)) =
            (self.world.node_for(other, &mut self.chance), self.ledger.get(asset))
        else {
            return;
        };
        // Granted first: what is tried here is whether holders know an old writer, not whether there is a quorum.
        let Ok(Some(epoch)) = self.granted(&other, &upload).await else { return };
        set_apart(&self.world, &mut self.chance, node.id, other.id);
        let mut first = self.new_like();
        let second = async {
            let taken = self.take_over(&other, &upload, epoch).await;
            if let Err(error) = taken {
                self.note(asset, &format!("is told {error} in a duel over"));
            }
        };
        tokio::join!(first.go_on(&node, writer, content), second);
    }

    async fn go_on(&mut self, node: &Node, writer: crate::store::BlobWriter, mut content: Vec<u8>) {
        for _ in 0..self.chance.between(1, 4) {
            if !self.append(node, &writer, &mut content).await {
                return;
            }
            let pause = self.chance.between(0, 60);
            if on(node, tokio::time::sleep(Duration::from_millis(pause))).await.is_none() {
                return;
            }
        }
        self.write_on(node, 1, writer, content, 30).await;
    }
}

/// Sets `first` apart from `other`, or from all others, for a while.
fn set_apart(world: &World, chance: &mut Chance, first: NodeId, other: NodeId) {
    let kind = chance.below(6);
    let lasts_ms = chance.between(100, LASTS_MS);
    world.note(format_args!("node {first} is set apart from node {other} in way {kind} for {lasts_ms} ms"));
    let mut links = Vec::new();
    match kind {
        0 => links.extend([(first, other), (other, first)]),
        // All that it acknowledged may be here alone.
        4 => world.crash(first, Survival::None, lasts_ms),
        5 => world.network().stall(first, Duration::from_millis(lasts_ms)),
        _ => {
            for one in world.members().into_iter().filter(|one| *one != first) {
                links.extend((kind != 3).then_some((first, one)));
                links.extend((kind != 2).then_some((one, first)));
            }
        }
    }
    links.iter().for_each(|(from, to)| world.network().cut(*from, *to));
    let world = world.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(lasts_ms)).await;
        links.into_iter().for_each(|(from, to)| world.network().mend_link(from, to));
    });
}
