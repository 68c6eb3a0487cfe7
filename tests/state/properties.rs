//! By chance: random Commands by random people, in any order, keep what must always hold.

use cluster::actor::Actor;
use cluster::command::{
    Abilities, Ability, AccessCommand, AccessRule, AssetCommand, AssetPatch, BlobKind, ClusterCommand,
    Command, JobCommand, JobKind, KeyHolder, Role, RoleCommand,
};
use cluster::entry::Entry;
use cluster::permission::abilities_in;
use cluster::state::{AssetQuery, Shelf, Sort, State};
use proptest::collection::vec;
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_oneof, proptest};
use proptest::sample;

use crate::roles::{self, role_id};
use crate::world::*;

/// One step: who, what, and how much time has gone by.
#[derive(Debug, Clone)]
struct Step {
    who: u8,
    command: Command,
    wait_ms: u64,
}

fn actor(who: u8) -> Actor {
    match who % 7 {
        0 => anonymous(),
        1 | 2 => owner(),
        3 => person(2),
        4 => Actor::api_key(key_id(70)),
        5 => person(3),
        _ => node(),
    }
}

fn role() -> impl Strategy<Value = Role> {
    prop_oneof![Just(Role::Viewer), Just(Role::ReadOnly), Just(Role::User), Just(Role::Admin)]
}

/// Small numbers, so that commands meet each other.
fn few() -> impl Strategy<Value = u8> {
    1..5_u8
}

fn access() -> impl Strategy<Value = AccessCommand> {
    let name = prop_oneof![Just("ada"), Just("ben"), Just("Ben "), Just("cleo"), Just("")];
    prop_oneof![
        (few(), name).prop_map(|(user, name)| create_user(user, name)),
        (few(), few(), 0..40 * DAY).prop_map(|(number, user, after)| create_session(
            number,
            user_id(user),
            START + after
        )),
        few().prop_map(|number| AccessCommand::EndSession { session: session_id(number) }),
        (few(), any::<bool>())
            .prop_map(|(user, suspended)| AccessCommand::SuspendUser { user: user_id(user), suspended }),
        (few(), any::<bool>())
            .prop_map(|(user, admin)| AccessCommand::SetClusterAdmin { user: user_id(user), admin }),
        few().prop_map(|user| AccessCommand::DeleteUser { user: user_id(user) }),
        (few(), few(), role()).prop_map(|(application, user, role)| AccessCommand::SetMember {
            application: app_id(application),
            user: user_id(user),
            role
        }),
        (few(), few()).prop_map(|(application, user)| AccessCommand::RemoveMember {
            application: app_id(application),
            user: user_id(user)
        }),
        few().prop_map(|number| AccessCommand::CreateApplication {
            application: app_id(number),
            name: format!("App {}", number % 3)
        }),
        few().prop_map(|number| AccessCommand::DeleteApplication { application: app_id(number) }),
        few().prop_map(|number| AccessCommand::TrashApplication { application: app_id(number) }),
        few().prop_map(|number| AccessCommand::RestoreApplication { application: app_id(number) }),
        few().prop_map(|number| AccessCommand::PurgeApplication { application: app_id(number) }),
        few().prop_map(|number| AccessCommand::ExpireApplication { application: app_id(number) }),
        (few(), few(), role()).prop_map(|(number, application, role)| create_api_key(
            number + 69,
            app_id(application),
            role,
            None
        )),
        few().prop_map(|number| AccessCommand::RevokeApiKey { key: key_id(number + 69) }),
    ]
}

