//! An edge follows one node of the cluster: hears what changes, and asks what it may not keep before it serves anything.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use cluster::EdgeNode;
use cluster::id::{AssetId, NodeId};
use futures_util::StreamExt;

use super::ask::{EdgeReport, Mark, Question, RECONCILED_AT_ONCE, Reply, Touched, ViewRight};
use super::{AskError, Edge, Gate, lock};

/// Between two nodes that do not answer.
const TRY_NEXT: Duration = Duration::from_millis(100);
/// Every node is told this often how the edge does.
const REPORT_EVERY: Duration = Duration::from_secs(1);
/// Views that are asked about again at once.
const ASKED_AGAIN: usize = 8;

/// Follows until the edge must stop; gives why.
pub(super) async fn follow(edge: Arc<Edge>) -> String {
    let mut after: Option<NodeId> = None;
    loop {
        let Some(node) = next_node(&edge.node.nodes(), after) else {
            tokio::time::sleep(TRY_NEXT).await;
            continue;
        };
        after = Some(node);
        let ended = follow_node(&edge, node).await;
        if let AskError::Net(error) = &ended
            && let Some(reason) = EdgeNode::must_stop(error)
        {
            return reason.to_owned();
        }
        tracing::debug!(%node, error = %ended, "a node of the cluster is not followed any longer");
        tokio::time::sleep(TRY_NEXT).await;
    }
}

/// The node after the one before, in a circle.
fn next_node(nodes: &[NodeId], after: Option<NodeId>) -> Option<NodeId> {
    let later = after.and_then(|after| nodes.iter().find(|node| **node > after));
    later.or_else(|| nodes.first()).copied()
}

/// Follows one node until it cannot be followed; gives why.
async fn follow_node(edge: &Arc<Edge>, node: NodeId) -> AskError {
    let mut mark: Option<Mark> = None;
    loop {
        match step(edge, node, mark).await {
            Ok(reached) => mark = Some(reached),
            Err(error) => return error,
        }
    }
}

async fn step(edge: &Arc<Edge>, node: NodeId, since: Option<Mark>) -> Result<Mark, AskError> {
    let (reply, _) = edge.ask_node(node, &Question::Follow { since }).await?;
    let Reply::Followed { mark, leads, now_ms, touched } = reply else {
        return Err(AskError::Nonsense("to a question what has changed".to_owned()));
    };
    if !leads {
        return Err(AskError::Failed("it knows of no leader".to_owned()));
    }
    edge.node.set_now_ms(now_ms);
    match touched {
        Some(touched) if since.is_some() => heard(edge, &touched).await?,
        _ => rejoin(edge, node).await?,
    }
    *lock(&edge.heard) = Some(Instant::now());
    Ok(mark)
}

/// Everything may have changed: nobody is served until it is known what must be forgotten, and every View is asked about
/// again before it goes on.
async fn rejoin(edge: &Arc<Edge>, node: NodeId) -> Result<(), AskError> {
    let before = edge.gate.send_replace(Gate::Shut);
    *edge.followed.write().unwrap_or_else(PoisonError::into_inner) = Some(node);
    if let Err(error) = reconcile(edge, edge.cache.held()).await {
        // Still away: running Views go on as before.
        edge.gate.send_replace(before);
        return Err(error);
    }
    let views = edge.rights.touch_all();
    edge.gate.send_replace(Gate::Open);
    tracing::info!(%node, "this edge follows the cluster");
    edge.warm_now.notify_one();
    ask_again(edge, views);
    Ok(())
}

async fn heard(edge: &Arc<Edge>, touched: &[Touched]) -> Result<(), AskError> {
    if touched.is_empty() {
        return Ok(());
    }
    let views = edge.rights.touch(touched);
    let held = edge.cache.held();
    let asked = if touched.contains(&Touched::Edges) {
        held
    } else {
        held.into_iter().filter(|(asset, _)| touched.contains(&Touched::Asset(*asset))).collect()
    };
    reconcile(edge, asked).await?;
    if touched.iter().any(|touched| matches!(touched, Touched::Asset(_) | Touched::Edges)) {
        edge.warm_now.notify_one();
    }
    ask_again(edge, views);
    Ok(())
}

