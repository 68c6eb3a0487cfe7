//! One example of every Command, for the matrix and for the pinned encodings. A new Command must be added here.

use std::collections::BTreeMap;

use cluster::command::{
    AccessCommand, AccessRule, AlertChange, AlertChannels, AlertCommand, AlertFact, AlertScope,
    ApplicationPatch, AssetCommand, AssetPatch, AuditCommand, BackupCommand, BackupKind, BackupResult,
    BlobKind, ChannelKind, ChannelSecret, ClusterCommand, Command, EdgeCommand, EmailChannel, Incarnation,
    JobCommand, JobFence, JobKind, KeyHolder, MailSecurity, Policy, Release, Role, RoleCommand,
    SealedClusterKey, SealedSecret, Selection, Severity, SiteNetwork, SyslogChannel, SyslogTransport,
    ViewCommand, WebhookChannel,
};
use cluster::id::{AssetId, JobId};
use cluster::outcome::Outcome;

use crate::world::*;

/// Names of all variants, with an exhaustive match so that a new one does not compile until it is named here.
macro_rules! variants {
    ($($group:ident($inner:ident): $($variant:ident)*;)*) => {
        pub const NAMES: &[&str] = &[$($(concat!(stringify!($group), "::", stringify!($variant))),*),*];

        pub fn name(command: &Command) -> &'static str {
            match command {
                $($(Command::$group($inner::$variant { .. }) =>
                    concat!(stringify!($group), "::", stringify!($variant)),)*)*
            }
        }
    };
}

variants! {
    Access(AccessCommand): Claim CreateUser CreateInvite AcceptInvite JoinByInvite RevokeInvite SetPassword StartReset
        FinishReset SuspendUser DeleteUser SetClusterAdmin CreateSession EndSession EndSessions CreateApiKey
        RevokeApiKey CreateApplication UpdateApplication DeleteApplication SetMember RemoveMember
        ForgetEndedLinks LimitViews TrashApplication RestoreApplication PurgeApplication ExpireApplication;
    Asset(AssetCommand): Create OpenBlob TakeOverBlob SealBlob DropBlob UploadFinished SetWatchable SetManifest Describe
        Publish SetAccess EndViews Trash Restore Purge AbandonUpload Expire SetLegalHold SetPoster CreateCollection
        UpdateCollection DeleteCollection Place AddHolder DropHolder ReplaceHolder FinishUpload SetRetention;
    Job(JobCommand): Queue Lease Finish Fail Cancel Retry Split LeasePart OpenPart FinishPart FailPart KeepPart;
    Cluster(ClusterCommand): Initialise RotateClusterKey RewrapAssetKey ConfirmRecoveryKey ReplaceRecoveryKey
        ReplaceNodeKey SetTimeHold SetAuthority CreateJoinToken AdmitNode ReportNode ActivateNode DrainNode
        RemoveNode InstallCertificate RemoveCertificate AcceptLoss SetSiteMap ReportRelease ReplaceAuthority ReportAuthority
        DropAuthority AbandonAuthority RecoverQuorum SetPepper;
    Audit(AuditCommand): Record;
    Backup(BackupCommand): SetTarget RemoveTarget Begin TakeOver Renew Finish Fail Expire Forget Restored SetPacedTarget;
    Alert(AlertCommand): Observe Acknowledge SetChannels NoteDelivery;
    Edge(EdgeCommand): CreateToken Admit Report Remove Warm EndWarm Purge ReportAuthority;
    View(ViewCommand): Start Prolong End;
    Role(RoleCommand): Create Update Delete Give Invite CreateApiKey;
}

/// What the samples act on, made by [`stage`].
pub mod on {
    use cluster::id::{ApplicationId, NodeId};

