//! The command line's client side: commands that talk to a node over its public API, by one HTTP client.
//!
//! Address, authority and credential come from options, from `MEDIAKEEP_URL`, `MEDIAKEEP_CA` and `MEDIAKEEP_TOKEN`, or
//! from the login kept by `mediakeep login`. What a script wants goes to standard output, everything for people to
//! standard error; a failure is one plain sentence and a non-zero exit.

mod accept_loss;
mod archive;
mod assets;
mod authority;
mod backup;
mod certificate;
mod client;
mod cluster;
mod confirm;
mod connection;
mod cryptography;
mod download;
mod edge;
mod error;
mod fetch;
mod file_name;
mod node_state;
mod people;
mod recover;
mod recover_quorum;
mod run_arguments;
mod shown;
mod stopped;
mod unfinished;
mod upload;

use std::process::ExitCode;

use clap::{CommandFactory, Subcommand};

pub use edge::StartEdge;
pub use error::CliError;
pub use run_arguments::{RunArguments, StartAs};

/// Commands for people and scripts that use a node.
#[derive(Debug, Subcommand)]
pub enum ClientCommand {
    /// Log in, and keep the sign-in for later commands.
    Login(people::Login),
    /// End the kept sign-in.
    Logout(people::Logout),
    /// Upload a file; prints the id of the new asset.
    Upload(upload::Upload),
    /// List assets.
    Assets(assets::Assets),
    /// Show one asset: state, tracks, renditions, copies.
    Asset(assets::Asset),
    /// Print an address that any HLS player can play.
    Play(assets::Play),
    /// Download an asset.
    Download(download::Download),
    /// Write everything into a folder that needs no mediakeep to be read.
    Export(archive::Export),
    /// Bring an exported folder in, into a blank cluster or another one.
    Import(archive::Import),
    /// Move assets to the trash, or forget them for good.
    Delete(assets::Delete),
    /// List the people of the cluster.
    Users(people::Users),
    /// Show how the node is.
    Status(node_state::Status),
    /// Show, install or remove the certificate browsers see.
    Certificate(certificate::Certificate),
    /// Show every use of cryptography: algorithm, key, rotation, state.
    Cryptography(cryptography::Cryptography),
    /// Read or check the audit log.
    Audit(node_state::Audit),
    /// Found a cluster, join one, make a token to join by, see, empty, replace or remove nodes, recover from the loss of most.
    Cluster(cluster::Cluster),
    /// Start edges, and see, fill, empty and remove them.
    Edge(edge::Edge),
    /// Take, see, check and restore backups.
    Backup(backup::Backup),
    /// Give a node its lost key back, by the recovery key.
    Recover(recover::Recover),
    /// Let a stopped node go on without log records that are lost for good.
    AcceptLoss(accept_loss::AcceptLoss),
    /// Print a completion script for a shell.
    Completions {
        /// For which shell.
        shell: clap_complete::Shell,
    },
}

impl ClientCommand {
    /// The node that this command starts on this machine, when it is one that does.
    #[must_use]
    pub fn node_to_start(&self) -> Option<(&RunArguments, StartAs<'_>)> {
        match self {
            Self::Cluster(command) => command.node_to_start(),
            _ => None,
        }
    }

    /// The edge that this command starts on this machine, when it is one that does.
    #[must_use]
    pub fn edge_to_start(&self) -> Option<(&RunArguments, StartEdge<'_>)> {
        match self {
            Self::Edge(command) => command.edge_to_start(),
            _ => None,
        }
    }
}

/// Carries out a client command.
pub fn run<C: CommandFactory>(command: ClientCommand) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(carry_out::<C>(command)),
        Err(error) => Err(CliError::Usage(error.to_string())),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            shown::note(&format!("mediakeep: {}", shown::safe(&error.to_string())));
            ExitCode::FAILURE
        }
    }
}

async fn carry_out<C: CommandFactory>(command: ClientCommand) -> Result<(), CliError> {
    match command {
        ClientCommand::Login(command) => command.run().await,
        ClientCommand::Logout(command) => command.run().await,
        ClientCommand::Upload(command) => command.run().await,
        ClientCommand::Assets(command) => command.run().await,
        ClientCommand::Asset(command) => command.run().await,
        ClientCommand::Play(command) => command.run().await,
        ClientCommand::Download(command) => command.run().await,
        ClientCommand::Export(command) => command.run().await,
        ClientCommand::Import(command) => command.run().await,
        ClientCommand::Delete(command) => command.run().await,
        ClientCommand::Users(command) => command.run().await,
        ClientCommand::Status(command) => command.run().await,
        ClientCommand::Audit(command) => command.run().await,
        ClientCommand::Certificate(command) => command.run().await,
        ClientCommand::Cryptography(command) => command.run().await,
        ClientCommand::Cluster(command) => command.run().await,
        ClientCommand::Edge(command) => command.run().await,
        ClientCommand::Backup(command) => command.run().await,
        ClientCommand::Recover(command) => command.run(),
        ClientCommand::AcceptLoss(command) => command.run().await,
        ClientCommand::Completions { shell } => {
            clap_complete::generate(shell, &mut C::command(), "mediakeep", &mut std::io::stdout());
            Ok(())
        }
    }
}
