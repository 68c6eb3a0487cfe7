//! `export`: everything into a folder that needs no mediakeep to be read.

use std::path::PathBuf;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use super::super::client::{Client, Pages};
use super::super::connection::Connection;
use super::super::error::CliError;
use super::super::fetch::patiently;
use super::super::shown;
use super::error::ArchiveError;
use super::files::{facts_of, json_bytes};
use super::folder::ExportFolder;
use super::gather::{Gather, text};
use super::record::{Head, Selection};
use super::{FORMAT, HEAD, VERSION};

/// Write everything into a folder that needs no mediakeep to be read: originals, captions, pictures, JSON and checksums.
///
/// Run again, it goes on where it was cut off, and fetches only what is new or changed.
#[derive(Debug, Args)]
pub struct Export {
    #[command(flatten)]
    connection: Connection,
    /// The folder: a new one, an empty one, or one that this command was given before.
    directory: PathBuf,
    /// Only this application, by name or id; may be repeated.
    #[arg(long, short)]
    application: Vec<String>,
    /// Every application that one belongs to: what happens when none is named.
    #[arg(long, conflicts_with = "application")]
    all: bool,
    /// What lies in the trash, too.
    #[arg(long)]
    trashed: bool,
    /// Renditions, too, as MP4. They can be made again from the originals.
    #[arg(long)]
    renditions: bool,
}

/// How much there is to do.
#[derive(Debug, Clone, Copy, Default)]
struct Amount {
    assets: u64,
    bytes: u64,
}

impl Export {
    /// Carries it out.
    pub async fn run(self) -> Result<(), CliError> {
        let client = self.connection.signed_in()?;
        let applications = self.applications(&client).await?;
        let selection = self.selection(&applications);
        let folder = ExportFolder::open(&self.directory, &selection)?;
        let is_admin = is_cluster_admin(&client).await?;
        let amount = amount(&client, &selection).await?;
        folder.begin(&selection)?;
        let bar = progress_bar(amount);
        let mut gather = Gather::begin(&client, &folder, &selection, bar.clone(), amount.assets)?;
        if is_admin {
            gather.know_everybody().await?;
        }
        for application in &applications {
            gather.application(application).await?;
        }
        gather.keep_what_was()?;
        let has_audit_log = if is_admin {
            gather.audit_log().await?;
            true
        } else {
            gather.kept_audit_log()?
        };
        bar.finish_and_clear();
        let head = finish(&client, &folder, gather, has_audit_log).await?;
        report(&head);
        shown::line(&self.directory.display().to_string());
        let missing = head.missing.iter().filter(|one| one.lacks_bytes).count();
        match u64::try_from(missing).unwrap_or(u64::MAX) {
            0 => Ok(()),
            missing => Err(ArchiveError::NotWhole { missing, all: head.assets + missing }.into()),
        }
    }

    async fn applications(&self, client: &Client) -> Result<Vec<Value>, CliError> {
        let own = patiently(|| client.all(client.api(["applications"]))).await?;
        if self.application.is_empty() {
            let none = || CliError::WhichApplication("you belong to no application".to_owned());
            return if own.is_empty() { Err(none()) } else { Ok(own) };
        }
        let mut chosen: Vec<Value> = Vec::new();
        for wanted in &self.application {
            let found = own.iter().find(|one| is_named(one, wanted));
            let none = || CliError::WhichApplication(format!("there is no application `{wanted}`"));
            let found = found.ok_or_else(none)?;
            if !chosen.iter().any(|one| one["id"] == found["id"]) {
                chosen.push(found.clone());
            }
        }
        Ok(chosen)
    }

    fn selection(&self, applications: &[Value]) -> Selection {
        let mut ids: Vec<String> = applications.iter().map(|one| text(one, "id")).collect();
        ids.sort();
        Selection {
            all: self.application.is_empty(),
            applications: ids,
            trashed: self.trashed,
            renditions: self.renditions,
        }
    }
}

/// By id, or by name in whatever case.
pub fn is_named(application: &Value, wanted: &str) -> bool {
    let same = |field: &str| {
        application[field].as_str().map(str::to_lowercase).as_deref() == Some(wanted.to_lowercase().as_str())
    };
    same("id") || same("name")
}

