//! `status` and `audit`.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::assets::application;
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
    /// List what was done, newest first.
    List(Box<AuditList>),
    /// Check that nothing was changed, removed or cut off; fails if anything was.
    Verify {
        #[command(flatten)]
        connection: Connection,
    },
}

/// Which records.
#[derive(Debug, Args)]
struct AuditList {
    #[command(flatten)]
    connection: Connection,
    /// By whom: a person's name or id, a key's id, or `anonymous`.
    #[arg(long)]
    actor: Option<String>,
    /// The beginning of the action, such as `asset.`.
    #[arg(long)]
    action: Option<String>,
    /// The id of what it was done to.
    #[arg(long)]
    target: Option<String>,
    /// `ok`, or the code of a refusal.
    #[arg(long)]
    result: Option<String>,
    /// Of one application: its name or id. Without it, the whole log (for cluster admins).
    #[arg(long, short)]
    application: Option<String>,
    /// Not before, in ms since 1970.
    #[arg(long)]
    from_ms: Option<u64>,
    /// Before, in ms since 1970.
    #[arg(long)]
    to_ms: Option<u64>,
    /// At most so many records.
    #[arg(long, default_value_t = 100)]
    limit: usize,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl AuditList {
    async fn run(self) -> Result<(), CliError> {
        let client = self.connection.signed_in()?;
        let application = match &self.application {
            Some(name) => Some(application(&client, Some(name)).await?),
            None => None,
        };
        let number = |value: Option<u64>| value.map(|value| value.to_string());
        let mut list = client.api(["audit"]);
        for (name, value) in [
            ("actor", self.actor),
            ("action", self.action),
            ("target", self.target),
            ("result", self.result),
            ("application", application),
            ("from_ms", number(self.from_ms)),
            ("to_ms", number(self.to_ms)),
        ] {
            if let Some(value) = value {
                list.query_pairs_mut().append_pair(name, &value);
            }
        }
        let records = client.first(list, self.limit).await?;
        if self.json {
            shown::json(&Value::Array(records));
        } else {
            let rows: Vec<_> = records.iter().map(row).collect();
            shown::table(&["TIME", "WHO", "FROM", "ACTION", "TARGET", "RESULT"], &rows);
        }
        Ok(())
    }
}

/// What is no flaw of the chain, and worth knowing.
fn warn(verdict: &Value) {
    for one in verdict["shortened"].as_array().into_iter().flatten() {
        let time = |name: &str| one[name].as_u64().map(shown::time).unwrap_or_default();
        let field = |name| shown::field(one, name);
        shown::note(&format!(
            "Warning: at {} the log of {} began to be missing at record {}, though it had signed record {} at {}: it was cut off \
             or rolled back.",
            time("time_ms"),
            field("node").replace(':', " "),
            field("first_missing"),
            field("signed_record"),
            time("signed_at_ms")
        ));
    }
    let unasked = verdict["nodes"].as_array().into_iter().flatten().filter(|node| node["ok"].is_null());
    for node in unasked {
        let field = |name| shown::field(node, name);
        shown::note(&format!(
            "Warning: node {} ({}) was not checked: {}",
            field("node"),
            field("name"),
            field("reason")
        ));
    }
}

fn row(record: &Value) -> Vec<String> {
    let time = record["time_ms"].as_u64().map(shown::time).unwrap_or_default();
    let fields = ["actor", "address", "action", "target", "result"];
    std::iter::once(time).chain(fields.map(|name| shown::field(record, name))).collect()
}

impl Audit {
    /// Carries it out.
    pub async fn run(self) -> Result<(), CliError> {
        let connection = match self.command {
            AuditCommand::List(list) => return list.run().await,
            AuditCommand::Verify { connection } => connection,
        };
        let client = connection.signed_in()?;
        let verdict: Value = client.get(client.api(["audit", "verify"])).await?;
        let verified = verdict["verified_to"].as_u64().unwrap_or(0);
        warn(&verdict);
        if verdict["ok"] == true {
            shown::line(&format!("The audit log is whole: {verified} records."));
            return Ok(());
        }
        let reason = shown::field(&verdict, "reason");
        Err(CliError::AuditBroken(format!("good up to record {verified}, then {reason}")))
    }
}
