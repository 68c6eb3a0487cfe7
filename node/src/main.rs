//! `mediakeep`: the node, its development set-up, its worker processes and its command line, in one binary.
#![deny(unsafe_code)] // but for one listed exception: `wiping`

mod wiping;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use node::cli::{self, ClientCommand, RunArguments, StartAs, StartEdge};
use node::dev::{self, DevOptions};
use node::edge;
use node::logs::{self, LogFormat};
use node::no_core;
use node::open_files;
use node::{run, tls};

#[global_allocator]
static ALLOCATOR: wiping::Wiping = wiping::Wiping;

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

fn main() -> ExitCode {
    // Before anything else is set up: a worker locks itself in and must have one thread until then.
    if std::env::args_os().nth(1).is_some_and(|argument| argument == "worker") {
        let idle_ms = std::env::args().nth(2).and_then(|idle_ms| idle_ms.parse().ok());
        return pipeline::worker_main(idle_ms.unwrap_or_default());
    }
    // One TLS provider for the whole process; a second call would only say that it is set.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    // reqwest and lettre make their own settings by it: what they may use is decided here, once.
    if let Err(error) = tls::outgoing() {
        complain(&error.into());
        return ExitCode::FAILURE;
    }
    let result = match Cli::parse().command {
        Command::Run(arguments) => run_node(&arguments, StartAs::Known),
        Command::Dev(arguments) => run_dev(arguments),
        Command::Client(command) => match (command.node_to_start(), command.edge_to_start()) {
            (Some((arguments, how)), _) => run_node(arguments, how),
            (None, Some((arguments, how))) => run_edge(arguments, how),
            (None, None) => return cli::run::<Cli>(command),
        },
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

fn run_node(arguments: &RunArguments, how: StartAs<'_>) -> anyhow::Result<()> {
    no_core::forbid()?;
    open_files::allow_all()?;
    logs::start(if arguments.log_json { LogFormat::Json } else { LogFormat::Text });
    run::run(arguments.config(how)?, arguments.options(how)?)
}

fn run_edge(arguments: &RunArguments, how: StartEdge<'_>) -> anyhow::Result<()> {
    wiping::begin();
    no_core::forbid()?;
    open_files::allow_all()?;
    logs::start(if arguments.log_json { LogFormat::Json } else { LogFormat::Text });
    edge::run(arguments.config(StartAs::Known)?, &arguments.edge_options(how)?)
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
