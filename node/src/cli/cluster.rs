//! `cluster`: a token to join by, how the nodes do, emptying one, removing one.

use ::cluster::JoinToken;
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::connection::Connection;
use super::error::CliError;
use super::shown;

/// The cluster and its nodes.
#[derive(Debug, Args)]
pub struct Cluster {
    #[command(subcommand)]
    command: ClusterCommand,
}

#[derive(Debug, Subcommand)]
enum ClusterCommand {
    /// Make a one-use token for a node to join by (`mediakeep run --join TOKEN`); or show what one says.
    Token {
        #[command(flatten)]
        connection: Connection,
        /// How long it lasts.
        #[arg(long, default_value_t = 30)]
        minutes: u32,
        /// Show what this token says instead; nothing is sent anywhere.
        #[arg(long, value_name = "TOKEN", conflicts_with = "minutes")]
        show: Option<String>,
    },
    /// Show the nodes: site, role, whether they were heard lately.
    Status {
        #[command(flatten)]
        connection: Connection,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Let a node give up its part: it hands over, and takes nothing new.
    Drain {
        #[command(flatten)]
        connection: Connection,
        /// Its number.
        node: u64,
        /// Let it take part again.
        #[arg(long)]
        undo: bool,
    },
    /// Remove a node for good. Its number never comes back.
    Remove {
        #[command(flatten)]
        connection: Connection,
        /// Its number.
        node: u64,
    },
}

impl Cluster {
    /// Carries it out.
    pub async fn run(self) -> Result<(), CliError> {
        match self.command {
            ClusterCommand::Token { show: Some(text), .. } => show(&text),
            ClusterCommand::Token { connection, minutes, show: None } => token(&connection, minutes).await,
            ClusterCommand::Status { connection, json } => status(&connection, json).await,
            ClusterCommand::Drain { connection, node, undo } => {
                let client = connection.signed_in()?;
                let url = client.api(["nodes", &node.to_string(), "drain"]);
                let request = client.request(Method::POST, url).json(&json!({ "draining": !undo }));
                client.send(request).await.map(drop)
            }
            ClusterCommand::Remove { connection, node } => {
                let client = connection.signed_in()?;
                let url = client.api(["nodes", &node.to_string()]);
                client.send(client.request(Method::DELETE, url)).await.map(drop)
            }
        }
    }
}

fn show(text: &str) -> Result<(), CliError> {
    let token = JoinToken::parse(text).map_err(|error| CliError::Usage(error.to_string()))?;
    let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
    shown::line(&format!("{:<14}{}", "Fingerprint", token.fingerprint()));
    shown::line(&format!("{:<14}{}", "Cluster", hex(&token.cluster)));
    shown::line(&format!("{:<14}{}", "Authority", hex(&token.authority)));
    shown::line(&format!("{:<14}{} (ms since 1970)", "Expires", token.expires_ms));
    for address in &token.addresses {
        shown::line(&format!("{:<14}{}", "Address", shown::safe(address)));
    }
    Ok(())
}

async fn token(connection: &Connection, minutes: u32) -> Result<(), CliError> {
    let client = connection.signed_in()?;
    let made: Value = client.post(client.api(["cluster", "tokens"]), &json!({ "minutes": minutes })).await?;
    let token = made["token"].as_str().ok_or_else(|| CliError::Answer("no token".to_owned()))?;
    shown::line(token);
    shown::note(&format!(
        "Fingerprint {}; good once, for {minutes} minutes.",
        shown::field(&made, "fingerprint")
    ));
    Ok(())
}

async fn status(connection: &Connection, json: bool) -> Result<(), CliError> {
    let client = connection.signed_in()?;
    let cluster: Value = client.get(client.api(["cluster"])).await?;
    if json {
        shown::json(&cluster);
        return Ok(());
    }
    shown::line(&format!(
        "{:<8}{:<16}{:<12}{:<10}{:<10}{}",
        "Node", "Name", "Site", "Role", "State", "Heard"
    ));
    for node in cluster["nodes"].as_array().into_iter().flatten() {
        let heard = match (node["alive"] == true, node["silent_ms"].as_u64()) {
            (true, _) => "yes".to_owned(),
            (false, Some(silent_ms)) => format!("silent for {}", shown::duration(silent_ms)),
            (false, None) => "never".to_owned(),
        };
        let field = |name| shown::field(node, name);
        shown::line(&format!(
            "{:<8}{:<16}{:<12}{:<10}{:<10}{heard}",
            field("id"),
            field("name"),
            field("site"),
            field("role"),
            field("state")
        ));
    }
    let can_lose = cluster["can_lose"].as_u64().unwrap_or(0);
    shown::line(&format!("Changes stay possible if {can_lose} more voters fail."));
    Ok(())
}
