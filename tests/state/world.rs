//! A small world for the stories: one cluster, a few people, and time that only moves when told to.

use cluster::actor::{Actor, ActorKind};
use cluster::audit_record::{AuditRecord, ChainHead};
use cluster::command::{
    AccessCommand, ApplicationPatch, AssetCommand, BlobKind, ClusterCommand, Command, EdgeCommand,
    JobCommand, JobKind, KeyHolder, MediaFacts, NewEdge, NewNode, PasswordHash, Role, SealedClusterKey,
    SecretHash, TargetPlace, TargetSettings, ViewCommand, WrappedKey,
};
use cluster::entry::Entry;
use cluster::event::Event;
use cluster::id::{
    ApiKeyId, ApplicationId, AssetId, BackupRunId, BackupTargetId, BlobId, CollectionId, InviteId, JobId,
    NodeId, SessionId, UserId, ViewId, WarmId,
};
use cluster::outcome::Outcome;
use cluster::refusal::Refusal;
use cluster::state::{Applied, Asset, Job, State};

pub const HOUR: u64 = 60 * 60 * 1000;
pub const DAY: u64 = 24 * HOUR;
pub const START: u64 = 1_800_000_000_000;
pub const NODE: NodeId = NodeId(1);

/// Ids that read well in failures: the number in the last byte.
pub fn id(number: u8) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[15] = number;
    bytes
}

pub fn asset_id(number: u8) -> AssetId {
    AssetId(id(number))
}
pub fn blob_id(number: u8) -> BlobId {
    BlobId(id(number))
}
pub fn job_id(number: u8) -> JobId {
    JobId(id(number))
}
pub fn user_id(number: u8) -> UserId {
    UserId(id(number))
}
pub fn session_id(number: u8) -> SessionId {
    SessionId(id(number))
}
pub fn app_id(number: u8) -> ApplicationId {
    ApplicationId(id(number))
}
pub fn collection_id(number: u8) -> CollectionId {
    CollectionId(id(number))
}
pub fn invite_id(number: u8) -> InviteId {
    InviteId(id(number))
}
pub fn key_id(number: u8) -> ApiKeyId {
    ApiKeyId(id(number))
}
pub fn target_id(number: u8) -> BackupTargetId {
    BackupTargetId(id(number))
}
pub fn run_id(number: u8) -> BackupRunId {
    BackupRunId(id(number))
}
pub fn view_id(number: u8) -> ViewId {
    ViewId(id(number))
}
pub fn start_view(view: u8, asset: AssetId, until_ms: u64) -> ViewCommand {
    ViewCommand::Start { view: view_id(view), asset, until_ms, in_place_of: None }
}
/// So many at once in the first application.
pub fn limit_views(views_at_once: Option<u32>) -> AccessCommand {
    AccessCommand::LimitViews { application: APP, patch: ApplicationPatch::default(), views_at_once }
}
/// A folder that keeps a backup for a day.
pub fn folder(name: &str) -> TargetSettings {
    TargetSettings {
        name: name.to_owned(),
        place: TargetPlace::Folder { path: format!("/mnt/{name}") },
        keep_days: 1,
        daily_at_minute: Some(150),
        node: None,
    }
}
pub fn secret(number: u8) -> SecretHash {
    SecretHash([number; 32])
}
pub fn password(word: &str) -> PasswordHash {
    PasswordHash(format!("$argon2id$v=19$m=19456,t=2,p=1$c2FsdA${word}"))
}
pub fn wrapped(number: u8) -> WrappedKey {
    WrappedKey::from(vec![number; 60])
}
pub fn sealed_for(holders: &[KeyHolder]) -> Vec<SealedClusterKey> {
    holders.iter().map(|holder| SealedClusterKey { holder: *holder, sealed: vec![7; 80] }).collect()
}

