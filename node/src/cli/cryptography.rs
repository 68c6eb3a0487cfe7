//! `cryptography`: every use of it, with its key, how that is exchanged, and how it stands now.

use clap::Args;
use serde_json::Value;

use super::connection::Connection;
use super::error::CliError;
use super::shown;

/// The inventory of cryptography.
#[derive(Debug, Args)]
pub struct Cryptography {
    #[command(flatten)]
    connection: Connection,
    /// Print JSON: all there is, such as where keys lie, by which crates, and what FIPS 140-3 covers.
    #[arg(long)]
    json: bool,
}

impl Cryptography {
    /// Carries it out.
    pub async fn run(self) -> Result<(), CliError> {
        let client = self.connection.signed_in()?;
        let inventory: Value = client.get(client.api(["system", "cryptography"])).await?;
        if self.json {
            shown::json(&inventory);
            return Ok(());
        }
        let (provider, fips) = (&inventory["provider"], inventory["fips"] == true);
        let named = format!("{} {}", shown::field(provider, "name"), shown::field(provider, "version"));
        let module = if fips { shown::field(&inventory, "module") } else { "no".to_owned() };
        for (label, value) in [("Provider", named), ("FIPS 140-3", module)] {
            shown::line(&format!("{label:<12}{value}"));
        }
        let rows: Vec<_> = inventory["uses"].as_array().into_iter().flatten().map(row).collect();
        shown::table(&["USE", "KEY", "ROTATED", "FIPS", "STATE", "ALGORITHM"], &rows);
        Ok(())
    }
}

fn row(one: &Value) -> Vec<String> {
    vec![
        shown::field(one, "id"),
        shown::field(&one["key"], "name"),
        shown::field(&one["rotation"], "how"),
        shown::field(&one["fips"], "runs"),
        state(&one["state"]),
        shown::field(one, "algorithm"),
    ]
}

/// `key_epoch 2, since 2026-11-26 08:15:00 UTC`.
fn state(state: &Value) -> String {
    let facts = state.as_object().into_iter().flatten().map(|(name, value)| match name.strip_suffix("_ms") {
        Some(name) => format!("{name} {}", value.as_u64().map(shown::time).unwrap_or_default()),
        None => format!("{name} {}", shown::field(state, name)),
    });
    facts.collect::<Vec<_>>().join(", ")
}
