//! Whether a cluster may go on without some nodes: a pure judgement of what was seen.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::Position;
use crate::cluster::{MissingRange, OpenError};
use crate::id::NodeId;
use crate::refusal::Refusal;

/// What came of asking one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// It is there, and says where it stands, unless it is of a release that does not.
    Answers(Option<Position>),
    /// It could not be reached, and why.
    Silent(String),
}

/// The members as a stopped node sees them.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The node that looks.
    pub me: NodeId,
    /// Where it stands.
    pub position: Position,
    /// All nodes it knows, with the level of what each of them runs.
    pub nodes: BTreeMap<NodeId, u32>,
    /// Who votes. While the voters change there are two lists, and most of each must agree.
    pub voters: Vec<BTreeSet<NodeId>>,
    /// What came of asking the others.
    pub reach: BTreeMap<NodeId, Reach>,
}

/// Why a cluster is not made to go on. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// It is no stopped node.
    #[error("a node runs on {}. Stop it first: only a stopped node can be made to go on without the others; nothing was changed", .0.display())]
    Runs(PathBuf),
    /// There are no others.
    #[error(
        "this node needs nobody: by its own log it is the only voter. Start it as usual; nothing was changed"
    )]
    Alone,
    /// Others have removed it, or it was never complete.
    #[error(
        "this node is none of the cluster any more: it was removed, or others have gone on without it. Empty its folder and let it \
         join with a new token; nothing was changed"
    )]
    NoMember,
    /// It is an old disk.
    #[error(
        "a newer start of this node is known to the others: this is a copy of its disk, or an old disk; nothing was changed"
    )]
    Copy,
    /// Acknowledged records are missing here.
    #[error(
        "this node lost the log records {missing}, which it had agreed to ({reasons}). Take another node that is left, or \
         restore the cluster from a backup; nothing was changed"
    )]
    Damaged {
        /// What is lost.
        missing: MissingRange,
        /// Why.
        reasons: String,
    },
    /// Somebody leads.
    #[error("nothing is lost: node {0} leads. Start this node as usual; nothing was changed")]
    Led(NodeId),
    /// A majority is there.
    #[error(
        "nothing is lost: with this node, most voters can be reached ({}). Start this node as usual; nothing was changed",
        list(.0)
    )]
    MajorityThere(Vec<NodeId>),
    /// It names itself.
    #[error("node {0} is this node: it cannot be lost; nothing was changed")]
    LostIsHere(NodeId),
    /// It names strangers.
    #[error("there is no node {0}; nothing was changed")]
    LostIsUnknown(NodeId),
    /// It names one that is there.
    #[error(
        "node {0} is named lost and answers. Name only nodes that are lost for good; nothing was changed"
    )]
    LostAnswers(NodeId),
    /// It leaves out one that is needed.
    #[error(
        "without those named lost, most voters are still left ({}). Start them instead, or name every node that is lost for good; \
         nothing was changed",
        list(.0)
    )]
    TooFewLost(Vec<NodeId>),
    /// Another one may hold more.
    #[error(
        "node {node} is left and cannot be asked where its log ends ({reason}). Start it, so that this can be compared; or compare by \
         hand: have `cluster recover` inspect it, take the node whose log ends with the greater term, then the greater record, and \
         say --compared; or name it lost, if it is. Nothing was changed"
    )]
    Unheard {
        /// Which.
        node: NodeId,
        /// Why not.
        reason: String,
    },
    /// Another one holds more.
    #[error(
        "the log of node {node} is newer: it ends with term {}, record {}; this one ends with term {}, record {}. Start this node, \
         and recover node {node} instead; nothing was changed",
        theirs.0, theirs.1, ours.0, ours.1
    )]
    Newer {
        /// Which.
        node: NodeId,
        /// Where its log ends.
        theirs: (u64, u64),
        /// Where this one's ends.
        ours: (u64, u64),
    },
    /// Another one would not understand.
    #[error("node {0} runs a version that does not know recovery. Update it first; nothing was changed")]
    TooOld(NodeId),
    /// The rules refuse it.
    #[error("this is refused: {0}; nothing was changed")]
    Refused(#[from] Refusal),
    /// The folder cannot be read.
    #[error(transparent)]
    Open(#[from] OpenError),
}

fn list(nodes: &[NodeId]) -> String {
    let nodes: Vec<String> = nodes.iter().map(ToString::to_string).collect();
    format!("node{} {}", if nodes.len() == 1 { "" } else { "s" }, nodes.join(", "))
}

impl Seen {
    /// Those of the others that say where they stand.
    pub fn positions(&self) -> impl Iterator<Item = (NodeId, Position)> {
        self.reach.iter().filter_map(|(node, reach)| match reach {
            Reach::Answers(position) => position.map(|position| (*node, position)),
            Reach::Silent(_) => None,
        })
    }

    /// Those that do not answer: lost, or only away.
    #[must_use]
    pub fn silent(&self) -> BTreeSet<NodeId> {
        let silent = self.reach.iter().filter(|(_, reach)| matches!(reach, Reach::Silent(_)));
        silent.map(|(node, _)| *node).collect()
    }

    /// Whether there is anything to recover from.
    ///
    /// # Errors
    /// [`RecoverError`] when most voters are there, or somebody leads.
    pub fn is_without_quorum(&self) -> Result<(), RecoverError> {
        if self.is_quorum(|node| node == self.me) {
            return Err(RecoverError::Alone);
        }
        if let Some(leader) = self.positions().find_map(|(_, position)| position.leader) {
            return Err(RecoverError::Led(leader));
        }
        let there = |node| node == self.me || matches!(self.reach.get(&node), Some(Reach::Answers(_)));
        if self.is_quorum(there) {
            return Err(RecoverError::MajorityThere(
                self.all_voters().into_iter().filter(|node| there(*node)).collect(),
            ));
        }
        Ok(())
    }

    /// Whether this node may go on without the nodes `lost`. `compared` says that the operator has compared the logs of those
    /// that are left and cannot be asked.
    ///
    /// # Errors
    /// [`RecoverError`] says what is in the way.
    pub fn may_recover(&self, lost: &BTreeSet<NodeId>, compared: bool) -> Result<(), RecoverError> {
        self.is_without_quorum()?;
        for node in lost {
            match self.reach.get(node) {
                _ if *node == self.me => return Err(RecoverError::LostIsHere(*node)),
                None => return Err(RecoverError::LostIsUnknown(*node)),
                Some(Reach::Answers(_)) => return Err(RecoverError::LostAnswers(*node)),
                Some(Reach::Silent(_)) => {}
            }
        }
        // A voter that was removed is none that could be started.
        let is_left = |node| self.nodes.contains_key(&node) && !lost.contains(&node);
        if self.is_quorum(is_left) {
            return Err(RecoverError::TooFewLost(
                self.all_voters().into_iter().filter(|node| is_left(*node)).collect(),
            ));
        }
        for (node, reach) in self.reach.iter().filter(|(node, _)| !lost.contains(node)) {
            self.is_newest(*node, reach, compared)?;
            if self.nodes.get(node).is_none_or(|level| *level < RECOVER_LEVEL) {
                return Err(RecoverError::TooOld(*node));
            }
        }
        Ok(())
    }

    /// The log with the newer end holds whatever the other node has carried out: the rule by which voters elect.
    fn is_newest(&self, node: NodeId, reach: &Reach, compared: bool) -> Result<(), RecoverError> {
        let reason = match reach {
            Reach::Answers(Some(position)) if position.last > self.position.last => {
                let (theirs, ours) = (position.end(), self.position.end());
                return Err(RecoverError::Newer { node, theirs, ours });
            }
            Reach::Answers(Some(_)) => return Ok(()),
            Reach::Answers(None) => "it runs a version that does not say",
            Reach::Silent(reason) => reason,
        };
        if compared { Ok(()) } else { Err(RecoverError::Unheard { node, reason: reason.to_owned() }) }
    }

    fn is_quorum(&self, has: impl Fn(NodeId) -> bool) -> bool {
        self.voters.iter().all(|voters| voters.iter().filter(|node| has(**node)).count() * 2 > voters.len())
    }

    fn all_voters(&self) -> BTreeSet<NodeId> {
        self.voters.iter().flatten().copied().collect()
    }
}

/// What whoever follows a recovered cluster must understand.
const RECOVER_LEVEL: u32 = 1;

#[cfg(test)]
mod tests {
    use openraft::CommittedLeaderId;

    use super::*;
    use crate::raft::types::LogId;

    fn at(term: u64, index: u64) -> Position {
        let last = Some(LogId::new(CommittedLeaderId::new(term, 1), index));
        Position { last, term, leader: None }
    }

    fn nodes(ids: &[u64]) -> BTreeSet<NodeId> {
        ids.iter().copied().map(NodeId).collect()
    }

    /// Node 1 of so many, all of which vote, at term 5, record 90. Of the others those answer that are given.
    fn seen(voters: u64, answers: &[(u64, Position)]) -> Seen {
        let silent = (2..=voters).map(|node| (NodeId(node), Reach::Silent("no route".to_owned())));
        let mut reach: BTreeMap<NodeId, Reach> = silent.collect();
        reach.extend(answers.iter().map(|(node, position)| (NodeId(*node), Reach::Answers(Some(*position)))));
        let nodes = (1..=voters).map(|node| (NodeId(node), 1)).collect();
        let voters = vec![(1..=voters).map(NodeId).collect()];
        Seen { me: NodeId(1), position: at(5, 90), nodes, voters, reach }
    }

    fn said(result: Result<(), RecoverError>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn one_of_three_goes_on_without_two() {
        let seen = seen(3, &[]);
        assert_eq!(seen.silent(), nodes(&[2, 3]));
        seen.may_recover(&nodes(&[2, 3]), false).unwrap();
        assert!(said(seen.may_recover(&nodes(&[1, 2, 3]), false)).starts_with("node 1 is this node"));
        assert!(said(seen.may_recover(&nodes(&[2, 3, 4]), false)).starts_with("there is no node 4"));
        assert!(
            said(seen.may_recover(&nodes(&[3]), false)).contains("most voters are still left (nodes 1, 2)")
        );
        assert!(
            matches!(seen.may_recover(&nodes(&[]), true), Err(RecoverError::TooFewLost(left)) if left.len() == 3)
        );
    }

    #[test]
    fn what_still_has_a_majority_or_a_leader_is_not_recovered() {
        let two = seen(3, &[(2, at(5, 90))]);
        assert!(said(two.is_without_quorum()).contains("most voters can be reached (nodes 1, 2)"));
        let led = Position { leader: Some(NodeId(4)), ..at(5, 90) };
        assert!(said(seen(5, &[(2, led)]).is_without_quorum()).contains("node 4 leads"));
        assert!(matches!(seen(1, &[]).is_without_quorum(), Err(RecoverError::Alone)));
    }

    #[test]
    fn while_the_voters_change_most_of_both_lists_are_needed() {
        let mut changing = seen(3, &[(2, at(5, 90))]);
        changing.voters = vec![nodes(&[1, 2, 3]), nodes(&[1, 3, 4])];
        changing.nodes.insert(NodeId(4), 1);
        changing.reach.insert(NodeId(4), Reach::Silent("no route".to_owned()));
        changing.is_without_quorum().unwrap();
        changing.may_recover(&nodes(&[3, 4]), false).unwrap();
        assert!(matches!(changing.may_recover(&nodes(&[4]), true), Err(RecoverError::TooFewLost(_))));
        // A voter that State has removed can neither be started nor named.
        changing.nodes.remove(&NodeId(4));
        changing.reach.remove(&NodeId(4));
        changing.may_recover(&nodes(&[3]), false).unwrap();
    }

    #[test]
    fn of_those_that_are_left_the_one_with_the_newest_log_goes_on() {
        let lost = nodes(&[3, 4, 5]);
        for behind in [at(5, 90), at(5, 7), at(4, 400)] {
            seen(5, &[(2, behind)]).may_recover(&lost, false).unwrap();
        }
        for ahead in [at(5, 91), at(6, 2)] {
            assert!(
                said(seen(5, &[(2, ahead)]).may_recover(&lost, true)).contains("the log of node 2 is newer")
            );
        }
        assert!(
            said(seen(5, &[(2, at(5, 7)), (3, at(5, 7))]).may_recover(&lost, true)).contains("most voters")
        );
        let silent = seen(5, &[]);
        assert!(said(silent.may_recover(&lost, false)).contains("node 2 is left and cannot be asked"));
        silent.may_recover(&lost, true).unwrap();
        silent.may_recover(&nodes(&[2, 3, 4, 5]), false).unwrap();
    }

    #[test]
    fn a_lost_node_is_silent_and_those_that_are_left_understand() {
        let mut seven = seen(7, &[(2, at(5, 7)), (3, at(5, 7))]);
        assert!(
            said(seven.may_recover(&nodes(&[3, 4, 5, 6, 7]), false))
                .contains("node 3 is named lost and answers")
        );
        let lost = nodes(&[4, 5, 6, 7]);
        seven.may_recover(&lost, false).unwrap();
        seven.nodes.insert(NodeId(2), 0);
        assert!(said(seven.may_recover(&lost, false)).contains("node 2 runs a version"));
    }
}
