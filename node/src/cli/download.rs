//! `download`: the original or a rendition by a one-client link, gone on with after a lost connection.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{Context, SHA256};
use clap::Args;
use data_encoding::HEXLOWER;
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::header::RANGE;
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use tokio::fs::File;
use tokio::io::AsyncWriteExt;
use url::Url;

use super::client::Client;
use super::connection::Connection;
use super::error::CliError;
use super::shown;

const PATIENCE: Duration = Duration::from_secs(60);

/// Download an asset.
#[derive(Debug, Args)]
pub struct Download {
    #[command(flatten)]
    connection: Connection,
    /// The asset's id.
    id: String,
    /// `original`, or a rendition such as `v720`.
    #[arg(long, default_value = "original")]
    what: String,
    /// Where to; the uploaded file's name when missing.
    #[arg(long, short)]
    output: Option<PathBuf>,
}

/// A download on its way to the disk.
struct Target {
    part: PathBuf,
    file: File,
    written: u64,
    hash: Context,
}

impl Download {
    /// Carries it out.
    pub async fn run(self) -> Result<(), CliError> {
        let client = self.connection.signed_in()?;
        let asset: Value = client.get(client.api(["assets", &self.id])).await?;
        let output = self.output.clone().unwrap_or_else(|| own_name(&asset, &self.id, &self.what));
        if output.exists() {
            return Err(CliError::Exists(output));
        }
        let link: Value =
            client.post(client.api(["assets", &self.id, "downloads"]), &json!({"what": self.what})).await?;
        let url = link["url"].as_str().ok_or_else(|| CliError::Answer("no link".to_owned()))?;
        let url = client.own_address(url)?;
        let mut target = Target::create(&output).await?;
        let fetched = fetch(&client, &url, &mut target).await;
        let expected = asset["sha256"].as_str().filter(|_| self.what == "original");
        finish(fetched, target, &output, expected).await?;
        shown::line(&output.display().to_string());
        Ok(())
    }
}

/// A name in the present folder: never a path, whatever the node says.
fn own_name(asset: &Value, id: &str, what: &str) -> PathBuf {
    let given = asset["file_name"].as_str().unwrap_or_default();
    let given = Path::new(given).file_name().map(|name| name.to_string_lossy().into_owned());
    let clean = given.map(|name| name.chars().filter(|c| !c.is_control()).collect::<String>());
    let name = clean.filter(|name| !name.is_empty() && !name.starts_with('.'));
    let name = name.unwrap_or_else(|| format!("{id}.mp4"));
    if what == "original" {
        return PathBuf::from(name);
    }
    let stem = Path::new(&name).file_stem().unwrap_or_default().to_string_lossy().into_owned();
    PathBuf::from(format!("{stem}-{}.mp4", what.replace('/', "_")))
}

impl Target {
    async fn create(output: &Path) -> Result<Self, CliError> {
        let mut name = output.file_name().unwrap_or_default().to_owned();
        name.push(".part");
        let part = output.with_file_name(name);
        let file = File::create(&part).await.map_err(CliError::file(&part))?;
        Ok(Self { part, file, written: 0, hash: Context::new(&SHA256) })
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), CliError> {
        self.file.write_all(bytes).await.map_err(CliError::file(&self.part))?;
        self.hash.update(bytes);
        self.written += u64::try_from(bytes.len()).unwrap_or(0);
        Ok(())
    }
}

/// Fetches everything, with patience for a way that is lost for a while.
async fn fetch(client: &Client, url: &Url, target: &mut Target) -> Result<(), CliError> {
    let bar = ProgressBar::no_length();
    let template = "{bar:32} {binary_bytes} of {binary_total_bytes}  {binary_bytes_per_sec}  {eta} left";
    bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
    let mut lost_since: Option<Instant> = None;
    let end = loop {
        let before = target.written;
        match fetch_rest(client, url, target, &bar).await {
            Ok(()) => break Ok(()),
            Err(error) => {
                if target.written > before {
                    lost_since = None;
                }
                let since = *lost_since.get_or_insert_with(Instant::now);
                if !error.is_passing() || since.elapsed() > PATIENCE {
                    break Err(error);
                }
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        }
    };
    bar.finish_and_clear();
    end
}

async fn fetch_rest(
    client: &Client,
    url: &Url,
    target: &mut Target,
    bar: &ProgressBar,
) -> Result<(), CliError> {
    let mut request = client.request(Method::GET, url.clone());
    if target.written > 0 {
        request = request.header(RANGE, format!("bytes={}-", target.written));
    }
    let mut answer: Response = client.send(request).await?;
    if target.written > 0 && answer.status() != StatusCode::PARTIAL_CONTENT {
        return Err(CliError::Answer("the node began the download anew".to_owned()));
    }
    if let Some(length) = answer.content_length() {
        bar.set_length(target.written + length);
    }
    bar.set_position(target.written);
    while let Some(bytes) = answer.chunk().await.map_err(|error| client.unreachable(&error))? {
        target.write(&bytes).await?;
        bar.set_position(target.written);
    }
    Ok(())
}

/// Gives the finished file its name; takes away what is not whole.
async fn finish(
    fetched: Result<(), CliError>,
    mut target: Target,
    output: &Path,
    expected: Option<&str>,
) -> Result<(), CliError> {
    let part = target.part.clone();
    let kept = async {
        fetched?;
        target.file.flush().await.map_err(CliError::file(&part))?;
        target.file.sync_all().await.map_err(CliError::file(&part))?;
        let found = HEXLOWER.encode(target.hash.finish().as_ref());
        if expected.is_some_and(|expected| expected != found) {
            return Err(CliError::Damaged(output.to_owned()));
        }
        tokio::fs::rename(&part, output).await.map_err(CliError::file(output))
    }
    .await;
    if kept.is_err() {
        let _ = tokio::fs::remove_file(&part).await;
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_from_the_node_stays_in_this_folder() {
        let named = |name: &str, what: &str| own_name(&json!({"file_name": name}), "id", what);
        assert_eq!(named("film.mkv", "original"), PathBuf::from("film.mkv"));
        assert_eq!(named("film.mkv", "v720"), PathBuf::from("film-v720.mp4"));
        for bad in ["", "..", "/", ".bashrc", "../.ssh"] {
            assert_eq!(named(bad, "original"), PathBuf::from("id.mp4"), "{bad}");
        }
        assert_eq!(named("../../etc/passwd", "original"), PathBuf::from("passwd"));
    }
}
