//! Stories of lists: every order and shelf pages through all of its assets, each once.

use cluster::command::{AccessCommand, AssetCommand, AssetPatch, Role};
use cluster::permission::{standing, visible_assets};
use cluster::refusal::{Noun, Refusal};
use cluster::state::{AssetQuery, AssetStateKind, Cursor, Shelf, Sort, SortBy};

use crate::world::*;

/// Titles of a list, gathered page by page.
fn titles(world: &World, shelf: Shelf, sort: Sort, limit: usize) -> Vec<String> {
    let mut query = AssetQuery { shelf, sort, after: None, limit };
    let mut found = Vec::new();
    loop {
        let page = world.state.list_assets(&query, |_| true);
        assert!(page.assets.len() <= limit);
        found.extend(page.assets.iter().map(|asset| asset.title.clone()));
        match page.next {
            // A cursor goes to the client and comes back as text.
            Some(next) => query.after = Some(next.to_string().parse().expect("our own cursor")),
            None => return found,
        }
    }
}

fn numbered(numbers: impl IntoIterator<Item = u8>) -> Vec<String> {
    numbers.into_iter().map(|number| format!("Asset {number}")).collect()
}

fn rename(number: u8, title: &str) -> AssetCommand {
    describe(asset_id(number), AssetPatch { title: Some(title.into()), ..AssetPatch::default() })
}

#[test]
fn newest_first_and_by_title_in_pages_of_any_size() {
    let mut world = World::claimed();
    for number in 10..20 {
        // Two each have the same time.
        world.later(u64::from(number % 2));
        world.asset(number);
    }
    world.ok(&owner(), rename(12, "alpha"));
    world.ok(&owner(), rename(19, "ALPHA"));
    world.ok(&owner(), rename(15, "Zulu"));
    for limit in [1, 2, 3, 100] {
        let newest = titles(&world, Shelf::Live(APP), Sort::NEWEST, limit);
        assert_eq!(newest.len(), 10);
        assert_eq!(newest[0], "ALPHA", "by limit {limit}");
        let by_title = titles(&world, Shelf::Live(APP), Sort::TITLE, limit);
        assert_eq!((&*by_title[0], &*by_title[1], &*by_title[9]), ("alpha", "ALPHA", "Zulu"));
    }
    assert_eq!(world.state.count(&Shelf::Live(APP)), 10);
}

#[test]
fn every_order_goes_both_ways_and_meets_everything_once() {
    let mut world = World::claimed();
    for number in 10..18 {
        world.later(1);
        match number % 3 {
            0 => world.ready(number),
            1 => world.uploaded(number),
            _ => world.asset(number),
        };
    }
    let titles_of = |by, descending, limit| titles(&world, Shelf::Live(APP), Sort { by, descending }, limit);
    for by in [SortBy::Time, SortBy::Title, SortBy::Duration, SortBy::Size] {
        let up = titles_of(by, false, 100);
        assert_eq!(up.len(), 8, "{by:?}");
        let mut down = titles_of(by, true, 100);
        down.reverse();
        assert_eq!(up, down, "{by:?}");
        for limit in [1, 3] {
            assert_eq!(titles_of(by, false, limit), up, "{by:?} by {limit}");
            let mut down = titles_of(by, true, limit);
            down.reverse();
            assert_eq!(down, up, "{by:?} down by {limit}");
        }
    }
    // What has no length yet comes before what has one.
    let known = |title: &String| {
        let mut all = world.state.assets_by_id(None);
        all.any(|asset| asset.title == *title && asset.facts.is_some())
    };
    let by_duration: Vec<bool> = titles_of(SortBy::Duration, false, 100).iter().map(known).collect();
    assert!(by_duration.is_sorted() && by_duration.contains(&true), "{by_duration:?}");
}

#[test]
fn shelves_follow_what_happens_to_an_asset() {
    let mut world = World::claimed();
    let ben = world.person(2, "ben", Role::User);
    let asset = world.ready(9);
    world.ok(&ben, create_asset(10, APP, 1));
    let collection = collection_id(1);
    world.ok(&ben, AssetCommand::CreateCollection { collection, application: APP, name: "Lectures".into() });
    let patch = AssetPatch {
        tags: Some(vec!["Maths".into()]),
        collections: Some(vec![collection]),
        ..AssetPatch::default()
    };
    world.ok(&ben, describe(asset, patch));
    let list = |world: &World, shelf| titles(world, shelf, Sort::NEWEST, 10);
    let tag = Shelf::Tag(APP, "maths".into());
    assert_eq!(list(&world, tag.clone()), numbered([9]));
    assert_eq!(list(&world, Shelf::Collection(collection)), numbered([9]));
    assert_eq!(list(&world, Shelf::Owner(APP, user_id(2))), numbered([10]));
    assert_eq!(list(&world, Shelf::State(APP, AssetStateKind::Uploading)), numbered([10]));
    assert_eq!(list(&world, Shelf::State(APP, AssetStateKind::Ready)), numbered([9]));
    assert_eq!(world.state.tags_of(APP).collect::<Vec<_>>(), [("maths", 1)]);

    world.ok(&ben, AssetCommand::Trash { asset });
    assert_eq!(list(&world, Shelf::Live(APP)), numbered([10]));
    assert_eq!(list(&world, Shelf::Trash(APP)), numbered([9]));
    assert!(list(&world, tag.clone()).is_empty() && world.state.tags_of(APP).next().is_none());

    world.ok(&ben, AssetCommand::DeleteCollection { collection });
    world.ok(&ben, AssetCommand::Restore { asset });
    assert!(world.found(asset).collections.is_empty(), "a collection that is gone does not come back");
    assert_eq!(list(&world, tag), numbered([9]));
}

