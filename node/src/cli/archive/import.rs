//! `import`: an exported folder into applications of a cluster, by name.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use cluster::state::folded;
use reqwest::Method;
use serde_json::{Value, json};

use super::super::client::{Client, Pages};
use super::super::connection::Connection;
use super::super::error::CliError;
use super::super::fetch::patiently;
use super::super::shown;
use super::ORIGIN;
use super::error::ArchiveError;
use super::export::{is_cluster_admin, is_named, next_page};
use super::gather::text;
use super::record::{ApplicationRecord, AssetRecord, CollectionRecord};
use super::settle::{Came, Origin, Settle, is_the_end};
use super::source::Exported;
use super::{APPLICATION, ASSET};

const PAUSE: Duration = Duration::from_secs(1);

/// Bring an exported folder in: applications and collections by name, originals, and what people said of them.
///
/// Every file is checked before it is sent. Run again, it leaves alone what is there and goes on with what is not.
/// Prints the id of each asset in the export and here.
#[derive(Debug, Args)]
pub struct Import {
    #[command(flatten)]
    connection: Connection,
    /// The folder that `mediakeep export` wrote.
    directory: PathBuf,
    /// Only this application of the export, by name or id; may be repeated.
    #[arg(long, short)]
    application: Vec<String>,
    /// Wait until everything is processed.
    #[arg(long, short)]
    wait: bool,
}

/// An application that is brought in, and what is there of it.
#[derive(Debug)]
pub struct Target {
    /// Its id here.
    pub id: String,
    /// People by name.
    pub members: BTreeMap<String, String>,
    /// Collections by name.
    pub collections: BTreeMap<String, String>,
    /// What came here before, by its id in the export.
    pub here: BTreeMap<String, Here>,
}

/// An asset that was brought in.
#[derive(Debug, Clone)]
pub struct Here {
    /// Its id here.
    pub id: String,
    /// Everything about it was brought in.
    pub is_done: bool,
    state: String,
    sha256: Option<String>,
}

/// What is expected of an asset, once it is here.
struct Expected {
    origin: String,
    title: String,
    sha256: String,
    had_failed: bool,
}

#[derive(Default)]
struct Tally {
    new: u64,
    there: u64,
    failed: u64,
}

impl Import {
    /// Carries it out.
    pub async fn run(self) -> Result<(), CliError> {
        let (exported, head) = Exported::open(&self.directory)?;
        let chosen = self.chosen(&exported)?;
        let client = self.connection.signed_in()?;
        if !head.complete {
            shown::note("The export is not whole: see `missing` in its export.json.");
        }
        let targets = targets(&client, &chosen).await?;
        let (mut tally, mut all) = (Tally::default(), 0);
        for ((folder, _), mut target) in chosen.iter().zip(targets) {
            let expected = bring_in(&client, &exported, folder, &target, &mut tally).await?;
            if self.wait {
                wait(&client, &target, &expected).await?;
            }
            target.here = here(&client, &target.id).await?;
            tally.failed += compare(&target, &expected, self.wait);
            all += exported.assets(folder).len();
        }
        let Tally { new, there, failed } = tally;
        let brought = shown::counted(new, "asset");
        shown::note(&format!("{brought} brought in, {there} there already, {failed} failed."));
        match failed {
            0 => Ok(()),
            failed => {
                Err(ArchiveError::NotAll { failed, all: u64::try_from(all).unwrap_or(u64::MAX) }.into())
            }
        }
    }

    fn chosen(&self, exported: &Exported) -> Result<Vec<(String, ApplicationRecord)>, CliError> {
        let mut all = Vec::new();
        for folder in exported.applications() {
            let record: ApplicationRecord = exported.json(&format!("{folder}/{APPLICATION}"))?;
            all.push((folder, record));
        }
        let matches = |record: &ApplicationRecord, wanted: &str| {
            is_named(&json!({"id": record.id, "name": record.name}), wanted)
        };
        for wanted in &self.application {
            if !all.iter().any(|(_, record)| matches(record, wanted)) {
                return Err(ArchiveError::NoApplication(wanted.clone()).into());
            }
        }
        all.retain(|(_, record)| {
            self.application.is_empty() || self.application.iter().any(|wanted| matches(record, wanted))
        });
        Ok(all)
    }
}

