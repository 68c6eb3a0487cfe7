//! `backup`: take one now, see them, check them, set where they go; and restore, which needs no node.

mod place;
mod restore;

use std::time::Duration;

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::client::Client;
use super::connection::Connection;
use super::error::CliError;
use super::shown;
use place::Place;

/// How often it is looked how far a run is.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Backups.
#[derive(Debug, Args)]
pub struct Backup {
    #[command(subcommand)]
    command: BackupCommand,
}

#[derive(Debug, Subcommand)]
enum BackupCommand {
    /// Take a backup now, and wait for its end.
    Now {
        #[command(flatten)]
        connection: Connection,
        /// Where to; may be left out when there is one target only.
        #[arg(long)]
        target: Option<String>,
        /// Do not wait; prints the id of the run.
        #[arg(long)]
        no_wait: bool,
    },
    /// List backups and checks, the newest first.
    List {
        #[command(flatten)]
        connection: Connection,
        /// At most so many.
        #[arg(long, default_value_t = 50)]
        limit: usize,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Look whether a backup is whole and as it was; fails when it is not.
    Verify {
        #[command(flatten)]
        connection: Connection,
        /// Which; the newest whole one when left out.
        run: Option<String>,
        /// Read every byte, not only a sample.
        #[arg(long)]
        full: bool,
    },
    /// Open a backup as a restore would, and decipher some of it; fails when something is wrong.
    Drill {
        #[command(flatten)]
        connection: Connection,
        /// Which; the newest whole one when left out.
        run: Option<String>,
    },
    /// List the places that backups go to.
    Targets {
        #[command(flatten)]
        connection: Connection,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Set a place that backups go to, new or changed. It is tried first.
    SetTarget(Box<SetTarget>),
    /// Use a place no more. What lies there stays there.
    RemoveTarget {
        #[command(flatten)]
        connection: Connection,
        /// Its id.
        target: String,
    },
    /// Make a new cluster from a backup, in a new folder of this machine. Needs the recovery key, and no running node.
    Restore(Box<restore::Restore>),
}

/// A place that backups go to.
#[derive(Debug, Args)]
struct SetTarget {
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    place: Place,
    /// Change this one instead of making a new one.
    #[arg(long, value_name = "ID")]
    target: Option<String>,
    /// What people call it.
    #[arg(long)]
    name: String,
    /// How many days a backup is kept.
    #[arg(long, default_value_t = 30)]
    keep_days: u16,
    /// When a backup begins each day, in UTC, such as 02:30; without it, on demand only.
    #[arg(long, value_name = "HH:MM")]
    daily_at: Option<String>,
    /// Between the daily ones, begin a backup at the latest so many minutes after a change.
    #[arg(long, value_name = "MINUTES", requires = "daily_at", value_parser = clap::value_parser!(u16).range(1..=360))]
    every: Option<u16>,
    /// The number of the one node that reaches it; whoever leads without it.
    #[arg(long)]
    node: Option<u64>,
}

impl Backup {
    /// Carries it out.
    pub async fn run(self) -> Result<(), CliError> {
        match self.command {
            BackupCommand::Now { connection, target, no_wait } => now(&connection, target, no_wait).await,
            BackupCommand::List { connection, limit, json } => list(&connection, limit, json).await,
            BackupCommand::Verify { connection, run, full } => {
                check(&connection, run, "verify", &json!({ "full": full })).await
            }
            BackupCommand::Drill { connection, run } => check(&connection, run, "drill", &json!({})).await,
            BackupCommand::Targets { connection, json } => targets(&connection, json).await,
            BackupCommand::SetTarget(command) => command.run().await,
            BackupCommand::RemoveTarget { connection, target } => {
                let client = connection.signed_in()?;
                let url = client.api(["backup-targets", &target]);
                client.send(client.request(Method::DELETE, url)).await.map(drop)
            }
            BackupCommand::Restore(command) => command.run().await,
        }
    }
}

async fn now(connection: &Connection, target: Option<String>, no_wait: bool) -> Result<(), CliError> {
    let client = connection.signed_in()?;
    let body = target.map_or_else(|| json!({}), |target| json!({ "target": target }));
    let run: Value = client.post(client.api(["backups"]), &body).await?;
    let id = shown::field(&run, "id");
    if no_wait {
        shown::line(&id);
        return Ok(());
    }
    let ended = ended(&client, &id).await?;
    shown::line(&id);
    let bytes = |name: &str| ended[name].as_u64().map(shown::size).unwrap_or_default();
    shown::note(&format!(
        "{}, {} in all; {} of them, {}, sent.",
        shown::counted(ended["objects"].as_u64().unwrap_or(0), "object"),
        bytes("bytes"),
        shown::field(&ended, "moved_objects"),
        bytes("moved_bytes")
    ));
    flaws(&ended, "could not be backed up")
}

/// Waits for the end of a run, and says how far it is.
async fn ended(client: &Client, id: &str) -> Result<Value, CliError> {
    let bar = indicatif::ProgressBar::new_spinner();
    loop {
        let run: Value = client.get(client.api(["backups", id])).await?;
        match run["state"].as_str().unwrap_or_default() {
            "running" => {
                let progress = &run["progress"];
                if progress.is_object() {
                    let bytes = progress["bytes"].as_u64().map(shown::size).unwrap_or_default();
                    let left = progress["eta_ms"].as_u64().map(std::time::Duration::from_millis);
                    let left = left.map(|left| format!(", {} left", indicatif::HumanDuration(left)));
                    bar.set_message(format!(
                        "{}: {} of {}, {bytes}{}",
                        shown::field(progress, "phase"),
                        shown::field(progress, "done"),
                        shown::field(progress, "total"),
                        left.unwrap_or_default()
                    ));
                }
                bar.tick();
                tokio::time::sleep(LOOK_EVERY).await;
            }
            "failed" => {
                bar.finish_and_clear();
                return Err(CliError::Backup(shown::field(&run, "reason")));
            }
            _ => {
                bar.finish_and_clear();
                return Ok(run);
            }
        }
    }
}

/// Names what was found wrong; that is a failure.
fn flaws(run: &Value, what: &str) -> Result<(), CliError> {
    let count = run["flaw_count"].as_u64().unwrap_or(0);
    if count == 0 {
        return Ok(());
    }
    for flaw in run["flaws"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        shown::line(&shown::safe(flaw));
    }
    Err(CliError::Backup(format!("{count} things {what}")))
}

async fn check(
    connection: &Connection,
    run: Option<String>,
    kind: &str,
    body: &Value,
) -> Result<(), CliError> {
    let client = connection.signed_in()?;
    let of = match run {
        Some(run) => run,
        None => newest_whole(&client).await?,
    };
    let begun: Value = client.post(client.api(["backups", &of, kind]), body).await?;
    let ended = ended(&client, &shown::field(&begun, "id")).await?;
    let bytes = |name: &str| ended[name].as_u64().map(shown::size).unwrap_or_default();
    shown::note(&format!(
        "{}, {} in all; {} of them, {}, read.",
        shown::counted(ended["objects"].as_u64().unwrap_or(0), "object"),
        bytes("bytes"),
        shown::field(&ended, "moved_objects"),
        bytes("moved_bytes")
    ));
    flaws(&ended, "are not as they were")?;
    shown::line(&format!("The backup {of} is whole."));
    Ok(())
}

async fn newest_whole(client: &Client) -> Result<String, CliError> {
    let runs = client.all(client.api(["backups"])).await?;
    let whole = runs
        .iter()
        .find(|run| ["copy", "interim"].iter().any(|kind| run["kind"] == *kind) && run["state"] == "done");
    whole
        .map(|run| shown::field(run, "id"))
        .ok_or_else(|| CliError::Backup("there is no whole backup".to_owned()))
}

async fn list(connection: &Connection, limit: usize, json: bool) -> Result<(), CliError> {
    let client = connection.signed_in()?;
    let runs = client.first(client.api(["backups"]), limit).await?;
    if json {
        shown::json(&Value::Array(runs));
        return Ok(());
    }
    let row = |run: &Value| {
        let time = run["began_ms"].as_u64().map(shown::time).unwrap_or_default();
        let field = |name| shown::field(run, name);
        let bytes = run["bytes"].as_u64().map(shown::size).unwrap_or_default();
        let what = match field("reason") {
            reason if reason.is_empty() => match run["flaw_count"].as_u64().unwrap_or(0) {
                0 => String::new(),
                count => format!("{count} flaws"),
            },
            reason => reason,
        };
        vec![field("id"), time, field("kind"), field("state"), field("objects"), bytes, what]
    };
    let rows: Vec<_> = runs.iter().map(row).collect();
    shown::table(&["RUN", "BEGAN", "KIND", "STATE", "OBJECTS", "SIZE", ""], &rows);
    Ok(())
}

async fn targets(connection: &Connection, json: bool) -> Result<(), CliError> {
    let client = connection.signed_in()?;
    let list: Value = client.get(client.api(["backup-targets"])).await?;
    let items = list["items"].as_array().cloned().unwrap_or_default();
    if json {
        shown::json(&Value::Array(items));
        return Ok(());
    }
    let row = |target: &Value| {
        let time = |name: &str| target[name].as_u64().map(shown::time).unwrap_or_default();
        let kept = format!("{} days", shown::field(target, "keep_days"));
        let kind = shown::field(&target["place"], "kind");
        vec![
            shown::field(target, "id"),
            shown::field(target, "name"),
            kind,
            kept,
            time("last_whole_ms"),
            time("next_ms"),
        ]
    };
    let rows: Vec<_> = items.iter().map(row).collect();
    shown::table(&["TARGET", "NAME", "KIND", "KEPT", "LAST", "NEXT"], &rows);
    Ok(())
}

impl SetTarget {
    async fn run(self) -> Result<(), CliError> {
        let client = self.connection.signed_in()?;
        let place = serde_json::to_value(self.place.view()?).unwrap_or_default();
        let minute = self.daily_at.as_deref().map(minute_of_day).transpose()?;
        let body = json!({
            "name": self.name,
            "place": place,
            "secret": self.place.secret()?.map(|secret| secret.to_string()),
            "keep_days": self.keep_days,
            "daily_at_minute": minute,
            "every_minutes": self.every,
            "node": self.node.map(|node| node.to_string()),
        });
        let set: Value = match &self.target {
            Some(id) => {
                let url = client.api(["backup-targets", id]);
                let answer = client.send(client.request(Method::PUT, url).json(&body)).await?;
                client.read(answer).await?
            }
            None => client.post(client.api(["backup-targets"]), &body).await?,
        };
        shown::line(&shown::field(&set, "id"));
        Ok(())
    }
}

/// `02:30` as minutes since midnight.
fn minute_of_day(text: &str) -> Result<u16, CliError> {
    let bad = || CliError::Usage(format!("`{text}` is not a time such as 02:30"));
    let (hour, minute) = text.split_once(':').ok_or_else(bad)?;
    let number = |text: &str| text.parse::<u16>().map_err(|_| bad());
    match (number(hour)?, number(minute)?) {
        (hour @ 0..24, minute @ 0..60) => Ok(hour * 60 + minute),
        _ => Err(bad()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_day_is_read_strictly() {
        assert_eq!(minute_of_day("02:30").unwrap(), 150);
        assert_eq!(minute_of_day("00:00").unwrap(), 0);
        for bad in ["24:00", "1", "01:60", "a:b", ":", "-1:00"] {
            assert!(minute_of_day(bad).is_err(), "{bad}");
        }
    }
}
