//! Viewers: segments of a View, one after the other, each when its time has come. A request that fails is made once more,
//! at the next node.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, ensure};

use crate::Options;

pub struct Client {
    http: reqwest::Client,
    endpoints: Vec<String>,
    paths: Vec<String>,
    number: usize,
    within: Duration,
    retried: Arc<AtomicU64>,
}

impl Client {
    /// One that has read a segment already: what connecting takes is not counted.
    pub async fn new(options: &Options, number: usize, retried: Arc<AtomicU64>) -> anyhow::Result<Self> {
        ensure!(!options.paths.is_empty(), "--paths is needed");
        let client = Self {
            http: crate::node::client(options)?,
            endpoints: options.endpoints.clone(),
            paths: options.paths.clone(),
            number,
            within: Duration::from_millis(options.timeout_ms),
            retried,
        };
        client.read(number, 0).await?;
        Ok(client)
    }

    pub async fn get(&mut self, turn: u64) -> anyhow::Result<()> {
        let first = self.read(self.number, turn).await;
        if first.is_ok() || self.endpoints.len() == 1 {
            return first;
        }
        self.retried.fetch_add(1, Ordering::Relaxed);
        // As a player does, it stays with the node that answers.
        self.number += 1;
        self.read(self.number, turn).await
    }

    async fn read(&self, endpoint: usize, turn: u64) -> anyhow::Result<()> {
        let path = &self.paths[(self.number + turn as usize) % self.paths.len()];
        let address = format!("{}{path}", self.endpoints[endpoint % self.endpoints.len()]);
        let reading = async {
            let answer = self.http.get(&address).send().await?;
            let status = answer.status();
            let told = answer.content_length();
            let bytes = answer.bytes().await?;
            ensure!(status.is_success(), "{status} from {address}");
            ensure!(told.is_none_or(|told| told == bytes.len() as u64), "{address} came short");
            Ok(())
        };
        tokio::time::timeout(self.within, reading).await.with_context(|| format!("{address} in time"))?
    }
}
