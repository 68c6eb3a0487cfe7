//! Clients of the media while there is trouble: they upload, resume, download, watch and delete, and remember what was
//! acknowledged. Whatever is answered must be right; that something is not answered is no fault.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::media_support::{clip, renditions, tus};
use crate::net::lab::Lab;
use crate::support::{Answer, Client};

/// So many files are kept before one is deleted for each that is uploaded.
const KEPT: usize = 24;
/// One upload of so many is a real clip.
const CLIP_IN: usize = 8;
/// A piece of an upload.
const PIECE: usize = 300_000;
/// No upload takes longer, trouble and all.
const LONGEST: Duration = Duration::from_secs(240);

/// A file that was acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    pub asset: String,
    pub hash: String,
    pub is_clip: bool,
}

/// What was acknowledged so far, and what came of the calls.
#[derive(Default)]
pub struct Books {
    pub kept: Mutex<Vec<Kept>>,
    /// Purged, and that was acknowledged.
    pub gone: Mutex<Vec<String>>,
    /// Hashes of segments seen, by place.
    seen: Mutex<BTreeMap<String, String>>,
    /// Answers by call and status.
    pub answers: Mutex<BTreeMap<String, usize>>,
    uploads: AtomicUsize,
}

/// The clients at work.
pub struct Load {
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<()>>,
}

struct Person {
    clients: Vec<Client>,
    application: String,
    dice: Xoshiro256PlusPlus,
    books: Arc<Books>,
    stop: Arc<AtomicBool>,
    /// The last call and what came of it.
    last: Mutex<String>,
}

pub fn locked<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

pub fn hash(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref())
}

impl Load {
    /// Begins with two uploaders, a reader and a viewer.
    pub fn begin(lab: &Lab, books: &Arc<Books>, seed: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let person = |number: u64| Person {
            clients: (1..=3).map(|at| lab.admin(at)).collect(),
            application: lab.application.clone(),
            dice: Xoshiro256PlusPlus::seed_from_u64(seed ^ number << 48),
            books: books.clone(),
            stop: stop.clone(),
            last: Mutex::default(),
        };
        let tasks = vec![
            tokio::spawn(person(1).uploads()),
            tokio::spawn(person(2).uploads()),
            tokio::spawn(person(3).reads()),
            tokio::spawn(person(4).watches()),
        ];
        Self { stop, tasks }
    }

    /// Whether a client has found something wrong.
    pub fn has_failed(&self) -> bool {
        self.tasks.iter().any(JoinHandle::is_finished)
    }

    /// Ends it; uploads under way are brought to their end.
    pub async fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.expect("a client ends normally");
        }
    }
}

impl Person {
    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    fn client(&mut self) -> Client {
        let which = self.dice.random_range(0..self.clients.len());
        self.clients[which].clone()
    }

    async fn pause(&mut self, longest_ms: u64) {
        let pause = self.dice.random_range(5..longest_ms);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }

    /// The whole answer, if there is one.
    async fn ask(&self, what: &str, request: RequestBuilder) -> Option<Answer> {
        let answer = async {
            let answer = request.send().await.ok()?;
            let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
            let bytes = answer.bytes().await.ok()?.to_vec();
            Some(Answer { status, headers, bytes })
        };
        let began = Instant::now();
        let answer = answer.await;
        let outcome = match &answer {
            None => "nothing".to_owned(),
            Some(answer) if answer.status < 400 => answer.status.to_string(),
            Some(answer) => {
                let problem: Value = serde_json::from_slice(&answer.bytes).unwrap_or_default();
                format!("{} {}", answer.status, problem["code"].as_str().unwrap_or_default())
            }
        };
        *locked(&self.last) = format!("{what}: {outcome} after {:.1} s", began.elapsed().as_secs_f64());
        *locked(&self.books.answers).entry(format!("{what}: {outcome}")).or_default() += 1;
        answer
    }

