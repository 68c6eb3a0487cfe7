//! An operator's own certificate: put in while connections run, refused when it is not fit, taken out again.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Client, Node, builder, files};

const PATH: &str = "/system/certificate";

/// A certificate for these names, of its own making.
fn made(names: &[&str]) -> (String, String) {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

/// A client that trusts this certificate and no other.
fn trusting(node: &Node, client: &Client, pem: &str) -> Client {
    let certificate = reqwest::Certificate::from_pem(pem.as_bytes()).unwrap();
    let http = builder(&node.ready.ca).tls_certs_only([certificate]).build().unwrap();
    Client { http, ..client.clone() }
}

fn warnings(view: &Value) -> Vec<&str> {
    view["warnings"].as_array().unwrap().iter().map(|warning| warning["code"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn an_own_certificate_is_served_at_once_kept_over_a_restart_and_taken_out_again() {
    let node = Node::start().await;
    let admin = node.admin().await;
    let first = admin.get(PATH).await.expect(200);
    assert_eq!((first["source"].as_str(), first["chain_length"].as_u64()), (Some("own"), Some(2)));
    assert_eq!(warnings(&first), [""; 0]);
    admin.delete(PATH).await.expect_problem(409, "no_installed_certificate");

    let (chain, key) = made(&["127.0.0.1", "media.example"]);
    let installed = admin.put(PATH, &json!({ "chain": chain, "key": key })).await.expect(200);
    assert_eq!(installed["source"], "installed");
    assert_eq!(installed["names"], json!(["127.0.0.1", "media.example"]));
    assert_eq!(warnings(&installed), ["self_signed"]);
    assert_ne!(installed["fingerprint"], first["fingerprint"]);
    // Connections that run go on; new ones get the new one, and whoever trusts the old authority alone is warned.
    admin.get("/me").await.expect(200);
    assert!(node.anonymous().http.get(node.url()).send().await.is_err());
    let other = trusting(&node, &admin, &chain);
    assert_eq!(other.get(PATH).await.expect(200)["fingerprint"], installed["fingerprint"]);

    // It is on record who put which one in, and the key is nowhere: not in an answer, the log or a file.
    let record = other.get("/audit?action=certificate.").await.expect(200)["items"][0].clone();
    assert_eq!(
        (record["action"].as_str(), record["result"].as_str()),
        (Some("certificate.install"), Some("ok"))
    );
    assert_eq!(record["details"]["names"], "127.0.0.1 media.example");
    let secret = key.lines().nth(1).unwrap().as_bytes().to_vec();
    let token = admin.token.clone();
    let folder = node.stop().await;
    let mut seen = 0;
    for entry in files(folder.path()) {
        let bytes = std::fs::read(&entry).unwrap();
        assert!(
            !bytes.windows(secret.len()).any(|part| part == secret),
            "the key lies in {}",
            entry.display()
        );
        seen += 1;
    }
    assert!(seen > 10, "{seen}");

    let again = Node::start_again(folder).await;
    let client = Client { token, base: again.url().to_owned(), ..trusting(&again, &admin, &chain) };
    assert_eq!(client.get(PATH).await.expect(200)["source"], "installed");
    let removed = client.delete(PATH).await.expect(200);
    assert_eq!((removed["source"].as_str(), warnings(&removed).len()), (Some("own"), 0));
    again.anonymous().get("/system").await.expect(200);
    again.stop().await;
}

#[tokio::test]
async fn what_is_not_fit_is_refused_and_nobody_but_a_cluster_admin_is_heard() {
    let node = Node::start().await;
    let admin = node.admin().await;
    let (chain, key) = made(&["127.0.0.1"]);
    let (other, _) = made(&["127.0.0.1"]);
    let before = admin.get(PATH).await.expect(200)["fingerprint"].clone();
    for (chain, key, code) in [
        (chain.as_str(), "nothing", "certificate_unreadable"),
        ("nothing", &key, "certificate_unreadable"),
        (&other, &key, "certificate_mismatch"),
        (&chain.repeat(150), &key, "certificate_too_large"),
    ] {
        let refused = admin.put(PATH, &json!({ "chain": chain, "key": key })).await;
        refused.expect_problem(400, code);
        assert!(!refused.text().contains(key.lines().nth(1).unwrap_or(key)));
    }
    admin.put(PATH, &json!({ "chain": chain })).await.expect_problem(400, "invalid_body");
    assert_eq!(admin.get(PATH).await.expect(200)["fingerprint"], before);

    // A name that does not fit is said, and not refused.
    let (elsewhere, its_key) = made(&["elsewhere.example"]);
    let installed = admin.put(PATH, &json!({ "chain": elsewhere, "key": its_key })).await.expect(200);
    assert_eq!(warnings(&installed), ["name_mismatch", "self_signed"]);
    admin.delete(PATH).await.expect(200);

    let person = node.member(&admin, node.application(), "admin", "ada").await;
    let keys = format!("/applications/{}/api-keys", node.application());
    let api_key = admin.post(&keys, &json!({ "name": "k", "role": "admin" })).await.expect(201);
    let api_key = node.with_token(api_key["secret"].as_str().unwrap());
    for client in [person, api_key] {
        for method in [Method::GET, Method::DELETE] {
            client.send(client.request(method, PATH)).await.expect_problem(403, "forbidden");
        }
        client.put(PATH, &json!({ "chain": chain, "key": key })).await.expect_problem(403, "forbidden");
    }
    node.stop().await;
}

#[tokio::test]
async fn counters_are_for_listed_addresses_and_whoever_may_and_name_nothing_private() {
    let open = Node::start().await;
    assert_eq!(open.anonymous().get("=/metrics").await.status, 200, "the machine itself may, usually");
    open.stop().await;
    let node = Node::start_with("metrics_from = [\"192.0.2.0/24\"]").await;
    let admin = node.admin().await;
    let (app, secret_name) = (node.application().to_owned(), "Geheime Sammlung");
    let made = admin.post(&format!("/applications/{app}/collections"), &json!({ "name": secret_name })).await;
    let id = made.expect(201)["id"].as_str().unwrap().to_owned();
    admin.delete(&format!("/collections/{id}")).await.expect(204);
    let keys = format!("/applications/{app}/api-keys");
    let mut clients = vec![(node.anonymous(), 401), (admin.clone(), 200)];
    for (role, status) in [("viewer", 403), ("user", 403), ("admin", 200)] {
        let key = admin.post(&keys, &json!({ "name": role, "role": role })).await.expect(201);
        clients.push((node.with_token(key["secret"].as_str().unwrap()), status));
    }
    clients.push((node.member(&admin, &app, "admin", "ada-lovelace").await, 403));
    clients.push((node.with_token("mks_a_b"), 401));
    for (client, status) in clients {
        assert_eq!(client.get("=/metrics").await.status, status, "{:?}", client.token);
    }
    let text = admin.get("=/metrics").await.text();
    assert!(text.contains("mediakeep_http_requests"), "{text}");
    for private in [&app, &id, "lovelace", secret_name, "Videos", "127.0.0.1"] {
        assert!(!text.contains(private), "{private} is in {text}");
    }
    // And health says no more than it must.
    for path in ["=/healthz", "=/readyz"] {
        let answer = node.anonymous().get(path).await;
        assert!(["ok\n", "ready\n"].contains(&answer.text().as_str()));
    }
    node.stop().await;
}
