//! A node looks at itself from outside: it finds nothing where nothing is weak, each weakness of a real server by its name, and
//! tells of it for as long as it lasts.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use actix_web::http::header::HeaderMap;
use node::self_check::{Face, Finding, listed, look};
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::support::{Client, Node, builder, wait_for};

const CERTIFICATE: &str = "/system/certificate";
const KIND: &str = "tls_weakened";

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A certificate of its own making for `name`, and its key (PEM).
fn made(name: &str, key: &KeyPair, change: impl FnOnce(&mut CertificateParams)) -> (String, String) {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    change(&mut params);
    (params.self_signed(key).unwrap().pem(), key.serialize_pem())
}

fn well_made() -> (String, String) {
    made("127.0.0.1", &KeyPair::generate().unwrap(), |_| {})
}

/// What a node sends with an answer of its own, as it goes over the wire.
fn strict_head() -> String {
    let mut headers = HeaderMap::new();
    node::headers::apply(&mut headers);
    let lines = headers.iter().map(|(name, value)| format!("{name}: {}\r\n", value.to_str().unwrap()));
    format!("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n{}\r\n", lines.collect::<String>())
}

/// How a server differs from one that is as it should be.
struct Weakness {
    what: &'static str,
    /// For `openssl s_server`, in place of `-alpn h2,http/1.1`.
    arguments: &'static str,
    certificate: (String, String),
    head: String,
    expected: &'static [Finding],
}

impl Weakness {
    fn none() -> Self {
        Self {
            what: "nothing",
            arguments: "-alpn h2,http/1.1",
            certificate: well_made(),
            head: strict_head(),
            expected: &[],
        }
    }

    fn of_tls(arguments: &'static str, expected: &'static [Finding]) -> Self {
        Self { what: arguments, arguments, expected, ..Self::none() }
    }

    fn of_certificate(
        what: &'static str,
        certificate: (String, String),
        expected: &'static [Finding],
    ) -> Self {
        Self { what, certificate, expected, ..Self::none() }
    }

    /// Sends `line`, or nothing, in place of the header called `name`.
    fn of_header(name: &'static str, line: &str) -> Self {
        let head = strict_head();
        let lines = head.split("\r\n").filter(|kept| !kept.starts_with(&format!("{name}:")));
        let head: Vec<_> = lines.map(str::to_owned).collect();
        let begin = format!("{}\r\n{line}", head[0]);
        let head = [vec![begin.trim_end().to_owned()], head[1..].to_vec()].concat().join("\r\n");
        let expected: &'static [Finding] = match name {
            "strict-transport-security" => &[Finding::Header("strict-transport-security")],
            "content-security-policy" => &[Finding::Header("content-security-policy")],
            _ => &[Finding::Header("x-content-type-options")],
        };
        Self { what: name, head, expected, ..Self::none() }
    }
}

/// A running `openssl s_server`.
struct Server {
    address: SocketAddr,
    _child: Child,
}

impl Server {
    async fn start(folder: &Path, weakness: &Weakness) -> Self {
        let address = free_address();
        let (chain, key) = &weakness.certificate;
        std::fs::write(folder.join("chain.pem"), chain).unwrap();
        std::fs::write(folder.join("key.pem"), key).unwrap();
        let mut command = Command::new("openssl");
        // What it gets it writes to standard output, and what it is to send it reads from standard input.
        command.args(["s_server", "-quiet", "-cert", "chain.pem", "-key", "key.pem", "-accept"]);
        command.arg(address.to_string()).args(weakness.arguments.split_whitespace()).current_dir(folder);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.kill_on_drop(true).spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        tokio::spawn(answer_all(input, output, weakness.head.clone()));
        wait_for("openssl listens", || async { tokio::net::TcpStream::connect(address).await.ok() }).await;
        Self { address, _child: child }
    }
}

/// Answers each request with `head`.
async fn answer_all(mut input: ChildStdin, mut output: ChildStdout, head: String) {
    let (mut seen, mut byte) = (Vec::new(), [0]);
    while output.read_exact(&mut byte).await.is_ok() {
        seen.push(byte[0]);
        if seen.ends_with(b"\r\n\r\n") {
            seen.clear();
            input.write_all(head.as_bytes()).await.unwrap();
            input.flush().await.unwrap();
        }
    }
}

fn face(address: SocketAddr, chain: &str) -> Face {
    let chain = CertificateDer::pem_slice_iter(chain.as_bytes()).collect::<Result<_, _>>().unwrap();
    Face { address, name: "127.0.0.1".to_owned(), chain, plain: None, now_ms: now_ms() }
}

