//! Who votes: a pure function of who is there, and the steps of consensus that lead there.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use openraft::{ChangeMembers, EmptyNode};
use tokio::time::{Instant, sleep};

use super::control::{Ask, ask};
use super::{Cluster, ProposeError};
use crate::id::NodeId;
use crate::raft::metrics;
use crate::state::{NodeState, State};

/// A learner this many records behind counts as caught up.
const CAUGHT_UP: u64 = 200;
/// Another voter may have heard the leader this much later.
const ROOM: Duration = Duration::from_millis(50);
/// How long a hand-over may take.
const HAND_OVER_WITHIN: Duration = Duration::from_secs(3);

/// One node that might vote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Which.
    pub node: NodeId,
    /// Where it stands.
    pub site: String,
    /// It votes now.
    pub votes: bool,
}

/// Who should vote: five where there are five, three where there are three, else all; spread over the sites as evenly as
/// they allow. Five are too many when the loss of one of three sites would take three of them: then three vote. Whoever
/// votes already is preferred, so that nothing changes without need.
#[must_use]
pub fn choose(candidates: &[Candidate]) -> BTreeSet<NodeId> {
    let mut sites: BTreeMap<&str, Vec<&Candidate>> = BTreeMap::new();
    for candidate in candidates {
        sites.entry(&candidate.site).or_default().push(candidate);
    }
    for site in sites.values_mut() {
        site.sort_by_key(|candidate| (!candidate.votes, candidate.node));
    }
    let sites: Vec<Vec<&Candidate>> = sites.into_values().collect();
    match candidates.len() {
        0..=2 => spread(&sites, candidates.len()),
        3 | 4 => spread(&sites, 3),
        _ => {
            let five = spread(&sites, 5);
            let in_one = |site: &Vec<&Candidate>| {
                site.iter().filter(|candidate| five.contains(&candidate.node)).count()
            };
            let a_site_decides = sites.iter().any(|site| in_one(site) > 2);
            if sites.len() > 2 && a_site_decides { spread(&sites, 3) } else { five }
        }
    }
}

/// So many, of as many sites as there are. In each round every site gives one more, those with a voter to keep first.
fn spread(sites: &[Vec<&Candidate>], wanted: usize) -> BTreeSet<NodeId> {
    let mut chosen = BTreeSet::new();
    for round in 0..wanted {
        let mut next: Vec<&Candidate> = sites.iter().filter_map(|site| site.get(round).copied()).collect();
        next.sort_by_key(|candidate| (!candidate.votes, candidate.node));
        for candidate in next {
            if chosen.len() < wanted {
                chosen.insert(candidate.node);
            }
        }
    }
    chosen
}

/// As [`choose`], but those of `lost` for whom another can vote, do not: one after the other, and only where as many vote
/// then, at as many sites.
fn choose_living(candidates: &[Candidate], lost: &BTreeSet<NodeId>) -> BTreeSet<NodeId> {
    let sites = |chosen: &BTreeSet<NodeId>| {
        let sites = candidates.iter().filter(|candidate| chosen.contains(&candidate.node));
        sites.map(|candidate| candidate.site.as_str()).collect::<BTreeSet<_>>().len()
    };
    let (mut left, mut chosen) = (candidates.to_vec(), choose(candidates));
    for node in lost {
        let others: Vec<Candidate> =
            left.iter().filter(|candidate| candidate.node != *node).cloned().collect();
        let instead = choose(&others);
        if chosen.contains(node) && instead.len() == chosen.len() && sites(&instead) >= sites(&chosen) {
            (left, chosen) = (others, instead);
        }
    }
    chosen
}

/// Who is in consensus now.
#[derive(Debug, Clone, Default)]
struct Standing {
    voters: BTreeSet<u64>,
    members: BTreeSet<u64>,
    caught_up: BTreeSet<u64>,
}

/// What one look at the members led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing is to be done.
    Settled,
    /// One change was made; there may be more.
    Changed,
    /// Somebody is catching up.
    Waiting,
}

impl Cluster {
    fn standing(&self) -> Result<Standing, ProposeError> {
        let metrics = metrics::now(&self.running()?.raft);
        let last = metrics.last_log_index.unwrap_or(0);
        let replication = metrics.replication.iter().flatten();
        let caught_up = replication
            .filter(|(_, matched)| matched.is_some_and(|matched| matched.index + CAUGHT_UP >= last))
            .map(|(node, _)| *node);
        let membership = metrics.membership_config.membership();
        Ok(Standing {
            voters: membership.voter_ids().collect(),
            members: membership.nodes().map(|(node, _)| *node).collect(),
            caught_up: caught_up.collect(),
        })
    }

