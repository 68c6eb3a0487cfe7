//! `cluster`: a token to join by, how the nodes do, emptying one, removing one, another authority.

use std::time::Duration;

use ::cluster::JoinToken;
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::authority::{self, Rotation};
use super::client::Client;
use super::confirm::Confirm;
use super::connection::Connection;
use super::error::CliError;
use super::recover_quorum::Recover;
use super::run_arguments::{RunArguments, StartAs};
use super::shown;

/// How often it is looked whether a rotation is over.
const LOOK_EVERY: Duration = Duration::from_millis(500);

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
        #[command(flatten)]
        confirm: Confirm,
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
        #[arg(long, conflicts_with = "yes")]
        undo: bool,
        #[command(flatten)]
        confirm: Confirm,
    },
    /// Remove a node for good. Its number never comes back.
    Remove {
        #[command(flatten)]
        connection: Connection,
        /// Its number.
        node: u64,
        #[command(flatten)]
        confirm: Confirm,
    },
    /// Give nodes and edges another certificate authority, and wait until all have a certificate by it.
    RotateCa(Rotation),
    /// Put a new cluster key in force, and wait until everything is wrapped under it and the one before is forgotten.
    RotateKey {
        #[command(flatten)]
        connection: Connection,
        /// Do not wait.
        #[arg(long)]
        no_wait: bool,
    },
    Recover(Recover),
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
            ClusterCommand::Replace { connection, node, minutes, confirm } => {
                replace(&connection, node, minutes, confirm).await
            }
            // Carried out before: they are nodes, not clients.
            ClusterCommand::Create { .. } | ClusterCommand::Join { .. } => Ok(()),
            ClusterCommand::Status { connection, json } => status(&connection, json).await,
            ClusterCommand::Drain { connection, node, undo, confirm } => {
                drain(&connection, node, undo, confirm).await
            }
            ClusterCommand::RotateCa(rotation) => rotation.run().await,
            ClusterCommand::RotateKey { connection, no_wait } => rotate_key(&connection, no_wait).await,
            ClusterCommand::Recover(recover) => recover.run().await,
            ClusterCommand::Remove { connection, node, confirm } => remove(&connection, node, confirm).await,
        }
    }
}

fn read_token(text: &str) -> Result<JoinToken, CliError> {
    JoinToken::parse(text).map_err(|error| CliError::Usage(error.to_string()))
}

/// What a token says, a line each; nothing of its secret.
fn decoded(token: &JoinToken) -> Vec<String> {
    let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
    let mut lines = vec![
        format!("{:<14}{}", "Fingerprint", token.fingerprint()),
        format!("{:<14}{}", "Cluster", hex(&token.cluster)),
        format!("{:<14}{}", "Authority", hex(&token.authority)),
        format!("{:<14}{}", "Expires", shown::time(token.expires_ms)),
    ];
    lines.extend(token.addresses.iter().map(|address| format!("{:<14}{}", "Address", shown::safe(address))));
    lines
}

fn show(text: &str) -> Result<(), CliError> {
    decoded(&read_token(text)?).iter().for_each(|line| shown::line(line));
    Ok(())
}

async fn new_token(client: &Client, minutes: u32) -> Result<JoinToken, CliError> {
    let made: Value = client.post(client.api(["cluster", "tokens"]), &json!({ "minutes": minutes })).await?;
    let token = made["token"].as_str().ok_or_else(|| CliError::Answer("no token".to_owned()))?;
    read_token(token)
}

async fn token(connection: &Connection, minutes: u32) -> Result<(), CliError> {
    let client = connection.signed_in()?;
    let token = new_token(&client, minutes).await?;
    shown::line(&token.to_text());
    decoded(&token).iter().for_each(|line| shown::note(line));
    shown::note("Good once. On the new machine: mediakeep cluster join TOKEN --name NAME --site SITE");
    Ok(())
}

/// A node, as the one that is asked sees it.
async fn known(client: &Client, node: u64) -> Result<Value, CliError> {
    let cluster: Value = client.get(client.api(["cluster"])).await?;
    let id = node.to_string();
    let known = cluster["nodes"].as_array().into_iter().flatten().find(|known| known["id"] == id.as_str());
    known.cloned().ok_or_else(|| CliError::Usage(format!("there is no node {node}")))
}

/// `Node 13 (n3 at s3)`.
fn named(node: &Value) -> String {
    let field = |name| shown::field(node, name);
    format!("Node {} ({} at {})", field("id"), field("name"), field("site"))
}

async fn drain(connection: &Connection, node: u64, undo: bool, confirm: Confirm) -> Result<(), CliError> {
    let client = connection.signed_in()?;
    let known = known(&client, node).await?;
    if !undo {
        confirm.ask(&format!("{} gives up its part: what it holds is copied elsewhere.", named(&known)))?;
    }
    let url = client.api(["nodes", &node.to_string(), "drain"]);
    let request = client.request(Method::POST, url).json(&json!({ "draining": !undo }));
    client.send(request).await?;
    let says = if undo {
        "takes part again"
    } else {
        "gives up its part; `cluster status` says when it is empty, and `--undo` takes it back"
    };
    shown::note(&format!("{} {says}.", named(&known)));
    Ok(())
}

