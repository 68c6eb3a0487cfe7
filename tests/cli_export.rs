//! Leaving and coming back, as stories: everything goes into a plain folder, and from there into a blank cluster.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::{Path, PathBuf};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::Person;
use crate::support::{self, Client, Node, files, wait_for};

const NAME: &str = "Überfahrt – 片.mkv";
const CAPTIONS: &str = "WEBVTT\n\n00:00:00.000 --> 00:00:01.000\nGrüße vom Schiff\n";

/// A node, its admin, and somebody logged in there with a folder of their own.
struct Place {
    node: Node,
    admin: Client,
    person: Person,
}

impl Place {
    async fn new() -> Self {
        let node = Node::start().await;
        let admin = node.admin().await;
        let person = Person::logged_in(&node).await;
        Self { node, admin, person }
    }

    async fn puts(&self, application: &str, name: &str, bytes: &[u8]) -> String {
        let mut url = url::Url::parse("https://x/").unwrap();
        url.path_segments_mut().unwrap().extend(["applications", application, "files", name]);
        let request = self.admin.request(Method::PUT, url.path()).body(bytes.to_vec());
        self.admin.send(request).await.expect(201)["asset"].as_str().unwrap().to_owned()
    }

    async fn ends(&self, asset: &str) -> Value {
        wait_for("the end of processing", || async {
            let asset = self.admin.get(&format!("/assets/{asset}")).await.expect(200);
            ["ready", "failed"].contains(&asset["state"].as_str().unwrap()).then_some(asset)
        })
        .await
    }

    async fn acts(&self, asset: &str, what: &str, body: Value) {
        self.admin.post(&format!("/assets/{asset}/{what}"), &body).await.expect(200);
    }

    /// Everything in an application, the trash included.
    async fn assets(&self, application: &str) -> Vec<Value> {
        let list = format!("/applications/{application}/assets?limit=200");
        let mut all = items(&self.admin.get(&list).await.expect(200));
        all.extend(items(&self.admin.get(&format!("{list}&trashed=true")).await.expect(200)));
        all
    }

    /// How often something is on record.
    async fn recorded(&self, action: &str) -> usize {
        items(&self.admin.get(&format!("/audit?action={action}&limit=500")).await.expect(200)).len()
    }

    async fn application(&self, name: &str) -> String {
        let all = items(&self.admin.get("/applications").await.expect(200));
        let found = all.iter().find(|one| one["name"] == name);
        found.unwrap_or_else(|| panic!("{name} is not there"))["id"].as_str().unwrap().to_owned()
    }
}

fn items(page: &Value) -> Vec<Value> {
    page["items"].as_array().unwrap().clone()
}

/// What came from an asset of the export.
fn from<'a>(all: &'a [Value], origin: &str) -> &'a Value {
    let mut found = all.iter().filter(|one| one["fields"]["imported_from"] == origin);
    let one = found.next().unwrap_or_else(|| panic!("nothing came from {origin}"));
    assert!(found.next().is_none(), "{origin} came twice");
    one
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
        .unwrap()
}

/// The folder of an exported asset.
fn folder_of(export: &Path, asset: &str) -> PathBuf {
    let ending = format!("assets/{asset}/asset.json");
    let all = files(export);
    let found = all.iter().find(|path| path.ends_with(&ending));
    found.unwrap_or_else(|| panic!("{asset} is not in the export")).parent().unwrap().to_owned()
}

async fn sums_fit(export: &Path) {
    let mut command = Command::new("sha256sum");
    let output = command.args(["-c", "--strict", "SHA256SUMS"]).current_dir(export).output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let listed: Vec<&str> = said.lines().filter_map(|line| line.strip_suffix(": OK")).collect();
    let there = files(export).len() - 1;
    assert_eq!(listed.len(), there, "every file but the list itself is listed: {said}");
}

async fn ffmpeg(arguments: &str) {
    let arguments = arguments.split_whitespace();
    let status = Command::new("ffmpeg").args(["-v", "error", "-y"]).args(arguments).status().await;
    assert!(status.expect("ffmpeg is installed").success());
}