fn weaknesses() -> Vec<Weakness> {
    let ec = || KeyPair::generate().unwrap();
    let rsa = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
    let day = Duration::from_secs(86_400);
    let over = made("127.0.0.1", &ec(), |params| {
        params.not_before = (SystemTime::now() - 9 * day).into();
        params.not_after = (SystemTime::now() - day).into();
    });
    let (unsafe_policy, short) = (
        "content-security-policy: default-src 'none'; script-src 'self' 'unsafe-inline'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
        "strict-transport-security: max-age=86400",
    );
    vec![
        Weakness::none(),
        Weakness::of_tls(
            "-alpn h2,http/1.1 -cipher DEFAULT@SECLEVEL=0 -min_protocol TLSv1.1",
            &[Finding::Tls11],
        ),
        Weakness::of_tls(
            "-alpn h2,http/1.1 -cipher DEFAULT@SECLEVEL=0 -min_protocol TLSv1",
            &[Finding::Tls10, Finding::Tls11],
        ),
        Weakness::of_tls("-alpn h2,http/1.1 -no_tls1_3", &[Finding::NoTls13]),
        Weakness::of_tls("", &[Finding::NoHttp2]),
        Weakness::of_tls(
            "-cipher DEFAULT@SECLEVEL=0 -min_protocol TLSv1.1 -max_protocol TLSv1.1",
            &[Finding::NoCurrentTls, Finding::Tls11],
        ),
        Weakness::of_certificate("RSA", made("127.0.0.1", &rsa, |_| {}), &[Finding::NoForwardSecrecy]),
        Weakness::of_certificate("over", over, &[Finding::CertificateNotValid]),
        Weakness::of_certificate(
            "elsewhere",
            made("elsewhere.example", &ec(), |_| {}),
            &[Finding::CertificateName],
        ),
        Weakness::of_header("strict-transport-security", ""),
        Weakness::of_header("strict-transport-security", short),
        Weakness::of_header("content-security-policy", unsafe_policy),
        Weakness::of_header("x-content-type-options", ""),
    ]
}

#[tokio::test]
async fn each_weakness_of_a_real_server_is_found_by_its_name_and_nothing_else_is() {
    let folder = tempfile::tempdir().unwrap();
    for weakness in weaknesses() {
        let server = Server::start(folder.path(), &weakness).await;
        let found = look(&face(server.address, &weakness.certificate.0)).await;
        assert!(found.iter().eq(weakness.expected), "{}: {}", weakness.what, listed(&found));
    }
    // The same server is another's when it shows another certificate than that one means to serve.
    let server = Server::start(folder.path(), &Weakness::none()).await;
    let found = look(&face(server.address, &well_made().0)).await;
    assert_eq!(listed(&found), "certificate_other");
}

#[tokio::test]
async fn a_short_key_is_weak_and_who_does_not_answer_is_named_within_the_time() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = "req -x509 -newkey rsa:1024 -nodes -days 2 -subj /CN=short -addext subjectAltName=IP:127.0.0.1 \
                     -keyout short.key -out short.pem";
    let made =
        Command::new("openssl").args(arguments.split_whitespace()).current_dir(folder.path()).output().await;
    assert!(made.unwrap().status.success());
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let weakness = Weakness {
        arguments: "-alpn h2,http/1.1 -cipher ECDHE@SECLEVEL=0 -min_protocol TLSv1.2",
        certificate: (read("short.pem"), read("short.key")),
        ..Weakness::none()
    };
    let server = Server::start(folder.path(), &weakness).await;
    let found = look(&face(server.address, &weakness.certificate.0)).await;
    assert_eq!(listed(&found), "certificate_weak");

    let nobody = look(&face(free_address(), &weakness.certificate.0)).await;
    assert_eq!(listed(&nobody), "no_answer");
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let began = std::time::Instant::now();
    let found = look(&face(silent.local_addr().unwrap(), &weakness.certificate.0)).await;
    assert_eq!(listed(&found), "no_answer");
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

/// The node's own word in `/metrics`.
async fn figure(client: &Client, name: &str) -> i64 {
    let text = client.get("=/metrics").await.text();
    let line = text.lines().find(|line| line.starts_with(&format!("mediakeep_self_check_{name} ")));
    line.unwrap_or_else(|| panic!("{name} is not there: {text}")).split(' ').nth(1).unwrap().parse().unwrap()
}

async fn figure_becomes(client: &Client, name: &str, is_right: impl Fn(i64) -> bool) {
    wait_for(name, || async { is_right(figure(client, name).await).then_some(()) }).await;
}

