//! The inventory of cryptography of a real node: whole, true, and without a key.

use cluster::authority::{ends_at_ms, renew_at_ms};
use data_encoding::{BASE64, HEXLOWER};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::canary;
use crate::support::{Client, Node, files, wait_for};

const PATH: &str = "/system/cryptography";

/// The entry of this name.
fn entry<'a>(inventory: &'a Value, id: &str) -> &'a Value {
    let found = inventory["uses"].as_array().unwrap().iter().find(|one| one["id"] == id);
    found.unwrap_or_else(|| panic!("there is no entry {id}"))
}

async fn inventory(admin: &Client) -> Value {
    admin.get(PATH).await.expect(200)
}

/// The certificate that `address` shows to whoever speaks `protocol` (DER).
async fn shown_at(address: &str, protocol: &str) -> Vec<u8> {
    let mut openssl = Command::new("openssl");
    openssl.args(["s_client", "-connect", address, "-alpn", protocol, "-showcerts"]);
    let said = openssl.stdin(std::process::Stdio::null()).output().await.unwrap();
    let pem = CertificateDer::from_pem_slice(&said.stdout);
    pem.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&said.stderr))).to_vec()
}

/// Every text in the answer.
fn texts<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => found.push(text),
        Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
        Value::Object(fields) => fields.values().for_each(|field| texts(field, found)),
        _ => {}
    }
}

/// What may be a key: hexadecimal of eight bytes or more, or a word that is as long as base64 of 16 bytes.
fn may_be_a_key(word: &str) -> bool {
    let hexadecimal = word.len() >= 16 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    hexadecimal || word.len() >= 22
}