async fn remove(connection: &Connection, node: u64, confirm: Confirm) -> Result<(), CliError> {
    let client = connection.signed_in()?;
    let known = known(&client, node).await?;
    confirm.ask(&format!(
        "{} is removed for good: it is cut off at once and never comes back.",
        named(&known)
    ))?;
    client.send(client.request(Method::DELETE, client.api(["nodes", &node.to_string()]))).await?;
    shown::note(&format!("{} is removed.", named(&known)));
    Ok(())
}

/// The token is made first: without one there is nothing to gain by removing the node.
async fn replace(connection: &Connection, node: u64, minutes: u32, confirm: Confirm) -> Result<(), CliError> {
    let client = connection.signed_in()?;
    let known = known(&client, node).await?;
    if known["alive"] == true {
        let says = format!("node {node} is alive: drain and remove it, or stop it first");
        return Err(CliError::Usage(says));
    }
    confirm.ask(&format!("{} is removed for good, and another machine takes its place.", named(&known)))?;
    let token = new_token(&client, minutes).await?;
    client.send(client.request(Method::DELETE, client.api(["nodes", &node.to_string()]))).await?;
    shown::line(&token.to_text());
    let (name, site) = (shown::field(&known, "name"), shown::field(&known, "site"));
    shown::note(&format!(
        "{} is removed. On the new machine, before {}: \
         mediakeep cluster join TOKEN --name '{name}' --site '{site}'",
        named(&known),
        shown::time(token.expires_ms)
    ));
    shown::note(&format!("{:<14}{}", "Fingerprint", token.fingerprint()));
    Ok(())
}

async fn rotate_key(connection: &Connection, no_wait: bool) -> Result<(), CliError> {
    let client = connection.signed_in()?;
    let key = async || client.get(client.api(["cluster"])).await.map(|cluster: Value| cluster["key"].clone());
    let in_force = json!({ "epoch": key().await?["epoch"] });
    client
        .send(client.request(Method::POST, client.api(["cluster", "key", "rotate"])).json(&in_force))
        .await?;
    let mut now = key().await?;
    if now["rotating"] == true && !no_wait {
        shown::note(
            "It is in force. Waiting until everything is wrapped under it, which goes on without this command, too.",
        );
    }
    let waiting = |now: &Value| now["waiting"].as_u64().unwrap_or(0);
    let bar = indicatif::ProgressBar::new(waiting(&now));
    while now["rotating"] == true && !no_wait {
        // Assets that came meanwhile are wrapped under the new one already.
        bar.set_position(bar.length().unwrap_or(0).saturating_sub(waiting(&now)));
        tokio::time::sleep(LOOK_EVERY).await;
        now = key().await?;
    }
    bar.finish_and_clear();
    shown::line(&now["epoch"].to_string());
    shown::note(
        "A new cluster key is in force. Backups made before still open with the recovery key; take a new one.",
    );
    Ok(())
}

async fn status(connection: &Connection, json: bool) -> Result<(), CliError> {
    let client = connection.signed_in()?;
    let cluster: Value = client.get(client.api(["cluster"])).await?;
    if json {
        shown::json(&cluster);
        return Ok(());
    }
    let rows: Vec<_> = cluster["nodes"].as_array().into_iter().flatten().map(row).collect();
    let head = ["NODE", "NAME", "SITE", "ROLE", "STATE", "HEARD", "VERSION", "ADDRESS"];
    shown::table(&head, &rows);
    let number = |name: &str| cluster[name].as_u64().unwrap_or(0);
    shown::line(&format!(
        "Changes stay possible if {} more voters fail. Nothing is lost if {} more nodes fail, or {} more sites.",
        number("can_lose"),
        number("nodes_to_lose"),
        number("sites_to_lose")
    ));
    if let Some(waiting) = authority::waiting(&cluster) {
        shown::line(&waiting);
    }
    Ok(())
}

/// Its state; of one that is being emptied also how far that is.
fn state_of(node: &Value) -> String {
    let state = shown::field(node, "state");
    let left = match node["assets_left"].as_u64() {
        None => return state,
        Some(0) => return format!("{state}: empty"),
        Some(1) => "1 asset left".to_owned(),
        Some(left) => format!("{left} assets left"),
    };
    match node["assets_written"].as_u64() {
        None | Some(0) => format!("{state}: {left}"),
        Some(written) => format!("{state}: {left}, {written} being written"),
    }
}

fn row(node: &Value) -> Vec<String> {
    let heard = match (node["alive"] == true, node["silent_ms"].as_u64()) {
        (true, _) => "yes".to_owned(),
        (false, Some(silent_ms)) => format!("silent for {}", shown::duration(silent_ms)),
        (false, None) => "never".to_owned(),
    };
    let field = |name| shown::field(node, name);
    let mut cells = ["id", "name", "site", "role"].map(field).to_vec();
    cells.extend([state_of(node), heard, field("version"), field("public_address")]);
    cells
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_is_being_emptied_says_how_far_that_is() {
        let said = |left: Value, written: Value| {
            state_of(&json!({ "state": "draining", "assets_left": left, "assets_written": written }))
        };
        assert_eq!(said(Value::Null, Value::Null), "draining", "not counted yet");
        assert_eq!(said(json!(0), json!(0)), "draining: empty");
        assert_eq!(said(json!(1), json!(0)), "draining: 1 asset left");
        assert_eq!(said(json!(12), json!(1)), "draining: 12 assets left, 1 being written");
    }
}