    async fn uploads(mut self) {
        while self.goes_on() {
            let is_clip = self.books.uploads.fetch_add(1, Ordering::Relaxed) % CLIP_IN == CLIP_IN - 1;
            let bytes = if is_clip { clip().to_vec() } else { self.noise() };
            let asset = if self.dice.random_range(0..4) == 0 {
                self.put(&bytes).await
            } else {
                self.resumable(&bytes).await
            };
            if let Some(asset) = asset {
                locked(&self.books.kept).push(Kept { asset, hash: hash(&bytes), is_clip });
            }
            if locked(&self.books.kept).len() > KEPT {
                self.delete().await;
            }
            self.pause(400).await;
        }
    }

    fn noise(&mut self) -> Vec<u8> {
        let length = self.dice.random_range(1..1_500_000);
        let mut bytes = vec![0; length];
        rand::Rng::fill_bytes(&mut self.dice, &mut bytes);
        bytes
    }

    /// In one request; what is not answered may be there or not.
    async fn put(&mut self, bytes: &[u8]) -> Option<String> {
        let path = format!("/applications/{}/files/whole.bin", self.application);
        let client = self.client();
        let answer = self.ask("put", client.request(Method::PUT, &path).body(bytes.to_vec())).await?;
        (answer.status == 201).then(|| answer.json()["asset"].as_str().unwrap().to_owned())
    }

    /// In pieces, each through whichever node, until all of it is acknowledged.
    async fn resumable(&mut self, bytes: &[u8]) -> Option<String> {
        let client = self.client();
        let request = tus(&client, Method::POST, "/uploads").header("Upload-Length", bytes.len());
        let request = request.header("Upload-Metadata", "filename Y2xpcC5tcDQ=");
        let answer = self.ask("begin", request).await.filter(|answer| answer.status == 201)?;
        let asset = answer.header("location").strip_prefix("/api/v1/uploads/").unwrap().to_owned();
        let (began, path) = (Instant::now(), format!("/uploads/{asset}"));
        let (mut at, mut acknowledged) = (0, 0);
        let mut client = client;
        loop {
            let piece = &bytes[at..bytes.len().min(at + PIECE)];
            let request = tus(&client, Method::PATCH, &path).header("Upload-Offset", at);
            let request = request.header("Content-Type", "application/offset+octet-stream");
            match self.ask("piece", request.body(piece.to_vec())).await {
                Some(answer) if answer.status == 204 => {
                    at = answer.header("upload-offset").parse().unwrap();
                    assert!(at > acknowledged, "{asset} stands at {at} after a piece at {acknowledged}");
                }
                _ => loop {
                    assert!(began.elapsed() < LONGEST, "{asset} stands at {at} of {} for good", bytes.len());
                    self.pause(300).await;
                    client = self.client();
                    let asked = self.ask("where", tus(&client, Method::HEAD, &path)).await;
                    let said = asked.filter(|answer| answer.status == 200);
                    let Some(offset) = said.and_then(|answer| answer.header("upload-offset").parse().ok())
                    else {
                        continue;
                    };
                    at = offset;
                    break;
                },
            }
            assert!(at >= acknowledged, "{asset} stands at {at}, and {acknowledged} were acknowledged");
            acknowledged = at;
            if at == bytes.len() {
                return Some(asset);
            }
        }
    }

    /// Trashes and purges one, however long that takes.
    async fn delete(&mut self) {
        let kept = {
            let mut all = locked(&self.books.kept);
            let which = self.dice.random_range(0..all.len());
            all.swap_remove(which)
        };
        let began = Instant::now();
        // A node that is behind may know nothing of the asset yet: only what all acknowledged changes show counts.
        while !self.is_gone(&kept.asset).await {
            for verb in ["trash", "purge"] {
                let client = self.client();
                let request = client.request(Method::POST, &format!("/assets/{}/{verb}", kept.asset));
                self.ask(verb, request.json(&json!({}))).await;
            }
            assert!(began.elapsed() < LONGEST, "{} cannot be deleted", kept.asset);
            self.pause(300).await;
        }
        locked(&self.books.gone).push(kept.asset);
    }

    async fn is_gone(&mut self, asset: &str) -> bool {
        let client = self.client();
        let request =
            client.request(Method::GET, &format!("/assets/{asset}")).header("cache-control", "no-cache");
        self.ask("asset, as it is now", request).await.is_some_and(|answer| answer.status == 404)
    }

