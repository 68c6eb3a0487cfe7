//! `cluster recover`: a stopped node goes on without nodes that are lost for good, when most of the voters are among them.
//! Without `--lost` it only looks. Works on the data folder, like `accept-loss`.

use std::collections::BTreeSet;

use clap::Args;
use cluster::cluster::{Reach, RecoverError, Recovered, Seen, Survivor};
use cluster::id::NodeId;

use super::confirm::Confirm;
use super::error::CliError;
use super::shown;
use super::stopped::StoppedNode;

/// Have the cluster go on with this stopped node, when most voters are lost for good; without --lost, show what is known.
#[derive(Debug, Args)]
pub(super) struct Recover {
    #[command(flatten)]
    node: StoppedNode,
    /// The nodes that are lost for good and must never be started again, e.g. 13,27.
    #[arg(long, value_name = "NODE", value_delimiter = ',')]
    lost: Vec<u64>,
    /// Why, for the audit log.
    #[arg(long, default_value = "", hide_default_value = true)]
    reason: String,
    /// The logs of other nodes that are left and do not answer were compared by hand: this one is the newest.
    #[arg(long)]
    compared: bool,
    #[command(flatten)]
    confirm: Confirm,
}

impl Recover {
    /// Carries it out.
    pub(super) async fn run(self) -> Result<(), CliError> {
        let seal = self.node.seal()?;
        let survivor = Survivor::open(self.node.settings(), &*seal).map_err(failed)?;
        let seen = survivor.look_around().await.map_err(failed)?;
        show_members(&survivor, &seen);
        if self.lost.is_empty() {
            seen.is_without_quorum().map_err(failed)?;
            self.propose(&survivor, &seen);
            return Ok(());
        }
        let lost: BTreeSet<NodeId> = self.lost.iter().copied().map(NodeId).collect();
        seen.may_recover(&lost, self.compared).map_err(failed)?;
        show_losses(&survivor, &lost);
        self.confirm.ask(&format!(
            "{} for good, and must never be started again; node {} goes on as the only voter.",
            goes(&lost),
            survivor.node()
        ))?;
        let me = survivor.node();
        let operator = operator();
        let done = survivor.recover(&seen, (&lost, self.compared), (self.reason.trim(), &operator)).await;
        let done = done.map_err(failed)?;
        self.show_next(me, &seen, &lost, done);
        Ok(())
    }

    /// What could be done, and how. Nothing is.
    fn propose(&self, survivor: &Survivor, seen: &Seen) {
        let silent = seen.silent();
        show_losses(survivor, &silent);
        shown::line(
            "Nothing was changed. With --lost this node becomes the only voter, and the cluster goes on without the lost nodes.",
        );
        shown::note(
            "Be sure that the lost machines are off and stay off: those that are only cut off may still be the cluster, elsewhere. \
             A node that can be started again is not lost.",
        );
        if seen.reach.len() > silent.len() {
            shown::note(
                "Other nodes are left. Take the one whose log ends with the greater term, then the greater record: it holds \
                 whatever the others have carried out, and they follow it by themselves.",
            );
        }
        shown::note(&format!(
            "If all that do not answer are lost for good: mediakeep cluster recover --dir {} --lost {} --reason TEXT",
            self.node.dir().display(),
            list(&silent, ",")
        ));
    }

    fn show_next(&self, me: NodeId, seen: &Seen, lost: &BTreeSet<NodeId>, done: Recovered) {
        let (term, record) = done.end;
        shown::line(&format!(
            "Node {me} goes on without {}. Its log ends with term {term}, record {record}. It will be audit record {}.",
            names(lost),
            done.audit_record
        ));
        shown::note("1. Start this node as usual: mediakeep run. It leads, and takes changes at once.");
        if seen.reach.keys().any(|node| !lost.contains(node)) {
            shown::note(
                "2. Start the other nodes that are left, or leave them running: they follow, and vote after some seconds.",
            );
        } else {
            shown::note("2. Nothing may fail now. Do the next steps today.");
        }
        shown::note(
            "3. Wipe the lost machines before they see the network again. Most of them together would still be the old cluster.",
        );
        shown::note(
            "4. Put new nodes in their places: mediakeep cluster token here, cluster join TOKEN there. Copies come by themselves.",
        );
        shown::note("5. Check: mediakeep cluster status, mediakeep audit verify. Take a backup.");
    }
}

fn failed(error: RecoverError) -> CliError {
    CliError::Recovery(error.to_string())
}

fn list(nodes: &BTreeSet<NodeId>, between: &str) -> String {
    nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(between)
}

fn names(nodes: &BTreeSet<NodeId>) -> String {
    format!("node{} {}", if nodes.len() == 1 { "" } else { "s" }, list(nodes, ", "))
}

fn goes(lost: &BTreeSet<NodeId>) -> String {
    if lost.len() == 1 {
        format!("Node {} goes", list(lost, ", "))
    } else {
        format!("Nodes {} go", list(lost, ", "))
    }
}

/// Who is a member, and who of them is there.
fn show_members(survivor: &Survivor, seen: &Seen) {
    let state = survivor.state();
    let (term, record) = survivor.position().end();
    shown::line(&format!(
        "The log of node {} ends with term {term}, record {record}, of {}.",
        survivor.node(),
        shown::time(state.time_ms())
    ));
    let votes =
        |node: NodeId| if seen.voters.iter().any(|voters| voters.contains(&node)) { "yes" } else { "no" };
    let row = |node: &std::sync::Arc<cluster::state::Node>| {
        let now = match seen.reach.get(&node.id) {
            None => "this node".to_owned(),
            Some(Reach::Answers(None)) => "answers".to_owned(),
            Some(Reach::Answers(Some(position))) => {
                let (term, record) = position.end();
                format!("answers: its log ends with term {term}, record {record}")
            }
            Some(Reach::Silent(reason)) => format!("does not answer: {}", shown::safe(reason)),
        };
        vec![
            node.id.to_string(),
            shown::safe(&node.name),
            shown::safe(&node.site),
            votes(node.id).to_owned(),
            now,
        ]
    };
    let rows: Vec<_> = state.nodes().map(row).collect();
    shown::table(&["NODE", "NAME", "SITE", "VOTES", "NOW"], &rows);
}

/// What may be gone with them.
fn show_losses(survivor: &Survivor, lost: &BTreeSet<NodeId>) {
    let kept = survivor.kept(lost);
    shown::line(&match kept.assets - kept.with_copies {
        0 => format!("All {} assets have a copy on a node that is left.", kept.assets),
        gone => {
            format!("Of {} assets, {gone} have no copy on a node that is left: these are lost.", kept.assets)
        }
    });
    shown::note(
        "What the lost nodes agreed to after the last record of this log is lost, though it was acknowledged: changes, sign-ins, \
         withdrawn rights, and videos uploaded meanwhile.",
    );
    for (node, record) in survivor.signed_beyond() {
        let last = survivor.state().chain_head().sequence;
        shown::line(&format!(
            "Node {node} has signed audit records up to {record}; this node has them up to {last}: something is lost, and \
             `audit verify` will say so."
        ));
    }
}

/// Whoever runs this, by the word of the machine.
fn operator() -> String {
    let named = ["SUDO_USER", "LOGNAME", "USER"].into_iter().find_map(|name| std::env::var(name).ok());
    let named = named.unwrap_or_default();
    let named: String = named.chars().filter(|character| !character.is_control()).take(100).collect();
    format!("{named} (uid {})", rustix::process::getuid().as_raw()).trim().to_owned()
}
