//! Alerts of a real node: they come, are told once by each channel, are taken care of, survive a restart, and end.

use std::sync::Arc;

use aws_lc_rs::hmac;
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

use crate::support::{Client, Node, wait_for};

const INSIDE: &str = "outbound_networks = [\"127.0.0.0/8\"]";
const KIND: &str = "recovery_key_unconfirmed";

/// A certificate for 127.0.0.1 and `localhost`, and a server that shows it.
fn tls() -> (String, TlsAcceptor) {
    let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let chain = vec![CertificateDer::from_pem_slice(made.cert.pem().as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(made.signing_key.serialize_pem().as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(chain, key).unwrap();
    (made.cert.pem(), TlsAcceptor::from(Arc::new(config)))
}

/// What a receiver of webhooks got.
#[derive(Debug)]
struct Posted {
    head: String,
    body: Vec<u8>,
}

impl Posted {
    fn header(&self, name: &str) -> &str {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value).next().unwrap()
    }

    fn message(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Checks the signature as the Standard Webhooks specification tells a receiver to.
    fn is_signed_by(&self, secret: &str) -> bool {
        let key = data_encoding::BASE64.decode(secret.strip_prefix("whsec_").unwrap().as_bytes()).unwrap();
        let mut signed =
            format!("{}.{}.", self.header("webhook-id"), self.header("webhook-timestamp")).into_bytes();
        signed.extend_from_slice(&self.body);
        let tag = self.header("webhook-signature").strip_prefix("v1,").unwrap().as_bytes();
        let tag = data_encoding::BASE64.decode(tag).unwrap();
        hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, &key), &signed, &tag).is_ok()
    }
}

/// Receives webhooks: answers the first `refusals` with 500, and all others with 204.
async fn receiver(refusals: usize) -> (String, String, mpsc::UnboundedReceiver<Posted>) {
    let (authority, acceptor) = tls();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/hook?key=1", listener.local_addr().unwrap());
    let (tell, told) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut count = 0;
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let Some(posted) = read_request(&mut stream).await else { continue };
            count += 1;
            let answer = if count <= refusals { "500 Internal Server Error" } else { "204 No Content" };
            let text = format!("HTTP/1.1 {answer}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(text.as_bytes()).await.unwrap();
            let _ = stream.shutdown().await;
            if count > refusals && tell.send(posted).is_err() {
                return;
            }
        }
    });
    (url, authority, told)
}

async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Option<Posted> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    let posted = Posted { head, body: Vec::new() };
    let length = posted.header("content-length").parse().unwrap();
    let mut body = vec![0; length];
    reader.read_exact(&mut body).await.ok()?;
    Some(Posted { body, ..posted })
}

/// The alert of that kind once it is there, or once it is over.
async fn alert(admin: &Client, kind: &str, open: bool) -> Value {
    wait_for("the alert", || async {
        let page = admin.get(&format!("/alerts?open={open}")).await.expect(200);
        let items = page["items"].as_array().unwrap().clone();
        items.into_iter().find(|alert| alert["kind"] == kind)
    })
    .await
}

async fn confirm_recovery(admin: &Client) {
    let made = admin.post("/system/recovery-key", &json!({})).await.expect(201);
    let body = json!({ "recovery_key": made["recovery_key"] });
    assert!(admin.post("/claim/recovery-confirmed", &body).await.status < 300);
}

