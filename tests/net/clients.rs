//! Clients that rename a few collections at once through whichever node, read them through another, and write down what
//! they hear; and clients that make one new thing after another.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rand::RngExt;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::lab::Lab;
use crate::history::{Call, Heard, History, Model};
use crate::support::Client;

/// Collections there are. Few, so that clients meet.
const KEYS: u8 = 4;
/// Fewer calls answered and things made prove nothing.
const ENOUGH_CALLS: usize = 100;
const ENOUGH_MADE: usize = 20;
/// There may be a thousand collections.
const MOST_MADE: usize = 700;
/// Between two calls of one client, in ms.
const PAUSE_MS: std::ops::Range<u64> = 5..90;

/// What clients did while a test made trouble.
pub struct Crowd {
    history: History,
    made: Arc<Mutex<Vec<String>>>,
    enough: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<()>>,
    collections: Vec<String>,
    /// The longest time between two changes that were taken, wherever.
    gaps: Arc<Mutex<Gaps>>,
}

/// When a change was taken last, and the longest wait for one since it was last asked.
#[derive(Debug)]
struct Gaps {
    last: Instant,
    longest: Duration,
}

impl Gaps {
    fn taken(&mut self) {
        self.longest = self.longest.max(self.last.elapsed());
        self.last = Instant::now();
    }
}

struct Worker {
    clients: Vec<Client>,
    application: String,
    collections: Vec<String>,
    history: History,
    made: Arc<Mutex<Vec<String>>>,
    enough: Arc<AtomicBool>,
    title: Arc<AtomicU64>,
    gaps: Arc<Mutex<Gaps>>,
}

impl Crowd {
    /// Begins with `count` clients of every node of `lab`.
    pub async fn gather(lab: &Lab, count: usize) -> Self {
        let history = History::default();
        let title = Arc::new(AtomicU64::new(1));
        let path = format!("/applications/{}/collections", lab.application);
        let mut collections = Vec::new();
        for key in 1..=KEYS {
            let first = title.fetch_add(1, Ordering::Relaxed);
            let number = history.begin(key, Call::Create(first));
            let made = lab.admin(1).post(&path, &json!({ "name": name(key, first) })).await.expect(201);
            history.end(number, Heard::Done);
            collections.push(made["id"].as_str().unwrap().to_owned());
        }
        let gaps = Gaps { last: Instant::now(), longest: Duration::ZERO };
        let (gaps, made, enough) = (Arc::new(Mutex::new(gaps)), Arc::default(), Arc::default());
        let mut crowd = Self { history, made, enough, tasks: Vec::new(), collections, gaps };
        for number in 0..count {
            let mut clients: Vec<Client> = lab.up().into_iter().map(|at| lab.admin(at)).collect();
            let shift = number % clients.len();
            clients.rotate_left(shift);
            let worker = Worker {
                clients,
                application: lab.application.clone(),
                collections: crowd.collections.clone(),
                history: crowd.history.clone(),
                made: crowd.made.clone(),
                enough: crowd.enough.clone(),
                title: title.clone(),
                gaps: crowd.gaps.clone(),
            };
            crowd.tasks.push(tokio::spawn(worker.run()));
        }
        crowd
    }

    /// The longest time without a change that was taken, since the last call.
    pub fn longest_gap(&self) -> Duration {
        let mut gaps = self.gaps.lock().unwrap_or_else(PoisonError::into_inner);
        let longest = gaps.longest.max(gaps.last.elapsed());
        gaps.longest = Duration::ZERO;
        longest
    }

    /// Waits until a change is taken from now on.
    pub async fn progress(&self) {
        let before = self.history.answered();
        crate::support::wait_for("clients are answered again", || async {
            (self.history.answered() > before + 5).then_some(())
        })
        .await;
    }

    /// Ends the clients. All nodes must then hold the same, one order must explain all that was heard, and whatever was
    /// acknowledged must be there, once.
    pub async fn disperse(self, lab: &Lab) {
        crate::support::wait_for("enough calls to prove something", || async {
            let made = self.made.lock().unwrap_or_else(PoisonError::into_inner).len();
            (self.history.answered() > ENOUGH_CALLS && made > ENOUGH_MADE).then_some(())
        })
        .await;
        self.enough.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.expect("a client ends normally");
        }
        lab.agree().await;
        let admin = lab.admin(lab.up()[0]);
        for (key, collection) in (1..).zip(&self.collections) {
            let number = self.history.begin(key, Call::Read);
            let seen =
                read(&admin, &lab.application, collection, key).await.expect("nothing hinders a read now");
            self.history.end(number, Heard::Saw(seen));
        }
        let answered = self.history.answered();
        if let Err(inexplicable) = self.history.explain() {
            panic!("{inexplicable}");
        }
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for at in lab.up() {
            let held = names(&lab.admin(at), &lab.application).await;
            for name in &made {
                let count = held.iter().filter(|held| *held == name).count();
                assert_eq!(count, 1, "{name} was acknowledged, and node {at} holds it {count} times");
            }
        }
        println!("{answered} calls were answered and explained, {} things made and found", made.len());
    }
}

