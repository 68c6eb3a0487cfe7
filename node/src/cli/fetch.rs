//! A download link fetched into a file: gone on with after a lost connection, checked, and given its name only when it
//! is whole. Used by `download` and `export`.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{Context, SHA256};
use data_encoding::HEXLOWER;
use indicatif::ProgressBar;
use reqwest::header::RANGE;
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use url::Url;

use super::client::Client;
use super::error::CliError;

/// How long a lost connection is tried again before the command gives up.
pub const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(500);
const PIECE: usize = 256 * 1024;

/// What is to be fetched, and where to.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The asset's id.
    pub asset: &'a str,
    /// `original`, or a rendition such as `v720`.
    pub what: &'a str,
    /// The file it becomes.
    pub output: &'a Path,
    /// What its SHA-256 must be, when that is known.
    pub sha256: Option<&'a str>,
    /// Half of it stays when it cannot be finished, and is gone on with the next time.
    pub keeps_half: bool,
}

/// A file as it lies there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Its bytes.
    pub length: u64,
    /// Their SHA-256, in hexadecimal.
    pub sha256: String,
}

/// A download on its way to the disk.
struct Target {
    part: PathBuf,
    file: File,
    written: u64,
    hash: Context,
}

/// Fetches a file. It gets its name when it is whole and its SHA-256 fits.
pub async fn fetch(client: &Client, wanted: &Wanted<'_>, bar: &ProgressBar) -> Result<Fetched, CliError> {
    let mut target = Target::open(wanted).await?;
    let goes_on = target.written > 0;
    bar.inc(target.written);
    let fetched = fetch_all(client, wanted, &mut target, bar).await;
    match finish(fetched, target, wanted).await {
        // The half that was there may be what does not fit: once more from the beginning.
        Err(CliError::Damaged(_)) if goes_on => {
            let mut target = Target::open(wanted).await?;
            let fetched = fetch_all(client, wanted, &mut target, bar).await;
            finish(fetched, target, wanted).await
        }
        end => end,
    }
}

/// Does something again while the way to the node, or the node, fails for now.
pub async fn patiently<T, F>(attempt: impl FnMut() -> F) -> Result<T, CliError>
where
    F: Future<Output = Result<T, CliError>>,
{
    again_while(CliError::is_outage, attempt).await
}

/// Does something again that must not be done twice: only when the node said that it did nothing.
pub async fn once<T, F>(attempt: impl FnMut() -> F) -> Result<T, CliError>
where
    F: Future<Output = Result<T, CliError>>,
{
    again_while(CliError::is_turned_away, attempt).await
}

async fn again_while<T, F>(
    is_worth_it: impl Fn(&CliError) -> bool,
    mut attempt: impl FnMut() -> F,
) -> Result<T, CliError>
where
    F: Future<Output = Result<T, CliError>>,
{
    let since = Instant::now();
    loop {
        match attempt().await {
            Err(error) if is_worth_it(&error) && since.elapsed() <= PATIENCE => {
                tokio::time::sleep(PAUSE).await;
            }
            end => return end,
        }
    }
}

impl Target {
    async fn open(wanted: &Wanted<'_>) -> Result<Self, CliError> {
        let mut name = wanted.output.file_name().unwrap_or_default().to_owned();
        name.push(".part");
        let part = wanted.output.with_file_name(name);
        if wanted.keeps_half && part.symlink_metadata().is_ok_and(|facts| facts.is_file()) {
            return Self::go_on(part).await;
        }
        let file = File::create(&part).await.map_err(CliError::file(&part))?;
        Ok(Self { part, file, written: 0, hash: Context::new(&SHA256) })
    }