#[tokio::test]
async fn an_alert_comes_is_told_once_is_taken_care_of_outlives_a_restart_and_ends() {
    let (url, authority, mut told) = receiver(2).await;
    let node = Node::start_with(INSIDE).await;
    let admin = node.admin().await;
    let body = json!({ "least": "warning", "webhook": { "url": url, "authority": authority } });
    let set = admin.put("/alerts/channels", &body).await.expect(200);
    let secret = set["webhook_secret"].as_str().unwrap().to_owned();
    let shown = admin.get("/alerts/channels").await.expect(200);
    assert!(shown["webhook_secret"].is_null() && shown["webhook"]["url"] == url.as_str(), "{shown}");

    let raised = alert(&admin, KIND, true).await;
    assert_eq!((&raised["severity"], &raised["subject"]), (&json!("warning"), &json!("cluster")));
    // The receiver refuses twice; the third try is taken, and there is no fourth.
    let posted = told.recv().await.unwrap();
    assert!(posted.is_signed_by(&secret) && !posted.is_signed_by("whsec_AAAA"));
    let message = posted.message();
    assert_eq!((&message["change"], &message["alert"]), (&json!("raised"), &raised["id"]));
    assert_eq!(posted.header("webhook-id"), message["id"]);
    // One node is too few, which is good to know and told to nobody.
    assert_eq!(alert(&admin, "few_nodes", true).await["severity"], "info");

    let path = format!("/alerts/{}/acknowledge", raised["id"]);
    assert_eq!(admin.post(&path, &json!({})).await.status, 204);
    let records = admin.get("/audit?action=alert.acknowledge").await.expect(200);
    let record = &records["items"].as_array().unwrap()[0];
    assert_eq!((&record["result"], &record["details"]["kind"]), (&json!("ok"), &json!(KIND)));

    let token = admin.token.clone().unwrap();
    let node = node.restart().await;
    let admin = node.with_token(&token);
    let kept = alert(&admin, KIND, true).await;
    assert_eq!((&kept["id"], &kept["first_seen_ms"]), (&raised["id"], &raised["first_seen_ms"]));
    assert_eq!(kept["acknowledged_by"], node.ready.username.as_str());

    confirm_recovery(&admin).await;
    let over = alert(&admin, KIND, false).await;
    assert_eq!(over["id"], raised["id"]);
    // The next that arrives is the end: the alert itself was told once, over the restart too.
    let end = told.recv().await.unwrap().message();
    assert_eq!((&end["change"], &end["alert"]), (&json!("resolved"), &raised["id"]));
    assert_ne!(end["id"], message["id"]);
    assert_eq!(admin.post("/alerts/channels/webhook/test", &json!({})).await.status, 204);
    let tests = admin.get("/audit?action=alert.test&result=ok").await.expect(200);
    assert_eq!(tests["items"].as_array().unwrap().len(), 1, "{tests}");
    assert_eq!(told.recv().await.unwrap().message()["change"], "test", "nothing else was told meanwhile");
    node.stop().await;
}

#[tokio::test]
async fn a_syslog_server_gets_one_line_by_either_way() {
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let node = Node::start_with(INSIDE).await;
    let admin = node.admin().await;
    let set = |port: u16, transport: &str| {
        let syslog = json!({ "host": "localhost", "port": port, "transport": transport });
        json!({ "least": "critical", "syslog": syslog })
    };
    let test = "/alerts/channels/syslog/test";
    admin.post(test, &json!({})).await.expect_problem(404, "not_found");

    admin.put("/alerts/channels", &set(tcp.local_addr().unwrap().port(), "tcp")).await.expect(200);
    let read = async {
        let (mut stream, _) = tcp.accept().await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    };
    let body = json!({});
    let (answer, text) = tokio::join!(admin.post(test, &body), read);
    assert_eq!(answer.status, 204, "{}", answer.text());
    let (length, line) = text.split_once(' ').unwrap();
    assert_eq!(length.parse::<usize>().unwrap(), line.len(), "each message is led by its length");
    assert!(line.starts_with("<29>1 20") && line.contains(" mediakeep - test [alert@32473 id="), "{line}");

    admin.put("/alerts/channels", &set(udp.local_addr().unwrap().port(), "udp")).await.expect(200);
    let mut datagram = vec![0; 4096];
    let (answer, length) = tokio::join!(admin.post(test, &body), udp.recv(&mut datagram));
    assert_eq!(answer.status, 204, "{}", answer.text());
    assert!(datagram[..length.unwrap()].starts_with(b"<29>1 20"));
    node.stop().await;
}

/// Plays a mail server for one mail: STARTTLS, then AUTH PLAIN, and gives what it was told and the mail itself.
async fn take_mail(listener: &TcpListener, acceptor: &TlsAcceptor) -> (Vec<String>, String) {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut said = Vec::new();
    stream.write_all(b"220 mail.test ESMTP\r\n").await.unwrap();
    talk(&mut stream, &mut said, "250-mail.test\r\n250 STARTTLS\r\n", "STARTTLS").await;
    stream.write_all(b"220 go ahead\r\n").await.unwrap();
    let mut stream: tokio_rustls::server::TlsStream<TcpStream> = acceptor.accept(stream).await.unwrap();
    talk(&mut stream, &mut said, "250-mail.test\r\n250 AUTH PLAIN LOGIN\r\n", "DATA").await;
    stream.write_all(b"354 send it\r\n").await.unwrap();
    let mut mail = String::new();
    let mut byte = [0];
    while !mail.ends_with("\r\n.\r\n") {
        stream.read_exact(&mut byte).await.unwrap();
        mail.push(char::from(byte[0]));
    }
    stream.write_all(b"250 taken\r\n").await.unwrap();
    (said, mail)
}

