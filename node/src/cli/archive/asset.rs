//! One asset into its folder: the original, captions, the picture, and what is known of it.

use std::fs;
use std::path::PathBuf;

use cluster::id::AssetId;
use reqwest::Method;
use serde_json::Value;
use url::Url;

use super::super::error::CliError;
use super::super::fetch::{Fetched, Wanted, fetch, patiently};
use super::super::file_name::{free_name, own_name};
use super::ASSET;
use super::files::{PART, hashed, json_bytes, make_folder, sync_folder, write_whole};
use super::gather::{Gather, text, understood};
use super::record::{
    AccessRecord, AssetRecord, CaptionRecord, Facts, FileRecord, Missing, Person, PosterRecord,
    RenditionRecord,
};

/// Pictures and captions are small; what is larger is none.
const LARGEST_SMALL: usize = 16 * 1024 * 1024;
const CAPTIONS: &str = "captions";
const RENDITIONS: &str = "renditions";

/// An asset on its way into its folder.
struct Place {
    id: String,
    /// From the top of the export on.
    name: String,
    path: PathBuf,
    /// What an earlier export wrote, when the asset has not changed since.
    before: Option<AssetRecord>,
    /// Names in the folder, in lower case.
    taken: Vec<String>,
    /// What could not be had.
    lacks: Vec<String>,
}

impl Place {
    /// A file of an earlier export that is there as it was then.
    fn there(&self, file: &str) -> Option<FileRecord> {
        let before = self.before.as_ref()?.files().find(|one| one.file == file)?;
        let path = self.path.join(file);
        let is_file = path.symlink_metadata().is_ok_and(|facts| facts.is_file());
        let found = is_file.then(|| hashed(&path, &indicatif::ProgressBar::hidden()).ok())??;
        (found.sha256 == before.sha256).then(|| before.clone())
    }
}

fn file_record(file: String, found: Fetched) -> FileRecord {
    FileRecord { file, length: found.length, sha256: found.sha256 }
}

/// What is said of an asset that cannot be had; other errors end the export.
fn reason_of(error: CliError) -> Result<String, CliError> {
    match error {
        CliError::Refused { status: 400..=499, .. } | CliError::Damaged(_) => Ok(error.to_string()),
        other => Err(other),
    }
}

