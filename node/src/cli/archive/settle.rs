//! Brings one exported asset in: checks its files, sends the original, then everything people said of it.
//!
//! The own field `imported_from` is set before the first byte is sent and says `(unfinished)` until the last step is done:
//! a second run finds the asset by it, goes on, and never makes another. What is done is left to the people here.

use cluster::state::{Limits, folded};
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde_json::{Map, Value, json};

use super::super::client::Client;
use super::super::error::CliError;
use super::super::fetch::{once, patiently};
use super::super::shown;
use super::super::unfinished::Unfinished;
use super::super::upload::{Source, create, send_all, standing};
use super::ORIGIN;
use super::error::ArchiveError;
use super::gather::text;
use super::import::Target;
use super::record::{AccessRecord, AssetRecord, FileRecord};
use super::source::Exported;

const UNFINISHED: &str = " (unfinished)";

/// What the field says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The asset's id in the export.
    pub id: String,
    /// Everything about it was brought in.
    pub is_done: bool,
}

impl Origin {
    /// Reads the field.
    pub fn parse(text: &str) -> Self {
        let unfinished = text.strip_suffix(UNFINISHED);
        Self { id: unfinished.unwrap_or(text).to_owned(), is_done: unfinished.is_none() }
    }
}

/// How an asset came to be here.
#[derive(Debug)]
pub enum Came {
    /// It was brought in, or finished.
    New(String),
    /// It had been brought in before.
    There(String),
}

/// One asset on its way.
#[derive(Debug)]
pub struct Settle<'a> {
    /// The node.
    pub client: &'a Client,
    /// From where.
    pub exported: &'a Exported,
    /// Where to.
    pub target: &'a Target,
    /// Its folder in the export.
    pub place: &'a str,
    /// Which it is, for people.
    pub count: String,
}

/// Whether nothing else can be brought in either.
pub fn is_the_end(error: &CliError) -> bool {
    error.is_outage() || matches!(error, CliError::SignInEnded)
}