async fn alert(admin: &Client, open: bool) -> Value {
    wait_for("the alert", || async {
        let page = admin.get(&format!("/alerts?open={open}")).await.expect(200);
        page["items"].as_array().unwrap().iter().find(|alert| alert["kind"] == KIND).cloned()
    })
    .await
}

/// The certificate that a node shows to whoever trusts its authority.
async fn shown(node: &Node) -> CertificateDer<'static> {
    let client = builder(&node.ready.ca).tls_info(true).build().unwrap();
    let answer = client.get(node.url()).send().await.unwrap();
    let info = answer.extensions().get::<reqwest::tls::TlsInfo>().unwrap();
    info.peer_certificate().unwrap().to_vec().into()
}

/// A client that takes every certificate: what is shown changes under it.
fn trusting_all(node: &Node, client: &Client) -> Client {
    let http = builder(&node.ready.ca).tls_danger_accept_invalid_certs(true).build().unwrap();
    Client { http, ..client.clone() }
}

#[tokio::test]
async fn a_node_finds_nothing_at_itself_until_its_certificate_is_for_somebody_else() {
    let plain = free_address();
    let node = Node::start_with(&format!("redirect_listen = \"{plain}\"")).await;
    let admin = node.admin().await;
    let admin = trusting_all(&node, &admin);
    figure_becomes(&admin, "last_seconds", |at| at > 0).await;
    assert_eq!(figure(&admin, "findings").await, 0, "{}", admin.get("/alerts").await.text());
    // So it is for whoever looks, by its own certificate and the authority's after it.
    let authority = std::fs::read_to_string(&node.ready.ca).unwrap();
    let mut own = Face { plain: Some(plain), ..face(node.address(), &authority) };
    own.chain.insert(0, shown(&node).await);
    assert_eq!(listed(&look(&own).await), "");
    let without_redirect = Face { plain: Some(free_address()), ..own };
    assert_eq!(listed(&look(&without_redirect).await), "no_redirect");

    // It looks at once, not in six hours, and again when that is over.
    let (chain, key) = made("elsewhere.example", &KeyPair::generate().unwrap(), |_| {});
    admin.put(CERTIFICATE, &json!({ "chain": chain, "key": key })).await.expect(200);
    figure_becomes(&admin, "findings", |count| count == 1).await;
    let raised = alert(&admin, true).await;
    assert_eq!(
        (&raised["severity"], &raised["details"]["findings"]),
        (&json!("warning"), &json!("certificate_name"))
    );
    admin.delete(CERTIFICATE).await.expect(200);
    figure_becomes(&admin, "findings", |count| count == 0).await;
    assert_eq!(alert(&admin, false).await["id"], raised["id"]);
    node.stop().await;
}

/// Takes connections to one address on to whatever `target` is.
async fn relay(listener: tokio::net::TcpListener, target: Arc<Mutex<SocketAddr>>) {
    loop {
        let (mut client, _) = listener.accept().await.unwrap();
        let target = *target.lock().unwrap();
        tokio::spawn(async move {
            let mut server = tokio::net::TcpStream::connect(target).await?;
            tokio::io::copy_bidirectional(&mut client, &mut server).await
        });
    }
}

#[tokio::test]
async fn something_weak_in_front_of_a_node_is_an_alert_until_it_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let weakness = Weakness {
        arguments: "-alpn h2,http/1.1 -cipher DEFAULT@SECLEVEL=0 -min_protocol TLSv1.1",
        ..Weakness::of_header("strict-transport-security", "")
    };
    let weak = Server::start(folder.path(), &weakness).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let front = listener.local_addr().unwrap();
    let target = Arc::new(Mutex::new(weak.address));
    tokio::spawn(relay(listener, target.clone()));

    let node = Node::start_with(&format!("self_check_address = \"{front}\"")).await;
    let admin = node.admin().await;
    figure_becomes(&admin, "findings", |count| count == 3).await;
    let raised = alert(&admin, true).await;
    assert_eq!(raised["severity"], "critical");
    assert_eq!(raised["details"]["findings"], "tls_1_1 certificate_other strict-transport-security");
    let state = admin.get("/alerts?open=true").await.expect(200);
    let of_kind = state["items"].as_array().unwrap().iter().filter(|alert| alert["kind"] == KIND).count();
    assert_eq!(of_kind, 1, "one for the node, however much is found: {state}");

    *target.lock().unwrap() = node.address();
    figure_becomes(&admin, "findings", |count| count == 0).await;
    assert_eq!(alert(&admin, false).await["id"], raised["id"]);
    node.stop().await;
}