    pub const UPLOADING: u8 = 20;
    pub const PART_BLOBS: u8 = 121;
    pub const SEALED: u8 = 21;
    pub const PROCESSING: u8 = 22;
    pub const READY: u8 = 23;
    pub const TRASHED: u8 = 24;
    pub const FAILED: u8 = 25;
    pub const LEASED: u8 = 26;
    pub const DUE: u8 = 27;
    /// A member of the application that nobody else acts as.
    pub const BYSTANDER: u8 = 90;
    pub const TRASHED_APPLICATION: ApplicationId = ApplicationId([7; 16]);
    pub const COLLECTION: u8 = 1;
    pub const INVITE: u8 = 60;
    pub const RESET: u8 = 61;
    pub const KEY: u8 = 79;
    pub const JOB_QUEUED: u8 = 1;
    pub const JOB_LEASED: u8 = 2;
    pub const JOB_FAILED: u8 = 3;
    pub const TARGET: u8 = 1;
    pub const TARGET_SPARE: u8 = 2;
    pub const RUN_DUE: u8 = 1;
    pub const RUN_FAILED: u8 = 3;
    pub const RUN_RUNNING: u8 = 4;
    pub const TOKEN: u8 = 62;
    pub const TOKEN_USED: u8 = 63;
    /// The node that has joined. Its id is the number of the entry that admitted it.
    pub const JOINED: NodeId = NodeId(54);
    pub const EDGE_TOKEN: u8 = 64;
    pub const EDGE_TOKEN_USED: u8 = 65;
    pub const WARM: u8 = 1;
    /// What the owner watches, one of two at once.
    pub const VIEW: u8 = 1;
    /// The edge that has joined, likewise.
    pub const EDGE: NodeId = NodeId(56);
}

/// A claimed cluster with one thing in every state a Command may need.
pub fn stage() -> World {
    let mut world = World::claimed();
    world.person(on::BYSTANDER, "bystander", Role::Viewer);
    world.ok(&owner(), invite(on::INVITE));
    world.ok(&owner(), start_reset(on::RESET));
    world.key(on::KEY, Role::Viewer);
    world.asset(on::UPLOADING);
    world.ok(&node(), open(asset_id(on::UPLOADING), blob_id(101), BlobKind::Rendition));
    let sealed = world.asset(on::SEALED);
    world.ok(&node(), seal(sealed, blob_id(on::SEALED), 1));
    let processing = world.uploaded(on::PROCESSING);
    world.ok(&node(), open(processing, blob_id(102), BlobKind::Manifest));
    world.ok(&node(), seal(processing, blob_id(102), 1));
    world.ok(&node(), open(processing, blob_id(103), BlobKind::Poster));
    world.ok(&node(), seal(processing, blob_id(103), 1));
    world.queue(on::JOB_QUEUED, processing);
    world.published(on::READY);
    let leased = world.uploaded(on::LEASED);
    let job = world.queue(on::JOB_LEASED, leased);
    world.ok(&node(), JobCommand::Lease { job, node: NODE, epoch: 0 });
    let failed = world.uploaded(on::FAILED);
    let job = world.queue(on::JOB_FAILED, failed);
    world.ok(&owner(), JobCommand::Cancel { job });
    world.ok(
        &owner(),
        AssetCommand::CreateCollection {
            collection: collection_id(on::COLLECTION),
            application: APP,
            name: "Lectures".into(),
        },
    );
    let trashed = world.ready(on::TRASHED);
    world.ok(&owner(), AssetCommand::Trash { asset: trashed });
    let policy = Policy { trash_days: 0, ..Policy::default() };
    let patch = ApplicationPatch { name: None, policy: Some(policy) };
    world.ok(&owner(), AccessCommand::UpdateApplication { application: APP, patch });
    let due = world.uploaded(on::DUE);
    world.ok(&owner(), AssetCommand::Trash { asset: due });
    world.ok(&owner(), join_token(on::TOKEN_USED));
    world.ok(&owner(), join_token(on::TOKEN));
    let joined = world.ok(&node(), admit(on::TOKEN_USED, "second", "s2"));
    assert_eq!(joined, Outcome::Node(on::JOINED));
    world.ok(&owner(), edge_token(on::EDGE_TOKEN_USED));
    assert_eq!(world.ok(&node(), admit_edge(on::EDGE_TOKEN_USED, "edge one")), Outcome::Node(on::EDGE));
    world.ok(&owner(), edge_token(on::EDGE_TOKEN));
    let selection = Selection::Collection(collection_id(on::COLLECTION));
    world.ok(&owner(), EdgeCommand::Warm { warm: warm_id(on::WARM), edge: on::EDGE, selection });
    divided(&mut world, job_id(on::JOB_LEASED), leased);
    backed_up(&mut world);
    world.ok(&node(), disk_nearly_full());
    let authority =
        ClusterCommand::SetAuthority { certificate: vec![9; 40], sealed_key: vec![8; 60], key_epoch: 1 };
    world.ok(&node(), authority);
    world.ok(&owner(), limit_views(Some(2)));
    world.ok(&owner(), start_view(on::VIEW, asset_id(on::READY), START + HOUR));
    let application = on::TRASHED_APPLICATION;
    world.ok(&owner(), AccessCommand::CreateApplication { application, name: "Seventh".into() });
    let patch = ApplicationPatch { name: None, policy: Some(policy) };
    world.ok(&owner(), AccessCommand::UpdateApplication { application, patch });
    world.ok(&owner(), AccessCommand::TrashApplication { application });
    crate::roles::on_stage(&mut world);
    world
}

