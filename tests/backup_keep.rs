//! How long a backup is kept, by a clock that is turned on: there on day 29, gone after day 30, and what a kept one names
//! stays. And what is restored is State as it was at the run's index, not as it became. By the same clock: how long an asset
//! is kept by its collection.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use cluster::actor::Actor;
use cluster::backup::{FolderTarget, Marker, Restore};
use cluster::clock::Clock;
use cluster::command::{
    AccessCommand, AssetCommand, AssetPatch, BackupCommand, BackupKind, BlobKind, Command, PasswordHash,
    SecretHash, TargetPlace, TargetSettings,
};
use cluster::id::{
    ApplicationId, AssetId, BackupRunId, BackupTargetId, BlobId, CollectionId, SessionId, UserId,
};
use cluster::recovery::RecoveryKey;
use cluster::seal::KeyFileSeal;
use cluster::state::RunState;
use cluster::{Cluster, ClusterConfig};
use rand::RngExt;

const START_MS: u64 = 1_800_000_000_000;
const MINUTE_MS: u64 = 60 * 1000;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const DAY_MS: u64 = 24 * HOUR_MS;
const TARGET: BackupTargetId = BackupTargetId([1; 16]);
const APPLICATION: ApplicationId = ApplicationId([1; 16]);
const OWNER: UserId = UserId([1; 16]);

/// Two clocks that only move when told to, together.
#[derive(Debug, Default)]
struct Hands(AtomicU64);

impl Clock for Hands {
    fn wall_ms(&self) -> u64 {
        START_MS + self.0.load(Ordering::SeqCst)
    }
    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::SeqCst))
    }
}

