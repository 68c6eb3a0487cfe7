//! Which nodes hold an asset: weighted rendezvous hashing, over sites first, then over the nodes of a site.
//!
//! A pure function of the nodes and the asset's id, in whole numbers only, so that it gives the same answer on every
//! machine and may be used inside apply. A node that comes or goes moves only the assets that are its own.

use blake3::Hasher;

use crate::id::{AssetId, NodeId};
use crate::state::Holders;
use crate::store::Level;

/// Copies of an asset, where there are as many nodes that may hold one.
pub const COPIES: usize = 3;
/// Bits after the point of a logarithm.
const FRACTION: u32 = 32;

/// A node as placement sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The node.
    pub node: NodeId,
    /// Where it stands.
    pub site: String,
    /// Its share against the others of its site; a site's share is the sum of its nodes'. 0 takes nothing.
    pub weight: u32,
    /// Takes part, and is not being emptied.
    pub active: bool,
    /// What its free space allows.
    pub level: Level,
    /// It was heard of lately.
    pub alive: bool,
}

impl Candidate {
    /// May be given a copy of something new.
    #[must_use]
    pub fn is_eligible(&self) -> bool {
        self.active && self.alive && self.weight > 0 && self.level == Level::Fine
    }
}

/// The holders of `asset` among `candidates`, the best first: at most [`COPIES`] nodes, each in another site as long as
/// there are sites left. The order of `candidates` does not matter.
#[must_use]
pub fn holders_of(asset: AssetId, candidates: &[Candidate]) -> Holders {
    let mut left: Vec<&Candidate> = candidates.iter().filter(|candidate| candidate.is_eligible()).collect();
    left.sort_unstable_by_key(|candidate| candidate.node);
    left.dedup_by_key(|candidate| candidate.node);
    let mut chosen = Holders::default();
    // Once round the sites; then again among those that have nodes left, as long as copies are missing.
    while chosen.len() < COPIES && !left.is_empty() {
        for site in ranked_sites(asset, &left) {
            let in_site = left.iter().filter(|candidate| candidate.site == site);
            let best = in_site.min_by_key(|candidate| {
                (
                    distance(asset, b"node", &candidate.node.0.to_be_bytes(), candidate.weight.into()),
                    candidate.node,
                )
            });
            let Some(node) = best.map(|candidate| candidate.node) else { continue };
            left.retain(|candidate| candidate.node != node);
            if !chosen.push(node) || chosen.len() == COPIES {
                return chosen;
            }
        }
    }
    chosen
}

/// The sites in the order in which they take the asset.
fn ranked_sites(asset: AssetId, candidates: &[&Candidate]) -> Vec<String> {
    let mut sites: Vec<(&str, u64)> = Vec::new();
    for candidate in candidates {
        match sites.iter_mut().find(|(site, _)| *site == candidate.site) {
            Some((_, weight)) => *weight += u64::from(candidate.weight),
            None => sites.push((&candidate.site, candidate.weight.into())),
        }
    }
    sites.sort_by_cached_key(|(site, weight)| {
        (distance(asset, b"site", site.as_bytes(), *weight), (*site).to_owned())
    });
    sites.into_iter().map(|(site, _)| site.to_owned()).collect()
}

/// How far an asset is from a site or node: an exponential variable whose rate is the weight, so that the nearest is
/// each with a chance in proportion to its weight.
fn distance(asset: AssetId, what: &[u8; 4], name: &[u8], weight: u64) -> u128 {
    let mut hasher = Hasher::new();
    hasher.update(what).update(asset.as_bytes()).update(name);
    let mut bytes = [0; 8];
    hasher.finalize_xof().fill(&mut bytes);
    let uniform = u64::from_be_bytes(bytes) | 1;
    // -log2(uniform / 2^64), then divided by the weight with room for the quotient's fraction.
    let minus_log = (64_u128 << FRACTION) - u128::from(log2(uniform));
    (minus_log << 32) / u128::from(weight.max(1))
}

