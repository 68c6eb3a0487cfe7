//! Stories of assets: described, published, trashed, held, purged.

use cluster::command::{AccessRule, AssetCommand, AssetPatch, ClusterCommand, JobCommand, JobKind, Role};
use cluster::event::Event;
use cluster::outcome::Outcome;
use cluster::refusal::{Needs, Noun, Problem, Refusal};
use cluster::state::{AssetState, Life};

use crate::world::*;

#[test]
fn an_upload_becomes_an_asset() {
    let mut world = World::claimed();
    let asset = world.asset(9);
    let found = world.found(asset);
    assert_eq!((found.state.clone(), found.watchable, found.key_epoch), (AssetState::Uploading, false, 1));
    assert_eq!(found.blob(blob_id(9)).unwrap().epoch, 1, "its original is open");
    assert_eq!(world.refused(&owner(), create_asset(9, APP, 1)), Refusal::DuplicateId(Noun::Asset));
    let finished = AssetCommand::UploadFinished { asset, length: 1_000, sha256: [9; 32] };
    assert_eq!(world.refused(&node(), finished.clone()), Refusal::BlobOpen);
    world.ok(&node(), seal(asset, blob_id(9), 1));
    let short = AssetCommand::UploadFinished { asset, length: 999, sha256: [9; 32] };
    assert_eq!(world.refused(&node(), short), Refusal::BlobMismatch);
    world.ok(&node(), finished.clone());
    world.ok(&node(), finished);
    let found = world.found(asset);
    assert_eq!((found.state, found.length), (AssetState::Processing, Some(1_000)));
}

#[test]
fn the_end_of_an_upload_is_one_step_or_none() {
    let mut world = World::claimed();
    let asset = world.asset(9);
    let finish = |length, epoch| AssetCommand::FinishUpload {
        asset,
        epoch,
        length,
        hash: [3; 32],
        sha256: [9; 32],
        job: job_id(9),
    };
    assert_eq!(world.refused(&owner(), finish(1_000, 2)), Refusal::StaleBlobEpoch { current: 1 });
    assert_eq!(world.refused(&anonymous(), finish(1_000, 1)), Refusal::NotSignedIn);
    let found = world.found(asset);
    assert_eq!((found.state.clone(), found.length, found.job), (AssetState::Uploading, None, None));
    assert!(found.blob(blob_id(9)).unwrap().sealed.is_none(), "nothing of it is done when it is refused");

    world.ok(&owner(), finish(1_000, 1));
    let found = world.found(asset);
    assert_eq!((found.state, found.length), (AssetState::Processing, Some(1_000)));
    assert_eq!((found.sha256, found.job), (Some([9; 32]), Some(job_id(9))));
    assert_eq!(world.state.active_job_of(asset).unwrap().id, job_id(9));
    world.ok(&owner(), JobCommand::Cancel { job: job_id(9) });
    assert_eq!(world.ok(&owner(), finish(1_000, 1)), Outcome::Done, "told again, it is done");
    assert!(world.state.active_job_of(asset).is_none(), "and nothing is begun anew");
    assert_eq!(world.refused(&owner(), finish(999, 1)), Refusal::BlobSealed);
}

#[test]
fn work_that_began_before_the_end_of_an_upload_goes_on() {
    let mut world = World::claimed();
    let asset = world.asset(9);
    world.ok(&node(), JobCommand::Queue { job: job_id(8), asset, kind: JobKind::Transcode });
    let finish = AssetCommand::FinishUpload {
        asset,
        epoch: 1,
        length: 1_000,
        hash: [3; 32],
        sha256: [9; 32],
        job: job_id(9),
    };
    assert_eq!(world.ok(&owner(), finish), Outcome::Job { job: job_id(8), existing: true });
    let found = world.found(asset);
    assert_eq!((found.state, found.job), (AssetState::Processing, Some(job_id(8))));
}

#[test]
fn an_upload_can_be_given_up_but_not_a_finished_one() {
    let mut world = World::claimed();
    let (asset, finished) = (world.asset(9), world.uploaded(10));
    world.ok(&owner(), AssetCommand::AbandonUpload { asset });
    assert!(world.state.asset(asset).is_none());
    assert!(world.events.contains(&Event::AssetPurged { asset, application: APP }));
    let refusal = world.refused(&owner(), AssetCommand::AbandonUpload { asset: finished });
    assert_eq!(refusal, Refusal::AssetState);
    assert_eq!(world.refused(&owner(), create_asset(9, APP, 1)), Refusal::DuplicateId(Noun::Asset));
}