/// Two seconds with a subtitle track in them.
async fn film(folder: &Path) -> Vec<u8> {
    let (srt, mkv) = (folder.join("film.srt"), folder.join("film.mkv"));
    std::fs::write(&srt, "1\n00:00:00,000 --> 00:00:01,000\nFound in the film\n").unwrap();
    ffmpeg(&format!(
        "-f lavfi -i testsrc2=size=320x240:rate=25:duration=2 -f lavfi -i sine=frequency=440:duration=2 -i {} \
         -map 0 -map 1 -map 2 -c:v libx264 -preset ultrafast -pix_fmt yuv420p -c:a aac -c:s srt -metadata:s:s:0 language=eng {}",
        srt.display(),
        mkv.display()
    ))
    .await;
    std::fs::read(mkv).unwrap()
}

async fn picture(folder: &Path) -> Vec<u8> {
    let png = folder.join("poster.png");
    ffmpeg(&format!("-f lavfi -i color=red:size=160x90 -frames:v 1 {}", png.display())).await;
    std::fs::read(png).unwrap()
}

/// What a first cluster holds: a film with everything people can say of one, one under legal hold in another application,
/// one in the trash, and an upload that never came to its end.
struct Library {
    film: String,
    held: String,
    trashed: String,
}

async fn furnish(place: &Place) -> Library {
    let (node, admin) = (&place.node, &place.admin);
    let videos = node.application();
    node.member(admin, videos, "viewer", "ada").await;
    let ada = items(&admin.get(&format!("/applications/{videos}/members")).await.expect(200));
    let ada = ada.iter().find(|one| one["username"] == "ada").unwrap()["user"].clone();
    let folder = format!("/applications/{videos}/collections");
    let collection = admin.post(&folder, &json!({ "name": "Vorträge & mehr" })).await.expect(201);
    let kept = format!("/collections/{}/retention", collection["id"].as_str().unwrap());
    admin.put(&kept, &json!({ "days": 900 })).await.expect(200);

    let home = place.person.home.path();
    let film = place.puts(videos, NAME, &film(home).await).await;
    let described = json!({
        "title": "Ärger & Größe", "description": "Zwei\nZeilen", "tags": ["Meer", "片"],
        "fields": { "Ort": "Kiel" }, "collections": [collection["id"]],
        "access": { "kind": "users", "users": [ada] },
    });
    admin.patch(&format!("/assets/{film}"), &described).await.expect(200);
    assert_eq!(place.ends(&film).await["state"], "ready");
    let captions = admin.request(Method::PUT, &format!("/assets/{film}/captions/de"));
    admin.send(captions.header("content-type", "text/vtt").body(CAPTIONS)).await.expect(204);
    let poster = admin.request(Method::PUT, &format!("/assets/{film}/poster"));
    let poster = poster.header("content-type", "image/png").body(picture(home).await);
    admin.send(poster).await.expect(204);
    place
        .acts(
            &film,
            "publish",
            json!({ "from_ms": 1_700_000_000_000_u64, "until_ms": 4_000_000_000_000_u64 }),
        )
        .await;

    let legal = admin.post("/applications", &json!({ "name": "Akten / Überblick" })).await.expect(201);
    let legal = legal["id"].as_str().unwrap();
    let policy =
        json!({ "policy": { "offline_grace_ms": 60_000, "trash_days": 7, "viewer_may_download": true } });
    admin.patch(&format!("/applications/{legal}"), &policy).await.expect(200);
    let held = place.puts(legal, "asset.json", "No film, but evidence.\n".repeat(500).as_bytes()).await;
    place.ends(&held).await;
    place.acts(&held, "hold", json!({ "reason": "Az. 4711" })).await;
    let trashed = place.puts(legal, "away.mp4", "Thrown away.\n".repeat(500).as_bytes()).await;
    place.ends(&trashed).await;
    place.acts(&trashed, "trash", json!({})).await;

    let unfinished = admin.request(Method::POST, "/uploads").header("Tus-Resumable", "1.0.0");
    let metadata = format!("application {}", data_encoding::BASE64.encode(videos.as_bytes()));
    let unfinished = unfinished.header("Upload-Length", 1000).header("Upload-Metadata", metadata);
    assert_eq!(admin.send(unfinished).await.status, 201);
    Library { film, held, trashed }
}

