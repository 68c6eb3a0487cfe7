//! A place for backups as it is written on the command line.

use std::path::PathBuf;

use clap::Args;
use cluster::backup::TargetLogin;
use url::Url;

use crate::api::backup_targets::PlaceView;
use crate::cli::error::CliError;

/// Where backups lie: one of `--folder`, `--sftp` and `--s3`.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Place")]
pub(super) struct Place {
    /// A folder of the machine.
    #[arg(long, value_name = "PATH", required_unless_present_any = ["sftp", "s3"], conflicts_with_all = ["sftp", "s3"])]
    folder: Option<String>,
    /// A folder reached by SFTP, such as <sftp://backup@host.example:22/srv/backup>.
    #[arg(long, value_name = "URL", requires = "host_key", conflicts_with = "s3")]
    sftp: Option<String>,
    /// The SFTP server's key, as SHA256:...
    #[arg(long)]
    host_key: Option<String>,
    /// An S3-compatible store, such as <https://s3.example.org/bucket/prefix>.
    #[arg(long, value_name = "URL", requires = "access_key")]
    s3: Option<String>,
    /// The name of the store's access key.
    #[arg(long)]
    access_key: Option<String>,
    /// The store's region.
    #[arg(long)]
    region: Option<String>,
    /// A PEM file with the authority that vouches for the store, when it is not a public one.
    #[arg(long, value_name = "FILE")]
    authority: Option<PathBuf>,
    /// Lock objects in the store for as long as a backup that names them is kept.
    #[arg(long)]
    object_lock: bool,
    /// A file with what opens the place: a password, a private key, or the secret of the access key. Without it,
    /// MEDIAKEEP_BACKUP_SECRET is used.
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
}

impl Place {
    /// As the API takes it.
    pub(super) fn view(&self) -> Result<PlaceView, CliError> {
        if let Some(path) = &self.folder {
            return Ok(PlaceView::Folder { path: path.clone() });
        }
        if let Some(text) = &self.sftp {
            let url = address(text, &["sftp"])?;
            return Ok(PlaceView::Sftp {
                host: url.host_str().unwrap_or_default().to_owned(),
                port: url.port(),
                path: url.path().to_owned(),
                username: url.username().to_owned(),
                host_key: self.host_key.clone().unwrap_or_default(),
            });
        }
        let text = self.s3.as_deref().unwrap_or_default();
        let url = address(text, &["https", "http"])?;
        let mut parts = url.path().trim_matches('/').splitn(2, '/');
        let bucket = parts.next().unwrap_or_default().to_owned();
        let authority = match &self.authority {
            Some(path) => Some(std::fs::read_to_string(path).map_err(CliError::file(path))?),
            None => None,
        };
        Ok(PlaceView::S3 {
            endpoint: url.origin().ascii_serialization(),
            region: self.region.clone(),
            bucket,
            prefix: parts.next().map(str::to_owned),
            access_key: self.access_key.clone().unwrap_or_default(),
            authority,
            object_lock: Some(self.object_lock),
        })
    }

    /// What opens it: from a file or the environment, never from the command line, which others on the machine can read.
    pub(super) fn secret(&self) -> Result<Option<TargetLogin>, CliError> {
        match &self.secret_file {
            Some(path) => {
                let text = std::fs::read_to_string(path).map_err(CliError::file(path))?;
                Ok(Some(TargetLogin::new(text.trim_end_matches(['\r', '\n']).to_owned())))
            }
            None => Ok(std::env::var("MEDIAKEEP_BACKUP_SECRET").ok().map(TargetLogin::new)),
        }
    }
}

fn address(text: &str, schemes: &[&str]) -> Result<Url, CliError> {
    let bad = || {
        CliError::Usage(format!("`{text}` is not an address such as {}://host.example/folder", schemes[0]))
    };
    let url = Url::parse(text).map_err(|_| bad())?;
    let good = schemes.contains(&url.scheme()) && url.has_host() && url.password().is_none();
    if good { Ok(url) } else { Err(bad()) }
}