#[test]
fn removing_a_collection_leaves_its_assets() {
    let mut world = World::claimed();
    let asset = world.asset(9);
    let collection = collection_id(1);
    let create = |number, name: &str| AssetCommand::CreateCollection {
        collection: collection_id(number),
        application: APP,
        name: name.into(),
    };
    world.ok(&owner(), create(1, "Lectures"));
    assert_eq!(world.refused(&owner(), create(2, "LECTURES")), Refusal::NameTaken(Noun::Collection));
    let put = |id| AssetPatch { collections: Some(vec![collection_id(id)]), ..AssetPatch::default() };
    assert_eq!(world.refused(&owner(), describe(asset, put(7))), Refusal::NotFound(Noun::Collection));
    world.ok(&owner(), describe(asset, put(1)));
    world.ok(&owner(), AssetCommand::UpdateCollection { collection, name: "Talks".into() });
    let names: Vec<_> = world.state.collections_of(APP).map(|found| found.name.clone()).collect();
    assert_eq!(names, ["Talks"]);
    world.ok(&owner(), AssetCommand::DeleteCollection { collection });
    assert!(world.found(asset).collections.is_empty());
}

#[test]
fn an_asset_is_not_put_into_another_applications_collection() {
    let mut world = World::claimed();
    let asset = world.asset(9);
    world.ok(&owner(), AccessCommand::CreateApplication { application: app_id(2), name: "Second".into() });
    world.ok(
        &owner(),
        AssetCommand::CreateCollection {
            collection: collection_id(1),
            application: app_id(2),
            name: "Other".into(),
        },
    );
    let patch = AssetPatch { collections: Some(vec![collection_id(1)]), ..AssetPatch::default() };
    assert_eq!(world.refused(&owner(), describe(asset, patch)), Refusal::NotFound(Noun::Collection));
}

#[test]
fn a_viewer_lists_what_they_may_watch() {
    let mut world = World::claimed();
    let cleo = world.person(3, "cleo", Role::Viewer);
    world.published(10);
    world.ready(11);
    let later = AssetCommand::Publish {
        asset: asset_id(12),
        published: true,
        from_ms: Some(world.now_ms + HOUR),
        until_ms: None,
    };
    world.ready(12);
    world.ok(&owner(), later);
    let list = |world: &World| -> Vec<String> {
        let viewer = standing(&world.state, &cleo, world.now_ms).expect("signed in");
        let query = AssetQuery { shelf: Shelf::Published(APP), sort: Sort::TITLE, after: None, limit: 10 };
        let page = world.state.list_assets(&query, visible_assets(&world.state, &viewer, world.now_ms));
        page.assets.iter().map(|asset| asset.title.clone()).collect()
    };
    assert_eq!(list(&world), numbered([10]));
    world.later(HOUR);
    assert_eq!(list(&world), numbered([10, 12]));
}

#[test]
fn a_page_looks_at_so_many_assets_only_and_goes_on_after_them() {
    let mut world = World::claimed();
    for number in 0..6_000_u32 {
        let mut bytes = [1; 16];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        let mut command = create_asset(9, APP, 1);
        if let AssetCommand::Create { asset, .. } = &mut command {
            *asset = cluster::id::AssetId(bytes);
        }
        world.later(1);
        world.quick(&owner(), command);
    }
    let oldest = world.state.assets_by_id(None).next().expect("there are many").id;
    let mut query = AssetQuery { shelf: Shelf::Live(APP), sort: Sort::NEWEST, after: None, limit: 10 };
    let first = world.state.list_assets(&query, |asset| asset.id == oldest);
    assert!(first.assets.is_empty(), "the first page gives up in time");
    query.after = first.next;
    let second = world.state.list_assets(&query, |asset| asset.id == oldest);
    assert_eq!(second.assets.len(), 1);
    assert!(second.next.is_none());
}

#[test]
fn a_cursor_that_is_none_is_refused() {
    for text in ["", "!", "AAAA", "_____", &"A".repeat(3_000)] {
        assert!(text.parse::<Cursor>().is_err(), "{text}");
    }
}
