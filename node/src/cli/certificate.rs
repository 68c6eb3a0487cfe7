//! `certificate`: the certificate browsers see.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::client::Client;
use super::connection::Connection;
use super::error::CliError;
use super::shown;

/// The certificate browsers see.
#[derive(Debug, Args)]
pub struct Certificate {
    #[command(subcommand)]
    command: CertificateCommand,
}

#[derive(Debug, Subcommand)]
enum CertificateCommand {
    /// Show the certificate in use.
    Show {
        #[command(flatten)]
        connection: Connection,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Serve a certificate of your own from now on.
    Install {
        #[command(flatten)]
        connection: Connection,
        /// The certificate and those that vouch for it, in that order (PEM).
        #[arg(long)]
        chain: PathBuf,
        /// Its private key (PEM, not protected by a passphrase).
        #[arg(long)]
        key: PathBuf,
    },
    /// Go back to the certificate of the node's own authority.
    Remove {
        #[command(flatten)]
        connection: Connection,
    },
}

impl Certificate {
    /// Carries it out.
    pub async fn run(self) -> Result<(), CliError> {
        let (connection, method, body, as_json) = match self.command {
            CertificateCommand::Show { connection, json } => (connection, Method::GET, None, json),
            CertificateCommand::Remove { connection } => (connection, Method::DELETE, None, false),
            CertificateCommand::Install { connection, chain, key } => {
                let chain = std::fs::read_to_string(&chain).map_err(CliError::file(&chain))?;
                let key = std::fs::read_to_string(&key).map_err(CliError::file(&key)).map(Zeroizing::new)?;
                (connection, Method::PUT, Some(json!({ "chain": chain, "key": *key })), false)
            }
        };
        let client = connection.signed_in()?;
        let changed = method != Method::GET;
        let certificate = send(&client, method, body).await?;
        if as_json {
            shown::json(&certificate);
            return Ok(());
        }
        show(&certificate);
        if changed {
            shown::note("New connections are served with it. Trust whoever vouches for it (--ca) to go on.");
        }
        Ok(())
    }
}

async fn send(client: &Client, method: Method, body: Option<Value>) -> Result<Value, CliError> {
    let request = client.request(method, client.api(["system", "certificate"]));
    let request = match body {
        Some(body) => request.json(&body),
        None => request,
    };
    client.read(client.send(request).await?).await
}

fn show(certificate: &Value) {
    let names: Vec<&str> =
        certificate["names"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let date = |name: &str| certificate[name].as_u64().map(shown::time).unwrap_or_default();
    for (label, value) in [
        ("Source", shown::field(certificate, "source")),
        ("Subject", shown::field(certificate, "subject")),
        ("Issuer", shown::field(certificate, "issuer")),
        ("Names", shown::safe(&names.join(" "))),
        ("From", date("not_before_ms")),
        ("Until", date("not_after_ms")),
        ("Key", shown::field(certificate, "key")),
        ("SHA-256", shown::field(certificate, "fingerprint")),
    ] {
        shown::line(&format!("{label:<10}{value}"));
    }
    for warning in certificate["warnings"].as_array().into_iter().flatten() {
        shown::line(&format!("{:<10}{}", "Warning", shown::field(warning, "detail")));
    }
}
