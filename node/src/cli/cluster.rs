//! `cluster`: a token to join by, how the nodes do, emptying one, removing one.

use ::cluster::JoinToken;
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::connection::Connection;
use super::error::CliError;
use super::run_arguments::{RunArguments, StartAs};
use super::shown;

/// The cluster and its nodes.
#[derive(Debug, Args)]
pub struct Cluster {
    #[command(subcommand)]
    command: ClusterCommand,
}

#[derive(Debug, Subcommand)]
enum ClusterCommand {
    /// Found a cluster: start its first node on this machine, in an empty folder. Later starts are `mediakeep run`.
    Create {
        #[command(flatten)]
        node: Box<RunArguments>,
    },
    /// Join a cluster: start a new node on this machine, in an empty folder. Later starts are `mediakeep run`.
    Join {
        /// What `mediakeep cluster token` printed on a node of the cluster.
        #[arg(env = "MEDIAKEEP_JOIN", hide_env_values = true)]
        token: String,
        #[command(flatten)]
        node: Box<RunArguments>,
    },
    /// Remove a node that is lost for good, and make the token for the machine that takes its place.
    Replace {
        #[command(flatten)]
        connection: Connection,
        /// Its number.
        node: u64,
        /// How long the token lasts.
        #[arg(long, default_value_t = 30)]
        minutes: u32,
    },
    /// Make a one-use token for a node to join by (`mediakeep cluster join TOKEN`); or show what one says.
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
    pub(super) fn node_to_start(&self) -> Option<(&RunArguments, StartAs<'_>)> {
        match &self.command {
            ClusterCommand::Create { node } => Some((node, StartAs::Founder)),
            ClusterCommand::Join { token, node } => Some((node, StartAs::Joining(token))),
            _ => None,
        }
    }

    /// Carries it out.
    pub async fn run(self) -> Result<(), CliError> {
        match self.command {
            ClusterCommand::Token { show: Some(text), .. } => show(&text),
            ClusterCommand::Token { connection, minutes, show: None } => token(&connection, minutes).await,
            ClusterCommand::Replace { connection, node, minutes } => {
                replace(&connection, node, minutes).await
            }
            // Carried out before: they are nodes, not clients.
            ClusterCommand::Create { .. } | ClusterCommand::Join { .. } => Ok(()),
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

/// The token is made first: without one there is nothing to gain by removing the node.
async fn replace(connection: &Connection, node: u64, minutes: u32) -> Result<(), CliError> {
    let client = connection.signed_in()?;
    let cluster: Value = client.get(client.api(["cluster"])).await?;
    let id = node.to_string();
    let known = cluster["nodes"].as_array().into_iter().flatten().find(|known| known["id"] == id.as_str());
    let known = known.ok_or_else(|| CliError::Usage(format!("there is no node {node}")))?;
    if known["alive"] == true {
        let says = format!("node {node} is alive: drain and remove it, or stop it first");
        return Err(CliError::Usage(says));
    }
    let (name, site) = (shown::field(known, "name"), shown::field(known, "site"));
    let made: Value = client.post(client.api(["cluster", "tokens"]), &json!({ "minutes": minutes })).await?;
    let token = made["token"].as_str().ok_or_else(|| CliError::Answer("no token".to_owned()))?;
    client.send(client.request(Method::DELETE, client.api(["nodes", &id]))).await?;
    shown::line(token);
    shown::note(&format!(
        "Node {node} is removed. On the new machine, within {minutes} minutes: \
         mediakeep cluster join TOKEN --name '{name}' --site '{site}'"
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