/// Asks which of `held` must be forgotten, and forgets them.
async fn reconcile(edge: &Arc<Edge>, held: Vec<(AssetId, u64)>) -> Result<(), AskError> {
    for some in held.chunks(RECONCILED_AT_ONCE) {
        let question = Question::Reconcile { assets: some.to_vec() };
        let (Reply::Reconciled { gone, index }, _) = edge.ask(&question).await? else {
            return Err(AskError::Nonsense("to a question what to forget".to_owned()));
        };
        if gone.is_empty() {
            continue;
        }
        let forgetting = edge.clone();
        let forgotten = tokio::task::spawn_blocking(move || {
            for asset in gone {
                forgetting.forget_keys_of(asset);
                let views = forgetting.rights.touch_asset(asset);
                forgetting.cache.forget(asset, index);
                tracing::info!(%asset, views = views.len(), "an asset was purged from this edge");
            }
        });
        forgotten.await.map_err(|error| AskError::Failed(error.to_string()))?;
    }
    Ok(())
}

/// Running Views are asked about at once, so that an outage a moment later does not end those that may go on.
fn ask_again(edge: &Arc<Edge>, views: Vec<ViewRight>) {
    if views.is_empty() {
        return;
    }
    let edge = edge.clone();
    tokio::spawn(async move {
        let asking = futures_util::stream::iter(views).for_each_concurrent(ASKED_AGAIN, |right| {
            let edge = edge.clone();
            async move {
                // What comes of it is kept with the rights; whoever watches is told at their next request.
                drop(edge.authorise(&right).await);
            }
        });
        asking.await;
    });
}

/// Tells every node how the edge does, and learns of new ones.
pub(super) async fn report(edge: Arc<Edge>) {
    let mut round_trips: HashMap<NodeId, u32> = HashMap::new();
    loop {
        let began = Instant::now();
        let asked = edge.node.nodes().into_iter().map(|node| {
            let report = report_now(&edge, round_trips.get(&node).copied().unwrap_or(0));
            report_to(&edge, node, report)
        });
        let known = futures_util::future::join_all(asked).await;
        round_trips = known.iter().flatten().map(|(node, took, _)| (*node, *took)).collect();
        if let Some((_, _, nodes)) = known.into_iter().flatten().last() {
            let public = nodes.iter().map(|(_, _, public)| public.clone()).collect();
            *edge.public.write().unwrap_or_else(PoisonError::into_inner) = public;
            edge.node.set_nodes(nodes.into_iter().map(|(id, address, _)| (id, address)).collect());
        }
        edge.rights.forget_ended(edge.node.now_ms());
        tokio::time::sleep(REPORT_EVERY.saturating_sub(began.elapsed())).await;
    }
}

/// Gives how long the answer took, in microseconds, and the nodes of the cluster; none when there was no answer.
async fn report_to(edge: &Edge, node: NodeId, report: EdgeReport) -> Option<(NodeId, u32, Nodes)> {
    let (began, question) = (Instant::now(), Question::Report(report));
    let answer = tokio::time::timeout(REPORT_EVERY, edge.ask_node(node, &question)).await.ok()?.ok()?;
    let Reply::Noted { nodes } = answer.0 else { return None };
    Some((node, u32::try_from(began.elapsed().as_micros()).unwrap_or(u32::MAX), nodes))
}

/// Nodes, each with where edges and where people reach it.
type Nodes = Vec<(NodeId, String, String)>;

fn report_now(edge: &Edge, round_trip_us: u32) -> EdgeReport {
    EdgeReport {
        serving: *edge.gate.borrow() == Gate::Open,
        round_trip_us,
        held_bytes: edge.cache.bytes(),
        most_bytes: edge.cache.most_bytes(),
        views: u32::try_from(edge.rights.count()).unwrap_or(u32::MAX),
        up_ms: u64::try_from(edge.began.elapsed().as_millis()).unwrap_or(u64::MAX),
        warm: lock(&edge.warm).clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_tried_in_a_circle() {
        let nodes = [NodeId(1), NodeId(5), NodeId(9)];
        assert_eq!(next_node(&nodes, None), Some(NodeId(1)));
        assert_eq!(next_node(&nodes, Some(NodeId(5))), Some(NodeId(9)));
        assert_eq!(next_node(&nodes, Some(NodeId(9))), Some(NodeId(1)));
        assert_eq!(next_node(&nodes, Some(NodeId(7))), Some(NodeId(9)), "one that is gone");
        assert_eq!(next_node(&[], Some(NodeId(7))), None);
    }
}