impl Settle<'_> {
    /// Brings it in, or goes on with it, unless that was done before.
    pub async fn asset(&self, record: &AssetRecord) -> Result<Came, CliError> {
        let before = self.target.here.get(&record.facts.id);
        if let Some(before) = before.filter(|before| before.is_done) {
            return Ok(Came::There(before.id.clone()));
        }
        self.check(record)?;
        let name = self.name_of(&record.original);
        let mut source = Source::look_at(&self.exported.path(&name))?;
        self.exported.verify(&name)?;
        source.name.clone_from(&record.facts.file_name);
        let id = match before {
            Some(before) => before.id.clone(),
            None => self.begin(record, &source).await?,
        };
        self.describe(&id, record).await?;
        self.send(&id, &source).await?;
        self.compare(&id, record).await?;
        self.beside(&id, record).await?;
        self.rules(&id, record).await?;
        Ok(Came::New(id))
    }

    fn name_of(&self, file: &FileRecord) -> String {
        format!("{}/{}", self.place, file.file)
    }

    /// What `asset.json` says of its files is what `SHA256SUMS` says, and there is room for where it comes from.
    fn check(&self, record: &AssetRecord) -> Result<(), CliError> {
        for file in record.files() {
            let name = self.name_of(file);
            if self.exported.sha256(&name)? != file.sha256 {
                return Err(ArchiveError::Changed { name }.into());
            }
        }
        let (most, _, _) = Limits::FIELDS;
        let fields = record.facts.fields.keys().filter(|name| *name != ORIGIN).count();
        if fields >= usize::try_from(most).unwrap_or(usize::MAX) {
            return Err(ArchiveError::NoRoomForOrigin { most }.into());
        }
        Ok(())
    }

    /// Begins the upload, or finds one that was begun and not yet described.
    async fn begin(&self, record: &AssetRecord, source: &Source) -> Result<String, CliError> {
        let (client, facts) = (self.client, &record.facts);
        let what = format!("import {}", facts.id);
        let mut unfinished = Unfinished::load(client.base(), &self.target.id, &what)?;
        let known = match unfinished.location() {
            Some(location) => standing(client, location).await?.map(|_| location.to_owned()),
            None => None,
        };
        let location = match known {
            Some(location) => location,
            None => {
                let media_type = Some(facts.media_type.as_str()).filter(|kind| !kind.is_empty());
                let made = once(|| create(client, source, &self.target.id, &facts.title, media_type)).await?;
                unfinished.remember(&made)?;
                made
            }
        };
        let id = location.rsplit('/').next().unwrap_or_default().to_owned();
        self.mark(&id, record, false).await?;
        // From here on the node itself knows whose it is.
        unfinished.forget()?;
        Ok(id)
    }

    async fn patch(&self, id: &str, body: &Value) -> Result<(), CliError> {
        let url = self.client.api(["assets", id]);
        let request = || self.client.send(self.client.request(Method::PATCH, url.clone()).json(body));
        patiently(request).await.map(|_| ())
    }

    /// Sets all own fields, with the one that says where it comes from.
    async fn mark(&self, id: &str, record: &AssetRecord, is_done: bool) -> Result<(), CliError> {
        let mut fields = record.facts.fields.clone();
        let ending = if is_done { "" } else { UNFINISHED };
        fields.insert(ORIGIN.to_owned(), format!("{}{ending}", record.facts.id));
        self.patch(id, &json!({ "fields": fields })).await
    }

    /// Before there is anything to watch: so nobody sees it who should not.
    async fn describe(&self, id: &str, record: &AssetRecord) -> Result<(), CliError> {
        let facts = &record.facts;
        let collections: Vec<&String> =
            record.collections.iter().filter_map(|name| self.target.collections.get(&folded(name))).collect();
        let access = self.access(record);
        let (title, description, tags) = (&facts.title, &facts.description, &facts.tags);
        self.patch(
            id,
            &json!({
                "title": title, "description": description, "tags": tags, "collections": collections, "access": access,
            }),
        )
        .await
    }

    /// The same rule for the people who are members here; never a wider one.
    fn access(&self, record: &AssetRecord) -> Value {
        let users = match &record.access {
            AccessRecord::Members => return json!({ "kind": "members" }),
            AccessRecord::Editors => return json!({ "kind": "editors" }),
            AccessRecord::Users { users } => users,
        };
        let (mut here, mut absent) = (Vec::new(), Vec::new());
        for person in users {
            let name = person.username.as_deref().unwrap_or_default();
            match self.target.members.get(&folded(name)) {
                Some(id) => here.push(id),
                None => absent.push(shown::safe(person.username.as_deref().unwrap_or(&person.id))),
            }
        }
        if !absent.is_empty() {
            let title = shown::safe(&record.facts.title);
            let left = if here.is_empty() { "editors only" } else { "those who are" };
            let absent = absent.join(", ");
            shown::note(&format!("`{title}` may be watched by {left}: no members here are {absent}."));
        }
        if here.is_empty() { json!({ "kind": "editors" }) } else { json!({ "kind": "users", "users": here }) }
    }

    /// The original, from where an earlier run stopped.
    async fn send(&self, id: &str, source: &Source) -> Result<(), CliError> {
        let url = self.client.api(["uploads", id]);
        let location = url.path();
        // An upload that is over is asked for by its hash afterwards.
        let Some(offset) = patiently(|| standing(self.client, location)).await? else { return Ok(()) };
        let bar = ProgressBar::new(source.length).with_position(offset);
        let template = "{bar:32} {msg}  {binary_bytes} of {binary_total_bytes}  {eta} left";
        // Hidden by itself when standard error is no terminal.
        bar.set_style(
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        bar.set_message(self.count.clone());
        bar.reset_eta();
        let sent = send_all(self.client, source, location, offset, &bar).await;
        bar.finish_and_clear();
        sent
    }

    async fn compare(&self, id: &str, record: &AssetRecord) -> Result<(), CliError> {
        let client = self.client;
        let found: Value = patiently(|| client.get(client.api(["assets", id]))).await?;
        let (found, expected) = (text(&found, "sha256"), record.original.sha256.clone());
        if found == expected { Ok(()) } else { Err(ArchiveError::Differs { found, expected }.into()) }
    }

    /// Captions that people put in, and a picture that somebody chose; the others are found again.
    async fn beside(&self, id: &str, record: &AssetRecord) -> Result<(), CliError> {
        for captions in record.captions.iter().filter(|one| one.uploaded) {
            let url = self.client.api(["assets", id, "captions", &captions.language]);
            self.put(url, "text/vtt", &captions.file).await?;
        }
        if let Some(poster) = record.poster.iter().find(|one| one.chosen) {
            let kind = if poster.file.file.ends_with(".png") { "image/png" } else { "image/jpeg" };
            self.put(self.client.api(["assets", id, "poster"]), kind, &poster.file).await?;
        }
        Ok(())
    }

    async fn put(&self, url: url::Url, kind: &'static str, file: &FileRecord) -> Result<(), CliError> {
        let bytes = bytes::Bytes::from(self.exported.bytes(&self.name_of(file))?);
        let request = || {
            let request = self.client.request(Method::PUT, url.clone()).header(CONTENT_TYPE, kind);
            self.client.send(request.body(bytes.clone()))
        };
        patiently(request).await.map(|_| ())
    }

    async fn act(&self, id: &str, what: &str, body: Map<String, Value>) -> Result<(), CliError> {
        let url = self.client.api(["assets", id, what]);
        let request = || self.client.send(self.client.request(Method::POST, url.clone()).json(&body));
        patiently(request).await.map(|_| ())
    }

    /// Publishing, legal hold, the trash, and the mark that it is done.
    async fn rules(&self, id: &str, record: &AssetRecord) -> Result<(), CliError> {
        let facts = &record.facts;
        let is_trashed = facts.trashed_ms.is_some();
        // What was in the trash was shown to nobody, and is not on its way back there.
        if facts.published && !is_trashed {
            let bounds = [("from_ms", facts.publish_from_ms), ("until_ms", facts.publish_until_ms)];
            let window = bounds.into_iter().filter_map(|(name, at)| Some((name.to_owned(), at?.into())));
            self.act(id, "publish", window.collect()).await?;
        }
        if !is_trashed {
            self.hold(id, facts.hold.as_deref()).await?;
            return self.mark(id, record, true).await;
        }
        // In the trash nothing can be marked any more, and a hold keeps from the trash, but may be laid on what is there.
        self.mark(id, record, true).await?;
        self.act(id, "trash", Map::new()).await?;
        self.hold(id, facts.hold.as_deref()).await
    }

    async fn hold(&self, id: &str, reason: Option<&str>) -> Result<(), CliError> {
        let Some(reason) = reason else { return Ok(()) };
        self.act(id, "hold", Map::from_iter([("reason".to_owned(), reason.into())])).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_field_says_whether_it_is_done() {
        let origin = |id: &str, is_done| Origin { id: id.to_owned(), is_done };
        assert_eq!(Origin::parse("a1"), origin("a1", true));
        assert_eq!(Origin::parse(&format!("a1{UNFINISHED}")), origin("a1", false));
    }
}