    /// With what an earlier attempt left.
    async fn go_on(part: PathBuf) -> Result<Self, CliError> {
        let failed = || CliError::file(&part);
        let mut file = File::options().read(true).write(true).open(&part).await.map_err(failed())?;
        let (mut written, mut hash, mut piece) = (0, Context::new(&SHA256), vec![0; PIECE]);
        loop {
            let read = file.read(&mut piece).await.map_err(failed())?;
            if read == 0 {
                return Ok(Self { part, file, written, hash });
            }
            hash.update(&piece[..read]);
            written += u64::try_from(read).unwrap_or(0);
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), CliError> {
        self.file.write_all(bytes).await.map_err(CliError::file(&self.part))?;
        self.hash.update(bytes);
        self.written += u64::try_from(bytes.len()).unwrap_or(0);
        Ok(())
    }
}

async fn link(client: &Client, wanted: &Wanted<'_>) -> Result<Url, CliError> {
    let links = client.api(["assets", wanted.asset, "downloads"]);
    let link: Value = client.post(links, &json!({ "what": wanted.what })).await?;
    client.own_address(link["url"].as_str().ok_or_else(|| CliError::Answer("no link".to_owned()))?)
}

/// Fetches everything, with patience for a way that is lost for a while.
async fn fetch_all(
    client: &Client,
    wanted: &Wanted<'_>,
    target: &mut Target,
    bar: &ProgressBar,
) -> Result<(), CliError> {
    let mut url = patiently(|| link(client, wanted)).await?;
    let mut lost_since: Option<Instant> = None;
    loop {
        let before = target.written;
        let Err(error) = fetch_rest(client, &url, target, bar).await else { return Ok(()) };
        if target.written > before {
            lost_since = None;
        }
        let since = *lost_since.get_or_insert_with(Instant::now);
        let is_link_over = is_link_over(&error);
        if !(error.is_passing() || is_link_over) || since.elapsed() > PATIENCE {
            return Err(error);
        }
        tokio::time::sleep(PAUSE).await;
        if is_link_over {
            url = patiently(|| link(client, wanted)).await?;
        }
    }
}

/// A link is of one life of the node, and ends after a day.
fn is_link_over(error: &CliError) -> bool {
    matches!(error, CliError::Refused { code, .. } if code == "download_not_valid" || code == "download_taken")
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
    let answer = client.send(request).await;
    let mut answer: Response = match answer {
        // Nothing is missing of what an earlier attempt left.
        Err(CliError::Refused { status: 416, .. }) if target.written > 0 => return Ok(()),
        other => other?,
    };
    if target.written > 0 && answer.status() != StatusCode::PARTIAL_CONTENT {
        return Err(CliError::Answer("the node began the download anew".to_owned()));
    }
    if let (Some(length), None) = (answer.content_length(), bar.length()) {
        bar.set_length(target.written + length);
    }
    while let Some(bytes) = answer.chunk().await.map_err(|error| client.unreachable(&error))? {
        target.write(&bytes).await?;
        bar.inc(u64::try_from(bytes.len()).unwrap_or(0));
    }
    Ok(())
}

/// Gives the finished file its name; takes away what is not right.
async fn finish(
    fetched: Result<(), CliError>,
    mut target: Target,
    wanted: &Wanted<'_>,
) -> Result<Fetched, CliError> {
    let (part, output) = (target.part.clone(), wanted.output);
    let keeps_half = wanted.keeps_half && fetched.is_err();
    let kept = async {
        target.file.flush().await.map_err(CliError::file(&part))?;
        fetched?;
        target.file.sync_all().await.map_err(CliError::file(&part))?;
        let sha256 = HEXLOWER.encode(target.hash.finish().as_ref());
        if wanted.sha256.is_some_and(|expected| expected != sha256) {
            return Err(CliError::Damaged(output.to_owned()));
        }
        tokio::fs::rename(&part, output).await.map_err(CliError::file(output))?;
        sync_folder_of(output).await.map_err(CliError::file(output))?;
        Ok(Fetched { length: target.written, sha256 })
    }
    .await;
    if kept.is_err() && !keeps_half {
        let _ = tokio::fs::remove_file(&part).await;
    }
    kept
}

/// Makes the name of a file durable.
async fn sync_folder_of(file: &Path) -> std::io::Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).await?.sync_all().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_half_is_gone_on_with_where_that_is_wanted() {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("film.mp4");
        std::fs::write(folder.path().join("film.mp4.part"), b"first half, ").unwrap();
        let sha256 = HEXLOWER.encode(aws_lc_rs::digest::digest(&SHA256, b"first half, second half").as_ref());
        let mut wanted =
            Wanted { asset: "a", what: "original", output: &output, sha256: Some(&sha256), keeps_half: true };
        let mut target = Target::open(&wanted).await.unwrap();
        assert_eq!(target.written, 12);
        target.write(b"second half").await.unwrap();
        let fetched = finish(Ok(()), target, &wanted).await.unwrap();
        assert_eq!((fetched.length, fetched.sha256), (23, sha256.clone()));
        assert_eq!(std::fs::read(&output).unwrap(), b"first half, second half");

        // A way that was lost leaves the half; bytes that do not fit go.
        let lost = || Err(CliError::Answer("lost".to_owned()));
        std::fs::write(folder.path().join("film.mp4.part"), b"other").unwrap();
        finish(lost(), Target::open(&wanted).await.unwrap(), &wanted).await.unwrap_err();
        assert!(folder.path().join("film.mp4.part").exists());
        let damaged = finish(Ok(()), Target::open(&wanted).await.unwrap(), &wanted).await;
        assert!(matches!(damaged, Err(CliError::Damaged(_))));
        assert!(!folder.path().join("film.mp4.part").exists());
        std::fs::write(folder.path().join("film.mp4.part"), b"other").unwrap();
        wanted.keeps_half = false;
        assert_eq!(Target::open(&wanted).await.unwrap().written, 0);
    }
}