#[test]
fn a_description_is_bounded_and_kept_whole() {
    let mut world = World::claimed();
    let asset = world.asset(9);
    let title = |title: &str| AssetPatch { title: Some(title.into()), ..AssetPatch::default() };
    let tags = |tags: Vec<String>| AssetPatch { tags: Some(tags), ..AssetPatch::default() };
    let fields = |fields: Vec<(String, String)>| AssetPatch { fields: Some(fields), ..AssetPatch::default() };
    let description = |text: String| AssetPatch { description: Some(text), ..AssetPatch::default() };
    let numbered = |count: usize| (0..count).map(|n| format!("tag {n}")).collect::<Vec<_>>();
    for (patch, field, problem) in [
        (title("  "), "title", Problem::Empty),
        (title(&"x".repeat(201)), "title", Problem::TooLong(200)),
        (title("line\nbreak"), "title", Problem::ControlCharacter),
        (title("nul\0"), "title", Problem::ControlCharacter),
        (description("x".repeat(4_001)), "description", Problem::TooLong(4_000)),
        (tags(numbered(33)), "tags", Problem::TooMany(32)),
        (tags(vec!["x".repeat(65)]), "tags", Problem::TooLong(64)),
        (tags(vec![String::new()]), "tags", Problem::Empty),
        (title("abc \u{202e}def"), "title", Problem::TurnsText),
        (tags(vec!["Red".into(), "red".into()]), "tags", Problem::Repeated),
        (fields(vec![(String::new(), "v".into())]), "fields", Problem::Empty),
        (fields(vec![("n".into(), "x".repeat(501))]), "fields", Problem::TooLong(500)),
        (fields(vec![("n".into(), "1".into()), ("n".into(), "2".into())]), "fields", Problem::Repeated),
    ] {
        let refusal = world.refused(&owner(), describe(asset, patch));
        assert_eq!(refusal, Refusal::invalid(field, problem));
    }
    assert_eq!(world.found(asset).title, "Asset 9");
    let rtl = "abc \u{200f}def";
    let patch = AssetPatch {
        title: Some(format!(" {rtl} ")),
        description: Some("First line\nsecond line".into()),
        tags: Some(numbered(32)),
        fields: Some(vec![("Course".into(), "M101".into())]),
        collections: None,
    };
    world.ok(&owner(), describe(asset, patch));
    let found = world.found(asset);
    assert_eq!(found.title, rtl, "direction marks are kept; whoever shows them encodes them");
    assert_eq!((found.tags.len(), found.fields.len()), (32, 1));
    world.ok(&owner(), describe(asset, AssetPatch::default()));
    assert_eq!(world.found(asset).tags.len(), 32, "what is not named stays");
}

#[test]
fn trash_is_unplayable_at_once_and_restorable() {
    let mut world = World::claimed();
    let asset = world.published(9);
    let epoch = world.found(asset).view_epoch;
    world.ok(&owner(), AssetCommand::Trash { asset });
    assert!(world.events.contains(&Event::WatchRulesChanged { asset }));
    let (at_ms, now_ms) = (world.now_ms, world.now_ms);
    let life = Life::Trashed { at_ms, until_ms: now_ms + 30 * DAY, noted_due_ms: None };
    assert_eq!(world.found(asset).life, life);
    assert_ne!(world.found(asset).view_epoch, epoch, "Views of before do not come back");
    assert_eq!(world.refused(&owner(), AssetCommand::Trash { asset }), Refusal::Trashed);
    assert_eq!(world.refused(&owner(), publish(asset)), Refusal::Trashed);
    world.ok(&owner(), AssetCommand::Restore { asset });
    assert_eq!(world.refused(&owner(), AssetCommand::Restore { asset }), Refusal::NotTrashed);
    assert!(world.found(asset).is_published(world.now_ms));
}

#[test]
fn purging_forgets_the_key_and_needs_an_admin_and_the_trash() {
    let mut world = World::claimed();
    let ben = world.person(2, "ben", Role::User);
    let asset = world.ready(9);
    assert_eq!(world.refused(&owner(), AssetCommand::Purge { asset }), Refusal::NotTrashed);
    world.ok(&ben, AssetCommand::Trash { asset });
    let needs_admin = Refusal::Forbidden { needs: Needs::Role(Role::Admin) };
    assert_eq!(world.refused(&ben, AssetCommand::Purge { asset }), needs_admin);
    let key = vec![9_u8; 60];
    let holds = |world: &World| {
        let bytes = postcard::to_allocvec(&world.state).unwrap();
        bytes.windows(key.len()).any(|window| window == key)
    };
    assert!(holds(&world));
    world.ok(&owner(), AssetCommand::Purge { asset });
    assert!(!holds(&world), "the wrapped key is nowhere in State");
    assert_eq!(world.state.tombstone(asset).unwrap().application, APP);
    assert_eq!(world.refused(&owner(), AssetCommand::Restore { asset }), Refusal::NotFound(Noun::Asset));
}

