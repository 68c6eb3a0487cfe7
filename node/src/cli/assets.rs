//! `assets`, `asset`, `play` and `delete`.

use clap::Args;
use serde_json::{Value, json};

use super::client::Client;
use super::connection::Connection;
use super::error::CliError;
use super::shown;

/// List assets.
#[derive(Debug, Args)]
pub struct Assets {
    #[command(flatten)]
    connection: Connection,
    /// Of which application: its name or id. Not needed when there is one.
    #[arg(long, short)]
    application: Option<String>,
    /// With these words.
    #[arg(long, short)]
    query: Option<String>,
    /// In this state: uploading, processing, ready or failed.
    #[arg(long)]
    state: Option<String>,
    /// With this tag.
    #[arg(long)]
    tag: Option<String>,
    /// The trash instead of the library.
    #[arg(long)]
    trashed: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Assets {
    /// Carries it out.
    pub async fn run(self) -> Result<(), CliError> {
        let client = self.connection.signed_in()?;
        let application = application(&client, self.application.as_deref()).await?;
        let mut list = client.api(["applications", &application, "assets"]);
        let wishes = [("q", &self.query), ("state", &self.state), ("tag", &self.tag)];
        for (name, value) in wishes {
            if let Some(value) = value {
                list.query_pairs_mut().append_pair(name, value);
            }
        }
        if self.trashed {
            list.query_pairs_mut().append_pair("trashed", "true");
        }
        let assets = client.all(list).await?;
        if self.json {
            shown::json(&Value::Array(assets));
        } else {
            let rows: Vec<_> = assets.iter().map(row).collect();
            shown::table(&["ID", "STATE", "LENGTH", "SIZE", "TITLE"], &rows);
        }
        Ok(())
    }
}

fn row(asset: &Value) -> Vec<String> {
    let number = |name: &str| asset[name].as_u64();
    vec![
        shown::field(asset, "id"),
        shown::field(asset, "state"),
        number("duration_ms").map(shown::duration).unwrap_or_default(),
        number("size").map(shown::size).unwrap_or_default(),
        shown::field(asset, "title"),
    ]
}

/// The id of the application meant: by name or id, or the only one there is.
pub async fn application(client: &Client, wanted: Option<&str>) -> Result<String, CliError> {
    let own = client.all(client.api(["applications"])).await?;
    let named = |name: &str| {
        own.iter().find(|one| {
            let same = |field: &str| one[field].as_str().map(str::to_lowercase) == Some(name.to_lowercase());
            same("id") || same("name")
        })
    };
    let found = match (wanted, own.as_slice()) {
        (Some(wanted), _) => named(wanted)
            .ok_or_else(|| CliError::WhichApplication(format!("there is no application `{wanted}`")))?,
        (None, [only]) => only,
        (None, []) => {
            return Err(CliError::WhichApplication("you belong to no application".to_owned()));
        }
        (None, several) => {
            let names: Vec<_> = several.iter().map(|one| shown::field(one, "name")).collect();
            let names = names.join(", ");
            return Err(CliError::WhichApplication(format!(
                "which application? choose one with --application: {names}"
            )));
        }
    };
    found["id"]
        .as_str()
        .map(str::to_owned)
        .ok_or_else(|| CliError::Answer("an application without id".to_owned()))
}

/// Show one asset: state, tracks, renditions, copies.
#[derive(Debug, Args)]
pub struct Asset {
    #[command(flatten)]
    connection: Connection,
    /// The asset's id.
    id: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Asset {
    /// Carries it out.
    pub async fn run(self) -> Result<(), CliError> {
        let client = self.connection.signed_in()?;
        let asset = with_detail(&client, &self.id).await?;
        if self.json {
            shown::json(&asset);
            return Ok(());
        }
        for (label, name) in [
            ("Title", "title"),
            ("Id", "id"),
            ("State", "state"),
            ("Reason", "reason"),
            ("File", "file_name"),
            ("SHA-256", "sha256"),
        ] {
            let value = shown::field(&asset, name);
            if !value.is_empty() {
                shown::line(&format!("{label:<12}{value}"));
            }
        }
        for (label, name) in [("Tracks", "tracks"), ("Renditions", "renditions"), ("Holders", "holders")] {
            for item in asset[name].as_array().into_iter().flatten() {
                shown::line(&format!("{label:<12}{}", summary(item)));
            }
        }
        Ok(())
    }
}

/// `width=1280 height=720 …` of an object, or the value itself.
fn summary(item: &Value) -> String {
    match item {
        Value::Object(fields) => {
            let shown = |(name, value): (&String, &Value)| match value {
                Value::Null | Value::Array(_) | Value::Object(_) => None,
                Value::String(text) => Some(format!("{name}={}", shown::safe(text))),
                other => Some(format!("{name}={other}")),
            };
            fields.iter().filter_map(shown).collect::<Vec<_>>().join(" ")
        }
        Value::String(text) => shown::safe(text),
        other => other.to_string(),
    }
}

/// An asset with what its detail adds, where one may see that.
async fn with_detail(client: &Client, id: &str) -> Result<Value, CliError> {
    let mut asset: Value = client.get(client.api(["assets", id])).await?;
    let detail: Result<Value, CliError> = client.get(client.api(["assets", id, "detail"])).await;
    match (detail, asset.as_object_mut()) {
        (Ok(Value::Object(detail)), Some(asset)) => {
            for (name, value) in detail {
                asset.entry(name).or_insert(value);
            }
        }
        // Viewers see the asset but not its inside.
        (Err(CliError::Refused { status: 403 | 404, .. }), _) => {}
        (Err(error), _) => return Err(error),
        (Ok(_), _) => return Err(CliError::Answer("a detail that is none".to_owned())),
    }
    Ok(asset)
}

/// Print an address that any HLS player can play (ffmpeg, mpv, VLC).
#[derive(Debug, Args)]
pub struct Play {
    #[command(flatten)]
    connection: Connection,
    /// The asset's id.
    id: String,
    /// Let the address be used from any network address, not only from this one.
    #[arg(long)]
    any_address: bool,
    /// Where only so many videos may be watched at once: end the oldest of your own for this one.
    #[arg(long)]
    end_oldest: bool,
}

impl Play {
    /// Carries it out.
    pub async fn run(self) -> Result<(), CliError> {
        let client = self.connection.signed_in()?;
        let mut wanted = json!({"carrier": "path", "any_address": self.any_address});
        if self.end_oldest {
            let running: Value = client.get(client.api(["views"])).await?;
            let of_asset: Value = client.get(client.api(["assets", &self.id])).await?;
            let there = running["items"].as_array().into_iter().flatten();
            let oldest =
                there.filter(|view| view["application"] == of_asset["application"]).map(|view| &view["view"]);
            wanted["in_place_of"] = oldest.into_iter().next().cloned().unwrap_or_default();
        }
        let view: Value = client.post(client.api(["assets", &self.id, "views"]), &wanted).await?;
        let playlist =
            view["playlist_url"].as_str().ok_or_else(|| CliError::Answer("no playlist".to_owned()))?;
        shown::line(client.own_address(playlist)?.as_str());
        Ok(())
    }
}

/// Move an asset to the trash, or forget it for good.
#[derive(Debug, Args)]
pub struct Delete {
    #[command(flatten)]
    connection: Connection,
    /// The asset's id; several are deleted one by one.
    #[arg(required = true)]
    ids: Vec<String>,
    /// Also forget its key: nothing brings it back.
    #[arg(long)]
    purge: bool,
}

impl Delete {
    /// Carries it out; stops at the first that cannot be deleted.
    pub async fn run(self) -> Result<(), CliError> {
        let client = self.connection.signed_in()?;
        for id in &self.ids {
            let trashed = client.act(client.api(["assets", id, "trash"])).await;
            match trashed {
                Err(CliError::Refused { code, .. }) if self.purge && code == "asset_trashed" => {}
                other => other?,
            }
            if self.purge {
                client.act(client.api(["assets", id, "purge"])).await?;
                shown::note(&format!("{id} is gone for good."));
            } else {
                shown::note(&format!("{id} is in the trash."));
            }
        }
        Ok(())
    }
}
