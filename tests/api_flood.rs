//! Clients that only take: slow ones, half-open ones, HTTP/2 resets and endless headers, over real sockets. The node's
//! memory stays bounded, others are served meanwhile, and it is as before when they are gone.
//!
//! `MEDIAKEEP_FLOOD_SECONDS` makes each attack longer (10 s in `./just test-long`, 1 s in the gate).

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::Method;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::support::Node;

/// What an attack may add to the node's memory, with connections by the hundred; in KiB.
const MOST_GROWTH_KIB: u64 = 96 * 1024;
/// The node forgets a client that does not finish its request head, or its body, in so many seconds.
const PATIENCE_SECONDS: u64 = 2;
/// After the attack everybody is served again at once.
const RECOVERS_WITHIN: Duration = Duration::from_secs(5);

type Tls = StreamOwned<ClientConnection, TcpStream>;

fn seconds() -> Duration {
    let asked = std::env::var("MEDIAKEEP_FLOOD_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(asked.unwrap_or(1))
}

/// What an attacker needs.
#[derive(Clone)]
struct Target {
    address: std::net::SocketAddr,
    config: Arc<ClientConfig>,
}

impl Target {
    fn of(node: &Node, protocol: &str) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let mut roots = RootCertStore::empty();
        let pem = std::fs::read(&node.ready.ca).unwrap();
        roots.add(CertificateDer::from_pem_slice(&pem).unwrap()).unwrap();
        let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        Self { address: node.address(), config: Arc::new(config) }
    }

    fn plain(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(5))).unwrap();
        stream
    }

    fn connect(&self) -> Tls {
        let name = ServerName::try_from("127.0.0.1").unwrap();
        StreamOwned::new(ClientConnection::new(self.config.clone(), name).unwrap(), self.plain())
    }
}

fn memory_kib(node: &Node) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", node.ready.nodes[0].pid)).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Runs `attack` while somebody else asks for small things; gives how long the slowest of them waited.
#[expect(clippy::print_stdout, reason = "the figures are of interest when they are within the bars, too")]
async fn under(node: &Node, what: &str, attack: impl FnOnce() + Send + 'static) {
    let quiet_kib = memory_kib(node);
    let attacker = std::thread::spawn(attack);
    let client = node.anonymous();
    let (mut slowest, mut most_kib) = (Duration::ZERO, quiet_kib);
    while !attacker.is_finished() {
        let began = Instant::now();
        assert_eq!(client.get("=/healthz").await.status, 200, "{what}");
        slowest = slowest.max(began.elapsed());
        most_kib = most_kib.max(memory_kib(node));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    attacker.join().unwrap_or_else(|_| panic!("{what}: the attacker found something wrong; see above"));
    let began = Instant::now();
    node.anonymous().get("/system").await.expect(200);
    assert!(began.elapsed() < RECOVERS_WITHIN, "{what}: back after {:?}", began.elapsed());
    let growth = most_kib.saturating_sub(quiet_kib);
    println!("{what}: slowest other request {slowest:?}, memory +{} MiB", growth / 1024);
    assert!(growth < MOST_GROWTH_KIB, "{what}: memory grew by {growth} KiB");
    assert!(slowest < RECOVERS_WITHIN, "{what}: others waited {slowest:?}");
}

/// Everything that still comes, until the other side has closed. Fails when it does not close.
fn drained(stream: &mut impl Read, what: &str) -> Vec<u8> {
    let (mut all, mut piece, began) = (Vec::new(), [0; 4096], Instant::now());
    loop {
        assert!(began.elapsed() < Duration::from_secs(20), "{what} is still open");
        match stream.read(&mut piece) {
            Ok(0) => return all,
            Ok(read) => all.extend_from_slice(&piece[..read]),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                panic!("{what} is still open")
            }
            // Reset, or closed without a farewell.
            Err(_) => return all,
        }
    }
}

async fn patient_node() -> Node {
    let limits = format!(
        "[limits]\nrequests_per_second = 100000\nrequest_burst = 100000\nworkers = 2\nheader_seconds = \
         {PATIENCE_SECONDS}\nbody_seconds = {PATIENCE_SECONDS}\n"
    );
    Node::start_as_configured(&limits).await
}