    fn any(&mut self, wanted: impl Fn(&Kept) -> bool) -> Option<Kept> {
        let all: Vec<Kept> = locked(&self.books.kept).iter().filter(|kept| wanted(kept)).cloned().collect();
        if all.is_empty() { None } else { Some(all[self.dice.random_range(0..all.len())].clone()) }
    }

    async fn reads(mut self) {
        while self.goes_on() {
            if let Some(kept) = self.any(|_| true) {
                let client = self.client();
                self.download(&client, &kept).await;
            }
            self.pause(300).await;
        }
    }

    async fn download(&self, client: &Client, kept: &Kept) -> Option<()> {
        let wanted = json!({ "what": "original" });
        let request = client.request(Method::POST, &format!("/assets/{}/downloads", kept.asset));
        let link = self.ask("link", request.json(&wanted)).await.filter(|answer| answer.status == 201)?;
        let path = format!("={}", link.json()["url"].as_str().unwrap());
        let answer = self.ask("download", client.request(Method::GET, &path)).await?;
        if answer.status == 200 {
            assert_eq!(hash(&answer.bytes), kept.hash, "{} is not what was uploaded", kept.asset);
            return Some(());
        }
        None
    }

    async fn watches(mut self) {
        while self.goes_on() {
            if let Some(kept) = self.any(|kept| kept.is_clip) {
                let client = self.client();
                self.watch(&client, &kept).await;
            }
            self.pause(300).await;
        }
    }

    /// Every segment, which must be the one that was there before.
    async fn watch(&self, client: &Client, kept: &Kept) -> Option<()> {
        let found =
            self.ask("asset", client.request(Method::GET, &format!("/assets/{}", kept.asset))).await?;
        if found.status != 200 || found.json()["state"] != "ready" {
            return None;
        }
        let request = client.request(Method::POST, &format!("/assets/{}/views", kept.asset));
        let view = self.ask("view", request.json(&json!({}))).await.filter(|answer| answer.status == 201)?;
        let url = view.json()["playlist_url"].as_str().unwrap().to_owned();
        let path = format!("={}", url.strip_suffix("main.m3u8").unwrap());
        let get = async |file: &str| {
            let kind = file.rsplit('.').next().unwrap_or_default();
            let request = client.request(Method::GET, &format!("{path}{file}"));
            self.ask(&format!("watch {kind}"), request).await.filter(|answer| answer.status == 200)
        };
        let main = get("main.m3u8").await?.text();
        assert_eq!(pipeline::hls_check::check(&main), [], "{main}");
        for name in renditions(&main) {
            let index = get(&format!("{name}/index.m3u8")).await?.text();
            assert_eq!(pipeline::hls_check::check(&index), [], "{index}");
            for number in 0..index.matches("#EXTINF").count() {
                let segment = get(&format!("{name}/{number}.m4s")).await?;
                let (place, is) = (format!("{} {name} {number}", kept.asset), hash(&segment.bytes));
                let mut seen = locked(&self.books.seen);
                let was = seen.entry(place.clone()).or_insert_with(|| is.clone());
                assert_eq!(*was, is, "{place} is not what it was");
            }
        }
        Some(())
    }
}

/// Everything kept is there and right, through node `at`; gives what is not answered yet.
pub async fn right_through(lab: &Lab, books: &Arc<Books>, at: usize) -> Vec<String> {
    let person = Person {
        clients: vec![lab.admin(at)],
        application: lab.application.clone(),
        dice: Xoshiro256PlusPlus::seed_from_u64(0),
        books: books.clone(),
        stop: Arc::default(),
        last: Mutex::default(),
    };
    let kept = locked(&books.kept).clone();
    let mut left = Vec::new();
    for kept in kept {
        let client = &person.clients[0];
        let is_read = person.download(client, &kept).await.is_some();
        if !is_read || (kept.is_clip && person.watch(client, &kept).await.is_none()) {
            let kind = if kept.is_clip { "clip" } else { "noise" };
            left.push(format!("{} ({kind}) {}", kept.asset, locked(&person.last)));
        }
    }
    left
}