    /// Learners that hold what the leader holds and answer.
    pub(crate) fn caught_up(&self) -> Result<BTreeSet<NodeId>, ProposeError> {
        let standing = self.standing()?;
        let lively = |node: &NodeId| *node == self.inner.node || self.inner.peers.is_alive(*node);
        Ok(standing.caught_up.into_iter().map(NodeId).filter(lively).collect())
    }

    /// One step towards the members that State wants. For the leader. `stable` have been caught up for a while.
    pub(crate) async fn step_membership(&self, stable: &BTreeSet<NodeId>) -> Result<Step, ProposeError> {
        let state = self.state();
        let standing = self.standing()?;
        let new = state.nodes().find(|node| !standing.members.contains(&node.id.0));
        if let Some(node) = new {
            let add = ChangeMembers::AddNodes(BTreeMap::from([(node.id.0, EmptyNode {})]));
            self.change_members(add).await?;
            tracing::info!(node = %node.id, "a node learns");
            return Ok(Step::Changed);
        }
        let candidates = candidates(&state, &standing, stable, self.inner.node);
        let wanted = choose_living(&candidates, &self.lost(&candidates));
        let voters: BTreeSet<NodeId> = standing.voters.iter().copied().map(NodeId).collect();
        if !wanted.is_empty() && wanted != voters {
            tracing::info!(?wanted, "the voters change");
            let voters = wanted.iter().map(|node| node.0).collect();
            self.change_members(ChangeMembers::ReplaceAllVoters(voters)).await?;
            return Ok(Step::Changed);
        }
        let gone = standing.members.iter().find(|node| state.is_removed(NodeId(**node)));
        if let Some(node) = gone.filter(|node| !standing.voters.contains(*node)) {
            self.change_members(ChangeMembers::RemoveNodes(BTreeSet::from([*node]))).await?;
            tracing::info!(node, "a node is gone for good");
            return Ok(Step::Changed);
        }
        let joining = state.nodes().any(|node| node.state == NodeState::Joining);
        Ok(if joining || !standing.members.iter().all(|node| standing.caught_up.contains(node)) {
            Step::Waiting
        } else {
            Step::Settled
        })
    }

    /// Who was not heard for so long that another may vote instead.
    fn lost(&self, candidates: &[Candidate]) -> BTreeSet<NodeId> {
        let after = self.inner.config.voter_silent_for;
        let nodes = candidates.iter().map(|candidate| candidate.node);
        nodes.filter(|node| *node != self.inner.node && self.inner.peers.silent_for(*node) >= after).collect()
    }

    async fn change_members(&self, change: ChangeMembers<u64, EmptyNode>) -> Result<(), ProposeError> {
        let changed = self.running()?.raft.change_membership(change, true).await;
        changed.map(drop).map_err(|error| ProposeError::Unavailable(error.to_string()))
    }

    /// Lets another voter lead: the one that has come furthest. Gives whether one does.
    pub async fn hand_over(&self) -> bool {
        let Ok(running) = self.running() else { return false };
        if !self.leads() {
            return true;
        }
        let Some(next) = self.successor() else { return false };
        running.raft.runtime_config().heartbeat(false);
        // Nobody may vote for another before this one's lease has run out.
        sleep(Duration::from_millis(*self.inner.config.distance.election_ms().end()) + ROOM).await;
        let asked = ask(&*self.inner.net, next, &Ask::StandForElection, HAND_OVER_WITHIN).await;
        if let Err(error) = asked {
            tracing::warn!(%error, "the hand-over was not taken");
        }
        let until = Instant::now() + HAND_OVER_WITHIN;
        while self.leads() && Instant::now() < until {
            sleep(Duration::from_millis(20)).await;
        }
        running.raft.runtime_config().heartbeat(true);
        !self.leads()
    }

    fn successor(&self) -> Option<NodeId> {
        let state = self.state();
        let metrics = metrics::now(&self.running().ok()?.raft);
        let voters: BTreeSet<u64> = metrics.membership_config.voter_ids().collect();
        let others = metrics.replication.iter().flatten().filter(|(node, _)| {
            let fit = state.node(NodeId(**node)).is_some_and(|node| node.state == NodeState::Active);
            voters.contains(*node)
                && fit
                && self.inner.peers.is_alive(NodeId(**node))
                && !self.clock_of_peer_is_off(NodeId(**node))
        });
        others.max_by_key(|(_, matched)| **matched).map(|(node, _)| NodeId(*node))
    }
}