struct World {
    hands: Arc<Hands>,
    cluster: Cluster,
    recovery: RecoveryKey,
    folder: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("place")).unwrap();
        let hands = Arc::new(Hands::default());
        let mut config = ClusterConfig::new(folder.path().join("data"), "one", "home");
        config.clock = hands.clone();
        let (cluster, secrets) = Cluster::create(config, seal(folder.path(), "data")).await.unwrap();
        let world = Self { hands, cluster, recovery: secrets.recovery_key, folder };
        let hash = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaGhhc2g";
        world
            .node(AccessCommand::Claim {
                user: OWNER,
                username: "ada".to_owned(),
                password_hash: PasswordHash(hash.to_owned()),
                application: APPLICATION,
                application_name: "Films".to_owned(),
            })
            .await;
        world.until("what the node runs is known", |world| world.cluster.state().level() > 0).await;
        Marker::of(world.cluster.state().cluster_info().unwrap().id, TARGET)
            .claim(&FolderTarget::open(&world.place()).unwrap(), |_| true)
            .await
            .unwrap();
        world.set_target(30).await;
        world
    }

    fn place(&self) -> PathBuf {
        self.folder.path().join("place")
    }

    async fn node(&self, command: impl Into<Command>) {
        let actor = Actor::system(self.cluster.node_id());
        self.cluster.propose(actor, command.into()).await.unwrap();
    }

    /// Proposes as the cluster admin.
    async fn owner(&self, command: impl Into<Command>) {
        let number: [u8; 16] = rand::rng().random();
        let (session, mut hash) = (SessionId(number), [0; 32]);
        hash[..16].copy_from_slice(&number);
        self.node(AccessCommand::CreateSession {
            session,
            user: OWNER,
            secret_hash: SecretHash(hash),
            expires_ms: self.cluster.now_ms() + HOUR_MS,
            user_agent: "test".to_owned(),
        })
        .await;
        self.cluster.propose(Actor::user(OWNER, session), command.into()).await.unwrap();
    }

    fn settings(&self, keep_days: u16) -> TargetSettings {
        TargetSettings {
            name: "disk".to_owned(),
            place: TargetPlace::Folder { path: self.place().display().to_string() },
            keep_days,
            daily_at_minute: None,
            node: None,
        }
    }

    /// Also wakes whoever looks at backups.
    async fn set_target(&self, keep_days: u16) {
        let settings = self.settings(keep_days);
        self.owner(BackupCommand::SetTarget { target: TARGET, settings, secret: None }).await;
    }

    fn later(&self, ms: u64) {
        self.hands.0.fetch_add(ms, Ordering::SeqCst);
    }

    /// An asset with a complete original.
    async fn asset(&self, number: u8, title: &str) -> AssetId {
        let (asset, blob) = (AssetId([number; 16]), BlobId([number; 16]));
        let (key, wrapped_key, key_epoch) = self.cluster.keys().new_data_key(asset).unwrap();
        let bytes = Bytes::from(vec![number; 200_000]);
        let length = bytes.len() as u64;
        self.owner(AssetCommand::Create {
            asset,
            application: APPLICATION,
            title: title.to_owned(),
            file_name: "film.mp4".to_owned(),
            media_type: "video/mp4".to_owned(),
            declared_length: Some(length),
            wrapped_key,
            key_epoch,
            original: blob,
        })
        .await;
        let writer = self.cluster.bytes().create(asset, blob, BlobKind::Original, 1, &key).await.unwrap();
        writer.append(bytes).await.unwrap();
        let sealed = writer.seal().await.unwrap();
        self.node(AssetCommand::SealBlob { asset, blob, epoch: 1, length: sealed.length, hash: sealed.hash })
            .await;
        self.node(AssetCommand::UploadFinished { asset, length, sha256: [number; 32] }).await;
        asset
    }

    async fn until(&self, what: &str, done: impl Fn(&Self) -> bool) {
        let began = Instant::now();
        while !done(self) {
            assert!(
                began.elapsed() < Duration::from_secs(60),
                "{what} did not come about: {:?}",
                self.cluster.state().backup_runs()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn backup(&self) -> BackupRunId {
        let (run, node) = (BackupRunId::generate(), self.cluster.node_id());
        self.node(BackupCommand::Begin { run, target: TARGET, node, kind: BackupKind::Copy }).await;
        self.until("the backup", |world| {
            world.cluster.state().backup_run(run).unwrap().state != RunState::Running
        })
        .await;
        let state = self.cluster.state();
        let result =
            state.backup_run(run).unwrap().whole().unwrap_or_else(|| panic!("{:?}", state.backup_run(run)));
        assert_eq!(result.flaw_count, 0, "{result:?}");
        run
    }

    /// Restores one run: State as it was at its index, and every byte of its originals.
    async fn restored(&self, run: BackupRunId, expected: &[(AssetId, &str)]) {
        let name = format!("restored-{run}");
        let config = ClusterConfig::new(self.folder.path().join(&name), "two", "elsewhere");
        let seal = seal(self.folder.path(), &name);
        let restore = Restore {
            target: Arc::new(FolderTarget::open(&self.place()).unwrap()),
            recovery: RecoveryKey::parse(&self.recovery.to_text()).unwrap(),
            run: Some(run),
            config: config.clone(),
            seal: seal.clone(),
        };
        let report = restore.carry_out(&|_| {}).await.unwrap();
        assert_eq!((report.missing_count, report.blobs.0), (0, expected.len() as u64), "{report:?}");
        let cluster = Cluster::open(config, seal).await.unwrap();
        let state = cluster.state();
        assert_eq!(cluster.node_id(), report.node);
        assert!(report.node.0 > report.header.index, "no node of the old cluster had its number");
        assert_ne!(state.cluster_info().unwrap().id, self.cluster.state().cluster_info().unwrap().id);
        let titles: Vec<_> = state.assets_by_id(None).map(|asset| (asset.id, asset.title.as_str())).collect();
        assert_eq!(titles, expected);
        for asset in state.assets_by_id(None) {
            let key = cluster.keys().open_data_key(&asset.wrapped_key, asset.id, asset.key_epoch).unwrap();
            let reader = cluster.bytes().reader(asset.id, asset.original, &key).await.unwrap();
            let bytes = reader.read(0, 200_000).await.unwrap();
            assert!(bytes.len() == 200_000 && bytes.iter().all(|byte| *byte == asset.id.0[0]));
        }
        cluster.shutdown().await;
    }

    fn is_there(&self, run: BackupRunId) -> bool {
        self.place().join(format!("runs/{run}/manifest")).exists()
    }

    fn blobs(&self, asset: AssetId) -> usize {
        std::fs::read_dir(self.place().join(format!("blobs/{asset}"))).map_or(0, Iterator::count)
    }
}

fn seal(folder: &Path, name: &str) -> Arc<KeyFileSeal> {
    let key = folder.join(format!("{name}.key"));
    Arc::new(KeyFileSeal::new(key, &folder.join(name)).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_is_there_on_day_29_and_gone_after_day_30_with_what_only_it_names() {
    let world = World::new().await;
    let (kept, dropped) = (world.asset(1, "kept").await, world.asset(2, "dropped").await);
    let first = world.backup().await;
    let patch = AssetPatch { title: Some("renamed since".to_owned()), ..AssetPatch::default() };
    world.owner(AssetCommand::Describe { asset: kept, patch }).await;
    world.restored(first, &[(kept, "kept"), (dropped, "dropped")]).await;
    world.owner(AssetCommand::Trash { asset: dropped }).await;
    world.owner(AssetCommand::Purge { asset: dropped }).await;
    world.cluster.blobs().remove(dropped).await.unwrap();
    world.later(DAY_MS);
    let second = world.backup().await;
    world.restored(second, &[(kept, "renamed since")]).await;
    assert_eq!((world.blobs(kept), world.blobs(dropped)), (1, 1));

    world.later(28 * DAY_MS);
    world.set_target(30).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(world.is_there(first) && world.blobs(dropped) == 1, "day 29");

    world.later(DAY_MS + 1);
    world.set_target(30).await;
    world
        .until("the note", |world| {
            let state = world.cluster.state();
            matches!(state.backup_run(first).unwrap().state, RunState::Done { noted_due_ms: Some(_), .. })
        })
        .await;
    assert!(world.is_there(first), "noted first");
    world.later(HOUR_MS);
    world.set_target(30).await;
    world.until("the end of the first", |world| world.cluster.state().backup_run(first).is_none()).await;
    assert!(!world.is_there(first));
    assert_eq!((world.blobs(kept), world.blobs(dropped)), (1, 0), "only what no kept run names is gone");

    // The newest one stays, and is whole.
    world.later(100 * DAY_MS);
    world.set_target(30).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(world.is_there(second) && world.blobs(kept) == 1);
    world.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn between_the_daily_ones_a_change_is_at_the_place_within_its_minutes_and_nothing_is_taken_without_one()
{
    let world = World::new().await;
    let settings = TargetSettings { daily_at_minute: Some(0), ..world.settings(30) };
    // Also wakes whoever looks at backups.
    let look = async || {
        let (settings, every_minutes) = (settings.clone(), Some(5));
        world
            .owner(BackupCommand::SetPacedTarget { target: TARGET, settings, secret: None, every_minutes })
            .await;
    };
    let whole = |world: &World| world.cluster.state().whole_backups(TARGET).len();
    let newest = |world: &World| world.cluster.state().newest_whole(TARGET).unwrap().id;
    let first = world.asset(1, "first").await;
    look().await;
    world.until("the first backup", |world| whole(world) == 1).await;
    world.later(5 * MINUTE_MS - 1);
    let second = world.asset(2, "second").await;
    look().await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(whole(&world), 1, "its minutes are not over");
    world.later(1);
    look().await;
    world.until("the next one", |world| whole(world) == 2).await;
    let expected: [(AssetId, &str); 2] = [(first, "first"), (second, "second")];
    world.restored(newest(&world), &expected).await;

    let run = world.cluster.state().backup_run(newest(&world)).cloned().unwrap();
    assert_eq!(run.kind, BackupKind::Interim);
    assert_eq!(run.whole().unwrap().moved_objects, 1, "only what is new is sent");

    // Nothing was changed since: one an hour shows that it works.
    for _ in 0..3 {
        world.later(6 * MINUTE_MS);
        look().await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(whole(&world), 2, "nothing is new");
    }
    world.later(HOUR_MS);
    look().await;
    world.until("the one an hour later", |world| whole(world) == 3).await;

    // A day later the daily one is taken all the same, and what was taken in between goes.
    world.later(DAY_MS);
    look().await;
    world
        .until("the daily one", |world| {
            let state = world.cluster.state();
            state.whole_backups(TARGET).iter().any(|run| run.kind == BackupKind::Copy)
        })
        .await;
    for _ in 0..3 {
        world.later(HOUR_MS);
        look().await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    world.later(HOUR_MS);
    look().await;
    world.until("their end", |world| world.cluster.state().backup_run(run.id).is_none()).await;
    assert!(!world.is_there(run.id));
    assert_eq!((world.blobs(first), world.blobs(second)), (1, 1));
    world.cluster.shutdown().await;
}

/// Two places that have backups every few minutes, and each hour something to clear up at both.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_cleared_up_at_one_place_does_not_put_off_the_other() {
    const OTHER: BackupTargetId = BackupTargetId([2; 16]);
    let world = World::new().await;
    let other = world.folder.path().join("other");
    std::fs::create_dir(&other).unwrap();
    let id = world.cluster.state().cluster_info().unwrap().id;
    Marker::of(id, OTHER).claim(&FolderTarget::open(&other).unwrap(), |_| true).await.unwrap();
    let mut settings = [(TARGET, world.settings(30)), (OTHER, world.settings(30))];
    settings[1].1.name = "other".to_owned();
    settings[1].1.place = TargetPlace::Folder { path: other.display().to_string() };
    let look = async || {
        for (target, settings) in settings.clone() {
            let (settings, every_minutes) =
                (TargetSettings { daily_at_minute: Some(0), ..settings }, Some(5));
            world
                .owner(BackupCommand::SetPacedTarget { target, settings, secret: None, every_minutes })
                .await;
        }
    };
    let interim = |world: &World, target| -> Vec<BackupRunId> {
        let state = world.cluster.state();
        state
            .whole_backups(target)
            .iter()
            .filter(|run| run.kind == BackupKind::Interim)
            .map(|run| run.id)
            .collect()
    };
    for number in 1..=4 {
        world.asset(number, "film").await;
        look().await;
        let enough =
            |world: &World, target| world.cluster.state().whole_backups(target).len() >= number.into();
        world.until("one more at both", |world| enough(world, TARGET) && enough(world, OTHER)).await;
        world.later(HOUR_MS);
    }
    let before = [TARGET, OTHER].map(|target| interim(&world, target));
    assert!(before.iter().all(|runs| runs.len() >= 3), "{before:?}");
    world.later(DAY_MS - 3 * HOUR_MS);
    // From here on something of each place goes with each hour.
    for _ in 0..3 {
        look().await;
        tokio::time::sleep(Duration::from_millis(400)).await;
        world.later(HOUR_MS);
    }
    look().await;
    for runs in before {
        let gone = |world: &World| runs.iter().any(|run| world.cluster.state().backup_run(*run).is_none());
        world.until("the end of an old one", gone).await;
    }
    world.cluster.shutdown().await;
}

/// Files of an asset on the node's own disk.
fn files_of(folder: &Path, asset: AssetId) -> usize {
    let name = asset.to_string();
    let mut folders = vec![folder.join("data")];
    let mut found = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path()) {
            if entry.is_dir() {
                folders.push(entry);
            } else if entry.to_string_lossy().contains(&name) {
                found += 1;
            }
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_asset_is_gone_when_its_collection_keeps_it_no_longer_and_a_held_one_stays() {
    let world = World::new().await;
    let (asset, held, free) =
        (world.asset(1, "old").await, world.asset(2, "held").await, world.asset(3, "free").await);
    let collection = CollectionId([1; 16]);
    let name = "Thirty days".to_owned();
    world.owner(AssetCommand::CreateCollection { collection, application: APPLICATION, name }).await;
    // Also wakes whoever looks for what is over.
    let keep = async || {
        let rule = AssetCommand::SetRetention { collection, days: Some(30), delete_overdue: true };
        world.owner(rule).await;
    };
    keep().await;
    for asset in [asset, held] {
        let patch = AssetPatch { collections: Some(vec![collection]), ..AssetPatch::default() };
        world.owner(AssetCommand::Describe { asset, patch }).await;
    }
    world.owner(AssetCommand::SetLegalHold { asset: held, hold: true, reason: "case 7".to_owned() }).await;
    let noted = |world: &World| {
        let (over, _) = world.cluster.state().over_in(collection, None, world.cluster.now_ms(), 10);
        over.is_empty()
    };
    world.later(29 * DAY_MS);
    assert!(noted(&world), "nothing is over on day 29");
    assert!(files_of(world.folder.path(), asset) > 0);
    world.later(DAY_MS);
    assert!(!noted(&world));
    world
        .owner(AssetCommand::CreateCollection {
            collection: CollectionId([2; 16]),
            application: APPLICATION,
            name: "Another".to_owned(),
        })
        .await;
    world.until("the note", noted).await;
    assert!(world.cluster.state().asset(asset).is_some(), "noted first");
    world.later(HOUR_MS);
    world.owner(AssetCommand::UpdateCollection { collection, name: "A month".to_owned() }).await;
    world.until("the end of the asset", |world| world.cluster.state().asset(asset).is_none()).await;
    for kept in [held, free] {
        assert!(world.cluster.state().asset(kept).is_some() && files_of(world.folder.path(), kept) > 0);
    }
    world.cluster.shutdown().await;
}