/// The leased Job in four parts: one that is written, one that is made, one that was taken, and one that waits.
fn divided(world: &mut World, job: JobId, asset: AssetId) {
    world.ok(&node(), JobCommand::Split { job, epoch: 1, cuts: vec![0, 5, 10, 15] });
    for part in 0..3 {
        world.ok(&node(), JobCommand::LeasePart { job, part, node: NODE, epoch: 0 });
    }
    for (part, blob) in [(0, blob_id(on::PART_BLOBS)), (1, blob_id(on::PART_BLOBS + 1))] {
        world.ok(&node(), JobCommand::OpenPart { job, part, epoch: 1, blob });
        world.ok(&node(), seal(asset, blob, 1));
    }
    world.ok(&node(), JobCommand::FinishPart { job, part: 1, epoch: 1, damaged: false });
}

/// Two targets; at the first an old backup, a newer one, one that failed and one that is being taken.
fn backed_up(world: &mut World) {
    for (target, name) in [(on::TARGET, "first"), (on::TARGET_SPARE, "spare")] {
        let settings = folder(name);
        world.ok(&owner(), BackupCommand::SetTarget { target: target_id(target), settings, secret: None });
    }
    let begin = |number: u8| BackupCommand::Begin {
        run: run_id(number),
        target: target_id(on::TARGET),
        node: NODE,
        kind: BackupKind::Copy,
    };
    for number in [on::RUN_DUE, 2] {
        world.ok(&node(), begin(number));
        let (run, result) = (run_id(number), BackupResult::default());
        world.ok(&node(), BackupCommand::Finish { run, epoch: 1, result });
    }
    world.ok(&node(), begin(on::RUN_FAILED));
    let (code, reason) = ("target_full".to_owned(), String::new());
    world.ok(&node(), BackupCommand::Fail { run: run_id(on::RUN_FAILED), epoch: 1, code, reason });
    world.ok(&owner(), begin(on::RUN_RUNNING));
}

fn disk_nearly_full() -> AlertCommand {
    let fact = AlertFact {
        kind: "disk_nearly_full".into(),
        subject: "node:1".into(),
        severity: Severity::Warning,
        details: BTreeMap::from([("free_percent".to_owned(), "14".to_owned())]),
    };
    AlertCommand::Observe { scope: AlertScope::Node(NODE), open: vec![fact] }
}

fn invite(number: u8) -> AccessCommand {
    AccessCommand::CreateInvite {
        invite: invite_id(number),
        application: APP,
        role: Role::User,
        secret_hash: secret(number),
        expires_ms: START + 7 * DAY,
    }
}

