//! `upload`: tus 1.0, resumed after a lost connection and after a stopped command.

use std::io::SeekFrom;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, UNIX_EPOCH};

use clap::Args;
use data_encoding::BASE64;
use futures_util::TryStreamExt;
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use reqwest::{Body, Method, RequestBuilder, Response};
use serde_json::Value;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;
use url::Url;

use super::assets::application;
use super::client::Client;
use super::connection::Connection;
use super::error::CliError;
use super::shown;
use super::unfinished::Unfinished;
use crate::ingest::tus::{OFFSET_OCTET_STREAM, VERSION};

/// How long a lost connection is tried again before the command gives up; the upload can be gone on with later.
const PATIENCE: Duration = Duration::from_secs(120);
const READ_AHEAD: usize = 256 * 1024;

/// Upload a file; prints the id of the new asset.
#[derive(Debug, Args)]
pub struct Upload {
    #[command(flatten)]
    connection: Connection,
    /// The file.
    file: PathBuf,
    /// To which application: its name or id. Not needed when there is one.
    #[arg(long, short)]
    application: Option<String>,
    /// Title; the file's name when missing.
    #[arg(long, short)]
    title: Option<String>,
    /// Wait until everything is processed; fails if that fails.
    #[arg(long, short)]
    wait: bool,
}

/// What is uploaded.
#[derive(Debug)]
pub struct Source {
    path: PathBuf,
    /// What the node is told it is called.
    pub name: String,
    /// Its bytes.
    pub length: u64,
    modified_ms: u64,
}

impl Upload {
    /// Carries it out.
    pub async fn run(self) -> Result<(), CliError> {
        let source = Source::look_at(&self.file)?;
        let client = self.connection.signed_in()?;
        let application = application(&client, self.application.as_deref()).await?;
        let title = self.title.as_deref().unwrap_or(&source.name);
        let asset = transfer(&client, &source, &application, title).await?;
        shown::line(&asset);
        if self.wait { wait(&client, &asset).await } else { Ok(()) }
    }
}

