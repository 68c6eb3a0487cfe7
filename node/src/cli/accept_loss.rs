//! `accept-loss`: a node that lost acknowledged records starts read-only and names them; this lets it go on without them.
//! Works on the data folder of a stopped node. The loss is the first thing on record afterwards.

use std::sync::Arc;

use clap::Args;
use cluster::cluster::MissingRange;
use cluster::seal::Seal;
use cluster::{Cluster, ClusterConfig};

use super::error::CliError;
use super::shown;
use super::stopped::StoppedNode;

/// Let a node go on without log records that are lost for good; without --records, show which ones are.
#[derive(Debug, Args)]
pub struct AcceptLoss {
    #[command(flatten)]
    node: StoppedNode,
    /// The records that are given up, exactly as the node names them: `12-15`, or `12-` when the last is not known.
    #[arg(long)]
    records: Option<String>,
}

impl AcceptLoss {
    /// Carries it out.
    pub async fn run(self) -> Result<(), CliError> {
        let asked = self.records.as_deref().map(parse).transpose()?;
        let seal = self.node.seal()?;
        let mut settings = self.node.settings();
        let missing = look(settings.clone(), seal.clone()).await?;
        let Some(missing) = missing else {
            shown::line("Nothing is missing.");
            return Ok(());
        };
        let Some(asked) = asked else {
            shown::line(&format!("The log records {missing} are missing."));
            shown::note(&format!("To go on without them for good: --records {}", written(missing)));
            return Ok(());
        };
        if asked != missing {
            let sentence = format!("the log records {missing} are missing, not {asked}; nothing was changed");
            return Err(CliError::Recovery(sentence));
        }
        settings.accept_loss = Some(missing);
        if let Some(missing) = look(settings, seal).await? {
            return Err(CliError::Recovery(format!("the log records {missing} are still missing")));
        }
        shown::note(&format!("The node goes on without the log records {missing}. It is on record."));
        Ok(())
    }
}

/// Opens the node, puts on record what is to be, and gives what is missing still.
async fn look(settings: ClusterConfig, seal: Arc<dyn Seal>) -> Result<Option<MissingRange>, CliError> {
    let cluster =
        Cluster::open(settings, seal).await.map_err(|error| CliError::Recovery(error.to_string()))?;
    let missing = cluster.status().read_only;
    cluster.shutdown().await;
    Ok(missing)
}

fn parse(text: &str) -> Result<MissingRange, CliError> {
    let bad = || CliError::Usage(format!("`{text}` is not a range such as 12-15 or 12-"));
    let (first, last) = text.split_once('-').ok_or_else(bad)?;
    let number = |text: &str| text.trim().parse::<u64>().map_err(|_| bad());
    let last = if last.trim().is_empty() { None } else { Some(number(last)?) };
    Ok(MissingRange { first: number(first)?, last })
}

fn written(missing: MissingRange) -> String {
    let last = missing.last.map(|last| last.to_string()).unwrap_or_default();
    format!("{}-{last}", missing.first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_read_as_it_is_written() {
        for text in ["12-15", "12-"] {
            assert_eq!(written(parse(text).unwrap()), text);
        }
        for text in ["", "12", "-", "a-b", "12-x", "-3"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