fn start_reset(number: u8) -> AccessCommand {
    AccessCommand::StartReset {
        user: user_id(on::BYSTANDER),
        secret_hash: secret(number),
        expires_ms: START + DAY,
    }
}

/// One of every Command; each succeeds on the [`stage`] for somebody who may, but Claim and Initialise, which were done,
/// and the end of a backup, whose day is not over.
pub fn commands() -> Vec<Command> {
    let mut commands = access();
    commands.extend(uploads());
    commands.extend(assets());
    commands.extend(jobs());
    commands.extend(cluster());
    commands.extend(backups());
    commands.extend(alerts());
    commands.extend(edges());
    commands.extend(views());
    commands.extend(crate::roles::samples());
    commands
}

fn access() -> Vec<Command> {
    let user = user_id(on::BYSTANDER);
    let new_user = user_id(91);
    let patch = ApplicationPatch { name: Some("Renamed".into()), policy: Some(Policy::default()) };
    [
        claim(91, "second", app_id(5)),
        create_user(91, "newcomer"),
        invite(62),
        AccessCommand::AcceptInvite {
            secret_hash: secret(on::INVITE),
            user: new_user,
            username: "invited".into(),
            password_hash: password("invited"),
        },
        AccessCommand::JoinByInvite { secret_hash: secret(on::INVITE) },
        AccessCommand::RevokeInvite { invite: invite_id(on::INVITE) },
        AccessCommand::SetPassword { user, password_hash: password("new"), end_other_sessions: true },
        start_reset(63),
        AccessCommand::FinishReset { secret_hash: secret(on::RESET), password_hash: password("reset") },
        AccessCommand::SuspendUser { user, suspended: true },
        AccessCommand::DeleteUser { user },
        AccessCommand::SetClusterAdmin { user, admin: true },
        create_session(92, user, START + DAY),
        AccessCommand::EndSession { session: session_id(on::BYSTANDER) },
        AccessCommand::EndSessions { user, except: None },
        create_api_key(80, APP, Role::User, Some(START + DAY)),
        AccessCommand::RevokeApiKey { key: key_id(on::KEY) },
        AccessCommand::CreateApplication { application: app_id(6), name: "Sixth".into() },
        AccessCommand::UpdateApplication { application: APP, patch },
        AccessCommand::DeleteApplication { application: EMPTY },
        AccessCommand::SetMember { application: APP, user, role: Role::ReadOnly },
        AccessCommand::RemoveMember { application: APP, user },
        AccessCommand::ForgetEndedLinks,
        limit_views(Some(1)),
        AccessCommand::TrashApplication { application: EMPTY },
        AccessCommand::RestoreApplication { application: on::TRASHED_APPLICATION },
        AccessCommand::PurgeApplication { application: on::TRASHED_APPLICATION },
        AccessCommand::ExpireApplication { application: on::TRASHED_APPLICATION },
    ]
    .map(Command::from)
    .into()
}

/// An application without assets, made by the matrix.
pub const EMPTY: cluster::id::ApplicationId = cluster::id::ApplicationId([4; 16]);

fn uploads() -> Vec<Command> {
    let uploading = asset_id(on::UPLOADING);
    let processing = asset_id(on::PROCESSING);
    let fence = Some(JobFence { job: job_id(on::JOB_LEASED), epoch: 1 });
    [
        create_asset(40, APP, 1),
        AssetCommand::OpenBlob {
            asset: asset_id(on::LEASED),
            blob: blob_id(110),
            kind: BlobKind::Rendition,
            label: "v720".into(),
            fence,
        },
        AssetCommand::TakeOverBlob { asset: uploading, blob: blob_id(101) },
        seal(uploading, blob_id(101), 1),
        AssetCommand::DropBlob { asset: uploading, blob: blob_id(101) },
        AssetCommand::UploadFinished { asset: asset_id(on::SEALED), length: 1_000, sha256: [9; 32] },
        AssetCommand::FinishUpload {
            asset: uploading,
            epoch: 1,
            length: 1_000,
            hash: [3; 32],
            sha256: [9; 32],
            job: job_id(110),
        },
        AssetCommand::SetWatchable { asset: processing, fence: None },
        manifest(processing, blob_id(102), None),
        AssetCommand::SetPoster { asset: processing, blob: Some(blob_id(103)) },
        AssetCommand::AbandonUpload { asset: uploading },
    ]
    .map(Command::from)
    .into()
}