#[tokio::test]
async fn the_inventory_names_every_part_of_every_use() {
    let node = Node::start().await;
    let found = inventory(&node.admin().await).await;
    let uses = found["uses"].as_array().unwrap();
    assert!(uses.len() > 35, "{}", uses.len());
    for one in uses {
        let said = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
        for name in ["id", "purpose", "algorithm", "scope", "post_quantum"] {
            assert!(said(&one[name]), "{name}: {one}");
        }
        for part in [&one["rotation"]["how"], &one["rotation"]["detail"], &one["fips"]["runs"]] {
            assert!(said(part), "{one}");
        }
        for name in ["id", "name", "kind", "kept", "protected_by"] {
            assert!(one["key"].is_null() || said(&one["key"][name]), "{name}: {one}");
        }
        for provider in one["providers"].as_array().unwrap() {
            assert!(said(&provider["name"]) && said(&provider["version"]), "{one}");
        }
        assert!(!one["providers"].as_array().unwrap().is_empty(), "{one}");
        // The usual build has no validated module, and says so of each.
        assert!(cfg!(feature = "fips") || one["fips"]["runs"] == "outside", "{one}");
    }
    let names: Vec<_> =
        found["tls"].as_array().unwrap().iter().map(|tls| tls["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["public", "nodes", "to_nodes", "join", "outgoing"]);
    assert_eq!(found["tls"][1]["versions"], json!(["TLSv1_3"]), "nodes speak nothing older");
    let numbers =
        [("blob.records", "records of 64 KiB"), ("people.passphrases", "m = 19456 KiB, t = 2, p = 1")];
    for (id, number) in numbers {
        assert!(entry(&found, id)["algorithm"].as_str().unwrap().contains(number), "{id}");
    }
    node.stop().await;
}

#[tokio::test]
async fn certificates_in_it_are_those_that_are_shown() {
    let node = Node::start().await;
    let admin = node.admin().await;
    let found = inventory(&admin).await;
    // Where it is reached a node says a moment after it serves.
    let inner_address = wait_for("the node listens where it says", || async {
        let cluster = admin.get("/cluster").await.expect(200);
        let address = cluster["nodes"][0]["cluster_address"].as_str()?.to_owned();
        tokio::net::TcpStream::connect(&address).await.ok().map(|_| address)
    })
    .await;
    let public = shown_at(&node.address().to_string(), "http/1.1").await;
    let inner = shown_at(&inner_address, "mediakeep-join/1").await;
    assert_eq!(entry(&found, "certificate.public")["state"]["not_after_ms"].as_u64(), ends_at_ms(&public));
    assert_eq!(entry(&found, "certificate.public")["state"]["certificate_key"], "EC 256");
    let state = &entry(&found, "certificate.node")["state"];
    assert_eq!(state["not_after_ms"].as_u64(), ends_at_ms(&inner));
    assert_eq!(state["renewal_ms"].as_u64(), renew_at_ms(&inner));
    assert_ne!(ends_at_ms(&inner), ends_at_ms(&public), "the one is not taken for the other");
    let authority = CertificateDer::from_pem_slice(&std::fs::read(&node.ready.ca).unwrap()).unwrap();
    assert_eq!(
        entry(&found, "certificate.authority")["state"]["not_after_ms"].as_u64(),
        ends_at_ms(&authority)
    );

    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let own = json!({ "chain": made.cert.pem(), "key": made.signing_key.serialize_pem() });
    admin.put("/system/certificate", &own).await.expect(200);
    let state = entry(&inventory(&admin).await, "certificate.public")["state"].clone();
    assert_eq!(
        (state["source"].as_str(), state["not_after_ms"].as_u64()),
        (Some("installed"), ends_at_ms(made.cert.der()))
    );
    node.stop().await;
}

#[tokio::test]
async fn it_follows_the_cluster_key_and_what_lies_under_it() {
    let node = Node::start().await;
    let admin = node.admin().await;
    let upload =
        admin.request(reqwest::Method::PUT, &format!("/applications/{}/files/a.mp4", node.application()));
    admin.send(upload.body("no video at all")).await.expect(201);
    let before = inventory(&admin).await;
    let state = &entry(&before, "cluster.key")["state"];
    assert_eq!((state["key_epoch"].as_u64(), state["epochs"].as_u64()), (Some(1), Some(1)));
    assert_eq!(entry(&before, "asset.data_key")["state"]["keys"], 1);
    let status = admin.get("/system/status").await.expect(200);
    assert_eq!(entry(&before, "node.key")["state"]["protection"], status["key_mode"]);
    assert_eq!(entry(&before, "recovery.key")["state"]["confirmed"], status["recovery_confirmed"]);

    admin.post("/cluster/key/rotate", &json!({ "epoch": 1 })).await.expect(204);
    let record = admin.get("/audit?action=cluster.rotate_key").await.expect(200)["items"][0].clone();
    let after = wait_for("the epoch before is forgotten", async || {
        let after = inventory(&admin).await;
        (entry(&after, "cluster.key")["state"]["epochs"] == 1).then_some(after)
    })
    .await;
    let now = &entry(&after, "cluster.key")["state"];
    assert_eq!((now["key_epoch"].as_u64(), &now["since_ms"]), (Some(2), &record["time_ms"]));
    assert!(now["since_ms"].as_u64() > state["since_ms"].as_u64(), "{now} {state}");
    let keys = &entry(&after, "asset.data_key")["state"];
    assert_eq!((keys["keys"].as_u64(), keys["keys_under_old_epoch"].as_u64()), (Some(1), Some(0)));
    node.stop().await;
}

#[tokio::test]
async fn no_key_and_nothing_like_one_is_in_it() {
    let node = Node::start().await;
    let admin = node.admin().await;
    let webhook = json!({ "least": "warning", "webhook": { "url": "https://192.0.2.1/alerts" } });
    let channels = admin.put("/alerts/channels", &webhook).await.expect(200);
    let token = admin.post("/cluster/tokens", &json!({})).await.expect(201);
    let recovery = admin.post("/system/recovery-key", &json!({})).await.expect(201);
    let key_file = files(node.dir().parent().unwrap())
        .into_iter()
        .find(|path| path.extension().is_some_and(|end| end == "key"));
    let key_file =
        std::fs::read_to_string(key_file.expect("the key file lies beside the data folder")).unwrap();
    let root = HEXLOWER.decode(key_file.lines().nth(1).unwrap().as_bytes()).unwrap();
    let secrets = [
        ("the node key", HEXLOWER.encode(&root[..32])),
        ("the node key in base64", BASE64.encode(&root[..32])),
        ("a sign-in", admin.token.clone().unwrap()),
        ("a passphrase", node.ready.password.clone()),
        ("the recovery key", recovery["recovery_key"].as_str().unwrap_or_default().to_owned()),
        ("the webhook's secret", channels["webhook_secret"].as_str().unwrap_or_default().to_owned()),
        ("a join token", token["token"].as_str().unwrap_or_default().to_owned()),
    ];
    let unknown: Vec<_> =
        secrets.iter().filter(|(_, secret)| secret.len() < 12).map(|(what, _)| what).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    let answer = admin.get(PATH).await;
    assert_eq!(canary::found(&answer.bytes, &secrets), [""; 0]);
    let answer = answer.expect(200);
    let mut found = Vec::new();
    texts(&answer, &mut found);
    let words = found.iter().flat_map(|text| text.split(|letter: char| !letter.is_ascii_alphanumeric()));
    let (seen, keys): (Vec<_>, Vec<_>) =
        words.filter(|word| !word.is_empty()).partition(|word| !may_be_a_key(word));
    assert!(seen.len() > 500 && keys.is_empty(), "{} words; like keys: {keys:?}", seen.len());
    node.stop().await;
}