/// Answers lines until one begins with `last`, which it leaves unanswered.
async fn talk(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    said: &mut Vec<String>,
    hello: &str,
    last: &str,
) {
    loop {
        let mut line = Vec::new();
        let mut byte = [0];
        while !line.ends_with(b"\r\n") {
            stream.read_exact(&mut byte).await.unwrap();
            line.push(byte[0]);
        }
        let line = String::from_utf8(line).unwrap().trim_end().to_owned();
        said.push(line.clone());
        if line.starts_with(last) {
            return;
        }
        let answer = match line.split(' ').next().unwrap() {
            "EHLO" => hello,
            "AUTH" => "235 welcome\r\n",
            _ => "250 ok\r\n",
        };
        stream.write_all(answer.as_bytes()).await.unwrap();
    }
}

#[tokio::test]
async fn a_mail_server_gets_a_mail_and_the_password_only_under_tls() {
    let (authority, acceptor) = tls();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let node = Node::start_with(INSIDE).await;
    let admin = node.admin().await;
    let email = json!({
        "host": "localhost", "port": listener.local_addr().unwrap().port(), "security": "start_tls",
        "username": "mediakeep", "from": "mediakeep@example.org", "to": ["ops@example.org"],
        "authority": authority,
    });
    let body = json!({ "least": "warning", "email": email, "email_password": "very hidden word" });
    let set = admin.put("/alerts/channels", &body).await.expect(200);
    assert_eq!(set["email_password_set"], true);
    assert!(!set.to_string().contains("very hidden word"));
    // A change of something else keeps the password.
    let kept =
        admin.put("/alerts/channels", &json!({ "least": "warning", "email": email })).await.expect(200);
    assert_eq!(kept["email_password_set"], true);
    // A change of whom it is told does not: whoever asks must know it.
    for (field, other) in [
        ("host", json!("127.0.0.1")),
        ("port", json!(2525)),
        ("username", json!("me")),
        ("security", json!("tls")),
    ] {
        let mut email = email.clone();
        email[field] = other;
        let body = json!({ "least": "warning", "email": email });
        admin.put("/alerts/channels", &body).await.expect_problem(400, "password_needed");
    }

    let empty = json!({});
    let test = admin.post("/alerts/channels/email/test", &empty);
    let (answer, (said, mail)) = tokio::join!(test, take_mail(&listener, &acceptor));
    assert_eq!(answer.status, 204, "{}", answer.text());
    let start = said.iter().position(|line| line == "STARTTLS").unwrap();
    let auth = said.iter().position(|line| line.starts_with("AUTH PLAIN ")).unwrap();
    assert!(start < auth, "{said:?}");
    assert!(mail.contains("To: ops@example.org") && mail.contains("This is a test"), "{mail}");

    // A server that shows another certificate is told nothing.
    let (_, stranger) = tls();
    let refused = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"220 mail.test ESMTP\r\n").await.unwrap();
        talk(&mut stream, &mut Vec::new(), "250-mail.test\r\n250 STARTTLS\r\n", "STARTTLS").await;
        stream.write_all(b"220 go ahead\r\n").await.unwrap();
        stranger.accept(stream).await.is_err()
    };
    let (answer, was_left) = tokio::join!(admin.post("/alerts/channels/email/test", &empty), refused);
    answer.expect_problem(424, "alert_not_delivered");
    assert!(was_left);
    node.stop().await;
}

#[tokio::test]
async fn no_channel_leads_inside_and_odd_settings_are_refused_in_words() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let node = Node::start().await;
    let admin = node.admin().await;
    for host in
        ["127.0.0.1", "localhost", "[::1]", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]", "169.254.169.254"]
    {
        let webhook = json!({ "url": format!("https://{host}:{port}/") });
        let body = json!({ "least": "warning", "webhook": webhook });
        admin.put("/alerts/channels", &body).await.expect_problem(400, "alert_channel_unusable");
        let syslog = json!({ "host": host, "port": port, "transport": "tcp" });
        let body = json!({ "least": "warning", "syslog": syslog });
        admin.put("/alerts/channels", &body).await.expect_problem(400, "alert_channel_unusable");
    }
    let connected = tokio::time::timeout(std::time::Duration::from_millis(200), listener.accept()).await;
    assert!(connected.is_err(), "nothing was connected to");
    let url = |url: &str| json!({ "least": "warning", "webhook": { "url": url } });
    for odd in ["http://hooks.example/", "https://me@hooks.example/", "hooks.example", "file:///etc/passwd"] {
        assert_eq!(admin.put("/alerts/channels", &url(odd)).await.status, 400, "{odd}");
    }
    let email = json!({ "host": "mail.example", "port": 25, "security": "tls", "from": "nobody", "to": [] });
    let body = json!({ "least": "warning", "email": email });
    admin.put("/alerts/channels", &body).await.expect_problem(400, "alert_channel_unusable");
    admin.post("/alerts/7000/acknowledge", &json!({})).await.expect_problem(404, "alert_not_found");
    node.stop().await;
}