fn assets() -> Vec<Command> {
    let asset = asset_id(on::READY);
    let patch = AssetPatch {
        title: Some("A title".into()),
        description: Some("A description".into()),
        tags: Some(vec!["tag".into()]),
        fields: Some(vec![("Course".into(), "M101".into())]),
        collections: Some(vec![collection_id(on::COLLECTION)]),
    };
    [
        describe(asset, patch),
        AssetCommand::Publish { asset, published: true, from_ms: Some(START), until_ms: Some(START + DAY) },
        AssetCommand::SetAccess { asset, rule: AccessRule::Users(vec![user_id(on::BYSTANDER)]) },
        AssetCommand::EndViews { asset },
        AssetCommand::Trash { asset },
        AssetCommand::Restore { asset: asset_id(on::TRASHED) },
        AssetCommand::Purge { asset: asset_id(on::TRASHED) },
        AssetCommand::Expire { asset: asset_id(on::DUE) },
        AssetCommand::SetLegalHold { asset, hold: true, reason: "case 7".into() },
        AssetCommand::CreateCollection {
            collection: collection_id(9),
            application: APP,
            name: "Talks".into(),
        },
        AssetCommand::UpdateCollection { collection: collection_id(on::COLLECTION), name: "Renamed".into() },
        AssetCommand::DeleteCollection { collection: collection_id(on::COLLECTION) },
        AssetCommand::Place { asset: asset_id(on::UPLOADING), holders: vec![NODE] },
        AssetCommand::AddHolder { asset, node: on::JOINED, generation: 0 },
        AssetCommand::DropHolder { asset, node: NODE, generation: 0 },
        AssetCommand::ReplaceHolder { asset, old: NODE, new: on::JOINED, generation: 0 },
        AssetCommand::SetRetention {
            collection: collection_id(on::COLLECTION),
            days: Some(365),
            delete_overdue: false,
        },
    ]
    .map(Command::from)
    .into()
}

fn jobs() -> Vec<Command> {
    let (queued, leased) = (job_id(on::JOB_QUEUED), job_id(on::JOB_LEASED));
    [
        JobCommand::Queue { job: job_id(9), asset: asset_id(on::READY), kind: JobKind::Transcode },
        JobCommand::Lease { job: queued, node: NODE, epoch: 0 },
        JobCommand::Finish { job: leased, epoch: 1 },
        JobCommand::Fail { job: leased, epoch: 1, code: "damaged".into(), reason: "Damaged.".into() },
        JobCommand::Cancel { job: queued },
        JobCommand::Retry { job: job_id(on::JOB_FAILED) },
        JobCommand::Split { job: leased, epoch: 1, cuts: vec![0, 5, 10, 15] },
        JobCommand::LeasePart { job: leased, part: 3, node: NODE, epoch: 0 },
        JobCommand::OpenPart { job: leased, part: 2, epoch: 1, blob: blob_id(123) },
        JobCommand::FinishPart { job: leased, part: 0, epoch: 1, damaged: true },
        JobCommand::FailPart { job: leased, part: 2, epoch: 1, code: "damaged".into() },
        JobCommand::KeepPart { job: leased, epoch: 1, part: 1 },
    ]
    .map(Command::from)
    .into()
}

