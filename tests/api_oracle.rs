//! Nobody learns who or what exists: not by the answer, not by its size, and not by how long it takes.
//!
//! The measure is the AUC: how often one kind of answer takes longer than the other; 0.5 says nothing. A leak is shown
//! when it is above 0.55 by more than chance (two standard errors) explains. `MEDIAKEEP_ORACLE_SAMPLES` takes more
//! samples (2000 in `./just test-long`), so that chance explains less. Which of two is asked first is drawn each time: the
//! second one finds caches warm.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Client, Node, PASSPHRASE, builder};

/// What may be told apart by time at most.
const MOST_AUC: f64 = 0.55;

fn samples(usual: usize) -> usize {
    let asked = std::env::var("MEDIAKEEP_ORACLE_SAMPLES").ok().and_then(|text| text.parse().ok());
    asked.unwrap_or(usual)
}

/// How often one of `left` is larger than one of `right`, ties by half; folded so that it is never below one half.
fn auc(left: &[Duration], right: &[Duration]) -> f64 {
    let mut wins = 0.0;
    for one in left {
        for other in right {
            wins += match one.cmp(other) {
                std::cmp::Ordering::Greater => 1.0,
                std::cmp::Ordering::Equal => 0.5,
                std::cmp::Ordering::Less => 0.0,
            };
        }
    }
    #[allow(clippy::cast_precision_loss, reason = "some hundreds")]
    let share = wins / (left.len() * right.len()) as f64;
    share.max(1.0 - share)
}

/// One standard error of an AUC near one half.
fn standard_error(left: usize, right: usize) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "some hundreds")]
    let (left, right) = (left as f64, right as f64);
    ((left + right + 1.0) / (12.0 * left * right)).sqrt()
}

#[expect(clippy::print_stdout, reason = "the figure is of interest when it is within the bar, too")]
#[track_caller]
fn tells_nothing(what: &str, left: &[Duration], right: &[Duration]) {
    let (auc, error) = (auc(left, right), standard_error(left.len(), right.len()));
    println!(
        "{what}: AUC {auc:.3} of {} and {} samples (standard error {error:.3})",
        left.len(),
        right.len()
    );
    assert!(auc - 2.0 * error <= MOST_AUC, "{what}: AUC {auc:.3} ± {error:.3}");
}

#[test]
fn the_measure_sees_a_leak_and_no_leak_where_there_is_none() {
    let even: Vec<_> = (0..100).map(|at| Duration::from_micros(at % 10)).collect();
    let later: Vec<_> = even.iter().map(|one| *one + Duration::from_micros(3)).collect();
    assert!((auc(&even, &even) - 0.5).abs() < 1e-9);
    assert!(auc(&later, &even) > 0.7 && auc(&even, &later) > 0.7);
}

/// An answer without what is different in each: the request's id.
fn shape(answer: &crate::support::Answer) -> (u16, usize, Vec<String>, Value) {
    let mut body = answer.json();
    body["request_id"] = Value::Null;
    let mut names: Vec<_> = answer.headers.keys().map(|name| name.as_str().to_owned()).collect();
    names.sort();
    (answer.status, answer.bytes.len(), names, body)
}

async fn timed(client: &Client, method: Method, path: &str) -> (Duration, (u16, usize, Vec<String>, Value)) {
    let request = client.request(method, path);
    let began = Instant::now();
    let answer = client.send(request).await;
    (began.elapsed(), shape(&answer))
}

