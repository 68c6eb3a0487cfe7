//! `backup restore`: a new cluster from a place for backups and the recovery key.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use cluster::ClusterConfig;
use cluster::backup::{self, OpenTargets, Progress, RestoreReport, Target};
use cluster::command::TargetSettings;
use cluster::id::BackupRunId;

use super::place::Place;
use crate::backup::Targets;
use crate::cli::error::CliError;
use crate::cli::recover::{key_file_seal, read_recovery_key};
use crate::cli::shown;

/// Makes a new cluster of one node from a backup. Reads the recovery key, or enough of its shares, a line each, from the
/// terminal or standard input.
#[derive(Debug, Args)]
pub(super) struct Restore {
    #[command(flatten)]
    place: Place,
    /// The data folder of the new node: one that holds no node.
    #[arg(long, env = "MEDIAKEEP_DIR", required_unless_present = "list")]
    dir: Option<PathBuf>,
    /// Where to write the new node's key; beside the data folder when missing.
    #[arg(long)]
    key_file: Option<PathBuf>,
    /// What people call the new node.
    #[arg(long, default_value = "node")]
    name: String,
    /// The site it stands in.
    #[arg(long, default_value = "s1")]
    site: String,
    /// One backup; the newest whole one when left out.
    #[arg(long)]
    run: Option<String>,
    /// List the backups there, and restore nothing. Needs no recovery key.
    #[arg(long)]
    list: bool,
}

impl Restore {
    /// Carries it out.
    pub(super) async fn run(self) -> Result<(), CliError> {
        let target = self.target().await?;
        if self.list {
            return list(&*target).await;
        }
        let dir = self.dir.clone().unwrap_or_default();
        let run = self.run.as_deref().map(str::parse::<BackupRunId>).transpose();
        let run = run.map_err(|_| CliError::Usage("this is not the id of a backup".to_owned()))?;
        let seal = key_file_seal(&dir, self.key_file.as_deref())?;
        let recovery = read_recovery_key()?;
        let config = ClusterConfig::new(&dir, &self.name, &self.site);
        let restore = backup::Restore { target, recovery, run, config, seal };
        let bar = indicatif::ProgressBar::new(0);
        let told = |progress: Progress| {
            bar.set_length(progress.objects_total);
            bar.set_position(progress.objects);
            bar.set_message(format!("{}, {}", progress.phase.name(), shown::size(progress.bytes)));
        };
        let report = restore.carry_out(&told).await;
        bar.finish_and_clear();
        told_of(&report.map_err(|error| CliError::Backup(error.to_string()))?)
    }

    async fn target(&self) -> Result<Arc<dyn Target>, CliError> {
        let settings = TargetSettings {
            name: "restore".to_owned(),
            place: self.place.view()?.into(),
            keep_days: 1,
            daily_at_minute: None,
            node: None,
        };
        let login = self.place.secret()?.unwrap_or_default();
        let opened = Targets::anywhere().open(&settings, &login).await;
        opened.map_err(|error| CliError::Backup(error.to_string()))
    }
}

async fn list(target: &dyn Target) -> Result<(), CliError> {
    let runs = backup::runs_at(target).await.map_err(|error| CliError::Backup(error.to_string()))?;
    let row = |run: &backup::RunAtTarget| match &run.header {
        Ok(header) => vec![run.run.to_string(), shown::time(header.time_ms), header.index.to_string()],
        Err(reason) => vec![run.run.to_string(), reason.clone(), String::new()],
    };
    let rows: Vec<_> = runs.iter().map(row).collect();
    shown::table(&["RUN", "TAKEN", "INDEX"], &rows);
    Ok(())
}

/// Says what was restored. What could not be had is a failure, though all the rest is there.
fn told_of(report: &RestoreReport) -> Result<(), CliError> {
    for (run, reason) in &report.passed_over {
        shown::note(&format!("The backup {run} was passed over: {reason}."));
    }
    let header = &report.header;
    let (objects, bytes) = report.blobs;
    shown::line(&format!(
        "Restored the backup {} of {}, log index {}: {objects} files, {}. The new node has number {}.",
        header.run,
        shown::time(header.time_ms),
        header.index,
        shown::size(bytes),
        report.node
    ));
    if !report.incomplete.is_empty() {
        shown::note(&format!(
            "{} uploads were not complete when the backup was taken, and are not there.",
            report.incomplete.len()
        ));
    }
    shown::note("Start the node as usual. Set the places for backups anew.");
    if report.missing_count == 0 {
        return Ok(());
    }
    for missing in &report.missing {
        shown::line(&shown::safe(missing));
    }
    Err(CliError::Backup(format!("{} things could not be restored; all else is there", report.missing_count)))
}
