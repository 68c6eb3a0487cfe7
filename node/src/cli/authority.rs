//! Exchanging the cluster's certificate authority.

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::client::Client;
use super::confirm::Confirm;
use super::connection::Connection;
use super::error::CliError;
use super::shown;

/// How often it is looked who is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Which way, and how long to wait.
#[derive(Debug, Args)]
pub struct Rotation {
    #[command(flatten)]
    connection: Connection,
    /// Do not wait.
    #[arg(long)]
    no_wait: bool,
    /// Give up the exchange that is under way: the authority before comes back.
    #[arg(long)]
    abandon: bool,
    #[command(flatten)]
    confirm: Confirm,
}

impl Rotation {
    pub(super) async fn run(self) -> Result<(), CliError> {
        let client = self.connection.signed_in()?;
        let cluster: Value = client.get(client.api(["cluster"])).await?;
        let fingerprint = shown::field(&cluster["authority"], "fingerprint");
        if fingerprint.is_empty() {
            let says = "this node listens for no others and has no authority to replace";
            return Err(CliError::Usage(says.to_owned()));
        }
        let (verb, what) = if self.abandon {
            ("abandon", "The exchange is given up, and the certificate authority before comes back.")
        } else {
            ("replace", "Nodes and edges get another certificate authority, and their certificates by it.")
        };
        self.confirm.ask(what)?;
        let url = client.api(["cluster", "authority", verb]);
        client
            .send(client.request(reqwest::Method::POST, url).json(&json!({ "fingerprint": fingerprint })))
            .await?;
        let authority = settled(&client, self.no_wait).await?;
        shown::line(&shown::field(&authority, "fingerprint"));
        shown::note(
            "Browsers and programs that trust the authority before are to be given the new one: /api/v1/system/ca.pem",
        );
        Ok(())
    }
}

/// Says who is waited for until nobody is; gives the authority in force.
async fn settled(client: &Client, no_wait: bool) -> Result<Value, CliError> {
    let mut said = String::new();
    loop {
        let cluster: Value = client.get(client.api(["cluster"])).await?;
        let Some(waiting) = waiting(&cluster).filter(|_| !no_wait) else {
            return Ok(cluster["authority"].clone());
        };
        if waiting != said {
            shown::note(&waiting);
            said = waiting;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// What an exchange of the certificate authority waits for, while one is under way.
pub(super) fn waiting(cluster: &Value) -> Option<String> {
    let waits_for = cluster["authority"]["former"].as_object()?.get("waits_for")?.as_array()?;
    let named = |one: &Value| {
        let part = if one["edge"] == true { "edge" } else { "node" };
        format!("{part} {} ({})", shown::field(one, "id"), shown::field(one, "name"))
    };
    let named: Vec<String> = waits_for.iter().map(named).collect();
    Some(if named.is_empty() {
        "Every node and edge has a certificate by the new authority; the former one is dropped now."
            .to_owned()
    } else {
        format!(
            "The former certificate authority stays trusted for: {}. Whoever does not come back must be removed.",
            named.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_waited_for_is_named() {
        let with = |waits_for: Value| json!({ "authority": { "former": { "waits_for": waits_for } } });
        assert_eq!(waiting(&json!({ "authority": { "former": null } })), None);
        assert!(waiting(&with(json!([]))).unwrap().contains("is dropped now"));
        let node = json!({ "id": "3", "name": "n3", "edge": false });
        let edge = json!({ "id": "9", "name": "shop", "edge": true });
        let said = waiting(&with(json!([node, edge]))).unwrap();
        assert!(said.contains("node 3 (n3), edge 9 (shop)."), "{said}");
    }
}