fn asset() -> impl Strategy<Value = AssetCommand> {
    let title = prop_oneof![Just("b"), Just("A"), Just("a"), Just("x\u{0}"), Just("  ")];
    let tags = vec(prop_oneof![Just("red"), Just("Blue")], 0..3);
    prop_oneof![
        3 => (few(), few(), 1..3_u32).prop_map(|(n, application, epoch)| create_asset(n, app_id(application), epoch)),
        2 => (few(), few()).prop_map(|(n, blob)| open(asset_id(n), blob_id(blob + 100), BlobKind::Manifest)),
        1 => (few(), few()).prop_map(|(n, blob)| AssetCommand::TakeOverBlob {
            asset: asset_id(n),
            blob: blob_id(blob + 100)
        }),
        2 => (few(), 1..3_u64).prop_map(|(n, epoch)| seal(asset_id(n), blob_id(n), epoch)),
        2 => (few(), few()).prop_map(|(n, blob)| seal(asset_id(n), blob_id(blob + 100), 1)),
        2 => few().prop_map(|n| AssetCommand::UploadFinished {
            asset: asset_id(n),
            length: 1_000,
            sha256: [9; 32]
        }),
        2 => (few(), 1..3_u64, few()).prop_map(|(n, epoch, job)| AssetCommand::FinishUpload {
            asset: asset_id(n),
            epoch,
            length: 1_000,
            hash: [3; 32],
            sha256: [9; 32],
            job: job_id(job)
        }),
        2 => (few(), few()).prop_map(|(n, blob)| manifest(asset_id(n), blob_id(blob + 100), None)),
        1 => (few(), title, tags, any::<bool>()).prop_map(|(n, title, tags, shelved)| describe(
            asset_id(n),
            AssetPatch {
                title: Some(title.into()),
                tags: Some(tags.into_iter().map(str::to_owned).collect()),
                collections: shelved.then(|| vec![collection_id(1)]),
                ..AssetPatch::default()
            }
        )),
        1 => few().prop_map(|n| publish(asset_id(n))),
        1 => few().prop_map(|n| AssetCommand::SetAccess { asset: asset_id(n), rule: AccessRule::Editors }),
        2 => few().prop_map(|n| AssetCommand::Trash { asset: asset_id(n) }),
        2 => few().prop_map(|n| AssetCommand::Restore { asset: asset_id(n) }),
        1 => few().prop_map(|n| AssetCommand::Purge { asset: asset_id(n) }),
        1 => few().prop_map(|n| AssetCommand::Expire { asset: asset_id(n) }),
        1 => few().prop_map(|n| AssetCommand::AbandonUpload { asset: asset_id(n) }),
        1 => (few(), any::<bool>()).prop_map(|(n, hold)| AssetCommand::SetLegalHold {
            asset: asset_id(n),
            hold,
            reason: "case".into()
        }),
        1 => (few(), few()).prop_map(|(n, application)| AssetCommand::CreateCollection {
            collection: collection_id(n),
            application: app_id(application),
            name: "Name".into()
        }),
        1 => few().prop_map(|n| AssetCommand::DeleteCollection { collection: collection_id(n) }),
        1 => (few(), 0..3_u16).prop_map(|(n, days)| AssetCommand::SetRetention {
            collection: collection_id(n),
            days: (days > 0).then_some(days),
            delete_overdue: days == 1
        }),
    ]
}