/// Finds or makes the applications; nothing is made when one of them may not be.
async fn targets(client: &Client, chosen: &[(String, ApplicationRecord)]) -> Result<Vec<Target>, CliError> {
    let own = patiently(|| client.all(client.api(["applications"]))).await?;
    let found = |record: &ApplicationRecord| {
        own.iter().find(|one| folded(&text(one, "name")) == folded(&record.name))
    };
    let absent = chosen.iter().find(|(_, record)| found(record).is_none());
    if let Some((_, record)) = absent
        && !is_cluster_admin(client).await?
    {
        return Err(ArchiveError::MayNotMake(shown::safe(&record.name)).into());
    }
    let mut targets = Vec::new();
    for (_, record) in chosen {
        let view = match found(record) {
            Some(view) => view.clone(),
            None => make(client, record).await?,
        };
        targets.push(target(client, record, &view).await?);
    }
    Ok(targets)
}

async fn make(client: &Client, record: &ApplicationRecord) -> Result<Value, CliError> {
    let made: Value = client.post(client.api(["applications"]), &json!({ "name": record.name })).await?;
    let url = client.api(["applications", &text(&made, "id")]);
    let settings = json!({ "policy": record.policy, "views_at_once": record.views_at_once });
    let answer =
        patiently(|| client.send(client.request(Method::PATCH, url.clone()).json(&settings))).await?;
    client.read(answer).await
}

async fn target(client: &Client, record: &ApplicationRecord, view: &Value) -> Result<Target, CliError> {
    let (id, name) = (text(view, "id"), shown::field(view, "name"));
    let views_at_once = view["views_at_once"].as_u64().map(|most| u32::try_from(most).unwrap_or(u32::MAX));
    if view["policy"] != record.policy || views_at_once != record.views_at_once {
        shown::note(&format!("{name} has other settings here than in the export; they stay."));
    }
    let by_name = |items: Vec<Value>, name: &str, id: &str| -> BTreeMap<String, String> {
        items.iter().map(|one| (folded(&text(one, name)), text(one, id))).collect()
    };
    let members = patiently(|| client.all(client.api(["applications", &id, "members"]))).await?;
    let members = by_name(members, "username", "user");
    let absent: Vec<String> = record
        .members
        .iter()
        .flatten()
        .filter(|member| !members.contains_key(&folded(&member.username)))
        .map(|member| format!("{} ({})", shown::safe(&member.username), shown::safe(&member.role)))
        .collect();
    if !absent.is_empty() {
        let absent = absent.join(", ");
        shown::note(&format!("People are not brought in; these are no members of {name} here: {absent}."));
    }
    let url = client.api(["applications", &id, "collections"]);
    let mut collections = by_name(patiently(|| client.all(url.clone())).await?, "name", "id");
    for wanted in &record.collections {
        if let Entry::Vacant(absent) = collections.entry(folded(&wanted.name)) {
            let made: Value = client.post(url.clone(), &json!({ "name": wanted.name })).await?;
            let id = text(&made, "id");
            keep(client, &id, wanted).await?;
            absent.insert(id);
        }
    }
    let here = here(client, &id).await?;
    Ok(Target { id, members, collections, here })
}

/// How long the assets of a new collection are kept, counted from their coming here: so nothing is over at once.
async fn keep(client: &Client, id: &str, record: &CollectionRecord) -> Result<(), CliError> {
    let Some(days) = record.retention_days else { return Ok(()) };
    let url = client.api(["collections", id, "retention"]);
    let request = || client.send(client.request(Method::PUT, url.clone()).json(&json!({ "days": days })));
    match patiently(request).await {
        Err(CliError::Refused { status: 403, .. }) => {
            let name = shown::safe(&record.name);
            shown::note(&format!(
                "Only an admin may say that the assets of {name} are kept for {days} days."
            ));
            Ok(())
        }
        other => other.map(|_| ()),
    }
}