fn the_export_can_be_read_by_anybody(export: &Path, library: &Library) {
    let head = read(&export.join("export.json"));
    assert_eq!((&head["format"], &head["version"]), (&json!("mediakeep-export"), &json!(1)));
    assert_eq!((&head["complete"], &head["assets"]), (&json!(true), &json!(3)));
    assert_eq!(head["missing"][0]["reason"], "its upload is not complete");

    let folder = folder_of(export, &library.film);
    let film = read(&folder.join("asset.json"));
    assert_eq!((&film["title"], &film["description"]), (&json!("Ärger & Größe"), &json!("Zwei\nZeilen")));
    assert_eq!(film["collections"], json!(["Vorträge & mehr"]));
    assert_eq!(film["access"]["users"][0]["username"], "ada");
    assert_eq!(film["original"]["file"], NAME);
    assert!(film["tracks"].as_array().unwrap().len() >= 3, "{}", film["tracks"]);
    assert!(std::fs::read_to_string(folder.join("captions/de.vtt")).unwrap().contains("Grüße vom Schiff"));
    let found = std::fs::read_to_string(folder.join("captions/en.extracted.vtt")).unwrap();
    assert!(found.starts_with("WEBVTT") && found.contains("Found in the film"), "{found}");
    let kinds: Vec<_> = film["captions"].as_array().unwrap().iter().map(|one| &one["uploaded"]).collect();
    assert_eq!(kinds, [&json!(false), &json!(true)]);
    let rendition = film["renditions"][0]["file"].as_str().unwrap();
    let mp4 = std::fs::read(folder.join(rendition)).unwrap();
    assert_eq!(mp4.get(4..8), Some(b"ftyp".as_slice()), "{rendition} is an MP4");
    assert_eq!((&film["poster"]["chosen"], &film["poster"]["file"]), (&json!(true), &json!("poster.png")));

    let held = folder_of(export, &library.held);
    let record = read(&held.join("asset.json"));
    assert_eq!((&record["hold"], &record["original"]["file"]), (&json!("Az. 4711"), &json!("asset-2.json")));
    let application = read(&held.join("../../application.json"));
    assert_eq!(
        (&application["name"], &application["policy"]["trash_days"]),
        (&json!("Akten / Überblick"), &json!(7))
    );
    let members = read(&folder.join("../../application.json"))["members"].clone();
    assert!(
        members.as_array().unwrap().iter().any(|one| one["username"] == "ada" && one["role"] == "viewer")
    );
    let audit = std::fs::read_to_string(export.join("audit.jsonl")).unwrap();
    let records =
        audit.lines().map(|line| serde_json::from_str::<Value>(line).expect("one JSON object a line"));
    assert!(records.into_iter().any(|one| one["action"] == "asset.hold"));
    for path in files(export) {
        let text = std::fs::read(&path).unwrap();
        let secret = |word: &[u8]| text.windows(word.len()).any(|at| at == word);
        assert!(!secret(b"$argon2") && !secret(support::PASSPHRASE.as_bytes()), "{}", path.display());
    }
}

/// Everything that is said of an asset and can be brought in.
fn said(asset: &Value) -> Value {
    let names = [
        "title",
        "description",
        "tags",
        "file_name",
        "sha256",
        "size",
        "published",
        "publish_from_ms",
        "publish_until_ms",
        "hold",
        "state",
        "height",
    ];
    let mut said: Value = names.iter().map(|&name| (name.to_owned(), asset[name].clone())).collect();
    said["fields"] = asset["fields"].clone();
    said["fields"].as_object_mut().unwrap().remove("imported_from");
    said["is_trashed"] = json!(!asset["trashed_ms"].is_null());
    said
}

