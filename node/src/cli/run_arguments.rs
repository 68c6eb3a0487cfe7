//! How a node is started: what `run`, `cluster create` and `cluster join` take.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use clap::Args;
use zeroize::Zeroizing;

use super::edge::StartEdge;
use crate::config::Config;
use crate::edge::EdgeOptions;
use crate::run::RunOptions;

/// Where a node of several listens for the others unless it is told.
const EVERYWHERE: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 7443);

/// What a node is started as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartAs<'a> {
    /// What its folder says; a new one is founded or joins as its options say.
    Known,
    /// The first node of a new cluster, in an empty folder.
    Founder,
    /// A new node that joins by this token, in an empty folder.
    Joining(&'a str),
}

/// Options of a node.
#[derive(Debug, Args)]
pub struct RunArguments {
    /// The configuration file (TOML).
    #[arg(long, env = "MEDIAKEEP_CONFIG")]
    config: Option<PathBuf>,
    /// The data folder.
    #[arg(long, env = "MEDIAKEEP_DIR")]
    dir: Option<PathBuf>,
    /// Where HTTPS is served, e.g. 192.0.2.10:443.
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// Where plain HTTP is redirected to HTTPS, e.g. 192.0.2.10:80.
    #[arg(long)]
    redirect_listen: Option<SocketAddr>,
    /// Where the other nodes of the cluster connect, e.g. `[::]:7443`.
    #[arg(long)]
    cluster_listen: Option<SocketAddr>,
    /// What the other nodes connect to, when it is not what is listened on, e.g. node3.example.org.
    #[arg(long)]
    cluster_advertise: Option<String>,
    /// Join the cluster that made this token, when there is no node in the data folder yet.
    #[arg(long, env = "MEDIAKEEP_JOIN", hide_env_values = true)]
    join: Option<String>,
    /// What people call this node.
    #[arg(long)]
    name: Option<String>,
    /// The site it stands in.
    #[arg(long)]
    site: Option<String>,
    /// A name or address that the certificate carries; may be repeated.
    #[arg(long = "hostname")]
    hostnames: Vec<String>,
    /// The file with the node's private key.
    #[arg(long)]
    key_file: Option<PathBuf>,
    /// Seal the node's key by a passphrase that is asked for at every start, instead of a key file.
    #[arg(long)]
    passphrase: bool,
    /// Log one JSON object a line.
    #[arg(long)]
    pub log_json: bool,
    /// Stop when standard input ends.
    #[arg(long, hide = true)]
    stop_with_input: bool,
    /// Print one JSON line when ready.
    #[arg(long, hide = true)]
    announce: bool,
}

impl RunArguments {
    /// The configuration: what is said here over what the file says.
    ///
    /// # Errors
    /// When the file cannot be used.
    pub fn config(&self, how: StartAs<'_>) -> anyhow::Result<Config> {
        let mut config = Config::load(self.config.as_deref())?;
        let change = |value: &Option<PathBuf>, place: &mut PathBuf| {
            if let Some(value) = value {
                place.clone_from(value);
            }
        };
        change(&self.dir, &mut config.dir);
        config.listen = self.listen.unwrap_or(config.listen);
        config.redirect_listen = self.redirect_listen.or(config.redirect_listen);
        config.cluster_listen = self.cluster_listen.or(config.cluster_listen);
        if how != StartAs::Known {
            config.cluster_listen.get_or_insert(EVERYWHERE);
        }
        config.cluster_advertise = self.cluster_advertise.clone().or(config.cluster_advertise);
        config.name = self.name.clone().unwrap_or(config.name);
        config.site = self.site.clone().unwrap_or(config.site);
        config.hostnames.extend(self.hostnames.iter().cloned());
        config.key_file = self.key_file.clone().or(config.key_file);
        Ok(config)
    }

    /// What only the command line says of an edge.
    ///
    /// # Errors
    /// When a passphrase is wanted and cannot be read.
    pub fn edge_options(&self, how: StartEdge<'_>) -> anyhow::Result<EdgeOptions> {
        let RunOptions { passphrase, watch_input, announce, .. } = self.options(StartAs::Founder)?;
        let join = match how {
            StartEdge::Joining(token) => Some(Zeroizing::new(token.to_owned())),
            StartEdge::Known => None,
        };
        Ok(EdgeOptions { passphrase, join, watch_input, announce })
    }

    /// What only the command line says.
    ///
    /// # Errors
    /// When a passphrase is wanted and cannot be read.
    pub fn options(&self, how: StartAs<'_>) -> anyhow::Result<RunOptions> {
        let passphrase = if self.passphrase {
            Some(Zeroizing::new(rpassword::prompt_password("Passphrase of this node's key: ")?))
        } else {
            None
        };
        Ok(RunOptions {
            passphrase,
            join: match how {
                StartAs::Joining(token) => Some(Zeroizing::new(token.to_owned())),
                StartAs::Founder => None,
                StartAs::Known => self.join.clone().map(Zeroizing::new),
            },
            must_be_new: how != StartAs::Known,
            watch_input: self.stop_with_input,
            announce: self.announce,
        })
    }
}
