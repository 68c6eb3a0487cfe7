//! Gathers applications, their assets and the audit log into the folder of an export.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::io::{BufWriter, Write};

use cluster::id::ApplicationId;
use indicatif::ProgressBar;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::super::client::{Client, Pages};
use super::super::error::CliError;
use super::super::fetch::patiently;
use super::export::{lists, next_page};
use super::files::{PART, SumsWriter, hashed, json_bytes, write_whole};
use super::folder::ExportFolder;
use super::record::{ApplicationRecord, CollectionRecord, MemberRecord, Missing, Person, Selection};
use super::{APPLICATION, ASSET, ASSETS, AUDIT, SUMS};

/// An export on its way.
#[derive(Debug)]
pub struct Gather<'a> {
    /// The node.
    pub client: &'a Client,
    /// Where to.
    pub folder: &'a ExportFolder,
    /// What.
    pub selection: &'a Selection,
    /// Bytes.
    pub bar: ProgressBar,
    /// Every file so far.
    pub sums: SumsWriter,
    /// Assets that are not here, or not whole.
    pub missing: Vec<Missing>,
    /// Assets in the folder.
    pub assets: u64,
    /// Bytes of their originals.
    pub bytes: u64,
    /// Assets that the node does not show any more.
    pub kept_from_before: u64,
    people: BTreeMap<String, String>,
    collections: BTreeMap<String, String>,
    new: HashSet<String>,
    looked_at: u64,
    all: u64,
}

impl<'a> Gather<'a> {
    /// With nothing gathered yet, of `all` assets.
    pub fn begin(
        client: &'a Client,
        folder: &'a ExportFolder,
        selection: &'a Selection,
        bar: ProgressBar,
        all: u64,
    ) -> Result<Self, CliError> {
        let sums = SumsWriter::create(folder.path.join(SUMS))?;
        Ok(Self {
            client,
            folder,
            selection,
            bar,
            sums,
            missing: Vec::new(),
            assets: 0,
            bytes: 0,
            kept_from_before: 0,
            people: BTreeMap::new(),
            collections: BTreeMap::new(),
            new: HashSet::new(),
            looked_at: 0,
            all,
        })
    }

    /// Learns the names of all people.
    pub async fn know_everybody(&mut self) -> Result<(), CliError> {
        let users = patiently(|| self.client.all(self.client.api(["users"]))).await?;
        let named = users.iter().map(|user| (text(user, "id"), text(user, "username")));
        self.people.extend(named);
        Ok(())
    }

    /// One application with everything in it.
    pub async fn application(&mut self, view: &Value) -> Result<(), CliError> {
        let id: ApplicationId = understood(view["id"].clone())?;
        let record = self.application_record(view, &id.to_string()).await?;
        let folder = self.folder.application(id, &record.name)?;
        let name = format!("{folder}/{APPLICATION}");
        let written = write_whole(&self.folder.path.join(&name), &json_bytes(&record)?)?;
        self.sums.add(&name, &written.sha256)?;
        self.new.insert(name);
        for mut pages in lists(self.client, &id.to_string(), self.selection) {
            while let Some(page) = next_page(self.client, &mut pages).await? {
                for view in &page {
                    self.bar.set_message(format!("{} of {} assets", self.looked_at, self.all));
                    self.asset(&record.name, &folder, view).await?;
                    self.looked_at += 1;
                }
            }
        }
        Ok(())
    }

    async fn application_record(&mut self, view: &Value, id: &str) -> Result<ApplicationRecord, CliError> {
        let client = self.client;
        let found = patiently(|| client.all(client.api(["applications", id, "collections"]))).await?;
        let collections: Vec<CollectionRecord> = understood(Value::Array(found))?;
        self.collections = collections.iter().map(|one| (one.id.clone(), one.name.clone())).collect();
        let members = match patiently(|| client.all(client.api(["applications", id, "members"]))).await {
            Ok(found) => Some(found.iter().map(member).collect::<Vec<_>>()),
            Err(CliError::Refused { status: 403, .. }) => None,
            Err(error) => return Err(error),
        };
        for member in members.iter().flatten() {
            self.people.insert(member.id.clone(), member.username.clone());
        }
        Ok(ApplicationRecord {
            id: id.to_owned(),
            name: understood(view["name"].clone())?,
            created_ms: view["created_ms"].as_u64().unwrap_or(0),
            policy: view["policy"].clone(),
            views_at_once: understood(view["views_at_once"].clone())?,
            collections,
            members,
        })
    }