fn job() -> impl Strategy<Value = JobCommand> {
    prop_oneof![
        2 => (few(), few()).prop_map(|(n, asset)| JobCommand::Queue {
            job: job_id(n),
            asset: asset_id(asset),
            kind: JobKind::Transcode
        }),
        2 => (few(), 0..3_u64).prop_map(|(n, epoch)| JobCommand::Lease { job: job_id(n), node: NODE, epoch }),
        1 => (few(), 0..3_u64).prop_map(|(n, epoch)| JobCommand::Finish { job: job_id(n), epoch }),
        1 => (few(), 0..3_u64).prop_map(|(n, epoch)| JobCommand::Fail {
            job: job_id(n),
            epoch,
            code: "damaged".into(),
            reason: String::new()
        }),
        1 => few().prop_map(|n| JobCommand::Cancel { job: job_id(n) }),
        1 => few().prop_map(|n| JobCommand::Retry { job: job_id(n) }),
        1 => (few(), 0..3_u64, vec(0..6_u64, 0..4)).prop_map(|(n, epoch, cuts)| JobCommand::Split {
            job: job_id(n),
            epoch,
            cuts
        }),
        1 => (few(), 0..3_u16, 0..2_u64).prop_map(|(n, part, epoch)| JobCommand::LeasePart {
            job: job_id(n),
            part,
            node: NODE,
            epoch
        }),
        1 => (few(), 0..3_u16, few()).prop_map(|(n, part, blob)| JobCommand::OpenPart {
            job: job_id(n),
            part,
            epoch: 1,
            blob: blob_id(blob)
        }),
        1 => (few(), 0..3_u16).prop_map(|(n, part)| JobCommand::FinishPart {
            job: job_id(n),
            part,
            epoch: 1,
            damaged: false
        }),
        1 => (few(), 0..3_u16).prop_map(|(n, part)| JobCommand::KeepPart { job: job_id(n), epoch: 1, part }),
    ]
}

fn cluster() -> impl Strategy<Value = ClusterCommand> {
    prop_oneof![
        (1..4_u32).prop_map(|epoch| ClusterCommand::RotateClusterKey {
            epoch,
            sealed: sealed_for(&[KeyHolder::Node(NODE), KeyHolder::Recovery])
        }),
        (few(), 1..4_u32).prop_map(|(n, key_epoch)| ClusterCommand::RewrapAssetKey {
            asset: asset_id(n),
            wrapped_key: wrapped(0x77),
            key_epoch
        }),
        any::<bool>().prop_map(|held| ClusterCommand::SetTimeHold { held }),
    ]
}