/// Whoever may vote: those who do and are to stay, and those who have caught up for a while.
fn candidates(state: &State, standing: &Standing, stable: &BTreeSet<NodeId>, me: NodeId) -> Vec<Candidate> {
    let fit = state.nodes().filter(|node| match node.state {
        NodeState::Active => {
            node.id == me || standing.voters.contains(&node.id.0) || stable.contains(&node.id)
        }
        NodeState::Joining | NodeState::Draining => false,
    });
    let candidate = |node: &std::sync::Arc<crate::state::Node>| Candidate {
        node: node.id,
        site: node.site.clone(),
        votes: standing.voters.contains(&node.id.0),
    };
    fit.map(candidate).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates(list: &[(u64, &str, bool)]) -> Vec<Candidate> {
        list.iter()
            .map(|(node, site, votes)| Candidate {
                node: NodeId(*node),
                site: (*site).to_owned(),
                votes: *votes,
            })
            .collect()
    }

    fn chosen(list: &[(u64, &str, bool)]) -> Vec<u64> {
        choose(&candidates(list)).into_iter().map(|node| node.0).collect()
    }

    #[test]
    fn there_are_three_or_five_where_there_can_be() {
        assert_eq!(chosen(&[(1, "a", true)]), [1]);
        assert_eq!(chosen(&[(1, "a", true), (2, "b", false)]), [1, 2]);
        assert_eq!(chosen(&[(1, "a", true), (2, "b", true), (3, "c", false)]), [1, 2, 3]);
        let four = [(1, "a", true), (2, "b", true), (3, "c", true), (4, "d", false)];
        assert_eq!(chosen(&four), [1, 2, 3], "nothing changes without need");
        let five = [(1, "a", true), (2, "b", true), (3, "c", true), (4, "a", false), (5, "b", false)];
        assert_eq!(chosen(&five), [1, 2, 3, 4, 5]);
    }

    #[test]
    fn no_site_has_two_of_three_while_there_are_three_sites() {
        let list = [(1, "a", true), (2, "a", true), (3, "b", true), (4, "c", false)];
        assert_eq!(chosen(&list), [1, 3, 4]);
    }

    #[test]
    fn no_site_has_three_of_five_while_there_are_three_sites() {
        let lopsided = [(1, "a", true), (2, "b", true), (3, "c", true), (4, "a", false), (5, "a", false)];
        assert_eq!(chosen(&lopsided), [1, 2, 3], "with 4 and 5, the loss of site a would end all changes");
        let back = lopsided.map(|(node, site, _)| (node, site, true));
        assert_eq!(chosen(&back), [1, 2, 3], "whoever votes too much stops");
        let [a, b, c, d, _] = lopsided;
        assert_eq!(chosen(&[a, b, c, d, (5, "d", false)]), [1, 2, 3, 4, 5]);
        let two_sites =
            lopsided.map(|(node, site, votes)| (node, if site == "c" { "b" } else { site }, votes));
        assert_eq!(chosen(&two_sites).len(), 5, "one of two sites decides anyway");
    }

    fn living(list: &[(u64, &str, bool)], lost: &[u64]) -> Vec<u64> {
        let lost = lost.iter().copied().map(NodeId).collect();
        choose_living(&candidates(list), &lost).into_iter().map(|node| node.0).collect()
    }

    #[test]
    fn another_votes_for_a_voter_that_is_lost() {
        let four = [(1, "a", true), (2, "b", true), (3, "c", true), (4, "d", false)];
        assert_eq!(living(&four, &[]), [1, 2, 3]);
        assert_eq!(living(&four, &[2]), [1, 3, 4]);
        assert_eq!(living(&four, &[4]), [1, 2, 3], "it does not vote");
        assert_eq!(living(&four, &[2, 3]), [1, 3, 4], "there is one other");
        let back = [(1, "a", true), (2, "b", false), (3, "c", true), (4, "d", true)];
        assert_eq!(living(&back, &[]), [1, 3, 4], "whoever is back learns");
    }

    #[test]
    fn nobody_votes_for_one_that_is_lost_where_that_would_make_it_worse() {
        assert_eq!(
            living(&[(1, "a", true), (2, "b", true), (3, "c", true)], &[2]),
            [1, 2, 3],
            "nobody is left"
        );
        let near = [(1, "a", true), (2, "b", true), (3, "c", true), (4, "a", false)];
        assert_eq!(living(&near, &[3]), [1, 2, 3], "the loss of site a would end all changes");
        assert_eq!(living(&near, &[1]), [2, 3, 4], "the same site");
        let five = [(1, "a", true), (2, "b", true), (3, "c", true), (4, "d", true), (5, "e", true)];
        assert_eq!(living(&five, &[5]), [1, 2, 3, 4, 5], "three of four that live are enough");
        assert_eq!(living(&[&five[..], &[(6, "e", false)]].concat(), &[5]), [1, 2, 3, 4, 6]);
    }

    #[test]
    fn two_sites_share_three_votes_as_evenly_as_they_can() {
        let list = [(1, "a", true), (2, "a", false), (3, "b", false), (4, "b", false)];
        let chosen = chosen(&list);
        assert_eq!(chosen.len(), 3);
        assert!(chosen.contains(&1) && chosen.contains(&3));
    }
}