#[tokio::test]
async fn slow_and_half_open_clients_are_forgotten_and_cost_little() {
    let node = patient_node().await;
    let target = Target::of(&node, "http/1.1");

    let attacked = target.clone();
    under(&node, "200 heads, a byte at a time", move || {
        let mut open: Vec<Tls> = (0..200).map(|_| attacked.connect()).collect();
        let began = Instant::now();
        let head = b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\nx-slow: ";
        for at in 0.. {
            let byte = head.get(at).copied().unwrap_or(b'a');
            open.retain_mut(|stream| stream.write_all(&[byte]).and_then(|()| stream.flush()).is_ok());
            if open.is_empty() || began.elapsed() > seconds() + Duration::from_secs(PATIENCE_SECONDS * 4) {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        for stream in &mut open {
            drained(stream, "a connection with half a head");
        }
    })
    .await;

    let attacked = target.clone();
    under(&node, "100 bodies that do not come", move || {
        let head = "POST /api/v1/sessions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n\
                    content-length: 1000\r\n\r\n{\"user";
        let mut open: Vec<Tls> = (0..100)
            .map(|_| {
                let mut stream = attacked.connect();
                stream.write_all(head.as_bytes()).unwrap();
                stream.flush().unwrap();
                stream
            })
            .collect();
        for stream in &mut open {
            let mut answer = [0; 12];
            stream.read_exact(&mut answer).expect("an answer");
            assert_eq!(&answer, b"HTTP/1.1 408");
        }
    })
    .await;

    let attacked = target.clone();
    under(&node, "200 answers that nobody reads", move || {
        let ask = "GET /api/v1/openapi.json HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n".repeat(20);
        let mut open: Vec<Tls> = (0..200).map(|_| attacked.connect()).collect();
        for stream in &mut open {
            // The node stops to read when it cannot write, and then so much is enough.
            let _ = stream.write_all(ask.as_bytes()).and_then(|()| stream.flush());
        }
        std::thread::sleep(seconds());
    })
    .await;

    under(&node, "300 handshakes that are not finished", move || {
        let mut open: Vec<TcpStream> = (0..300).map(|_| target.plain()).collect();
        for stream in &mut open {
            stream.write_all(&[22, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]).unwrap();
        }
        std::thread::sleep(seconds());
        for stream in &mut open {
            drained(stream, "a connection with half a handshake");
            let _ = stream.shutdown(Shutdown::Both);
        }
    })
    .await;
    node.stop().await;
}

/// An HTTP/2 frame.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// `GET https://127.0.0.1/healthz` in HPACK without a table: indexed method and scheme, literal path and authority.
fn request_head() -> Vec<u8> {
    let mut head = vec![0x82, 0x87, 0x04, 8];
    head.extend(b"/healthz");
    head.extend([0x01, 9]);
    head.extend(b"127.0.0.1");
    head
}

fn preface() -> Vec<u8> {
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(), &frame(4, 0, 0, &[])].concat()
}

const HEADERS: u8 = 1;
const RESET: u8 = 3;
const GO_AWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM_AND_HEADERS: u8 = 5;

/// Whether the node said goodbye in what it sent.
fn said_goodbye(answer: &[u8]) -> bool {
    let mut rest = answer;
    while let [a, b, c, kind, _, _, _, _, _, ..] = rest {
        if *kind == GO_AWAY {
            return true;
        }
        let length = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
        rest = rest.get(9 + length..).unwrap_or_default();
    }
    false
}

#[tokio::test]
async fn http2_resets_and_endless_heads_end_their_own_connection_only() {
    let node = patient_node().await;
    let target = Target::of(&node, "h2");

    let attacked = target.clone();
    under(&node, "rapid reset", move || {
        let until = Instant::now() + seconds();
        let mut ended = 0;
        while ended < 3 || Instant::now() < until {
            let mut stream = attacked.connect();
            stream.write_all(&preface()).unwrap();
            let head = request_head();
            let mut sent = 0;
            // Requests taken back at once, without end; the node hangs up long before.
            for id in (1..200_000).step_by(2) {
                let pair = [
                    frame(HEADERS, END_STREAM_AND_HEADERS, id, &head),
                    frame(RESET, 0, id, &8u32.to_be_bytes()),
                ];
                if stream.write_all(&pair.concat()).and_then(|()| stream.flush()).is_err() {
                    break;
                }
                sent += 1;
            }
            assert!(sent < 99_000, "the node took {sent} resets on one connection");
            ended += 1;
        }
    })
    .await;

    under(&node, "continuation without end", move || {
        let until = Instant::now() + seconds();
        let mut ended = 0;
        while ended < 3 || Instant::now() < until {
            let mut stream = target.connect();
            stream.write_all(&preface()).unwrap();
            stream.write_all(&frame(HEADERS, 1, 1, &request_head())).unwrap();
            // Literal headers, 16 KB a frame, and never the end of them.
            let mut piece = Vec::new();
            while piece.len() < 16_000 {
                piece.extend([0x00, 1, b'x', 100]);
                piece.extend([b'a'; 100]);
            }
            let mut taken = 0;
            for _ in 0..4_000 {
                let sent = stream.write_all(&frame(CONTINUATION, 0, 1, &piece)).and_then(|()| stream.flush());
                if sent.is_err() {
                    break;
                }
                taken += 1;
            }
            assert!(taken < 3_900, "the node took {taken} continuations of 16 KB");
            ended += 1;
        }
    })
    .await;
    node.stop().await;
}

#[tokio::test]
async fn a_settings_frame_that_lies_is_answered_by_a_goodbye() {
    let node = patient_node().await;
    let mut stream = Target::of(&node, "h2").connect();
    stream.write_all(&preface()).unwrap();
    // An initial window beyond what there can be.
    stream.write_all(&frame(4, 0, 0, &[0, 4, 0xff, 0xff, 0xff, 0xff])).unwrap();
    stream.flush().unwrap();
    assert!(said_goodbye(&drained(&mut stream, "a connection that lied")));
    node.stop().await;
}

#[tokio::test]
async fn a_thousand_ranges_are_answered_by_one_file_at_most() {
    let node = Node::start().await;
    let admin = node.admin().await;
    let path = format!("/applications/{}/files/a.mp4", node.application());
    let upload = admin.request(Method::PUT, &path).body("0123456789".repeat(100));
    let asset = admin.send(upload).await.expect(201)["asset"].as_str().unwrap().to_owned();
    let many: Vec<String> = (0..1000).map(|at| format!("{at}-{at}")).collect();
    let overlapping: Vec<String> = (0..200).map(|_| "0-".to_owned()).collect();
    for ranges in [many, overlapping] {
        let wanted = serde_json::json!({ "what": "original" });
        let link = admin.post(&format!("/assets/{asset}/downloads"), &wanted).await.expect(201);
        let address = format!("={}", link["url"].as_str().unwrap());
        let request = node.anonymous().request(Method::GET, &address);
        let answer =
            node.anonymous().send(request.header("range", format!("bytes={}", ranges.join(",")))).await;
        assert!([200, 400, 416, 431].contains(&answer.status), "{}", answer.status);
        assert!(answer.bytes.len() <= 1000, "{} bytes for a file of 1000", answer.bytes.len());
    }
    node.stop().await;
}