fn own_role() -> impl Strategy<Value = RoleCommand> {
    let abilities = || vec(sample::select(Ability::ALL), 0..4).prop_map(Abilities::from_iter);
    // Fewer still: whoever is to come to more meets what there is.
    let place = || (1..3_u8).prop_map(app_id);
    let role = || (3..5_u8).prop_map(role_id);
    prop_oneof![
        2 => (place(), role(), abilities()).prop_map(|(application, role, abilities)| RoleCommand::Create {
            application,
            role,
            name: format!("Role {role}"),
            abilities
        }),
        2 => (place(), role(), abilities()).prop_map(|(application, role, abilities)| RoleCommand::Update {
            application,
            role,
            name: format!("Role {role}"),
            abilities
        }),
        1 => (place(), role()).prop_map(|(application, role)| RoleCommand::Delete {
            application,
            role
        }),
        3 => (place(), 2..4_u8, role()).prop_map(|(application, user, role)| RoleCommand::Give {
            application,
            user: user_id(user),
            role
        }),
        1 => (few(), role()).prop_map(|(number, role)| RoleCommand::CreateApiKey {
            key: key_id(number + 69),
            name: "key".into(),
            secret_hash: secret(number + 69),
            application: APP,
            role,
            expires_ms: None
        }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let command = prop_oneof![
        4 => asset().prop_map(Command::from),
        2 => access().prop_map(Command::from),
        2 => job().prop_map(Command::from),
        1 => cluster().prop_map(Command::from),
        2 => own_role().prop_map(Command::from),
    ];
    let wait = prop_oneof![8 => 0..1_000_u64, 1 => Just(2 * HOUR), 1 => Just(20 * DAY)];
    (any::<u8>(), command, wait).prop_map(|(who, command, wait_ms)| Step { who, command, wait_ms })
}

/// A claimed world with a few things in it.
fn furnished() -> World {
    let mut world = World::claimed();
    world.person(2, "ben", Role::User);
    // Manages members, and may little else.
    world.person(3, "mia", Role::Viewer);
    world.ok(&owner(), roles::create(4, "Front desk", &[Ability::Watch, Ability::Members, Ability::Keys]));
    world.ok(&owner(), roles::give(3, 4));
    world.key(70, Role::User);
    world.ready(1);
    world.asset(2);
    world
}

/// What must hold in any State.
fn holds(state: &State) {
    for asset in state.assets_by_id(None) {
        assert!(state.application(asset.application).is_some(), "an asset is in an application");
        assert!(state.sealed_keys().any(|(epoch, _)| epoch == asset.key_epoch), "its key can be opened");
        assert!(asset.blob(asset.original).is_some(), "its original is known");
        for collection in asset.collections.iter().filter(|_| asset.is_live()) {
            let found = state.collection(*collection).expect("a live asset's collection is there");
            assert_eq!(found.application, asset.application);
        }
    }
    for job in state.active_jobs() {
        assert_eq!(state.active_job_of(job.asset).map(|active| active.id), Some(job.id));
        assert!(state.asset(job.asset).is_some_and(|asset| asset.is_live()));
    }
    for (job, split) in state.splits() {
        let job = state.job(job).expect("what is divided is there");
        assert!(job.state.is_active(), "parts end with their job");
        assert!(
            split.parts.windows(2).all(|pair| pair[0].end == Some(pair[1].first)),
            "no segment is missing"
        );
    }
    for asset in state.assets_by_id(None) {
        let named =
            |blob| state.splits().any(|(_, split)| split.parts.iter().any(|part| part.blob == Some(blob)));
        let mut of_parts = asset.blobs.iter().filter(|blob| blob.label.starts_with("part-"));
        assert!(of_parts.all(|blob| named(blob.id)), "no part's Blob outlives it");
    }
    let admins = state.users_by_name(None).filter(|user| user.cluster_admin && !user.suspended).count();
    assert!(admins >= 1, "somebody can always get in");
    for application in state.applications_by_name() {
        let query = |shelf, sort| AssetQuery { shelf, sort, after: None, limit: 1_000 };
        for sort in [Sort::NEWEST, Sort::TITLE] {
            let live = state.list_assets(&query(Shelf::Live(application.id), sort), |_| true).assets;
            let trash = state.list_assets(&query(Shelf::Trash(application.id), sort), |_| true).assets;
            let inside = state.assets_by_id(None).filter(|asset| asset.application == application.id).count();
            assert_eq!(live.len() + trash.len(), inside, "lists hold every asset once");
        }
    }
}

/// But by an invitation of somebody else's, nobody who is no cluster admin comes to more than they had.
fn gains_nothing_by_oneself(before: &State, world: &World, step: &Step) {
    let who = actor(step.who);
    let invited = matches!(step.command, Command::Access(AccessCommand::JoinByInvite { .. }));
    if ![person(2), person(3)].contains(&who) || invited {
        return;
    }
    for application in (1..5).map(app_id) {
        let [had, has] =
            [before, &world.state].map(|state| abilities_in(state, &who, application, world.now_ms));
        assert!(has.is_within(had), "{had:?} became {has:?} by {:?}", step.command);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_keeps_the_rules_and_is_the_same_on_every_node(steps in vec(step(), 1..80)) {
        let mut world = furnished();
        let mut twin = world.state.clone();
        for step in steps {
            world.later(step.wait_ms);
            let before = world.state.clone();
            let applied = world.apply(&actor(step.who), step.command.clone());
            holds(&world.state);
            gains_nothing_by_oneself(&before, &world, &step);
            if applied.outcome.is_err() {
                assert!(world.state.same_records(&before), "a refusal changes nothing: {:?}", step.command);
            }
            let entry = Entry { time_ms: world.now_ms, actor: actor(step.who), command: step.command, request: None };
            assert_eq!(twin.apply(world.index, &entry), applied);
        }
        let bytes = postcard::to_allocvec(&world.state).expect("State is written");
        assert_eq!(postcard::to_allocvec(&twin).expect("State is written"), bytes);
        let again: State = postcard::from_bytes(&bytes).expect("State is read");
        assert_eq!(again, world.state);
    }
}