#[tokio::test]
async fn everything_leaves_in_open_formats_and_comes_back_equal() {
    let home = Place::new().await;
    let library = furnish(&home).await;
    let export = home.person.home.path().join("Export – alles");
    let export_command = ["export", "--trashed", "--renditions", &export.display().to_string()];
    let exported = home.person.types(&export_command).await;
    assert_eq!(exported.well(), export.display().to_string());
    assert!(exported.error.contains("its upload is not complete"), "{}", exported.error);
    sums_fit(&export).await;
    the_export_can_be_read_by_anybody(&export, &library);

    // Once more: nothing is sent again, nothing is doubled.
    let before = (home.recorded("download.start").await, files(&export));
    home.person.types(&export_command).await.well();
    assert_eq!((home.recorded("download.start").await, files(&export)), before);
    sums_fit(&export).await;
    let other = ["export", &export.display().to_string()];
    home.person.types(&other).await.badly(&format!("{} holds an export of something else", export.display()));

    let blank = Place::new().await;
    blank.node.member(&blank.admin, blank.node.application(), "viewer", "ada").await;
    let import = ["import", "--wait", &export.display().to_string()];
    let imported = blank.person.types(&import).await;
    assert_eq!(imported.well().lines().count(), 3, "{}", imported.error);
    let apps = [blank.node.application().to_owned(), blank.application("Akten / Überblick").await];
    let mut here = blank.assets(&apps[0]).await;
    here.extend(blank.assets(&apps[1]).await);
    assert_eq!(here.len(), 3, "{here:?}");
    for origin in [&library.film, &library.held, &library.trashed] {
        let there = home.admin.get(&format!("/assets/{origin}")).await.expect(200);
        assert_eq!(said(from(&here, origin)), said(&there));
    }
    it_looks_the_same(&home, &blank, &library, &here, &apps).await;

    // Once more: what people did since then stays, and nothing comes twice.
    let film = from(&here, &library.film)["id"].as_str().unwrap();
    blank.acts(film, "unpublish", json!({})).await;
    let records = (blank.recorded("asset.create").await, blank.recorded("asset.").await);
    let again = blank.person.types(&import).await;
    assert_eq!(again.well(), imported.well());
    assert!(again.error.contains("0 assets brought in, 3 there already, 0 failed"), "{}", again.error);
    assert_eq!((blank.recorded("asset.create").await, blank.recorded("asset.").await), records);
    home.node.stop().await;
    blank.node.stop().await;
}

async fn it_looks_the_same(
    home: &Place,
    blank: &Place,
    library: &Library,
    here: &[Value],
    apps: &[String; 2],
) {
    let film = from(here, &library.film);
    let id = film["id"].as_str().unwrap();
    let collections = blank.admin.get(&format!("/applications/{}/collections", apps[0])).await.expect(200);
    assert_eq!(collections["items"][0]["name"], "Vorträge & mehr");
    assert_eq!(collections["items"][0]["retention_days"], 900);
    assert_eq!(film["collections"], json!([collections["items"][0]["id"]]));
    let ada = items(&blank.admin.get(&format!("/applications/{}/members", apps[0])).await.expect(200));
    let ada = ada.iter().find(|one| one["username"] == "ada").unwrap();
    assert_eq!(film["access"], json!({ "kind": "users", "users": [ada["user"]] }));
    for beside in ["captions/de", "captions/s0", "poster"] {
        let there = home.admin.get(&format!("/assets/{}/{beside}", library.film)).await;
        let here = blank.admin.get(&format!("/assets/{id}/{beside}")).await;
        assert_eq!((there.status, here.status), (200, 200), "{beside}");
        assert_eq!(there.bytes, here.bytes, "{beside}");
    }
    let detail = blank.admin.get(&format!("/assets/{id}/detail")).await.expect(200);
    assert_eq!(detail["poster_chosen"], true);
    let policy = blank.admin.get(&format!("/applications/{}", apps[1])).await.expect(200)["policy"].clone();
    assert_eq!((&policy["trash_days"], &policy["viewer_may_download"]), (&json!(7), &json!(true)));
}