#[tokio::test]
async fn what_belongs_to_others_and_what_does_not_exist_answer_alike_and_equally_fast() {
    let node = Node::start().await;
    let admin = node.admin().await;
    let other = admin.post("/applications", &json!({ "name": "Other" })).await.expect(201);
    let other = other["id"].as_str().unwrap();
    let upload = admin.request(Method::PUT, &format!("/applications/{other}/files/a.mp4")).body("no video");
    let asset = admin.send(upload).await.expect(201)["asset"].as_str().unwrap().to_owned();
    let person = node.member(&admin, node.application(), "user", "uma").await;
    let absent: String = asset.chars().rev().map(|letter| if letter == '0' { '1' } else { letter }).collect();
    let absent = format!("0{}", &absent[1..]);
    for (method, of) in [
        (Method::GET, "/assets/{}"),
        (Method::POST, "/assets/{}/trash"),
        (Method::GET, "/applications/{}/assets"),
    ] {
        let is_list = of.starts_with("/applications");
        let foreign = of.replace("{}", if is_list { other } else { &asset });
        let missing = of.replace("{}", &absent);
        let (mut first, mut second) = (Vec::new(), Vec::new());
        let mut expected = None;
        for _ in 0..samples(200) {
            let mut both = [(&foreign, &mut first), (&missing, &mut second)];
            if rand::random() {
                both.reverse();
            }
            for (path, times) in both {
                let (took, answer) = timed(&person, method.clone(), path).await;
                times.push(took);
                assert_eq!(answer.0, 404);
                assert_eq!(&answer, expected.get_or_insert_with(|| answer.clone()), "{method} {path}");
            }
        }
        tells_nothing(&format!("{method} {of}: foreign against missing"), &first, &second);
    }
    node.stop().await;
}

/// A client that asks from another address of this machine, already connected.
fn from(node: &Node, number: usize) -> Client {
    let address = std::net::Ipv4Addr::new(127, 0, 1, u8::try_from(number % 250).unwrap() + 1);
    let http = builder(&node.ready.ca).local_address(std::net::IpAddr::V4(address)).build().unwrap();
    Client { http, ..node.anonymous() }
}

/// Tries of each kind from one address: thirty wrong ones, and it would be held off.
const TRIES_OF_AN_ADDRESS: usize = 9;
/// Tries of one name: one more, and it is the throttle that answers.
const TRIES_OF_A_NAME: usize = 4;

#[tokio::test]
async fn a_wrong_passphrase_an_unknown_name_and_a_suspended_person_take_equally_long() {
    let node = Node::start().await;
    let admin = node.admin().await;
    let count = samples(32);
    for number in 0..count.div_ceil(TRIES_OF_A_NAME) {
        for kind in ["person", "absent"] {
            let person = json!({ "username": format!("{kind}-{number:03}"), "password": PASSPHRASE });
            let made = admin.post("/users", &person).await.expect(201);
            if kind == "absent" {
                let path = format!("/users/{}", made["id"].as_str().unwrap());
                admin.patch(&path, &json!({ "suspended": true })).await.expect(200);
            }
        }
    }
    let login = async |client: &Client, name: &str, passphrase: &str| {
        let body = json!({ "username": name, "password": passphrase });
        let began = Instant::now();
        let answer = client.post("/sessions", &body).await;
        let took = began.elapsed();
        answer.expect_problem(401, "wrong_credentials");
        took
    };
    // The suspended person knows the passphrase, and must not learn that it is still right.
    let wrong = "this is not the passphrase";
    let kinds = [("person", wrong), ("nobody", wrong), ("absent", PASSPHRASE)];
    let mut times = [const { Vec::new() }; 3];
    for at in 0..count {
        let client = from(&node, at / TRIES_OF_AN_ADDRESS);
        client.get("/system").await.expect(200);
        let mut order = [0, 1, 2];
        order.rotate_left(usize::from(rand::random::<u8>()) % 3);
        if rand::random() {
            order.reverse();
        }
        for kind in order {
            let (name, passphrase) = kinds[kind];
            let name = format!("{name}-{:03}", at / TRIES_OF_A_NAME);
            times[kind].push(login(&client, &name, passphrase).await);
        }
    }
    let [known, unknown, suspended] = &times;
    tells_nothing("log-in: wrong passphrase against unknown name", known, unknown);
    tells_nothing("log-in: suspended person against unknown name", suspended, unknown);
    tells_nothing("log-in: suspended person against wrong passphrase", suspended, known);
    node.stop().await;
}