/// The first application and its people, by number: user N has session N and the session secret N.
pub const APP: ApplicationId = ApplicationId([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
pub const OWNER: u8 = 1;

/// State with a clock and a log index, checked after every step.
#[derive(Debug, Clone)]
pub struct World {
    pub state: State,
    pub now_ms: u64,
    pub index: u64,
    pub records: Vec<AuditRecord>,
    pub events: Vec<Event>,
}

pub fn node() -> Actor {
    Actor::system(NODE)
}
pub fn anonymous() -> Actor {
    Actor::anonymous(None, "request")
}
/// The person `number` with their session.
pub fn person(number: u8) -> Actor {
    Actor::user(user_id(number), session_id(number))
}
pub fn owner() -> Actor {
    person(OWNER)
}

impl World {
    /// Nothing agreed on yet.
    pub fn empty() -> Self {
        Self { state: State::default(), now_ms: START, index: 0, records: Vec::new(), events: Vec::new() }
    }

    /// Initialised, not claimed.
    pub fn unclaimed() -> Self {
        let mut world = Self::empty();
        world.ok(&node(), initialise());
        world
    }

    /// Claimed by person 1, `ada`, who is signed in; application 1 is there.
    pub fn claimed() -> Self {
        let mut world = Self::unclaimed();
        world.ok(&anonymous(), claim(OWNER, "ada", APP));
        world.sign_in(OWNER);
        world
    }

    /// Applies one entry now, checks what must always hold, and answers what apply gave.
    pub fn apply(&mut self, actor: &Actor, command: impl Into<Command>) -> Applied {
        self.index += 1;
        let entry =
            Entry { time_ms: self.now_ms, actor: actor.clone(), command: command.into(), request: None };
        let applied = self.state.apply(self.index, &entry);
        // One command leaves out numbers.
        self.index = self.state.last_applied();
        let record = applied.audit.clone().expect("every entry leaves one audit record");
        let mut head = self.records.last().map_or_else(ChainHead::default, head_of);
        head.verify_next(&record).expect("the chain holds");
        assert_eq!(head, self.state.chain_head());
        if let Err(refusal) = &applied.outcome {
            assert_eq!(record.result, refusal.code());
            assert!(applied.events.is_empty(), "what is refused changes nothing");
        }
        self.records.push(record);
        self.events.clone_from(&applied.events);
        assert!(self.state.indexes_agree(), "after {entry:?}");
        applied
    }

    /// Applies what must succeed.
    #[track_caller]
    pub fn ok(&mut self, actor: &Actor, command: impl Into<Command>) -> Outcome {
        let command = command.into();
        let said = format!("{command:?}");
        self.apply(actor, command).outcome.unwrap_or_else(|refusal| panic!("{refusal:?} for {said}"))
    }

    /// Applies what must be refused.
    #[track_caller]
    pub fn refused(&mut self, actor: &Actor, command: impl Into<Command>) -> Refusal {
        let command = command.into();
        let said = format!("{command:?}");
        match self.apply(actor, command).outcome {
            Err(refusal) => refusal,
            Ok(outcome) => panic!("{outcome:?} instead of a refusal for {said}"),
        }
    }

    pub fn later(&mut self, ms: u64) {
        self.now_ms += ms;
    }

    /// Signs person `number` in for 30 days.
    pub fn sign_in(&mut self, number: u8) {
        let command = create_session(number, user_id(number), self.now_ms + 30 * DAY);
        self.ok(&node(), command);
    }

    /// A new person, a member of application 1 as `role`, signed in.
    pub fn person(&mut self, number: u8, name: &str, role: Role) -> Actor {
        self.ok(&owner(), create_user(number, name));
        self.ok(&owner(), AccessCommand::SetMember { application: APP, user: user_id(number), role });
        self.sign_in(number);
        person(number)
    }

    /// An API key of application 1.
    pub fn key(&mut self, number: u8, role: Role) -> Actor {
        self.ok(&owner(), create_api_key(number, APP, role, None));
        Actor::api_key(key_id(number))
    }

    /// A new asset in application 1, by the owner.
    pub fn asset(&mut self, number: u8) -> AssetId {
        self.asset_in(number, APP)
    }

    pub fn asset_in(&mut self, number: u8, application: ApplicationId) -> AssetId {
        let key_epoch = self.state.cluster_info().expect("initialised").key_epoch;
        self.ok(&owner(), create_asset(number, application, key_epoch));
        asset_id(number)
    }

    /// Seals the original of asset `number` and finishes its upload.
    pub fn uploaded(&mut self, number: u8) -> AssetId {
        let asset = self.asset(number);
        self.finish_upload(asset);
        asset
    }

    pub fn finish_upload(&mut self, asset: AssetId) {
        let original = self.found(asset).original;
        self.ok(&node(), seal(asset, original, 1));
        self.ok(&node(), AssetCommand::UploadFinished { asset, length: 1_000, sha256: [9; 32] });
    }

    /// An asset that is uploaded, processed and ready.
    pub fn ready(&mut self, number: u8) -> AssetId {
        let asset = self.uploaded(number);
        self.set_manifest(asset, blob_id(200), None);
        asset
    }

    /// A ready and published asset.
    pub fn published(&mut self, number: u8) -> AssetId {
        let asset = self.ready(number);
        self.ok(&owner(), publish(asset));
        asset
    }

    pub fn set_manifest(&mut self, asset: AssetId, blob: BlobId, replaces: Option<BlobId>) {
        self.ok(&node(), open(asset, blob, BlobKind::Manifest));
        self.ok(&node(), seal(asset, blob, 1));
        self.ok(&node(), manifest(asset, blob, replaces));
    }

    pub fn queue(&mut self, job: u8, asset: AssetId) -> JobId {
        self.ok(&node(), JobCommand::Queue { job: job_id(job), asset, kind: JobKind::Transcode });
        job_id(job)
    }

    #[track_caller]
    pub fn found(&self, asset: AssetId) -> Asset {
        Asset::clone(self.state.asset(asset).expect("the asset is there"))
    }

    #[track_caller]
    pub fn job(&self, job: JobId) -> Job {
        Job::clone(self.state.job(job).expect("the job is there"))
    }
}

pub fn head_of(record: &AuditRecord) -> ChainHead {
    ChainHead { sequence: record.sequence, hash: record.hash }
}

pub fn initialise() -> ClusterCommand {
    ClusterCommand::Initialise {
        cluster_id: id(99),
        node: NODE,
        node_name: "first".into(),
        site: "s1".into(),
        node_public_key: [1; 32],
        recovery_public_key: [2; 32],
        sealed: sealed_for(&[KeyHolder::Node(NODE), KeyHolder::Recovery]),
    }
}

pub fn join_token(number: u8) -> ClusterCommand {
    ClusterCommand::CreateJoinToken { secret_hash: secret(number), expires_ms: START + 30 * 60 * 1000 }
}

/// A node named `name` at `site` shows the token of that number.
pub fn admit(token: u8, name: &str, site: &str) -> ClusterCommand {
    let new = NewNode {
        name: name.into(),
        site: site.into(),
        public_key: [token; 32],
        certificate_key: [token; 32],
        cluster_address: format!("{name}.example:7443"),
        public_address: format!("{name}.example:443"),
    };
    ClusterCommand::AdmitNode { secret_hash: secret(token), node: new, sealed: vec![(1, vec![7; 80])] }
}

pub fn edge_token(number: u8) -> EdgeCommand {
    EdgeCommand::CreateToken { secret_hash: secret(number), expires_ms: START + 30 * 60 * 1000 }
}

/// An edge named `name` shows the token of that number.
pub fn admit_edge(token: u8, name: &str) -> EdgeCommand {
    let edge = NewEdge {
        name: name.into(),
        site: "branch".into(),
        certificate_key: [token; 32],
        public_address: "edge.example:443".into(),
    };
    EdgeCommand::Admit { secret_hash: secret(token), edge }
}

pub fn warm_id(number: u8) -> WarmId {
    WarmId([number; 16])
}

pub fn claim(user: u8, username: &str, application: ApplicationId) -> AccessCommand {
    AccessCommand::Claim {
        user: user_id(user),
        username: username.into(),
        password_hash: password("claim"),
        application,
        application_name: "Main".into(),
    }
}

pub fn create_user(user: u8, username: &str) -> AccessCommand {
    AccessCommand::CreateUser {
        user: user_id(user),
        username: username.into(),
        password_hash: password("first"),
    }
}

pub fn create_session(number: u8, user: UserId, expires_ms: u64) -> AccessCommand {
    AccessCommand::CreateSession {
        session: session_id(number),
        user,
        secret_hash: secret(number),
        expires_ms,
        user_agent: "a browser".into(),
    }
}

pub fn create_api_key(
    number: u8,
    application: ApplicationId,
    role: Role,
    expires_ms: Option<u64>,
) -> AccessCommand {
    AccessCommand::CreateApiKey {
        key: key_id(number),
        name: format!("key {number}"),
        secret_hash: secret(number),
        application,
        role,
        expires_ms,
    }
}

pub fn create_asset(number: u8, application: ApplicationId, key_epoch: u32) -> AssetCommand {
    AssetCommand::Create {
        asset: asset_id(number),
        application,
        title: format!("Asset {number}"),
        file_name: "film.mp4".into(),
        media_type: "video/mp4".into(),
        declared_length: Some(1_000),
        wrapped_key: wrapped(number),
        key_epoch,
        original: blob_id(number),
    }
}

pub fn open(asset: AssetId, blob: BlobId, kind: BlobKind) -> AssetCommand {
    AssetCommand::OpenBlob { asset, blob, kind, label: "v720".into(), fence: None }
}

pub fn seal(asset: AssetId, blob: BlobId, epoch: u64) -> AssetCommand {
    AssetCommand::SealBlob { asset, blob, epoch, length: 1_000, hash: [3; 32] }
}

pub fn manifest(asset: AssetId, blob: BlobId, replaces: Option<BlobId>) -> AssetCommand {
    AssetCommand::SetManifest {
        asset,
        blob,
        hash: [3; 32],
        length: 1_000,
        replaces,
        facts: MediaFacts {
            duration_ms: 60_000,
            top_height: 720,
            has_video: true,
            has_audio: true,
            stored_bytes: 5_000_000,
        },
        fence: None,
    }
}

pub fn publish(asset: AssetId) -> AssetCommand {
    AssetCommand::Publish { asset, published: true, from_ms: None, until_ms: None }
}

pub fn describe(asset: AssetId, patch: cluster::command::AssetPatch) -> AssetCommand {
    AssetCommand::Describe { asset, patch }
}

/// The session an actor uses.
pub fn session_of(actor: &Actor) -> SessionId {
    match actor.kind {
        ActorKind::User { session, .. } => session,
        _ => panic!("not a person"),
    }
}

impl World {
    /// Applies what must succeed without the costly checks, for stories with thousands of steps.
    #[track_caller]
    pub fn quick(&mut self, actor: &Actor, command: impl Into<Command>) -> Outcome {
        self.index += 1;
        let entry =
            Entry { time_ms: self.now_ms, actor: actor.clone(), command: command.into(), request: None };
        let applied = self.state.apply(self.index, &entry);
        self.records.extend(applied.audit);
        applied.outcome.unwrap_or_else(|refusal| panic!("{refusal:?}"))
    }
}

/// A new node for a State that is restored, and the epochs it was given.
pub fn new_home(state: &State) -> (cluster::state::NewHome, Vec<u32>) {
    let mut record = cluster::state::Node::clone(state.node(NODE).expect("the first node"));
    record.id = NodeId(state.last_applied() + 1);
    let epochs: Vec<u32> = state.sealed_keys().map(|(epoch, _)| epoch).collect();
    let authority =
        cluster::state::ClusterAuthority { certificate: vec![1; 30], sealed_key: vec![2; 30], key_epoch: 1 };
    let sealed = epochs.iter().map(|epoch| (*epoch, vec![3; 80])).collect();
    (cluster::state::NewHome { cluster_id: [9; 16], node: record, authority, sealed }, epochs)
}