    /// A person by id, with the name as far as it is known.
    pub fn person(&self, id: &str) -> Person {
        Person { id: id.to_owned(), username: self.people.get(id).cloned() }
    }

    /// The names of collections.
    pub fn collections_of(&self, view: &Value) -> Vec<String> {
        let ids = view["collections"].as_array().into_iter().flatten().filter_map(Value::as_str);
        ids.filter_map(|id| self.collections.get(id).cloned()).collect()
    }

    /// Remembers that this was looked at in this run.
    pub fn is_new(&mut self, place: String) {
        self.new.insert(place);
    }

    /// Lists what an earlier export left: the folder stays whole by its own word.
    pub fn keep_what_was(&mut self) -> Result<(), CliError> {
        let kept = self.folder.kept(|place| self.new.contains(place))?;
        for name in kept.applications {
            let found = hashed(&self.folder.path.join(&name), &ProgressBar::hidden())?;
            self.sums.add(&name, &found.sha256)?;
        }
        for (place, record) in kept.assets {
            let beside = record.files().filter(|one| one.is_beside());
            let names = std::iter::once(ASSET).chain(beside.map(|one| one.file.as_str()));
            for file in names {
                let name = format!("{place}/{file}");
                let path = self.folder.path.join(&name);
                if path.symlink_metadata().is_ok_and(|facts| facts.is_file()) {
                    self.sums.add(&name, &hashed(&path, &ProgressBar::hidden())?.sha256)?;
                }
            }
            self.kept_from_before += 1;
        }
        Ok(())
    }

    /// Whether the audit log lies there from an earlier export by somebody who might see it. It stays.
    pub fn kept_audit_log(&mut self) -> Result<bool, CliError> {
        let path = self.folder.path.join(AUDIT);
        let is_there = path.symlink_metadata().is_ok_and(|facts| facts.is_file());
        if is_there {
            self.sums.add(AUDIT, &hashed(&path, &ProgressBar::hidden())?.sha256)?;
        }
        Ok(is_there)
    }

    /// The whole audit log, newest first, one JSON object a line.
    pub async fn audit_log(&mut self) -> Result<(), CliError> {
        self.bar.set_message("the audit log");
        let path = self.folder.path.join(AUDIT);
        let part = self.folder.path.join(format!("{AUDIT}{PART}"));
        let mut file = BufWriter::new(File::create(&part).map_err(CliError::file(&part))?);
        let mut pages = Pages::of(self.client.api(["audit"]));
        while let Some(page) = next_page(self.client, &mut pages).await? {
            for record in page {
                writeln!(file, "{record}").map_err(CliError::file(&part))?;
            }
        }
        let written = file.flush().and_then(|()| file.get_ref().sync_all());
        written.and_then(|()| fs::rename(&part, &path)).map_err(CliError::file(&path))?;
        let found = hashed(&path, &ProgressBar::hidden())?;
        self.sums.add(AUDIT, &found.sha256)
    }

    /// Where an asset lies.
    pub fn place(folder: &str, id: &str) -> String {
        format!("{folder}/{ASSETS}/{id}")
    }
}

fn member(view: &Value) -> MemberRecord {
    let custom = text(&view["custom_role"], "name");
    MemberRecord {
        id: text(view, "user"),
        username: text(view, "username"),
        role: if custom.is_empty() { text(view, "role") } else { custom },
        joined_ms: view["joined_ms"].as_u64().unwrap_or(0),
    }
}

/// What the node said, as what it ought to be.
pub fn understood<T: DeserializeOwned>(value: Value) -> Result<T, CliError> {
    serde_json::from_value(value).map_err(|error| CliError::Answer(error.to_string()))
}

/// A field as it is; empty when absent.
pub fn text(object: &Value, name: &str) -> String {
    object[name].as_str().unwrap_or_default().to_owned()
}
