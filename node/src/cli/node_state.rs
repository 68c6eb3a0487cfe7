//! `status` and `audit`.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::connection::Connection;
use super::error::CliError;
use super::shown;

/// How the node is.
#[derive(Debug, Args)]
pub struct Status {
    #[command(flatten)]
    connection: Connection,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Status {
    /// Carries it out.
    pub async fn run(self) -> Result<(), CliError> {
        let client = self.connection.signed_in()?;
        let status: Value = client.get(client.api(["system", "status"])).await?;
        if self.json {
            shown::json(&status);
            return Ok(());
        }
        let bytes = |value: &Value| value.as_u64().map(shown::size).unwrap_or_default();
        let (node, disk) = (&status["node"], &status["disk"]);
        let named = format!("{} at {}", shown::field(node, "name"), shown::field(node, "site"));
        let room = format!("{} of {} free", bytes(&disk["free"]), bytes(&disk["total"]));
        let up = status["uptime_ms"].as_u64().map(shown::duration).unwrap_or_default();
        for (label, value) in
            [("Node", named), ("Version", shown::field(&status, "version")), ("Up", up), ("Disk", room)]
        {
            shown::line(&format!("{label:<10}{value}"));
        }
        for warning in [shown::field(&status, "key_mode_warning"), unconfirmed(&status)] {
            if !warning.is_empty() {
                shown::line(&format!("{:<10}{warning}", "Warning"));
            }
        }
        Ok(())
    }
}

fn unconfirmed(status: &Value) -> String {
    let confirmed = status["recovery_confirmed"].as_bool().unwrap_or(true);
    if confirmed { String::new() } else { "The recovery key is not confirmed as written down.".to_owned() }
}

/// The audit log.
#[derive(Debug, Args)]
pub struct Audit {
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    /// Check that nothing was changed, removed or cut off; fails if anything was.
    Verify {
        #[command(flatten)]
        connection: Connection,
    },
}

impl Audit {
    /// Carries it out.
    pub async fn run(self) -> Result<(), CliError> {
        let AuditCommand::Verify { connection } = self.command;
        let client = connection.signed_in()?;
        let verdict: Value = client.get(client.api(["audit", "verify"])).await?;
        let verified = verdict["verified_to"].as_u64().unwrap_or(0);
        if verdict["ok"] == true {
            shown::line(&format!("The audit log is whole: {verified} records."));
            return Ok(());
        }
        let reason = shown::field(&verdict, "reason");
        Err(CliError::AuditBroken(format!("good up to record {verified}, then {reason}")))
    }
}