fn cluster() -> Vec<Command> {
    let key = |holder| vec![(1, SealedClusterKey { holder, sealed: vec![5; 80] })];
    let record = AuditCommand::Record {
        action: "session.refused".into(),
        target: "user:nobody".into(),
        application: Some(APP),
        result: "wrong_password".into(),
        details: BTreeMap::from([("why".to_owned(), "guess".to_owned())]),
    };
    let commands = [
        initialise(),
        ClusterCommand::RotateClusterKey {
            epoch: 2,
            sealed: sealed_for(&[KeyHolder::Node(NODE), KeyHolder::Node(on::JOINED), KeyHolder::Recovery]),
        },
        ClusterCommand::RewrapAssetKey {
            asset: asset_id(on::READY),
            wrapped_key: wrapped(0x77),
            key_epoch: 1,
        },
        ClusterCommand::ConfirmRecoveryKey,
        ClusterCommand::ReplaceRecoveryKey { recovery_public_key: [8; 32], sealed: key(KeyHolder::Recovery) },
        ClusterCommand::ReplaceNodeKey {
            node: NODE,
            public_key: [6; 32],
            sealed: key(KeyHolder::Node(NODE)),
        },
        ClusterCommand::SetTimeHold { held: true },
        ClusterCommand::SetAuthority { certificate: vec![9; 40], sealed_key: vec![8; 60], key_epoch: 1 },
        join_token(64),
        admit(on::TOKEN, "third", "s3"),
        ClusterCommand::ReportNode {
            node: NODE,
            certificate: [4; 32],
            cluster_address: "a.example:7443".into(),
            public_address: "a.example:443".into(),
            incarnation: Incarnation { count: 1, instance: [5; 16] },
        },
        ClusterCommand::ActivateNode { node: on::JOINED },
        ClusterCommand::DrainNode { node: on::JOINED, draining: true },
        ClusterCommand::RemoveNode { node: on::JOINED },
        ClusterCommand::InstallCertificate {
            node: NODE,
            fingerprint: [4; 32],
            names: vec!["media.example".into()],
            expires_ms: START + 90 * DAY,
        },
        ClusterCommand::RemoveCertificate { node: NODE },
        ClusterCommand::AcceptLoss { node: NODE, first: 12, last: Some(15) },
        ClusterCommand::SetSiteMap {
            networks: vec![SiteNetwork {
                network: "10.1.0.0/16".parse().expect("a network"),
                site: "s1".into(),
                round_trip_ms: Some(3),
            }],
        },
        ClusterCommand::ReportRelease { node: NODE, release: Release { version: "0.1.0".into(), level: 1 } },
        ClusterCommand::ReplaceAuthority {
            certificate: vec![10; 40],
            sealed_key: vec![8; 60],
            key_epoch: 1,
            crossed: vec![11; 40],
            replaces: cluster::authority::fingerprint(&[9; 40]),
        },
        ClusterCommand::ReportAuthority { node: NODE, authority: [4; 32] },
        ClusterCommand::DropAuthority { authority: [4; 32] },
        ClusterCommand::AbandonAuthority { authority: [4; 32], crossed: vec![11; 40] },
        recovered(),
        ClusterCommand::SetPepper { sealed: vec![8; 60], key_epoch: 1 },
    ];
    commands.map(Command::from).into_iter().chain([record.into()]).collect()
}

fn recovered() -> ClusterCommand {
    ClusterCommand::RecoverQuorum {
        survivor: NODE,
        lost: vec![on::JOINED],
        reason: "fire".into(),
        operator: "anna (uid 0)".into(),
        last_term: 7,
        last_index: 90,
    }
}