#[test]
fn a_legal_hold_blocks_trash_purge_and_expiry() {
    let mut world = World::claimed();
    let ben = world.person(2, "ben", Role::User);
    let (asset, trashed) = (world.ready(9), world.uploaded(10));
    let hold = |asset, hold, reason: &str| AssetCommand::SetLegalHold { asset, hold, reason: reason.into() };
    let needs_admin = Refusal::Forbidden { needs: Needs::Role(Role::Admin) };
    assert_eq!(world.refused(&ben, hold(asset, true, "case 7")), needs_admin);
    let refusal = world.refused(&owner(), hold(asset, true, " "));
    assert_eq!(refusal, Refusal::invalid("reason", Problem::Empty));
    world.ok(&owner(), hold(asset, true, "case 7"));
    assert_eq!(world.refused(&owner(), AssetCommand::Trash { asset }), Refusal::LegalHold);
    world.ok(&owner(), AssetCommand::Trash { asset: trashed });
    world.ok(&owner(), hold(trashed, true, "case 8"));
    assert_eq!(world.refused(&owner(), AssetCommand::Purge { asset: trashed }), Refusal::LegalHold);
    world.later(40 * DAY);
    assert_eq!(world.refused(&node(), AssetCommand::Expire { asset: trashed }), Refusal::LegalHold);
    world.ok(&node(), create_session(11, user_id(OWNER), world.now_ms + DAY));
    let back = cluster::actor::Actor::user(user_id(OWNER), session_id(11));
    world.ok(&back, hold(trashed, false, ""));
    assert_eq!(world.ok(&node(), AssetCommand::Expire { asset: trashed }), Outcome::NotedDue);
}

#[test]
fn expiry_takes_two_stamps_an_hour_apart() {
    let mut world = World::claimed();
    let asset = world.uploaded(9);
    let expire = AssetCommand::Expire { asset };
    assert_eq!(world.refused(&node(), expire.clone()), Refusal::NotDue, "not in the trash");
    world.ok(&owner(), AssetCommand::Trash { asset });
    assert_eq!(world.refused(&owner(), expire.clone()), Refusal::Forbidden { needs: Needs::Node });
    world.later(30 * DAY - 1);
    assert_eq!(world.refused(&node(), expire.clone()), Refusal::NotDue);
    assert_eq!(world.state.assets_due(world.now_ms).count(), 0);
    world.later(1);
    assert_eq!(world.state.assets_due(world.now_ms).count(), 1);
    world.ok(&node(), ClusterCommand::SetTimeHold { held: true });
    assert_eq!(world.refused(&node(), expire.clone()), Refusal::TimeHeld);
    world.ok(&node(), ClusterCommand::SetTimeHold { held: false });
    assert_eq!(world.ok(&node(), expire.clone()), Outcome::NotedDue);
    world.later(HOUR - 1);
    assert_eq!(world.refused(&node(), expire.clone()), Refusal::NotDue);
    world.later(1);
    assert_eq!(world.ok(&node(), expire), Outcome::Purged);
    assert!(world.state.asset(asset).is_none());
}

#[test]
fn a_restore_starts_the_time_in_the_trash_anew() {
    let mut world = World::claimed();
    let asset = world.uploaded(9);
    world.ok(&owner(), AssetCommand::Trash { asset });
    world.later(30 * DAY - HOUR);
    world.ok(&owner(), AssetCommand::Restore { asset });
    world.ok(&owner(), AssetCommand::Trash { asset });
    world.later(2 * HOUR);
    assert_eq!(world.refused(&node(), AssetCommand::Expire { asset }), Refusal::NotDue);
}

#[test]
fn an_access_rule_names_members_only() {
    let mut world = World::claimed();
    world.person(2, "ben", Role::Viewer);
    world.ok(&owner(), create_user(3, "stranger"));
    let asset = world.published(9);
    let rule = |users: Vec<u8>| AssetCommand::SetAccess {
        asset,
        rule: AccessRule::Users(users.into_iter().map(user_id).collect()),
    };
    assert_eq!(world.refused(&owner(), rule(vec![3])), Refusal::NotFound(Noun::Member));
    let refusal = world.refused(&owner(), rule(vec![2, 2]));
    assert_eq!(refusal, Refusal::invalid("users", Problem::Repeated));
    world.ok(&owner(), rule(vec![2]));
    assert_eq!(world.found(asset).access, AccessRule::Users(vec![user_id(2)]));
}

#[test]
fn a_window_that_ends_before_it_begins_is_refused() {
    let mut world = World::claimed();
    let asset = world.ready(9);
    let (from_ms, until_ms) = (Some(world.now_ms + 2), Some(world.now_ms + 1));
    let refusal =
        world.refused(&owner(), AssetCommand::Publish { asset, published: true, from_ms, until_ms });
    assert_eq!(refusal, Refusal::invalid("until_ms", Problem::OutOfRange));
}

#[test]
fn the_record_of_a_ready_asset_is_small() {
    let mut world = World::claimed();
    let asset = world.published(9);
    for number in 20..40 {
        world.ok(&node(), open(asset, blob_id(number), cluster::command::BlobKind::Rendition));
        world.ok(&node(), seal(asset, blob_id(number), 1));
    }
    world.set_manifest(asset, blob_id(201), Some(blob_id(200)));
    let length = postcard::to_allocvec(&world.found(asset)).unwrap().len();
    assert!(length <= 600, "{length} bytes");
}