#[tokio::test]
async fn who_may_not_watch_there_may_not_here() {
    let home = Place::new().await;
    let videos = home.node.application();
    home.node.member(&home.admin, videos, "viewer", "ada").await;
    let members = items(&home.admin.get(&format!("/applications/{videos}/members")).await.expect(200));
    let ada = members.iter().find(|one| one["username"] == "ada").unwrap()["user"].clone();
    let film = home.puts(videos, "film.mp4", "For Ada alone.\n".repeat(100).as_bytes()).await;
    let rule = json!({ "access": { "kind": "users", "users": [ada] } });
    home.admin.patch(&format!("/assets/{film}"), &rule).await.expect(200);
    home.acts(&film, "publish", json!({})).await;
    let export = home.person.home.path().join("export").display().to_string();
    home.person.types(&["export", &export, "-a", "videos"]).await.well();

    // Nobody is called Ada there, but others are members.
    let blank = Place::new().await;
    let bob = blank.node.member(&blank.admin, blank.node.application(), "viewer", "bob").await;
    let imported = blank.person.types(&["import", &export]).await;
    imported.well();
    assert!(
        imported.error.contains("may be watched by editors only: no members here are ada"),
        "{}",
        imported.error
    );
    let here = blank.assets(blank.node.application()).await;
    let film = from(&here, &film);
    assert_eq!((&film["access"]["kind"], &film["published"]), (&json!("editors"), &json!(true)));
    bob.get(&format!("/assets/{}", film["id"].as_str().unwrap()))
        .await
        .expect_problem(404, "asset_not_found");

    // An editor of another application may neither see nor make what is missing there.
    let other = blank.admin.post("/applications", &json!({ "name": "Other" })).await.expect(201);
    let keys = format!("/applications/{}/api-keys", other["id"].as_str().unwrap());
    let key = blank.admin.post(&keys, &json!({ "name": "script", "role": "admin" })).await.expect(201);
    let script = Person::new()
        .with("MEDIAKEEP_URL", blank.node.url())
        .with("MEDIAKEEP_CA", blank.node.ready.ca.display().to_string())
        .with("MEDIAKEEP_TOKEN", key["secret"].as_str().unwrap());
    script
        .types(&["import", &export])
        .await
        .badly("there is no application `Videos` here, and only a cluster admin");
    home.node.stop().await;
    blank.node.stop().await;
}

