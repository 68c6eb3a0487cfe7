//! One name for all nodes: an address that leads to whichever node is there (docs/reaching.md), and what a client behind it
//! notices when that node is killed.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::net::SocketAddr;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};

#[path = "../cluster/src/sim/history.rs"]
#[allow(dead_code, reason = "the simulated world uses more of it")]
mod history;
mod net;
#[path = "support/mod.rs"]
mod support;

use net::lab::Lab;
use support::Client;

/// Leads each connection to the first of `nodes` that takes it, as a virtual address does that moves to a node which is there.
async fn one_address(nodes: Vec<SocketAddr>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let nodes = nodes.clone();
            tokio::spawn(async move {
                for node in nodes {
                    if let Ok(mut server) = TcpStream::connect(node).await {
                        drop(tokio::io::copy_bidirectional(&mut client, &mut server).await);
                        return;
                    }
                }
            });
        }
    });
    address
}

/// Sends a request, and once more after a second where no answer or no good one came; gives whether that was needed.
async fn with_one_retry(build: impl Fn() -> reqwest::RequestBuilder) -> (StatusCode, bool) {
    for again in [false, true] {
        match build().timeout(Duration::from_secs(10)).send().await {
            Ok(answer) if !answer.status().is_server_error() => return (answer.status(), again),
            found => assert!(!again, "an error beyond one retry: {found:?}"),
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    unreachable!("the second try returns or fails")
}

/// A list, a change and a piece of an upload, one after the other. Gives how many retries they took.
async fn work(client: &Client, application: &str, upload: &str, round: usize) -> usize {
    let mut retries = 0;
    let list = format!("/applications/{application}/assets");
    let (status, again) = with_one_retry(|| client.request(Method::GET, &list)).await;
    assert_eq!(status, 200);
    retries += usize::from(again);
    let (path, change) =
        (format!("/applications/{application}"), json!({ "name": format!("Films {round}") }));
    let (status, again) = with_one_retry(|| client.request(Method::PATCH, &path).json(&change)).await;
    assert_eq!(status, 200);
    retries += usize::from(again);
    let upload = format!("={upload}");
    let at = (round * PIECE).to_string();
    let piece = || {
        let request = client.request(Method::PATCH, &upload).header("tus-resumable", "1.0.0");
        let request =
            request.header("upload-offset", &at).header("content-type", "application/offset+octet-stream");
        request.body(vec![7; PIECE])
    };
    let (status, again) = with_one_retry(piece).await;
    // The piece had arrived, and the answer was lost: the client asks how far it is, as tus wants it.
    assert!(status == 204 || again && status == 409, "{status}");
    retries + usize::from(again)
}

const PIECE: usize = 100_000;
const ROUNDS: usize = 12;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_one_address_a_killed_node_costs_a_client_one_retry() {
    let mut lab = Lab::start(3).await;
    let address_of = |number: usize| SocketAddr::new(lab.url(number)[8..].parse().unwrap(), 443);
    // First comes the node that leads: the worst one to lose.
    let leader = lab.leader(1).await;
    let mut order: Vec<usize> = (1..=3).collect();
    order.sort_by_key(|number| *number != leader);
    let front = one_address(order.iter().map(|number| address_of(*number)).collect()).await;
    let client = Client { base: format!("https://{front}"), ..lab.admin(leader) };
    let begin = client
        .request(Method::POST, "/uploads")
        .header("tus-resumable", "1.0.0")
        .header("upload-length", (PIECE * ROUNDS).to_string())
        .header(
            "upload-metadata",
            format!("application {}", data_encoding::BASE64.encode(lab.application.as_bytes())),
        );
    let begun = client.send(begin).await;
    assert_eq!(begun.status, 201, "{}", begun.text());
    let upload = begun.header("location").to_owned();
    let mut retries = 0;
    for round in 0..ROUNDS {
        if round == 4 {
            lab.kill(leader).await;
        }
        retries += work(&client, &lab.application, &upload, round).await;
    }
    assert!(retries <= 2, "{retries} retries for one node that was killed");
    let asset = upload.rsplit('/').next().unwrap();
    let shown = client.get(&format!("/assets/{asset}")).await.expect(200);
    assert_eq!(shown["size"], PIECE * ROUNDS, "{shown}");

    // Who looks after the address can tell a node that plays from one that changes can be made at.
    let (left, last) = (order[1], lab.nobody(order[2]));
    let readiness = async |path: &str| last.get(path).await.status;
    assert_eq!(readiness("=/readyz?changes=true").await, 200);
    lab.kill(left).await;
    support::wait_for("the last one to hear of no leader", async || {
        (readiness("=/readyz?changes=true").await == 503).then_some(())
    })
    .await;
    assert_eq!(readiness("=/readyz").await, 200);
}
