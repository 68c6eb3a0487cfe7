//! What an export says in JSON: of itself, of an application, of an asset. Written by `export`, read by `import`; version 1.
//!
//! Times are milliseconds since 1970 (UTC), hashes hexadecimal SHA-256, files named relative to the JSON that names them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// `export.json`: the whole folder.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Head {
    /// `mediakeep-export`.
    pub format: String,
    /// Of this format.
    pub version: u64,
    /// Every byte that the node has of what was asked for lies here.
    pub complete: bool,
    /// When it was finished, readable.
    pub finished: String,
    /// When it was finished.
    pub finished_ms: u64,
    /// The address of the node that was asked.
    pub node: String,
    /// What that node said it is.
    pub product: String,
    /// What was asked for.
    pub selection: Selection,
    /// Applications in it.
    pub applications: u64,
    /// Assets in it, whole.
    pub assets: u64,
    /// Files in it, this one included.
    pub files: u64,
    /// Bytes of all originals.
    pub bytes: u64,
    /// The audit log is in `audit.jsonl`.
    pub has_audit_log: bool,
    /// Assets of an earlier export into this folder that the node no longer shows.
    pub kept_from_before: u64,
    /// Assets that are not here, or not whole.
    pub missing: Vec<Missing>,
}

/// What an export was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selection {
    /// Every application that the caller belongs to.
    pub all: bool,
    /// The ids of the applications, in order.
    pub applications: Vec<String>,
    /// The trash, too.
    pub trashed: bool,
    /// Renditions, too.
    pub renditions: bool,
}

impl Selection {
    /// Whether an export of this goes on in a folder that was begun for `before`.
    pub fn goes_on(&self, before: &Self) -> bool {
        let shared = self.applications.iter().any(|id| before.applications.contains(id));
        let same_options = (self.trashed, self.renditions) == (before.trashed, before.renditions);
        let same = if self.all {
            before.all && shared
        } else {
            !before.all && self.applications == before.applications
        };
        same_options && (same || self == before)
    }
}

/// `export.unfinished.json`: an export that is being made, or was cut off.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Begun {
    /// `mediakeep-export`.
    pub format: String,
    /// Of this format.
    pub version: u64,
    /// What it is to hold.
    pub selection: Selection,
}

/// An asset that is not here, or not whole.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Missing {
    /// Its application's name.
    pub application: String,
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Why.
    pub reason: String,
    /// The node has bytes of it that are not here.
    pub lacks_bytes: bool,
}

/// `application.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ApplicationRecord {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created_ms: u64,
    /// What holds for everything in it.
    pub policy: Value,
    /// How many videos one person may watch at once.
    pub views_at_once: Option<u32>,
    /// Its collections, by name.
    pub collections: Vec<CollectionRecord>,
    /// Its members; absent when the caller may not see them.
    pub members: Option<Vec<MemberRecord>>,
}

/// A collection.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CollectionRecord {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created_ms: u64,
    /// For how many days its assets are kept, when they are not kept for good.
    #[serde(default)]
    pub retention_days: Option<u16>,
}

/// A member.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MemberRecord {
    /// The person's id.
    pub id: String,
    /// The person's name.
    pub username: String,
    /// Its role.
    pub role: String,
    /// Since when.
    pub joined_ms: u64,
}

/// A person as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// The person's id.
    pub id: String,
    /// The person's name, when the caller may see it.
    pub username: Option<String>,
}

/// Who may watch once it is published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum AccessRecord {
    /// All members of the application.
    Members,
    /// These people, and editors.
    Users {
        /// Who.
        users: Vec<Person>,
    },
    /// Editors only.
    Editors,
}

/// One file beside `asset.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// Its name, from the asset's folder on.
    pub file: String,
    /// Its bytes.
    pub length: u64,
    /// Their SHA-256.
    pub sha256: String,
}

impl FileRecord {
    /// It lies below the asset's folder by its name, and is not `asset.json` itself.
    pub fn is_beside(&self) -> bool {
        self.file.split('/').all(|part| !matches!(part, "" | "." | "..")) && self.file != super::ASSET
    }
}