#[tokio::test]
async fn what_was_changed_or_leads_elsewhere_is_not_sent() {
    let home = Place::new().await;
    let videos = home.node.application();
    let good = home.puts(videos, "good.mp4", "Good.\n".repeat(100).as_bytes()).await;
    let bad = home.puts(videos, "bad.mp4", "Bad.\n".repeat(100).as_bytes()).await;
    let export = home.person.home.path().join("export");
    let shown = export.display().to_string();
    home.person.types(&["export", &shown]).await.well();
    let file = folder_of(&export, &bad).join("bad.mp4");
    let whole = std::fs::read(&file).unwrap();
    let mut flipped = whole.clone();
    flipped[100] ^= 1;
    std::fs::write(&file, &flipped).unwrap();

    let blank = Place::new().await;
    let application = blank.node.application().to_owned();
    let import = ["import", &shown];
    let refused = blank.person.types(&import).await;
    assert_eq!(refused.code, Some(1));
    let name = file.strip_prefix(&export).unwrap().display().to_string();
    assert!(refused.error.contains(&format!("{name} is not what was exported")), "{}", refused.error);
    assert!(refused.error.contains("mediakeep: 1 of 2 assets were not brought in"), "{}", refused.error);
    let here = blank.assets(&application).await;
    assert_eq!(here.len(), 1, "nothing of the other was sent: {here:?}");
    from(&here, &good);

    // The list itself leads elsewhere, or what it names does.
    std::fs::write(&file, &whole).unwrap();
    let list = export.join("SHA256SUMS");
    let sums = std::fs::read_to_string(&list).unwrap();
    std::fs::write(&list, format!("{sums}{}  ../secret\n", "0".repeat(64))).unwrap();
    blank.person.types(&import).await.badly("`../secret` is refused: it leads out of the folder");
    std::fs::write(&list, &sums).unwrap();
    let secret = home.person.home.path().join("secret");
    std::fs::rename(&file, &secret).unwrap();
    std::os::unix::fs::symlink(&secret, &file).unwrap();
    blank.person.types(&import).await.badly(&format!("`{name}` is refused: it is a symbolic link"));
    assert_eq!(blank.assets(&application).await.len(), 1);

    std::fs::remove_file(&file).unwrap();
    std::fs::rename(&secret, &file).unwrap();
    let mended = blank.person.types(&import).await;
    assert!(mended.error.contains("1 asset brought in, 1 there already, 0 failed"), "{}", mended.error);
    from(&blank.assets(&application).await, &bad);
    // What the node shows no more stays in the folder, and in its list.
    home.acts(&good, "trash", json!({})).await;
    let left = home.person.types(&["export", &shown]).await;
    left.well();
    assert!(left.error.contains("1 of an earlier export are not on the node any more"), "{}", left.error);
    sums_fit(&export).await;
    let foreign = blank.person.home.path().display().to_string();
    blank
        .person
        .types(&["export", &foreign])
        .await
        .badly(&format!("{foreign} holds something else (.config)"));
    home.node.stop().await;
    blank.node.stop().await;
}

#[tokio::test]
async fn what_was_cut_off_goes_on_where_it_stood() {
    let home = Place::new().await;
    let large = home.person.home.path().join("large.mp4");
    std::fs::File::create(&large).unwrap().set_len(192 << 20).unwrap();
    let small = home.puts(home.node.application(), "small.mp4", "Small.\n".repeat(100).as_bytes()).await;
    let large = home.person.types(&["upload", &large.display().to_string()]).await.well().to_owned();
    home.ends(&large).await;

    let export = home.person.home.path().join("export");
    let shown = export.display().to_string();
    let mut running = home.person.command(&["export", &shown]).spawn().unwrap();
    let half = wait_for("half of the file", || async {
        let half = files(&export).into_iter().find(|path| path.ends_with("large.mp4.part"));
        half.filter(|path| path.metadata().is_ok_and(|facts| facts.len() > 0))
    })
    .await;
    running.kill().await.unwrap();
    assert!(half.exists() && !export.join("export.json").exists(), "it was killed in the middle");
    let blank = Place::new().await;
    let import = ["import", &shown];
    blank.person.types(&import).await.badly(&format!("the export in {shown} was cut off"));

    home.person.types(&["export", &shown]).await.well();
    sums_fit(&export).await;
    assert!(!half.exists() && !export.join("export.unfinished.json").exists());
    let starts = items(&home.admin.get("/audit?action=download.start&limit=500").await.expect(200));
    let of = |asset: &str| starts.iter().filter(|one| one["target"] == format!("asset:{asset}")).count();
    assert_eq!(of(&large), 2, "once until it was killed, once for the rest");
    assert!(of(&small) <= 1, "what was whole is not fetched again");

    let application = blank.node.application().to_owned();
    let mut running = blank.person.command(&import).spawn().unwrap();
    let begun = wait_for("the import of the large one", || async {
        let all = blank.assets(&application).await;
        let origin = format!("{large} (unfinished)");
        all.iter().find(|one| one["fields"]["imported_from"] == origin).map(|one| one["id"].clone())
    })
    .await;
    running.kill().await.unwrap();
    blank.person.types(&import).await.well();
    let here = blank.assets(&application).await;
    assert_eq!(here.len(), 2, "{here:?}");
    assert_eq!(from(&here, &large)["id"], begun, "the same asset was gone on with");
    home.node.stop().await;
    blank.node.stop().await;
}
