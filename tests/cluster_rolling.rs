//! Three real nodes are restarted one after another, as for an update, while people change things, a film is watched and
//! another one is being made ready: whoever asks again once, elsewhere, notices nothing, and nothing acknowledged is lost.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::print_stdout, reason = "figures are for whoever reads the run")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use reqwest::Method;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

#[path = "../cluster/src/sim/history.rs"]
#[allow(dead_code, reason = "the simulated world uses more of it")]
mod history;
#[path = "media_support.rs"]
#[allow(dead_code, reason = "the tests of media use more of it")]
mod media_support;
mod net;
#[path = "support/mod.rs"]
mod support;

use net::clients::Crowd;
use net::lab::Lab;
use support::{Client, wait_for};

/// Whoever was not answered asks the next node after this time, once.
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(500);
/// Between two requests of one client.
const PAUSE: Duration = Duration::from_millis(40);

/// Asks one node, and on any failure the next one, once. Says whether it had to.
async fn with_one_retry<F>(clients: &[Client], first: usize, ask: impl Fn(Client) -> F) -> (Vec<u8>, bool)
where
    F: Future<Output = Result<Vec<u8>, String>>,
{
    let at = first % clients.len();
    let why = match ask(clients[at].clone()).await {
        Ok(bytes) => return (bytes, false),
        Err(why) => why,
    };
    tokio::time::sleep(ASK_AGAIN_AFTER).await;
    match ask(clients[(at + 1) % clients.len()].clone()).await {
        Ok(bytes) => (bytes, true),
        Err(again) => panic!("node {} said: {why}; and then the next one: {again}", at + 1),
    }
}

async fn sent(request: reqwest::RequestBuilder) -> Result<Vec<u8>, String> {
    let answer = request.send().await.map_err(|error| format!("{error:?}"))?;
    let status = answer.status();
    let bytes = answer.bytes().await.map_err(|error| format!("{error:?}"))?.to_vec();
    if status.is_success() {
        return Ok(bytes);
    }
    Err(format!("{status} {}", String::from_utf8_lossy(&bytes)))
}

/// Clients for which nothing may fail after one retry.
struct Strict {
    enough: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    retried: Arc<AtomicUsize>,
    clients: Vec<Client>,
    tasks: Vec<JoinHandle<()>>,
    writers: Vec<JoinHandle<(String, String)>>,
}

impl Strict {
    fn new(lab: &Lab) -> Self {
        Self {
            enough: Arc::default(),
            answered: Arc::default(),
            retried: Arc::default(),
            clients: lab.up().into_iter().map(|at| lab.admin(at)).collect(),
            tasks: Vec::new(),
            writers: Vec::new(),
        }
    }

    fn note(answered: &AtomicUsize, retried: &AtomicUsize, again: bool) {
        answered.fetch_add(1, Ordering::Relaxed);
        retried.fetch_add(usize::from(again), Ordering::Relaxed);
    }

    /// Renames a collection of its own, again and again, at every node in turn.
    async fn writes(&mut self, lab: &Lab, number: usize) {
        let path = format!("/applications/{}/collections", lab.application);
        let made =
            self.clients[0].post(&path, &json!({ "name": format!("strict {number}") })).await.expect(201);
        let id = made["id"].as_str().unwrap().to_owned();
        let (enough, answered, retried) = (self.enough.clone(), self.answered.clone(), self.retried.clone());
        let clients = self.clients.clone();
        self.writers.push(tokio::spawn(async move {
            let (mut round, mut name) = (number, format!("strict {number}"));
            while !enough.load(Ordering::Relaxed) {
                round += 1;
                name = format!("strict {number} {round}");
                let change = json!({ "name": name });
                let ask = |client: Client| {
                    sent(client.request(Method::PATCH, &format!("/collections/{id}")).json(&change))
                };
                let (_, again) = with_one_retry(&clients, round, ask).await;
                Self::note(&answered, &retried, again);
                tokio::time::sleep(PAUSE).await;
            }
            (id, name)
        }));
    }

    /// Watches a film: segment after segment, each the same as ever, from every node in turn.
    async fn watches(&mut self, number: usize, segments: &[String]) {
        let mut film = Vec::new();
        for segment in segments {
            film.push((segment.clone(), self.clients[0].get(segment).await.bytes));
        }
        let (enough, answered, retried) = (self.enough.clone(), self.answered.clone(), self.retried.clone());
        let clients = self.clients.clone();
        self.tasks.push(tokio::spawn(async move {
            for round in number.. {
                if enough.load(Ordering::Relaxed) {
                    return;
                }
                let (segment, first_seen) = &film[round % film.len()];
                let ask = |client: Client| sent(client.request(Method::GET, segment));
                // A player stays where it is for a while.
                let (bytes, again) = with_one_retry(&clients, round / film.len(), ask).await;
                assert!(bytes == *first_seen, "{segment} is another one than before");
                Self::note(&answered, &retried, again);
                tokio::time::sleep(PAUSE).await;
            }
        }));
    }

