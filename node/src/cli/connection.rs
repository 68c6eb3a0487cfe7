//! Which node, whom it trusts, and who asks: from options, environment, or the stored login.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use clap::Args;
use serde::{Deserialize, Serialize};
use url::Url;

use super::client::Client;
use super::error::CliError;

/// Options of every command that talks to a node.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Connection")]
pub struct Connection {
    /// The node's address, e.g. <https://media.example.org>.
    #[arg(long, env = "MEDIAKEEP_URL")]
    pub url: Option<String>,
    /// A PEM file with the authority to trust instead of the system's.
    #[arg(long, env = "MEDIAKEEP_CA")]
    pub ca: Option<PathBuf>,
    /// An API key or the token of a login.
    #[arg(long, env = "MEDIAKEEP_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
}

/// What `mediakeep login` keeps, readable by its owner only.
#[derive(Clone, Serialize, Deserialize)]
pub struct StoredLogin {
    /// The node's address.
    pub url: String,
    /// The authority to trust, when not the system's.
    pub ca_pem: Option<String>,
    /// The token.
    pub token: String,
    /// Whose.
    pub username: String,
}

impl std::fmt::Debug for StoredLogin {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "StoredLogin({} at {})", self.username, self.url)
    }
}

impl Connection {
    /// A client without a credential, and what is needed to store a login: address and authority.
    pub fn open(&self) -> Result<(Client, Url, Option<String>), CliError> {
        let stored = self.stored()?;
        let url = self.address(stored.as_ref())?;
        let ca_pem = self.authority(stored.as_ref(), &url)?;
        let client = Client::new(url.clone(), ca_pem.as_deref(), None)?;
        Ok((client, url, ca_pem))
    }

    /// A client with a credential.
    pub fn signed_in(&self) -> Result<Client, CliError> {
        let stored = self.stored()?;
        let url = self.address(stored.as_ref())?;
        let ca_pem = self.authority(stored.as_ref(), &url)?;
        let token = match (&self.token, stored) {
            (Some(token), _) => token.clone(),
            // A stored token goes only to the node that gave it.
            (None, Some(login)) if same_origin(&login.url, &url) => login.token,
            _ => return Err(CliError::NotLoggedIn),
        };
        Client::new(url, ca_pem.as_deref(), Some(token))
    }

    fn stored(&self) -> Result<Option<StoredLogin>, CliError> {
        StoredLogin::load(&login_file()?)
    }

    fn address(&self, stored: Option<&StoredLogin>) -> Result<Url, CliError> {
        let given = self.url.as_deref().or(stored.map(|login| login.url.as_str()));
        parse_address(given.ok_or(CliError::NoAddress)?)
    }

    fn authority(&self, stored: Option<&StoredLogin>, url: &Url) -> Result<Option<String>, CliError> {
        match &self.ca {
            Some(path) => Ok(Some(fs::read_to_string(path).map_err(CliError::file(path))?)),
            None => {
                Ok(stored.filter(|login| same_origin(&login.url, url)).and_then(|login| login.ca_pem.clone()))
            }
        }
    }
}

fn same_origin(stored: &str, url: &Url) -> bool {
    parse_address(stored).is_ok_and(|stored| stored.origin() == url.origin())
}

/// An `https` address; a host alone will do.
fn parse_address(text: &str) -> Result<Url, CliError> {
    let bad = || CliError::BadAddress(text.to_owned());
    let full = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
    let url = Url::parse(&full).map_err(|_| bad())?;
    let good = url.scheme() == "https" && url.has_host() && url.username().is_empty();
    if good && url.password().is_none() { Ok(url) } else { Err(bad()) }
}

/// Where this program keeps things of its user.
fn own_folder(variable: &str, below_home: &str) -> Result<PathBuf, CliError> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute(variable).or_else(|| absolute("HOME").map(|home| home.join(below_home)));
    let base = base.ok_or_else(|| CliError::Usage(format!("neither {variable} nor HOME is set")))?;
    Ok(base.join("mediakeep"))
}

/// The stored login.
pub fn login_file() -> Result<PathBuf, CliError> {
    Ok(own_folder("XDG_CONFIG_HOME", ".config")?.join("login.json"))
}

/// Uploads that are not finished.
pub fn uploads_file() -> Result<PathBuf, CliError> {
    Ok(own_folder("XDG_STATE_HOME", ".local/state")?.join("uploads.json"))
}

impl StoredLogin {
    fn load(path: &Path) -> Result<Option<Self>, CliError> {
        match fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|_| {
                let shown = path.display();
                CliError::Usage(format!("{shown} is not readable as a login; log in again"))
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(CliError::file(path)(error)),
        }
    }

    /// Keeps the login for later commands.
    pub fn store(&self) -> Result<PathBuf, CliError> {
        let path = login_file()?;
        let text = serde_json::to_vec_pretty(self).map_err(|error| CliError::Answer(error.to_string()))?;
        write_private(&path, &text)?;
        Ok(path)
    }
}

/// Writes a file that only its owner can read, whole or not at all.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<(), CliError> {
    if let Some(folder) = path.parent() {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(CliError::file(folder))?;
    }
    let half = path.with_extension(format!("{}.new", std::process::id()));
    let write = || -> std::io::Result<()> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&half)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&half, path)
    };
    write().map_err(CliError::file(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn an_address_is_https_and_carries_no_secret() {
        assert_eq!(parse_address("media.example.org").unwrap().as_str(), "https://media.example.org/");
        assert_eq!(parse_address("127.0.0.1:8443").unwrap().port(), Some(8443));
        for bad in ["http://media.example.org", "https://", "https://user:secret@host", "ftp://x", ""] {
            assert!(parse_address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_stored_token_goes_to_its_own_node_only() {
        let own = parse_address("https://a.example").unwrap();
        assert!(same_origin("https://a.example:443/", &own));
        assert!(!same_origin("https://a.example:8443", &own));
        assert!(!same_origin("https://b.example", &own));
    }

    #[test]
    fn a_private_file_is_its_owners_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/login.json");
        write_private(&path, b"one").unwrap();
        write_private(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }
}
