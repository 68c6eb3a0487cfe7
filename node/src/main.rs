//! `mediakeep`: the node, its development set-up, its worker processes and its command line, in one binary.
#![forbid(unsafe_code)]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use node::cli::{self, ClientCommand};
use node::config::Config;
use node::dev::{self, DevOptions};
use node::logs::{self, LogFormat};
use node::no_core;
use node::run::{self, RunOptions};
use zeroize::Zeroizing;

/// Keeps an organisation's videos: encrypted, several times over, and playable.
#[derive(Debug, Parser)]
#[command(name = "mediakeep", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a node.
    Run(RunArguments),
    /// Run nodes on this machine for development and tests; prints one JSON line when they are ready.
    Dev(DevArguments),
    #[command(flatten)]
    Client(ClientCommand),
}

#[derive(Debug, Args)]
struct RunArguments {
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
    log_json: bool,
    /// Stop when standard input ends.
    #[arg(long, hide = true)]
    stop_with_input: bool,
    /// Print one JSON line when ready.
    #[arg(long, hide = true)]
    announce: bool,
}

#[derive(Debug, Args)]
struct DevArguments {
    /// How many nodes.
    #[arg(long, default_value_t = 1)]
    nodes: u32,
    /// The folder that holds them.
    #[arg(long)]
    dir: PathBuf,
    /// A configuration file for all of them.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Stop when standard input ends.
    #[arg(long, hide = true)]
    stop_with_input: bool,
}

impl RunArguments {
    fn config(&self) -> anyhow::Result<Config> {
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
        config.cluster_advertise = self.cluster_advertise.clone().or(config.cluster_advertise);
        config.name = self.name.clone().unwrap_or(config.name);
        config.site = self.site.clone().unwrap_or(config.site);
        config.hostnames.extend(self.hostnames.iter().cloned());
        config.key_file = self.key_file.clone().or(config.key_file);
        Ok(config)
    }

    fn options(&self) -> anyhow::Result<RunOptions> {
        let passphrase = if self.passphrase {
            Some(Zeroizing::new(rpassword::prompt_password("Passphrase of this node's key: ")?))
        } else {
            None
        };
        Ok(RunOptions {
            passphrase,
            join: self.join.clone().map(Zeroizing::new),
            watch_input: self.stop_with_input,
            announce: self.announce,
        })
    }
}

fn main() -> ExitCode {
    // Before anything else is set up: a worker locks itself in and must have one thread until then.
    if std::env::args_os().nth(1).is_some_and(|argument| argument == "worker") {
        return pipeline::worker_main();
    }
    // One TLS provider for the whole process; a second call would only say that it is set.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let result = match Cli::parse().command {
        Command::Run(arguments) => run_node(&arguments),
        Command::Dev(arguments) => run_dev(arguments),
        Command::Client(command) => return cli::run::<Cli>(command),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

fn run_node(arguments: &RunArguments) -> anyhow::Result<()> {
    no_core::forbid()?;
    logs::start(if arguments.log_json { LogFormat::Json } else { LogFormat::Text });
    run::run(arguments.config()?, arguments.options()?)
}

fn run_dev(arguments: DevArguments) -> anyhow::Result<()> {
    logs::start(LogFormat::Text);
    dev::run(DevOptions {
        nodes: arguments.nodes,
        dir: arguments.dir,
        config: arguments.config,
        watch_input: arguments.stop_with_input,
    })
}

/// One plain sentence with its causes.
#[expect(clippy::print_stderr, reason = "this is the command line's answer")]
fn complain(error: &anyhow::Error) {
    eprintln!("mediakeep: {error:#}");
}