impl Source {
    /// A file as it is now; one that changes while it is sent is noticed.
    pub fn look_at(path: &Path) -> Result<Self, CliError> {
        let path = path.canonicalize().map_err(CliError::file(path))?;
        let facts = path.metadata().map_err(CliError::file(&path))?;
        if !facts.is_file() {
            return Err(CliError::Usage(format!("{} is not a file", path.display())));
        }
        if facts.len() == 0 {
            return Err(CliError::EmptyFile(path));
        }
        let modified = facts.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let modified_ms = modified.map_or(0, |time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(Self { length: facts.len(), modified_ms, name, path })
    }

    fn is_unchanged(&self) -> bool {
        Self::look_at(&self.path)
            .is_ok_and(|now| (now.length, now.modified_ms) == (self.length, self.modified_ms))
    }
}

/// Sends the file, going on where an earlier attempt stopped. Gives the asset's id.
async fn transfer(
    client: &Client,
    source: &Source,
    application: &str,
    title: &str,
) -> Result<String, CliError> {
    let what = format!("{}\n{}\n{}", source.path.display(), source.length, source.modified_ms);
    let mut unfinished = Unfinished::load(client.base(), application, &what)?;
    let begun = match unfinished.location() {
        Some(location) => standing(client, location).await?.map(|offset| (location.to_owned(), offset)),
        None => None,
    };
    let (location, offset) = match begun {
        Some((location, offset)) => (location, offset),
        None => {
            let location = create(client, source, application, title, None).await?;
            unfinished.remember(&location)?;
            (location, 0)
        }
    };
    let bar = progress_bar(source.length, offset);
    let sent = send_all(client, source, &location, offset, &bar).await;
    bar.finish_and_clear();
    if let Err(CliError::FileChanged(_)) = &sent {
        let url = client.own_address(&location)?;
        let _ = client.send(tus(client, Method::DELETE, url)).await;
        unfinished.forget()?;
    }
    sent?;
    unfinished.forget()?;
    let id = location.rsplit('/').next().unwrap_or_default();
    Ok(shown::safe(id))
}

fn progress_bar(length: u64, offset: u64) -> ProgressBar {
    let template =
        "{bar:32} {percent:>3} %  {binary_bytes} of {binary_total_bytes}  {binary_bytes_per_sec}  {eta} left";
    let bar = ProgressBar::new(length).with_position(offset);
    // Hidden by itself when standard error is no terminal.
    bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.reset_eta();
    bar
}

fn tus(client: &Client, method: Method, url: Url) -> RequestBuilder {
    client.request(method, url).header("Tus-Resumable", VERSION)
}

/// Begins an upload. Gives its address below the node's, which ends in the id of the new asset.
pub async fn create(
    client: &Client,
    source: &Source,
    application: &str,
    title: &str,
    media_type: Option<&str>,
) -> Result<String, CliError> {
    let pair = |(key, value): (&str, &str)| format!("{key} {}", BASE64.encode(value.as_bytes()));
    let metadata = [("filename", source.name.as_str()), ("title", title), ("application", application)];
    let media_type = media_type.map(|kind| ("filetype", kind));
    let metadata = metadata.into_iter().chain(media_type).map(pair).collect::<Vec<_>>().join(",");
    let request = tus(client, Method::POST, client.api(["uploads"]))
        .header("Upload-Length", source.length)
        .header("Upload-Metadata", metadata)
        .header(CONTENT_LENGTH, 0);
    let answer = client.send(request).await?;
    let location = answer.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    let location = location.ok_or_else(|| CliError::Answer("an upload without Location".to_owned()))?;
    Ok(client.own_address(location)?.path().to_owned())
}

/// How much the node has; `None` when it does not know of the upload any more.
pub async fn standing(client: &Client, location: &str) -> Result<Option<u64>, CliError> {
    let url = client.own_address(location)?;
    match client.send(tus(client, Method::HEAD, url)).await {
        Ok(answer) => offset_of(&answer).map(Some),
        Err(CliError::Refused { status: 403 | 404 | 410, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn offset_of(answer: &Response) -> Result<u64, CliError> {
    let offset = answer.headers().get("Upload-Offset").and_then(|value| value.to_str().ok());
    let offset = offset.and_then(|value| value.parse().ok());
    offset.ok_or_else(|| CliError::Answer("no Upload-Offset".to_owned()))
}

/// Sends until the node has everything, with patience for a way that is lost for a while.
pub async fn send_all(
    client: &Client,
    source: &Source,
    location: &str,
    mut offset: u64,
    bar: &ProgressBar,
) -> Result<(), CliError> {
    let mut since = Instant::now();
    let mut pause = Duration::from_millis(250);
    while offset < source.length {
        let error = match send_rest(client, source, location, offset, bar).await {
            Ok(reached) => {
                offset = reached;
                continue;
            }
            Err(error) => error,
        };
        if !source.is_unchanged() {
            return Err(CliError::FileChanged(source.path.clone()));
        }
        if !error.is_passing() || since.elapsed() > PATIENCE {
            return Err(error);
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(8));
        match standing(client, location).await {
            Ok(Some(reached)) => {
                if reached > offset {
                    (since, pause) = (Instant::now(), Duration::from_millis(250));
                }
                offset = reached;
                bar.set_position(offset);
            }
            Ok(None) => return Err(error),
            Err(error) if error.is_passing() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// One PATCH with everything from `offset` on. Gives the new offset.
async fn send_rest(
    client: &Client,
    source: &Source,
    location: &str,
    offset: u64,
    bar: &ProgressBar,
) -> Result<u64, CliError> {
    if !source.is_unchanged() {
        return Err(CliError::FileChanged(source.path.clone()));
    }
    let broken = || CliError::file(&source.path);
    let mut file = File::open(&source.path).await.map_err(broken())?;
    file.seek(SeekFrom::Start(offset)).await.map_err(broken())?;
    let rest = source.length - offset;
    let bar = bar.clone();
    bar.set_position(offset);
    let stream = ReaderStream::with_capacity(file.take(rest), READ_AHEAD)
        .inspect_ok(move |bytes| bar.inc(u64::try_from(bytes.len()).unwrap_or(0)));
    let request = tus(client, Method::PATCH, client.own_address(location)?)
        .header("Upload-Offset", offset)
        .header(CONTENT_TYPE, OFFSET_OCTET_STREAM)
        .header(CONTENT_LENGTH, rest)
        .body(Body::wrap_stream(stream));
    offset_of(&client.send(request).await?)
}

/// Waits until the asset is ready or has failed.
async fn wait(client: &Client, asset: &str) -> Result<(), CliError> {
    let bar = ProgressBar::new(100);
    let template = "{bar:32} {percent:>3} %  {msg}";
    bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
    let mut lost_since: Option<Instant> = None;
    loop {
        match client.get::<Value>(client.api(["assets", asset])).await {
            Ok(found) => {
                lost_since = None;
                if let Some(end) = end_of(&found, asset) {
                    bar.finish_and_clear();
                    return end;
                }
                bar.set_position(found["progress"]["percent"].as_u64().unwrap_or(0));
                bar.set_message(shown::field(&found, "state"));
            }
            Err(error) => {
                let since = *lost_since.get_or_insert_with(Instant::now);
                if !error.is_passing() || since.elapsed() > PATIENCE {
                    return Err(error);
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

fn end_of(found: &Value, asset: &str) -> Option<Result<(), CliError>> {
    match found["state"].as_str()? {
        "ready" => Some(Ok(())),
        "failed" => {
            let reason = shown::field(found, "reason");
            Some(Err(CliError::AssetFailed { asset: asset.to_owned(), reason }))
        }
        _ => None,
    }
}
