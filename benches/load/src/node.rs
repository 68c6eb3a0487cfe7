//! mediakeep's public API: describing an asset, and reading one.

use std::time::Duration;

use anyhow::{Context, ensure};

use crate::Options;

pub struct Client {
    http: reqwest::Client,
    address: String,
    token: String,
    value: usize,
    number: usize,
}

impl Client {
    pub fn new(options: &Options, number: usize) -> anyhow::Result<Self> {
        let http = client(options)?;
        let asset = &options.assets[number % options.assets.len()];
        let address =
            format!("{}/api/v1/assets/{asset}", options.endpoints[number % options.endpoints.len()]);
        Ok(Self { http, address, token: options.token.clone(), value: options.value, number })
    }

    pub async fn put(&mut self, turn: u64) -> anyhow::Result<()> {
        let mut description = format!("{} {turn} ", self.number);
        description.extend(std::iter::repeat_n('v', self.value.saturating_sub(description.len())));
        let json = serde_json::json!({ "description": description });
        let answer = self.http.patch(&self.address).bearer_auth(&self.token).json(&json).send().await?;
        whole(answer).await
    }

    /// Reads what no later read may contradict: without the header a node answers from what it knows itself.
    pub async fn get(&mut self) -> anyhow::Result<()> {
        let request = self.http.get(&self.address).header("cache-control", "no-cache");
        whole(request.bearer_auth(&self.token).send().await?).await
    }
}

/// Speaks with the nodes of the cluster whose authority was named, and with nobody else.
pub fn client(options: &Options) -> anyhow::Result<reqwest::Client> {
    // An error only says that it was installed before.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let ca = std::fs::read(options.ca.as_ref().context("--ca is needed")?)?;
    let builder = reqwest::Client::builder().tls_certs_only([reqwest::Certificate::from_pem(&ca)?]);
    Ok(builder.no_proxy().connect_timeout(Duration::from_secs(2)).tcp_nodelay(true).build()?)
}

async fn whole(answer: reqwest::Response) -> anyhow::Result<()> {
    let status = answer.status();
    let text = answer.text().await?;
    ensure!(status.is_success(), "{status} {text}");
    Ok(())
}
