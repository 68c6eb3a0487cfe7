//! The command line's client side: commands that talk to a node over its public API.

use std::process::ExitCode;

use clap::{CommandFactory, Subcommand};

/// Commands for people and scripts that use a node.
#[derive(Debug, Subcommand)]
pub enum ClientCommand {
    /// Print a completion script for a shell.
    Completions {
        /// For which shell.
        shell: clap_complete::Shell,
    },
}

/// Carries out a client command.
pub fn run<C: CommandFactory>(command: ClientCommand) -> ExitCode {
    match command {
        ClientCommand::Completions { shell } => {
            clap_complete::generate(shell, &mut C::command(), "mediakeep", &mut std::io::stdout());
            ExitCode::SUCCESS
        }
    }
}
