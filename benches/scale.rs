//! State at scale: how much memory an asset takes, how long proposals and lists wait, quietly and while a snapshot is
//! taken, and how soon a node is ready again.
//!
//! `scale DIR ASSETS` opens or makes the node in DIR, brings it to so many assets, measures, and prints one JSON line.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use cluster::actor::Actor;
use cluster::command::{
    AccessCommand, AssetCommand, AssetPatch, AuditCommand, BlobKind, Command, MediaFacts, PasswordHash,
    SecretHash,
};
use cluster::id::{ApplicationId, AssetId, BlobId, SessionId, UserId};
use cluster::seal::KeyFileSeal;
use cluster::state::{AssetQuery, Shelf, Sort};
use cluster::{Cluster, ClusterConfig};
use tokio::task::JoinSet;

/// Assets made at one time.
const TOGETHER: usize = 512;
/// Proposals and lists measured in one go.
const MEASURED: usize = 2_000;
/// The log while assets are made: cut once at the end instead of every few thousand assets.
const LOG_WHILE_FILLING: u64 = 1 << 40;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let [dir, assets] = arguments.as_slice() else { anyhow::bail!("usage: scale DIR ASSETS") };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(run(Path::new(dir), assets.parse()?))
}

#[expect(clippy::print_stdout, reason = "one JSON line is what it is run for")]
async fn run(dir: &Path, assets: usize) -> anyhow::Result<()> {
    std::fs::create_dir_all(dir)?;
    let began = Instant::now();
    let cluster = open(dir).await?;
    note(&cluster).await?;
    let ready = began.elapsed();
    let found = count(&cluster);
    let rss_ready = rss_bytes()?;
    let began = Instant::now();
    let home = Home::of(&cluster).await?;
    let missing = assets.saturating_sub(found);
    fill(&cluster, &home, found, missing).await?;
    let filled = began.elapsed();
    cluster.cut_log(0).await?;

    let quiet = latencies::<()>(&cluster, &home, None).await?;
    let snapshot = {
        let cluster = cluster.clone();
        tokio::spawn(async move {
            let began = Instant::now();
            cluster.cut_log(0).await.map(|()| began.elapsed())
        })
    };
    let busy = latencies(&cluster, &home, Some(&snapshot)).await?;
    let snapshot = snapshot.await??;
    println!(
        "{}",
        serde_json::json!({
            "assets": count(&cluster), "found": found, "ready_seconds": ready.as_secs_f64(), "rss_ready_bytes": rss_ready,
            "fill_seconds": filled.as_secs_f64(), "rss_bytes": rss_bytes()?, "quiet": quiet, "snapshot": busy,
            "snapshot_seconds": snapshot.as_secs_f64(),
        })
    );
    cluster.shutdown().await;
    Ok(())
}

async fn open(dir: &Path) -> anyhow::Result<Cluster> {
    let data = dir.join("data");
    let mut config = ClusterConfig::new(&data, "one", "s1");
    config.log_bytes = LOG_WHILE_FILLING;
    std::fs::create_dir_all(&data)?;
    let seal = Arc::new(KeyFileSeal::new(dir.join("node.key"), &data)?);
    if ClusterConfig::is_initialised(&data) {
        return Ok(Cluster::open(config, seal).await?);
    }
    let (cluster, _) = Cluster::create(config, seal).await?;
    let claim = AccessCommand::Claim {
        user: UserId::generate(),
        username: "ada".to_owned(),
        password_hash: PasswordHash(
            "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaGhhc2g".to_owned(),
        ),
        application: ApplicationId::generate(),
        application_name: "Films".to_owned(),
    };
    let node = Actor::system(cluster.node_id());
    cluster.propose(Actor::anonymous(None, "claim"), claim.into()).await?;
    let user = cluster.state().user_by_name("ada").context("claimed")?.id;
    let session = AccessCommand::CreateSession {
        session: SessionId::generate(),
        user,
        secret_hash: SecretHash([7; 32]),
        expires_ms: cluster.now_ms() + 30 * 24 * 3_600_000,
        user_agent: "a browser".to_owned(),
    };
    cluster.propose(node, session.into()).await?;
    Ok(cluster)
}

/// Where assets are made, and by whom.
#[derive(Debug, Clone)]
struct Home {
    application: ApplicationId,
    owner: Actor,
    node: Actor,
}

impl Home {
    async fn of(cluster: &Cluster) -> anyhow::Result<Self> {
        let state = cluster.linearizable().await?;
        let user = state.user_by_name("ada").context("claimed")?.id;
        let session = state.sessions_of(user).next().context("signed in")?.id;
        let application = state.applications_by_name().next().context("an application")?.id;
        Ok(Self { application, owner: Actor::user(user, session), node: Actor::system(cluster.node_id()) })
    }
}

async fn fill(cluster: &Cluster, home: &Home, from: usize, count: usize) -> anyhow::Result<()> {
    let mut making = JoinSet::new();
    for number in from..from + count {
        if making.len() >= TOGETHER {
            making.join_next().await.context("one is being made")???;
        }
        making.spawn(make(cluster.clone(), home.clone(), number));
    }
    while let Some(made) = making.join_next().await {
        made??;
    }
    Ok(())
}