/// A key is nobody, and so no admin.
pub async fn is_cluster_admin(client: &Client) -> Result<bool, CliError> {
    match patiently(|| client.get::<Value>(client.api(["me"]))).await {
        Ok(me) => Ok(me["user"]["admin"] == true),
        Err(CliError::Refused { status: 403, .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The lists of assets that are exported, of one application.
pub fn lists(client: &Client, application: &str, selection: &Selection) -> Vec<Pages> {
    let live = client.api(["applications", application, "assets"]);
    let mut trash = live.clone();
    trash.set_query(Some("trashed=true"));
    let trash = selection.trashed.then_some(trash);
    std::iter::once(live).chain(trash).map(Pages::of).collect()
}

async fn amount(client: &Client, selection: &Selection) -> Result<Amount, CliError> {
    let mut amount = Amount::default();
    for application in &selection.applications {
        for mut pages in lists(client, application, selection) {
            while let Some(page) = next_page(client, &mut pages).await? {
                amount.assets += u64::try_from(page.len()).unwrap_or(0);
                let complete = page.iter().filter(|one| one["state"] != "uploading");
                amount.bytes += complete.filter_map(|one| one["size"].as_u64()).sum::<u64>();
            }
        }
    }
    Ok(amount)
}

/// The next page of a list, with patience.
pub async fn next_page(client: &Client, pages: &mut Pages) -> Result<Option<Vec<Value>>, CliError> {
    let since = std::time::Instant::now();
    loop {
        match pages.next(client, usize::MAX).await {
            Err(error) if error.is_outage() && since.elapsed() <= super::super::fetch::PATIENCE => {
                tokio::time::sleep(std::time::Duration::from_millis(500)).await;
            }
            end => return end,
        }
    }
}

fn progress_bar(amount: Amount) -> ProgressBar {
    let bar = ProgressBar::new(amount.bytes);
    let template = "{bar:32} {msg}  {binary_bytes} of {binary_total_bytes}  {eta} left";
    // Hidden by itself when standard error is no terminal.
    bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

/// Writes `export.json`, and lists it with all others: its bytes are settled before the list is, and written after it.
async fn finish(
    client: &Client,
    folder: &ExportFolder,
    gather: Gather<'_>,
    has_audit_log: bool,
) -> Result<Head, CliError> {
    let system: Value = patiently(|| client.get(client.api(["system"]))).await?;
    let now = jiff::Timestamp::now();
    let Gather { mut sums, missing, assets, bytes, kept_from_before, selection, .. } = gather;
    let head = Head {
        format: FORMAT.to_owned(),
        version: VERSION,
        complete: !missing.iter().any(|one| one.lacks_bytes),
        finished: now.to_string(),
        finished_ms: u64::try_from(now.as_millisecond()).unwrap_or(0),
        node: client.base().origin().ascii_serialization(),
        product: format!("{} {}", text(&system, "product"), text(&system, "version")),
        applications: u64::try_from(selection.applications.len()).unwrap_or(0),
        selection: selection.clone(),
        assets,
        files: sums.files + 1,
        bytes,
        has_audit_log,
        kept_from_before,
        missing,
    };
    let written = json_bytes(&head)?;
    sums.add(HEAD, &facts_of(&written).sha256)?;
    sums.finish()?;
    folder.finish(&written)?;
    Ok(head)
}

fn report(head: &Head) {
    for one in &head.missing {
        let (title, id, reason) = (shown::safe(&one.title), shown::safe(&one.id), shown::safe(&one.reason));
        let application = shown::safe(&one.application);
        shown::note(&format!("Not whole: `{title}` ({id}) of {application}: {reason}"));
    }
    if head.kept_from_before > 0 {
        let kept = head.kept_from_before;
        shown::note(&format!(
            "{kept} of an earlier export are not on the node any more; they were left there."
        ));
    }
    shown::note(&format!(
        "{} of {} exported, {}, {}.",
        shown::counted(head.assets, "asset"),
        shown::counted(head.applications, "application"),
        shown::size(head.bytes),
        shown::counted(head.files, "file")
    ));
}