/// What was brought in before, the trash included: what somebody put there does not come a second time.
async fn here(client: &Client, application: &str) -> Result<BTreeMap<String, Here>, CliError> {
    let mut here = BTreeMap::new();
    for trashed in [false, true] {
        let mut list = client.api(["applications", application, "assets"]);
        list.set_query(trashed.then_some("trashed=true"));
        let mut pages = Pages::of(list);
        while let Some(page) = next_page(client, &mut pages).await? {
            for one in page {
                let Some(origin) = one["fields"][ORIGIN].as_str().map(Origin::parse) else { continue };
                let found = Here {
                    id: text(&one, "id"),
                    is_done: origin.is_done,
                    state: text(&one, "state"),
                    sha256: one["sha256"].as_str().map(str::to_owned),
                };
                here.insert(origin.id, found);
            }
        }
    }
    Ok(here)
}

/// Brings in the assets of one application. What one of them lacks does not keep the others out.
async fn bring_in(
    client: &Client,
    exported: &Exported,
    folder: &str,
    target: &Target,
    tally: &mut Tally,
) -> Result<Vec<Expected>, CliError> {
    let places = exported.assets(folder);
    let mut expected = Vec::new();
    for (number, place) in places.iter().enumerate() {
        let count = format!("{} of {} assets", number + 1, places.len());
        let settle = Settle { client, exported, target, place, count };
        let came = match exported.json::<AssetRecord>(&format!("{place}/{ASSET}")) {
            Ok(record) => settle.asset(&record).await.map(|came| (came, record)),
            Err(error) => Err(error),
        };
        match came {
            Ok((came, record)) => {
                let id = match &came {
                    Came::New(id) => {
                        tally.new += 1;
                        id
                    }
                    Came::There(id) => {
                        tally.there += 1;
                        id
                    }
                };
                shown::line(&format!("{} {}", shown::safe(&record.facts.id), shown::safe(id)));
                expected.push(Expected {
                    origin: record.facts.id,
                    title: record.facts.title,
                    sha256: record.original.sha256,
                    had_failed: record.facts.state == "failed",
                });
            }
            Err(error) if is_the_end(&error) => return Err(error),
            Err(error) => {
                tally.failed += 1;
                shown::note(&format!("Not brought in: {place}: {}", shown::safe(&error.to_string())));
            }
        }
    }
    Ok(expected)
}

/// Waits until nothing of it is processed any more.
async fn wait(client: &Client, target: &Target, expected: &[Expected]) -> Result<(), CliError> {
    loop {
        let here = here(client, &target.id).await?;
        let is_open = |one: &&Expected| {
            here.get(&one.origin).is_some_and(|here| here.state == "processing" || here.state == "uploading")
        };
        let open = expected.iter().filter(is_open).count();
        if open == 0 {
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Compares what the node says with the export; gives how many differ.
fn compare(target: &Target, expected: &[Expected], is_processed: bool) -> u64 {
    let mut failed = 0;
    for one in expected {
        let here = target.here.get(&one.origin);
        let reason = match here {
            None => "it is not on the node".to_owned(),
            Some(here) if here.sha256.as_ref() != Some(&one.sha256) => {
                let (found, expected) = (here.sha256.clone().unwrap_or_default(), one.sha256.clone());
                ArchiveError::Differs { found, expected }.to_string()
            }
            Some(here) if is_processed && here.state == "failed" && !one.had_failed => {
                "it could not be processed here".to_owned()
            }
            Some(_) => continue,
        };
        failed += 1;
        let title = shown::safe(&one.title);
        shown::note(&format!("Not as it was exported: `{title}` ({}): {reason}", shown::safe(&one.origin)));
    }
    failed
}