fn edges() -> Vec<Command> {
    let tag = Selection::Tag { application: APP, tag: "tag".into() };
    [
        edge_token(66),
        admit_edge(on::EDGE_TOKEN, "edge two"),
        EdgeCommand::Report {
            edge: on::EDGE,
            public_address: "edge.example:443".into(),
            version: "0.1.0".into(),
            incarnation: Incarnation { count: 2, instance: [5; 16] },
        },
        EdgeCommand::Remove { edge: on::EDGE },
        EdgeCommand::Warm { warm: warm_id(2), edge: on::EDGE, selection: tag },
        EdgeCommand::EndWarm { warm: warm_id(on::WARM) },
        EdgeCommand::Purge { selection: Selection::Asset(asset_id(on::READY)) },
        EdgeCommand::ReportAuthority { edge: on::EDGE, authority: [4; 32] },
    ]
    .map(Command::from)
    .into()
}

fn views() -> Vec<Command> {
    let (view, asset, until_ms) = (view_id(on::VIEW), asset_id(on::READY), START + 2 * HOUR);
    [
        ViewCommand::Start { view: view_id(2), asset, until_ms, in_place_of: Some(view) },
        ViewCommand::Prolong { view, asset, until_ms },
        ViewCommand::End { view, application: APP },
    ]
    .map(Command::from)
    .into()
}

fn backups() -> Vec<Command> {
    let running = run_id(on::RUN_RUNNING);
    let secret = Some(SealedSecret { key_epoch: 1, sealed: vec![6; 40] });
    let result = BackupResult { index: 9, objects: 2, bytes: 70, flaw_count: 1, ..BackupResult::default() };
    [
        BackupCommand::SetTarget { target: target_id(9), settings: folder("third"), secret },
        BackupCommand::SetPacedTarget {
            target: target_id(on::TARGET),
            settings: folder("disk"),
            secret: None,
            every_minutes: Some(4),
        },
        BackupCommand::RemoveTarget { target: target_id(on::TARGET_SPARE) },
        BackupCommand::Begin {
            run: run_id(9),
            target: target_id(on::TARGET),
            node: NODE,
            kind: BackupKind::Copy,
        },
        BackupCommand::TakeOver { run: running, node: NODE },
        BackupCommand::Renew { run: running, epoch: 1 },
        BackupCommand::Finish { run: running, epoch: 1, result },
        BackupCommand::Fail {
            run: running,
            epoch: 1,
            code: "target_full".into(),
            reason: "It is full.".into(),
        },
        BackupCommand::Expire { run: run_id(on::RUN_DUE) },
        BackupCommand::Forget { run: run_id(on::RUN_FAILED) },
        BackupCommand::Restored { node: NODE, from_cluster: [7; 16], run: run_id(9), index: 70, missing: 0 },
    ]
    .map(Command::from)
    .into()
}

fn alerts() -> Vec<Command> {
    let secret = |text: &str| ChannelSecret(text.to_owned());
    let channels = AlertChannels {
        least: Severity::Info,
        webhook: Some(WebhookChannel {
            url: "https://hooks.example/alerts".into(),
            secret: secret("whsec_c2VjcmV0"),
            authority: None,
        }),
        syslog: Some(SyslogChannel {
            host: "logs.example".into(),
            port: 514,
            transport: SyslogTransport::Tcp,
        }),
        email: Some(EmailChannel {
            host: "mail.example".into(),
            port: 587,
            security: MailSecurity::StartTls,
            username: Some("mediakeep".into()),
            password: Some(secret("hidden")),
            from: "mediakeep@example.org".into(),
            to: vec!["ops@example.org".into()],
            authority: None,
        }),
    };
    [
        disk_nearly_full(),
        AlertCommand::Acknowledge { alert: 1 },
        AlertCommand::SetChannels { channels: Box::new(channels) },
        AlertCommand::NoteDelivery {
            alert: 1,
            channel: ChannelKind::Webhook,
            change: AlertChange::Raised,
            delivered: true,
        },
    ]
    .map(Command::from)
    .into()
}

#[test]
fn every_command_has_a_sample() {
    let mut sampled: Vec<_> = commands().iter().map(name).collect();
    sampled.sort_unstable();
    let mut all = NAMES.to_vec();
    all.sort_unstable();
    assert_eq!(sampled, all);
}