/// Captions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaptionRecord {
    /// Their language, or what stands for it.
    pub language: String,
    /// What players call them.
    pub label: String,
    /// People put them in; otherwise they were found in the original.
    pub uploaded: bool,
    /// The WebVTT.
    #[serde(flatten)]
    pub file: FileRecord,
}

/// The still picture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PosterRecord {
    /// Somebody chose it; otherwise it was found while processing.
    pub chosen: bool,
    /// The picture.
    #[serde(flatten)]
    pub file: FileRecord,
}

/// A rendition that was exported, too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenditionRecord {
    /// Its name, such as `v720`.
    pub id: String,
    /// The MP4.
    #[serde(flatten)]
    pub file: FileRecord,
}

/// What an asset's page says of it, and what `asset.json` repeats word for word.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Free text.
    pub description: String,
    /// Words to find it by.
    pub tags: Vec<String>,
    /// The application's own fields.
    pub fields: BTreeMap<String, String>,
    /// Name of the uploaded file.
    pub file_name: String,
    /// What the client said it is.
    pub media_type: String,
    /// Where its processing stood.
    pub state: String,
    /// For `failed`: a stable code.
    pub reason_code: Option<String>,
    /// For `failed`: for people.
    pub reason: Option<String>,
    /// Length in time.
    pub duration_ms: Option<u64>,
    /// Height of the largest picture.
    pub height: Option<u32>,
    /// Bytes of the original.
    pub size: Option<u64>,
    /// SHA-256 of the original.
    pub sha256: Option<String>,
    /// Is it published?
    pub published: bool,
    /// Published from then on.
    pub publish_from_ms: Option<u64>,
    /// Published until then.
    pub publish_until_ms: Option<u64>,
    /// In the trash since then.
    pub trashed_ms: Option<u64>,
    /// Leaves the trash for good after that.
    pub purge_after_ms: Option<u64>,
    /// Why it must be kept, when it must.
    pub hold: Option<String>,
    /// When it was made.
    pub created_ms: u64,
    /// When it last changed.
    pub updated_ms: u64,
}

/// `asset.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AssetRecord {
    /// As the API shows it.
    #[serde(flatten)]
    pub facts: Facts,
    /// Names of the collections it is in.
    pub collections: Vec<String>,
    /// Who uploaded it.
    pub owner: Option<Person>,
    /// Who may watch once it is published.
    pub access: AccessRecord,
    /// The container of the original.
    pub container: Option<String>,
    /// Tracks of the original.
    pub tracks: Vec<Value>,
    /// Those of them that are not played, with the reason.
    pub left_out: Vec<Value>,
    /// Parts of the original could not be decoded.
    pub damaged: bool,
    /// The file as it was uploaded.
    pub original: FileRecord,
    /// Captions.
    pub captions: Vec<CaptionRecord>,
    /// The still picture.
    pub poster: Option<PosterRecord>,
    /// Renditions, when they were asked for.
    pub renditions: Vec<RenditionRecord>,
}

impl AssetRecord {
    /// Every file it names, the original first.
    pub fn files(&self) -> impl Iterator<Item = &FileRecord> {
        let captions = self.captions.iter().map(|one| &one.file);
        let poster = self.poster.iter().map(|one| &one.file);
        let renditions = self.renditions.iter().map(|one| &one.file);
        std::iter::once(&self.original).chain(captions).chain(poster).chain(renditions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selection(all: bool, applications: &[&str]) -> Selection {
        let applications = applications.iter().map(|&id| id.to_owned()).collect();
        Selection { all, applications, trashed: false, renditions: false }
    }

    #[test]
    fn an_export_goes_on_only_where_it_was_begun() {
        let all = selection(true, &["a", "b"]);
        assert!(selection(true, &["a", "b", "new"]).goes_on(&all));
        assert!(!selection(true, &["x"]).goes_on(&all), "another cluster's");
        assert!(!selection(false, &["a", "b"]).goes_on(&all));
        assert!(selection(false, &["a"]).goes_on(&selection(false, &["a"])));
        assert!(!selection(false, &["b"]).goes_on(&selection(false, &["a"])));
        assert!(!Selection { trashed: true, ..all.clone() }.goes_on(&all));
    }
}