impl Worker {
    async fn run(self) {
        while !self.enough.load(Ordering::Relaxed) {
            // Mostly its own node; sometimes another, as a client does whose node is gone.
            let (key, kind, other) = {
                let mut chance = rand::rng();
                (chance.random_range(1..=KEYS), chance.random_range(0..10), chance.random_range(0..4) == 0)
            };
            let client = if other { self.clients.last() } else { self.clients.first() };
            let Some(client) = client else { return };
            match kind {
                0..4 => self.rename(client, key).await,
                4..6 => self.make(client).await,
                _ => self.look(client, key).await,
            }
            let pause = rand::rng().random_range(PAUSE_MS);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }

    async fn rename(&self, client: &Client, key: u8) {
        let title = self.title.fetch_add(1, Ordering::Relaxed);
        let number = self.history.begin(key, Call::Rename(title));
        let path = format!("/collections/{}", self.collections[usize::from(key) - 1]);
        let request = client.request(Method::PATCH, &path).json(&json!({ "name": name(key, title) }));
        match request.send().await {
            Ok(answer) if answer.status() == 200 => {
                self.history.end(number, Heard::Done);
                self.taken();
            }
            Ok(answer) => {
                let status = answer.status().as_u16();
                let code = code(answer).await;
                assert_eq!(status, 503, "a change is answered {status} {code}");
                // Only these say that it was not made.
                if code != "outcome_unknown" {
                    self.history.withdraw(number);
                }
            }
            Err(error) if error.is_connect() => self.history.withdraw(number),
            Err(_) => {}
        }
    }

    /// Names are taken once: were a change made twice, the second would be refused, and so would its client.
    async fn make(&self, client: &Client) {
        if self.made.lock().unwrap_or_else(PoisonError::into_inner).len() >= MOST_MADE {
            return;
        }
        let name = format!("made {}", self.title.fetch_add(1, Ordering::Relaxed));
        let path = format!("/applications/{}/collections", self.application);
        let request = client.request(Method::POST, &path).json(&json!({ "name": name }));
        let Ok(answer) = request.send().await else { return };
        match answer.status().as_u16() {
            201 => {
                self.made.lock().unwrap_or_else(PoisonError::into_inner).push(name);
                self.taken();
            }
            503 => {}
            status => panic!("{name} is answered {status} {}", code(answer).await),
        }
    }

    async fn look(&self, client: &Client, key: u8) {
        let number = self.history.begin(key, Call::Read);
        let collection = &self.collections[usize::from(key) - 1];
        match read(client, &self.application, collection, key).await {
            Some(seen) => self.history.end(number, Heard::Saw(seen)),
            None => self.history.withdraw(number),
        }
    }

    fn taken(&self) {
        self.gaps.lock().unwrap_or_else(PoisonError::into_inner).taken();
    }
}

fn name(key: u8, title: u64) -> String {
    format!("{key} {title}")
}

async fn code(answer: reqwest::Response) -> String {
    let problem: Value = answer.json().await.unwrap_or_default();
    problem["code"].as_str().unwrap_or_default().to_owned()
}

/// One page of the collections, and where the next begins.
async fn list(
    client: &Client,
    application: &str,
    cursor: Option<&str>,
) -> Option<(Vec<Value>, Option<String>)> {
    let mut path = format!("/applications/{application}/collections?limit=500");
    if let Some(cursor) = cursor {
        path += &format!("&cursor={cursor}");
    }
    let request = client.request(Method::GET, &path).header("cache-control", "no-cache");
    let answer = request.send().await.ok()?;
    if answer.status() != 200 {
        return None;
    }
    let list: Value = answer.json().await.ok()?;
    Some((list["items"].as_array()?.clone(), list["next_cursor"].as_str().map(str::to_owned)))
}

/// A read that sees everything acknowledged before it.
async fn read(client: &Client, application: &str, collection: &str, key: u8) -> Option<Model> {
    // The few that are renamed come before those that are made.
    let (list, _) = list(client, application, None).await?;
    let found = list.iter().find(|one| one["id"] == collection)?;
    let title = found["name"].as_str()?.strip_prefix(&format!("{key} "))?;
    title.parse().ok().map(Model::Live)
}

async fn names(client: &Client, application: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut cursor = None;
    loop {
        let page = list(client, application, cursor.as_deref()).await.expect("nothing hinders a read now");
        names.extend(page.0.iter().filter_map(|one| one["name"].as_str().map(str::to_owned)));
        cursor = page.1;
        if cursor.is_none() {
            return names;
        }
    }
}