/// The binary logarithm of a number that is not 0, with [`FRACTION`] bits after the point.
fn log2(number: u64) -> u64 {
    let whole = number.ilog2();
    // The mantissa in [1, 2), with 63 bits after the point.
    let mut mantissa = u128::from(number) << (63 - whole);
    let mut result = u64::from(whole);
    for _ in 0..FRACTION {
        mantissa = (mantissa * mantissa) >> 63;
        let bit = mantissa >> 64;
        mantissa >>= bit;
        result = result << 1 | u64::from(bit == 1);
    }
    result
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    fn candidate(node: u64, site: &str, weight: u32) -> Candidate {
        let site = site.to_owned();
        Candidate { node: NodeId(node), site, weight, active: true, level: Level::Fine, alive: true }
    }

    fn asset(number: u32) -> AssetId {
        let mut id = [0; 16];
        id[..4].copy_from_slice(&number.to_be_bytes());
        AssetId(id)
    }

    fn site_of(candidates: &[Candidate], node: NodeId) -> &str {
        candidates.iter().find(|candidate| candidate.node == node).map_or("", |candidate| &candidate.site)
    }

    fn some_candidates() -> impl Strategy<Value = Vec<Candidate>> {
        let one = (0..5_u8, 1..400_u32, prop::bool::weighted(0.85), prop::bool::weighted(0.85), 0..6_u8);
        prop::collection::vec(one, 0..12).prop_map(|drawn| {
            let numbered = drawn.into_iter().zip(1..);
            numbered
                .map(|((site, weight, active, alive, level), node)| Candidate {
                    active,
                    alive,
                    level: if level == 0 { Level::NoNewUploads } else { Level::Fine },
                    ..candidate(node, &format!("s{site}"), weight)
                })
                .collect()
        })
    }

    proptest! {
        #[test]
        fn as_many_as_there_can_be_in_as_many_sites_as_there_can_be(
            candidates in some_candidates(), number: u32,
        ) {
            let chosen = holders_of(asset(number), &candidates);
            let eligible: Vec<_> = candidates.iter().filter(|candidate| candidate.is_eligible()).collect();
            prop_assert_eq!(chosen.len(), eligible.len().min(COPIES));
            let nodes: BTreeSet<_> = chosen.iter().collect();
            prop_assert_eq!(nodes.len(), chosen.len());
            prop_assert!(nodes.iter().all(|node| eligible.iter().any(|one| one.node == *node)));
            let sites: BTreeSet<_> = nodes.iter().map(|node| site_of(&candidates, *node)).collect();
            let all: BTreeSet<_> = eligible.iter().map(|candidate| &candidate.site).collect();
            prop_assert_eq!(sites.len(), all.len().min(chosen.len()));
        }

        #[test]
        fn the_order_of_nodes_does_not_matter(candidates in some_candidates(), number: u32) {
            let turned: Vec<_> = candidates.iter().rev().cloned().collect();
            prop_assert_eq!(holders_of(asset(number), &candidates), holders_of(asset(number), &turned));
        }

        #[test]
        fn a_node_that_holds_nothing_of_an_asset_leaves_without_moving_it(
            candidates in some_candidates(), number: u32, leaving: prop::sample::Index,
        ) {
            let before = holders_of(asset(number), &candidates);
            // Its site's weight counts too: only a site of one node leaves the others' order alone.
            let alone = |one: &&Candidate| candidates.iter().filter(|other| other.site == one.site).count() == 1;
            let may_leave = candidates.iter().filter(|one| !before.contains(one.node)).filter(alone);
            let may_leave: Vec<_> = may_leave.collect();
            if may_leave.is_empty() {
                return Ok(());
            }
            let leaving = leaving.get(&may_leave);
            let rest: Vec<_> = candidates.iter().filter(|one| one.node != leaving.node).cloned().collect();
            prop_assert_eq!(holders_of(asset(number), &rest), before);
        }
    }

    #[test]
    fn a_joining_node_takes_its_share_and_moves_nothing_else() {
        let three: Vec<_> = (1..=3).map(|node| candidate(node, &format!("s{node}"), 100)).collect();
        let mut four = three.clone();
        four.push(candidate(4, "s4", 100));
        let mut moved = 0;
        for number in 0..4_000 {
            let before: BTreeSet<_> = holders_of(asset(number), &three).iter().collect();
            let after: BTreeSet<_> = holders_of(asset(number), &four).iter().collect();
            let came: Vec<_> = after.difference(&before).collect();
            assert!(came.is_empty() || came == [&NodeId(4)], "only copies for the new node move");
            moved += came.len();
        }
        // Three copies over four equal nodes: each holds three quarters of the assets.
        assert!((2_800..3_200).contains(&moved), "{moved}");
    }

    #[test]
    fn shares_follow_the_weights() {
        let candidates: Vec<_> = [(1, 100), (2, 100), (3, 200), (4, 400)]
            .map(|(node, weight)| candidate(node, if node < 3 { "a" } else { "b" }, weight))
            .into();
        let mut first: BTreeMap<NodeId, u32> = BTreeMap::new();
        for number in 0..16_000 {
            let chosen = holders_of(asset(number), &candidates);
            *first.entry(chosen.iter().next().unwrap()).or_default() += 1;
        }
        // Sites 200 : 600, then in each site by its nodes' weights; 16,000 draws stay within 4 %.
        for (node, expected) in [(1, 2_000), (2, 2_000), (3, 4_000), (4, 8_000)] {
            let found = first.get(&NodeId(node)).copied().unwrap_or(0);
            assert!(found.abs_diff(expected) < 320, "node {node}: {found} instead of {expected}");
        }
    }

    #[test]
    fn the_answer_never_changes() {
        let candidates: Vec<_> = (1..=7_u32)
            .map(|node| candidate(u64::from(node), &format!("s{}", node % 4), 100 + node))
            .collect();
        let answers: Vec<Vec<u64>> = (0..4)
            .map(|number| holders_of(asset(number), &candidates).iter().map(|node| node.0).collect())
            .collect();
        // Another answer would move every copy of every cluster: placement is part of what apply decides.
        assert_eq!(answers, PINNED);
    }

    const PINNED: [[u64; 3]; 4] = [[7, 6, 1], [1, 4, 7], [2, 5, 4], [7, 5, 4]];

    #[test]
    fn the_logarithm_is_right_to_its_last_bits() {
        for number in [1, 2, 3, 10, 1 << 33, u64::MAX, 0x8000_0000_0000_0001] {
            let exact = (number as f64).log2() * 2_f64.powi(FRACTION as i32);
            assert!((log2(number) as f64 - exact).abs() < 4.0, "{number}");
        }
    }
}
