//! `edge`: starting edges, and what they keep warm and forget.

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::confirm::Confirm;
use super::connection::Connection;
use super::error::CliError;
use super::run_arguments::RunArguments;
use super::shown;

/// Edges: nodes near viewers that hold ciphertext only.
#[derive(Debug, Args)]
pub struct Edge {
    #[command(subcommand)]
    command: EdgeCommand,
}

/// What is meant: one of the three.
#[derive(Debug, Args)]
#[group(required = true, multiple = false, id = "selection")]
struct Selection {
    /// An asset.
    #[arg(long)]
    asset: Option<String>,
    /// All of a collection.
    #[arg(long)]
    collection: Option<String>,
    /// All with a tag; with --application.
    #[arg(long)]
    tag: Option<String>,
}

#[derive(Debug, Subcommand)]
enum EdgeCommand {
    /// Join a cluster as an edge, in an empty folder, and serve. Later starts are `mediakeep edge run`.
    Join {
        /// What `mediakeep edge token` printed.
        #[arg(env = "MEDIAKEEP_JOIN", hide_env_values = true)]
        token: String,
        #[command(flatten)]
        edge: Box<RunArguments>,
    },
    /// Run the edge that joined before.
    Run {
        #[command(flatten)]
        edge: Box<RunArguments>,
    },
    /// Make a one-use token for an edge to join by.
    Token {
        #[command(flatten)]
        connection: Connection,
        /// How long it lasts.
        #[arg(long, default_value_t = 30)]
        minutes: u32,
    },
    /// List edges, and what they keep warm.
    List {
        #[command(flatten)]
        connection: Connection,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Remove an edge for good. It is cut off at once, and removes what it holds.
    Remove {
        #[command(flatten)]
        connection: Connection,
        /// Its number.
        edge: u64,
        #[command(flatten)]
        confirm: Confirm,
    },
    /// Have an edge fetch what is selected before anybody asks for it, now and when more comes to match. Prints an id.
    Warm {
        #[command(flatten)]
        connection: Connection,
        /// Its number.
        edge: u64,
        #[command(flatten)]
        selection: Selection,
        /// Where the tag is: an application's id.
        #[arg(long, requires = "tag")]
        application: Option<String>,
    },
    /// Let an edge stop keeping it warm. What it holds goes when the room is needed.
    EndWarm {
        #[command(flatten)]
        connection: Connection,
        /// What `warm` printed.
        warm: String,
    },
    /// Have all edges forget what is selected, at once.
    Purge {
        #[command(flatten)]
        connection: Connection,
        #[command(flatten)]
        selection: Selection,
        /// Where the tag is: an application's id.
        #[arg(long, requires = "tag")]
        application: Option<String>,
    },
}

/// How an edge is started on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartEdge<'a> {
    /// The one that is in its folder.
    Known,
    /// A new one, by this token.
    Joining(&'a str),
}

impl Edge {
    pub(super) fn edge_to_start(&self) -> Option<(&RunArguments, StartEdge<'_>)> {
        match &self.command {
            EdgeCommand::Join { token, edge } => Some((edge, StartEdge::Joining(token))),
            EdgeCommand::Run { edge } => Some((edge, StartEdge::Known)),
            _ => None,
        }
    }

    /// Carries it out.
    pub async fn run(self) -> Result<(), CliError> {
        match self.command {
            // Carried out before: they are edges, not clients.
            EdgeCommand::Join { .. } | EdgeCommand::Run { .. } => Ok(()),
            EdgeCommand::Token { connection, minutes } => token(&connection, minutes).await,
            EdgeCommand::List { connection, json } => list(&connection, json).await,
            EdgeCommand::Remove { connection, edge, confirm } => {
                let client = connection.signed_in()?;
                confirm.ask(&format!(
                    "Edge {edge} is removed for good: it is cut off at once, and removes what it holds."
                ))?;
                let url = client.api(["edges", &edge.to_string()]);
                client.send(client.request(Method::DELETE, url)).await.map(drop)
            }
            EdgeCommand::Warm { connection, edge, selection, application } => {
                let client = connection.signed_in()?;
                let url = client.api(["edges", &edge.to_string(), "warm"]);
                let made: Value = client.post(url, &selection.body(application)?).await?;
                shown::line(&shown::field(&made, "id"));
                Ok(())
            }
            EdgeCommand::EndWarm { connection, warm } => {
                let client = connection.signed_in()?;
                let url = client.api(["edges", "warm", &warm]);
                client.send(client.request(Method::DELETE, url)).await.map(drop)
            }
            EdgeCommand::Purge { connection, selection, application } => {
                let client = connection.signed_in()?;
                let url = client.api(["edges", "purges"]);
                let request = client.request(Method::POST, url).json(&selection.body(application)?);
                client.send(request).await.map(drop)
            }
        }
    }
}

impl Selection {
    fn body(self, application: Option<String>) -> Result<Value, CliError> {
        match (self.asset, self.collection, self.tag) {
            (Some(asset), ..) => Ok(json!({ "asset": asset })),
            (_, Some(collection), _) => Ok(json!({ "collection": collection })),
            (_, _, tag) => {
                let application = application.ok_or_else(|| {
                    CliError::Usage("a tag is of one application: say --application".to_owned())
                })?;
                Ok(json!({ "tag": tag, "application": application }))
            }
        }
    }
}

async fn token(connection: &Connection, minutes: u32) -> Result<(), CliError> {
    let client = connection.signed_in()?;
    let made: Value = client.post(client.api(["edges", "tokens"]), &json!({ "minutes": minutes })).await?;
    let token = made["token"].as_str().ok_or_else(|| CliError::Answer("no token".to_owned()))?;
    shown::line(token);
    shown::note(&format!(
        "Fingerprint {}; good once, for {minutes} minutes: mediakeep edge join TOKEN --site SITE",
        shown::field(&made, "fingerprint")
    ));
    Ok(())
}

async fn list(connection: &Connection, json: bool) -> Result<(), CliError> {
    let client = connection.signed_in()?;
    let list: Value = client.get(client.api(["edges"])).await?;
    if json {
        shown::json(&list);
        return Ok(());
    }
    let edges = list["items"].as_array().into_iter().flatten();
    let rows: Vec<Vec<String>> = edges.map(row).collect();
    shown::table(&["EDGE", "NAME", "SITE", "ADDRESS", "HEARD", "HOLDS", "WARM"], &rows);
    Ok(())
}

fn row(edge: &Value) -> Vec<String> {
    let heard = match (edge["alive"] == true, edge["silent_ms"].as_u64()) {
        (true, _) => "yes".to_owned(),
        (false, Some(silent_ms)) => format!("silent for {}", shown::duration(silent_ms)),
        (false, None) => "never".to_owned(),
    };
    let warm = edge["warm"].as_array().into_iter().flatten();
    let (mut assets, mut whole) = (0, 0);
    for one in warm {
        assets += one["assets"].as_u64().unwrap_or(0);
        whole += one["whole"].as_u64().unwrap_or(0);
    }
    let mut row: Vec<String> =
        ["id", "name", "site", "public_address"].map(|name| shown::field(edge, name)).into();
    row.extend([
        heard,
        shown::size(edge["held_bytes"].as_u64().unwrap_or(0)),
        format!("{whole} of {assets}"),
    ]);
    row
}
