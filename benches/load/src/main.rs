//! Loads a mediakeep cluster or an etcd cluster with small changes or reads, by so many clients that each wait for their
//! answer, or reads segments as viewers do, and prints one JSON line: operations a second, latencies, and the longest time
//! without a success.

mod etcd;
mod node;
mod viewer;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};

/// How long a client waits after a refusal.
const AFTER_FAILURE: Duration = Duration::from_millis(10);

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum System {
    Node,
    Etcd,
    /// Segments of a View of a mediakeep cluster, to be read only.
    Viewer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Operation {
    Put,
    Get,
}

#[derive(Debug, Parser)]
struct Options {
    system: System,
    operation: Operation,
    /// Addresses, divided by commas; the clients are spread over them.
    #[arg(long, value_delimiter = ',')]
    endpoints: Vec<String>,
    #[arg(long, default_value_t = 1)]
    clients: usize,
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Bytes written by one change.
    #[arg(long, default_value_t = 256)]
    value: usize,
    /// How long one operation may take before it counts as failed, milliseconds.
    #[arg(long, default_value_t = 10_000)]
    timeout_ms: u64,
    /// The authority of a mediakeep cluster's certificates.
    #[arg(long)]
    ca: Option<std::path::PathBuf>,
    /// Token for a mediakeep cluster.
    #[arg(long, default_value = "")]
    token: String,
    /// Assets to change and read, divided by commas.
    #[arg(long, value_delimiter = ',')]
    assets: Vec<String>,
    /// What viewers read, divided by commas.
    #[arg(long, value_delimiter = ',')]
    paths: Vec<String>,
    /// Each client begins an operation so often, milliseconds, and its time counts from when it should have begun; by
    /// default, as soon as the one before is over.
    #[arg(long)]
    every_ms: Option<u64>,
}

/// One client of either system.
enum Client {
    Node(Box<node::Client>),
    Etcd(Box<etcd::Client>),
    Viewer(Box<viewer::Client>),
}

impl Client {
    async fn connect(options: &Options, number: usize, retried: Arc<AtomicU64>) -> anyhow::Result<Self> {
        Ok(match options.system {
            System::Node => Self::Node(Box::new(node::Client::new(options, number)?)),
            System::Etcd => Self::Etcd(Box::new(etcd::Client::connect(options, number).await?)),
            System::Viewer => Self::Viewer(Box::new(viewer::Client::new(options, number, retried).await?)),
        })
    }

    async fn run(&mut self, operation: Operation, turn: u64) -> anyhow::Result<()> {
        match (self, operation) {
            (Self::Node(client), Operation::Put) => client.put(turn).await,
            (Self::Node(client), Operation::Get) => client.get().await,
            (Self::Etcd(client), Operation::Put) => client.put(turn).await,
            (Self::Etcd(client), Operation::Get) => client.get(turn).await,
            (Self::Viewer(client), Operation::Get) => client.get(turn).await,
            (Self::Viewer(_), Operation::Put) => anyhow::bail!("a viewer only reads"),
        }
    }
}

/// When an operation succeeded, counted from the start, and how long it took.
type Success = (Duration, Duration);

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    let options = Arc::new(Options::parse());
    let mut clients = Vec::new();
    let retried = Arc::new(AtomicU64::new(0));
    for number in 0..options.clients {
        clients.push(Client::connect(&options, number, retried.clone()).await?);
    }
    let began = Instant::now();
    let running: Vec<_> = clients
        .into_iter()
        .enumerate()
        .map(|(number, client)| tokio::spawn(drive(client, number, options.clone(), began)))
        .collect();
    let (mut successes, mut failures, mut last_failure) = (Vec::new(), 0_u64, None);
    for client in running {
        let (succeeded, failed, failure) = client.await?;
        successes.extend(succeeded);
        failures += failed;
        last_failure = failure.or(last_failure);
    }
    let seconds = began.elapsed().as_secs_f64();
    let gap = longest_gap(&mut successes).unwrap_or(began.elapsed());
    let mut took: Vec<Duration> = successes.iter().map(|success| success.1).collect();
    println!(
        "{}",
        serde_json::json!({
            "operations": successes.len(), "per_second": successes.len() as f64 / seconds,
            "p50_ms": quantile_ms(&mut took, 0.5), "p99_ms": quantile_ms(&mut took, 0.99),
            "longest_gap_seconds": gap.as_secs_f64(), "failures": failures, "last_failure": last_failure,
            "retried": retried.load(Ordering::Relaxed), "max_ms": quantile_ms(&mut took, 1.0),
        })
    );
    Ok(())
}

async fn drive(
    mut client: Client,
    number: usize,
    options: Arc<Options>,
    began: Instant,
) -> (Vec<Success>, u64, Option<String>) {
    let (until, within) =
        (Duration::from_secs_f64(options.seconds), Duration::from_millis(options.timeout_ms));
    let (mut successes, mut failures, mut last) = (Vec::new(), 0, None);
    for turn in 0.. {
        let asked = match options.every_ms {
            None => Instant::now(),
            // The clients take turns.
            Some(every) => {
                began
                    + Duration::from_micros(
                        every * (1000 * turn + 1000 * number as u64 / options.clients as u64),
                    )
            }
        };
        if asked.max(Instant::now()) - began >= until {
            break;
        }
        // A sleep until now takes up to the timer's millisecond.
        if options.every_ms.is_some() {
            tokio::time::sleep_until(asked.into()).await;
        }
        let outcome = tokio::time::timeout(within, client.run(options.operation, turn)).await;
        match outcome.map_err(anyhow::Error::from).flatten() {
            Ok(()) => successes.push((began.elapsed(), asked.elapsed())),
            Err(error) => {
                failures += 1;
                last = Some(format!("{error:#}"));
                tokio::time::sleep(AFTER_FAILURE).await;
            }
        }
    }
    (successes, failures, last)
}

fn longest_gap(successes: &mut [Success]) -> Option<Duration> {
    successes.sort_unstable();
    successes.windows(2).map(|pair| pair[1].0 - pair[0].0).max()
}

fn quantile_ms(took: &mut [Duration], share: f64) -> f64 {
    took.sort_unstable();
    let place = ((took.len() as f64 * share).ceil() as usize).max(1) - 1;
    took.get(place).map_or(0.0, |took| took.as_secs_f64() * 1e3)
}