impl Gather<'_> {
    /// One asset of a list.
    pub async fn asset(&mut self, application: &str, folder: &str, view: &Value) -> Result<(), CliError> {
        let id: AssetId = understood(view["id"].clone())?;
        let facts: Facts = understood(view.clone())?;
        let missing = |reason: String, lacks_bytes: bool| Missing {
            application: application.to_owned(),
            id: id.to_string(),
            title: facts.title.clone(),
            reason,
            lacks_bytes,
        };
        let name = Self::place(folder, &id.to_string());
        if facts.state == "uploading" {
            self.missing.push(missing("its upload is not complete".to_owned(), false));
            self.is_new(name);
            return Ok(());
        }
        let mut place = self.open(name, id, &facts)?;
        let original = match self.original(&mut place, &facts).await {
            Ok(original) => original,
            Err(CliError::Refused { status: 404, .. }) => {
                self.missing.push(missing("it was deleted meanwhile".to_owned(), false));
                return Ok(());
            }
            Err(error) => {
                self.missing.push(missing(reason_of(error)?, true));
                self.is_new(place.name);
                return Ok(());
            }
        };
        let record = self.record(&mut place, view, facts.clone(), original).await?;
        self.settle(&place, &record)?;
        if !place.lacks.is_empty() {
            self.missing.push(missing(place.lacks.join("; "), true));
        }
        self.is_new(place.name);
        Ok(())
    }

    fn open(&self, name: String, id: AssetId, facts: &Facts) -> Result<Place, CliError> {
        let path = self.folder.path.join(&name);
        make_folder(&path)?;
        let before: Option<AssetRecord> = self.folder.read(&format!("{name}/{ASSET}"));
        let before = before.filter(|before| before.facts.updated_ms == facts.updated_ms);
        let own = [ASSET, CAPTIONS, RENDITIONS, "poster.jpg", "poster.png"];
        let taken = own.iter().flat_map(|name| [(*name).to_owned(), format!("{name}{PART}")]).collect();
        Ok(Place { id: id.to_string(), name, path, before, taken, lacks: Vec::new() })
    }

    /// The file as it was uploaded; fetched unless it is there whole.
    async fn original(&mut self, place: &mut Place, facts: &Facts) -> Result<FileRecord, CliError> {
        let name = own_name(&facts.file_name, &format!("{}.mp4", place.id));
        let file = free_name(&name, &mut place.taken);
        let path = place.path.join(&file);
        if path.symlink_metadata().is_ok_and(|there| there.is_file() && Some(there.len()) == facts.size) {
            let found = hashed(&path, &self.bar)?;
            if facts.sha256.as_ref() == Some(&found.sha256) {
                return Ok(file_record(file, found));
            }
        }
        let wanted = Wanted {
            asset: &place.id,
            what: "original",
            output: &path,
            sha256: facts.sha256.as_deref(),
            keeps_half: true,
        };
        Ok(file_record(file, fetch(self.client, &wanted, &self.bar).await?))
    }

    async fn record(
        &mut self,
        place: &mut Place,
        view: &Value,
        facts: Facts,
        original: FileRecord,
    ) -> Result<AssetRecord, CliError> {
        let client = self.client;
        let detail = patiently(|| client.get::<Value>(client.api(["assets", &place.id, "detail"]))).await;
        let detail = match detail {
            // Viewers see the asset but not its inside.
            Err(CliError::Refused { status: 403 | 404, .. }) => Value::Null,
            other => other?,
        };
        let list = |name: &str| detail[name].as_array().cloned().unwrap_or_default();
        let captions = self.captions(place, &list("captions")).await?;
        let has_poster = view["has_poster"] == true;
        let poster =
            if has_poster { self.poster(place, detail["poster_chosen"] == true).await? } else { None };
        let renditions = if self.selection.renditions {
            self.renditions(place, &list("renditions")).await?
        } else {
            Vec::new()
        };
        Ok(AssetRecord {
            facts,
            collections: self.collections_of(view),
            owner: view["owner"].as_str().map(|id| self.person(id)),
            access: self.access(&view["access"])?,
            container: detail["container"].as_str().map(str::to_owned),
            tracks: list("tracks"),
            left_out: list("left_out"),
            damaged: detail["damaged"] == true,
            original,
            captions,
            poster,
            renditions,
        })
    }

    fn access(&self, rule: &Value) -> Result<AccessRecord, CliError> {
        match rule["kind"].as_str() {
            Some("members") => Ok(AccessRecord::Members),
            Some("editors") => Ok(AccessRecord::Editors),
            Some("users") => {
                let ids = rule["users"].as_array().into_iter().flatten().filter_map(Value::as_str);
                let users: Vec<Person> = ids.map(|id| self.person(id)).collect();
                Ok(AccessRecord::Users { users })
            }
            _ => Err(CliError::Answer("an access rule of another kind".to_owned())),
        }
    }

    async fn captions(&self, place: &mut Place, found: &[Value]) -> Result<Vec<CaptionRecord>, CliError> {
        let (mut captions, mut taken) = (Vec::new(), Vec::new());
        if !found.is_empty() {
            make_folder(&place.path.join(CAPTIONS))?;
        }
        for one in found {
            let (id, language) = (text(one, "id"), text(one, "language"));
            let uploaded = one["uploaded"] == true;
            let ending = if uploaded { "vtt" } else { "extracted.vtt" };
            let name =
                free_name(&own_name(&format!("{language}.{ending}"), &format!("{id}.vtt")), &mut taken);
            let file = format!("{CAPTIONS}/{name}");
            let url = self.client.api(["assets", &place.id, "captions", &id]);
            if let Some(file) = self.small(place, file, url, &format!("captions `{id}`")).await? {
                captions.push(CaptionRecord { language, label: text(one, "label"), uploaded, file });
            }
        }
        Ok(captions)
    }

    async fn poster(&self, place: &mut Place, chosen: bool) -> Result<Option<PosterRecord>, CliError> {
        if let Some(file) = ["poster.jpg", "poster.png"].iter().find_map(|name| place.there(name)) {
            return Ok(Some(PosterRecord { chosen, file }));
        }
        let url = self.client.api(["assets", &place.id, "poster"]);
        let picture = match self.small_bytes(&url).await {
            Ok(picture) => picture,
            Err(error) => {
                place.lacks.push(format!("its picture: {}", reason_of(error)?));
                return Ok(None);
            }
        };
        let name = if picture.starts_with(b"\x89PNG") { "poster.png" } else { "poster.jpg" };
        let written = write_whole(&place.path.join(name), &picture)?;
        Ok(Some(PosterRecord { chosen, file: file_record(name.to_owned(), written) }))
    }

    async fn renditions(&self, place: &mut Place, found: &[Value]) -> Result<Vec<RenditionRecord>, CliError> {
        let mut renditions = Vec::new();
        // Sound comes with each picture.
        for one in found.iter().filter(|one| one["kind"] == "video") {
            make_folder(&place.path.join(RENDITIONS))?;
            let id = text(one, "id");
            let file = format!("{RENDITIONS}/{}", own_name(&format!("{id}.mp4"), "rendition.mp4"));
            if let Some(file) = place.there(&file) {
                renditions.push(RenditionRecord { id, file });
                continue;
            }
            let output = place.path.join(&file);
            let wanted =
                Wanted { asset: &place.id, what: &id, output: &output, sha256: None, keeps_half: false };
            match fetch(self.client, &wanted, &indicatif::ProgressBar::hidden()).await {
                Ok(found) => renditions.push(RenditionRecord { id, file: file_record(file, found) }),
                Err(error) => place.lacks.push(format!("its rendition {id}: {}", reason_of(error)?)),
            }
        }
        Ok(renditions)
    }

    /// A small file; one that is there from before is not fetched.
    async fn small(
        &self,
        place: &mut Place,
        file: String,
        url: Url,
        what: &str,
    ) -> Result<Option<FileRecord>, CliError> {
        if let Some(there) = place.there(&file) {
            return Ok(Some(there));
        }
        match self.small_bytes(&url).await {
            Ok(bytes) => {
                let written = write_whole(&place.path.join(&file), &bytes)?;
                Ok(Some(file_record(file, written)))
            }
            Err(error) => {
                place.lacks.push(format!("{what}: {}", reason_of(error)?));
                Ok(None)
            }
        }
    }

    async fn small_bytes(&self, url: &Url) -> Result<Vec<u8>, CliError> {
        let client = self.client;
        patiently(|| async move {
            let mut answer = client.send(client.request(Method::GET, url.clone())).await?;
            let mut bytes = Vec::new();
            while let Some(piece) = answer.chunk().await.map_err(|error| client.unreachable(&error))? {
                if bytes.len() + piece.len() > LARGEST_SMALL {
                    return Err(CliError::Answer("a small file that is none".to_owned()));
                }
                bytes.extend_from_slice(&piece);
            }
            Ok(bytes)
        })
        .await
    }

    /// Takes away what the asset has no more, writes `asset.json`, and lists everything.
    fn settle(&mut self, place: &Place, record: &AssetRecord) -> Result<(), CliError> {
        let name = format!("{}/{ASSET}", place.name);
        let earlier: Option<AssetRecord> = self.folder.read(&name);
        let written = write_whole(&place.path.join(ASSET), &json_bytes(record)?)?;
        for file in earlier.iter().flat_map(AssetRecord::files) {
            if !record.files().any(|now| now.file == file.file) && file.is_beside() {
                let _ = fs::remove_file(place.path.join(&file.file));
            }
        }
        sync_folder(&place.path)?;
        self.sums.add(&name, &written.sha256)?;
        for file in record.files() {
            self.sums.add(&format!("{}/{}", place.name, file.file), &file.sha256)?;
        }
        self.assets += 1;
        self.bytes += record.original.length;
        Ok(())
    }
}