/// One asset as it stands when it has been uploaded, processed, described and published.
async fn make(cluster: Cluster, home: Home, number: usize) -> anyhow::Result<()> {
    let (asset, original, manifest) = (AssetId::generate(), BlobId::generate(), BlobId::generate());
    let (_, wrapped_key, key_epoch) = cluster.keys().new_data_key(asset)?;
    let length = 1_000_000 + number as u64;
    let seal = |blob, hash| AssetCommand::SealBlob { asset, blob, epoch: 1, length, hash: [hash; 32] };
    let patch = AssetPatch { tags: Some(vec![format!("term {}", number % 20)]), ..AssetPatch::default() };
    let by_owner = AssetCommand::Create {
        asset,
        application: home.application,
        title: format!("Lecture {number:07} of the summer term"),
        file_name: format!("lecture_{number:07}.mp4"),
        media_type: "video/mp4".to_owned(),
        declared_length: Some(length),
        wrapped_key,
        key_epoch,
        original,
    };
    cluster.propose(home.owner.clone(), by_owner.into()).await?;
    let facts = MediaFacts {
        duration_ms: 60_000,
        top_height: 720,
        has_video: true,
        has_audio: true,
        stored_bytes: length,
    };
    let by_node = [
        seal(original, 3),
        AssetCommand::UploadFinished { asset, length, sha256: [9; 32] },
        AssetCommand::OpenBlob {
            asset,
            blob: manifest,
            kind: BlobKind::Manifest,
            label: "manifest".to_owned(),
            fence: None,
        },
        seal(manifest, 4),
        AssetCommand::SetManifest {
            asset,
            blob: manifest,
            hash: [4; 32],
            length,
            replaces: None,
            facts,
            fence: None,
        },
    ];
    for command in by_node {
        cluster.propose(home.node.clone(), command.into()).await?;
    }
    let published = AssetCommand::Publish { asset, published: true, from_ms: None, until_ms: None };
    cluster.propose(home.owner.clone(), AssetCommand::Describe { asset, patch }.into()).await?;
    cluster.propose(home.owner, published.into()).await?;
    Ok(())
}

/// Latencies of single proposals and lists, taken in turn; while `during` runs when given, else a fixed number.
async fn latencies<T>(
    cluster: &Cluster,
    home: &Home,
    during: Option<&tokio::task::JoinHandle<T>>,
) -> anyhow::Result<serde_json::Value> {
    let (mut proposals, mut lists) = (Vec::new(), Vec::new());
    let assets: Vec<AssetId> = cluster.state().assets_by_id(None).map(|asset| asset.id).collect();
    let shelves = [Shelf::Live(home.application), Shelf::Published(home.application)];
    while during.map_or(proposals.len() < MEASURED, |task| !task.is_finished() || proposals.is_empty()) {
        let asset = assets[rand::random_range(0..assets.len())];
        let description = format!("described {} times before", proposals.len());
        let patch = AssetPatch { description: Some(description), ..AssetPatch::default() };
        let began = Instant::now();
        cluster.propose(home.owner.clone(), AssetCommand::Describe { asset, patch }.into()).await?;
        proposals.push(began.elapsed());
        for (shelf, sort) in shelves.iter().zip([Sort::NEWEST, Sort::TITLE]) {
            let began = Instant::now();
            let query = AssetQuery { shelf: shelf.clone(), sort, after: None, limit: 50 };
            anyhow::ensure!(
                !cluster.state().list_assets(&query, |_| true).assets.is_empty(),
                "nothing is listed"
            );
            lists.push(began.elapsed());
        }
    }
    Ok(serde_json::json!({
        "proposals": proposals.len(),
        "propose_p50_ms": quantile_ms(&mut proposals, 0.5), "propose_p99_ms": quantile_ms(&mut proposals, 0.99),
        "list_p50_ms": quantile_ms(&mut lists, 0.5), "list_p99_ms": quantile_ms(&mut lists, 0.99),
    }))
}

fn quantile_ms(all: &mut [Duration], share: f64) -> f64 {
    all.sort_unstable();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    let place = ((all.len() as f64 * share).ceil() as usize).clamp(1, all.len()) - 1;
    all.get(place).map_or(0.0, |took| took.as_secs_f64() * 1e3)
}

/// A change that touches nothing but the audit log.
async fn note(cluster: &Cluster) -> anyhow::Result<()> {
    let note = Command::Audit(AuditCommand::Record {
        action: "bench.note".to_owned(),
        target: "nothing".to_owned(),
        application: None,
        result: "ok".to_owned(),
        details: std::collections::BTreeMap::new(),
    });
    cluster.propose(Actor::system(cluster.node_id()), note).await?;
    Ok(())
}

fn count(cluster: &Cluster) -> usize {
    let state = cluster.state();
    state.assets_by_id(None).count()
}

fn rss_bytes() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse::<u64>()? * 1024)
}
