//! What is private is nowhere in clear while three nodes work on it: not on the wire between them or to anybody, not in a
//! file of theirs, not in the folder for temporary files, not in the log; while it is uploaded, processed, downloaded and
//! watched, and after a kill.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::canary::{found, found_in};
use crate::lab::{Lab, Node, clip};
use crate::wire::Wire;

fn port_of(address: &str) -> u16 {
    address.trim_end_matches('/').rsplit(':').next().unwrap().parse().unwrap()
}

/// The ports of all nodes: for people and for each other.
async fn ports(node: &Node) -> HashSet<u16> {
    let cluster = node.get("/cluster").await;
    let nodes = cluster["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), 3);
    let addresses = nodes.iter().flat_map(|one| [&one["cluster_address"], &one["public_address"]]);
    addresses.map(|address| port_of(address.as_str().unwrap())).collect()
}

/// A plain connection that says `secret`, to show that the capture hears what is in clear. Gives its port.
fn in_clear(secret: &str) -> impl FnOnce() + use<> {
    let secret = secret.to_owned();
    move || {
        let listener = TcpListener::bind(("127.0.0.1", PLAIN_PORT)).unwrap();
        let mut sender = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut receiver, _) = listener.accept().unwrap();
        sender.write_all(secret.as_bytes()).unwrap();
        drop(sender);
        let mut heard = String::new();
        receiver.read_to_string(&mut heard).unwrap();
        assert_eq!(heard, secret);
    }
}

const PLAIN_PORT: u16 = 48_611;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_private_is_on_the_wire_or_on_a_disk_while_three_nodes_work() {
    let run: u64 = rand::random();
    let password = format!("canary passphrase {run:016x}");
    let title = format!("canary title {run:016x}");
    let media = format!("canary media {run:016x}");
    let lab = Lab::of(3);
    let node = lab.start().await;
    let mut ports = ports(&node).await;
    ports.insert(PLAIN_PORT);
    let wire = Wire::tap(ports.clone());

    let invites = format!("/applications/{}/invites", node.application());
    let (status, invite) = node.post(&invites, &json!({ "role": "user" })).await;
    assert_eq!(status, 201, "{invite}");
    let accept = json!({ "secret": invite["secret"], "username": "canary", "password": password });
    let (status, accepted) = node.post("/invites/accept?kind=token", &accept).await;
    assert_eq!(status, 201, "{accepted}");
    let secret = |value: &Value| value.as_str().unwrap().to_owned();
    let mut secrets = vec![
        ("the passphrase", password.clone()),
        ("the title", title.clone()),
        ("the media", media.clone()),
        ("the invitation", secret(&invite["secret"])),
        ("the sign-in", secret(&accepted["token"])),
    ];
    let look = |when: &str, secrets: &[(&str, String)]| {
        let (hits, looked_at) = found_in(lab.outside(), secrets);
        assert!(looked_at > 100_000, "{looked_at} bytes are not the data of three nodes");
        assert!(hits.is_empty(), "{when}: {hits:?}");
    };

    // A real clip with a tail no player minds: processed, and full of the canary.
    let elsewhere = tempfile::tempdir().unwrap();
    let mut bytes = clip(elsewhere.path());
    bytes.extend_from_slice(media.repeat(40_000).as_bytes());
    let upload = node.begin_upload(&title, bytes.len()).await.expect("the upload begins");
    let mut sent = 0;
    for piece in bytes.chunks(bytes.len().div_ceil(4)) {
        assert_eq!(node.patch(&upload, sent, piece).await.unwrap().status().as_u16(), 204);
        sent += piece.len();
        look("while it is uploaded", &secrets);
    }
    let asset = upload.rsplit('/').next().unwrap().to_owned();
    loop {
        look("while it is processed", &secrets);
        let found = node.asset(&asset).await;
        if found["state"] == "ready" {
            break;
        }
        assert_ne!(found["state"], "failed", "{found}");
    }
    let (status, link) =
        node.post(&format!("/assets/{asset}/downloads"), &json!({ "what": "original" })).await;
    assert_eq!(status, 201, "{link}");
    let url = secret(&link["url"]);
    let mut download = node.api(reqwest::Method::GET, &format!("={url}")).send().await.unwrap();
    let mut got = Vec::new();
    while let Some(chunk) = download.chunk().await.unwrap() {
        got.extend_from_slice(&chunk);
        if got.len() < bytes.len() / 2 {
            look("while it is downloaded", &secrets);
        }
    }
    assert!(got == bytes, "the download is what was uploaded");
    secrets.push(("the download link", url));
    let (_, view) = node.post(&format!("/assets/{asset}/views"), &json!({})).await;
    assert!(view["playlist_url"].is_string(), "{view}");
    secrets.push(("the view", secret(&view["playlist_url"])));
    look("while it is watched", &secrets);
    tokio::task::spawn_blocking(in_clear(&title)).await.unwrap();
    node.signal(Signal::KILL);
    look("after a kill", &secrets);

    nothing_was_said(wire, &secrets, 2 * bytes.len());
}

/// Nothing of `secrets` went over the wire but on the plain connection, which shows that it would have been heard.
fn nothing_was_said(wire: Wire, secrets: &[(&str, String)], at_least: usize) {
    let heard = wire.heard();
    let total: usize = heard.iter().map(|(_, bytes)| bytes.len()).sum();
    assert!(total > at_least, "only {total} bytes were heard of an upload and two copies of it");
    let mut plain = false;
    for (ports, bytes) in heard {
        let hits = found(&bytes, secrets);
        if ports.0 == PLAIN_PORT || ports.1 == PLAIN_PORT {
            plain |= hits == ["the title"];
            continue;
        }
        assert!(hits.is_empty(), "{hits:?} in clear between the ports {ports:?}");
    }
    assert!(plain, "what is in clear on the wire is heard");
}