    /// Ends them; each change that was answered last must be there, at every node.
    async fn end(self, lab: &Lab) {
        self.enough.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.expect("a viewer notices nothing");
        }
        let mut last = Vec::new();
        for writer in self.writers {
            last.push(writer.await.expect("a writer notices nothing"));
        }
        lab.agree().await;
        for at in lab.up() {
            let path = format!("/applications/{}/collections?limit=500", lab.application);
            let list = lab.admin(at).get(&path).await.expect(200);
            for (id, name) in &last {
                let found = list["items"].as_array().unwrap().iter().find(|one| one["id"] == id.as_str());
                assert_eq!(found.unwrap()["name"], name.as_str(), "acknowledged, and lost at node {at}");
            }
        }
        let (answered, retried) =
            (self.answered.load(Ordering::Relaxed), self.retried.load(Ordering::Relaxed));
        println!("{answered} requests answered, {retried} of them at the second try");
        assert!(answered > 300, "{answered} requests prove nothing");
    }
}

async fn put(lab: &Lab, at: usize, name: &str, bytes: &[u8]) -> String {
    let path = format!("/applications/{}/files/{name}", lab.application);
    let admin = lab.admin(at);
    let answer = admin.send(admin.request(Method::PUT, &path).body(bytes.to_vec())).await.expect(201);
    answer["asset"].as_str().unwrap().to_owned()
}

/// The segments of the sound and of one picture rendition.
async fn segments(admin: &Client, view: &str) -> Vec<String> {
    let main = admin.get(&format!("{view}main.m3u8")).await.text();
    let mut found = Vec::new();
    for rendition in media_support::renditions(&main) {
        let index = admin.get(&format!("{view}{rendition}/index.m3u8")).await.text();
        let names = index.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        found.extend(names.map(|line| format!("{view}{rendition}/{line}")));
    }
    assert!(found.len() >= 2, "{main}");
    found
}

/// The node that works on `asset`, once its first segments can be watched.
async fn worked_on_by(lab: &Lab, asset: &str) -> usize {
    let admin = lab.admin(1);
    wait_for("the first segments", || async {
        let found = admin.get(&format!("/assets/{asset}")).await.expect(200);
        assert_ne!(found["state"], "failed", "{found}");
        (found["watchable"] == true).then_some(())
    })
    .await;
    let jobs = admin.get("/jobs").await.expect(200);
    let job = jobs["items"].as_array().unwrap().iter().find(|job| job["asset"] == asset).unwrap().clone();
    assert_eq!(job["state"], "running", "the film is too short to be interrupted: {job}");
    let node = job["node"].to_string();
    let cluster = admin.get("/cluster").await.expect(200);
    let nodes = cluster["nodes"].as_array().unwrap();
    let found = nodes.iter().find(|one| one["id"] == node.as_str()).unwrap();
    found["name"].as_str().unwrap().trim_start_matches('n').parse().unwrap()
}

/// Every node is heard by every other, and all hold the same.
async fn all_is_well(lab: &Lab) {
    for at in lab.up() {
        let admin = lab.admin(at);
        wait_for("every node is heard", || async {
            let cluster: Value =
                admin.request(Method::GET, "/cluster").send().await.ok()?.json().await.ok()?;
            let alive = |node: &Value| node["alive"] == true && node["state"] == "active";
            cluster["nodes"].as_array()?.iter().all(alive).then_some(())
        })
        .await;
    }
    lab.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_restart_one_after_another_and_nobody_notices() {
    let mut lab = Lab::start(3).await;
    let admin = lab.admin(1);
    let film = put(&lab, 1, "film.mp4", media_support::clip()).await;
    media_support::ready(&admin, &film).await;
    let watched = segments(&admin, &media_support::view(&admin, &film).await).await;

    let crowd = Crowd::gather(&lab, 3).await;
    let mut strict = Strict::new(&lab);
    for number in 0..3 {
        strict.writes(&lab, number).await;
        strict.watches(number, &watched).await;
    }
    crowd.progress().await;

    // The node that works on a film goes first.
    let long = put(&lab, 2, "long.mp4", media_support::longer_clip()).await;
    let works = worked_on_by(&lab, &long).await;
    let view = media_support::view(&admin, &long).await;
    let made = segments_so_far(&admin, &view).await;
    for number in [works, works % 3 + 1, (works + 1) % 3 + 1] {
        let leads = lab.leader(number).await == number;
        crowd.longest_gap();
        lab.signal(number, Signal::TERM);
        assert!(lab.ended(number).await, "node {number} stops in order: {}", lab.said(number));
        crowd.progress().await;
        lab.start_again(number).await;
        all_is_well(&lab).await;
        println!("node {number} (leads: {leads}) restarted: {:?} without a change", crowd.longest_gap());
    }
    media_support::ready(&admin, &long).await;
    for (segment, before) in &made {
        let now = lab.admin(works).get(segment).await;
        assert!(now.status == 200 && now.bytes == *before, "{segment} was made twice");
    }
    let jobs = admin.get("/jobs").await.expect(200);
    let of_it = jobs["items"].as_array().unwrap().iter().filter(|job| job["asset"] == long.as_str()).count();
    assert_eq!(of_it, 1, "the job went on, and no other took its place: {jobs}");
    strict.end(&lab).await;
    crowd.disperse(&lab).await;
}

/// What of the sound can be watched already.
async fn segments_so_far(admin: &Client, view: &str) -> Vec<(String, Vec<u8>)> {
    let index = admin.get(&format!("{view}a0/index.m3u8")).await;
    assert_eq!(index.status, 200, "{}", index.text());
    let text = index.text();
    let mut found = Vec::new();
    for name in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let path = format!("{view}a0/{name}");
        let bytes = admin.get(&path).await;
        assert_eq!(bytes.status, 200, "{path}");
        found.push((path, bytes.bytes));
    }
    assert!(!found.is_empty(), "{text}");
    found
}
