//! The pepper on a real node: it comes by itself, goes into the hashes of passphrases, and outlives a rotation of the cluster
//! key and a restart.

use std::path::Path;
use std::sync::Arc;

use cluster::actor::Actor;
use cluster::command::{AccessCommand, Command, PasswordHash};
use cluster::seal::KeyFileSeal;
use cluster::{Cluster, ClusterConfig};
use data_encoding::{BASE64_NOPAD, HEXLOWER};
use node::auth::hashing::Passphrases;
use node::auth::token::SecretText;
use serde_json::{Value, json};

use crate::canary;
use crate::support::{Client, Node, PASSPHRASE, files, wait_for};

async fn state_of(admin: &Client, id: &str) -> Value {
    let inventory = admin.get("/system/cryptography").await.expect(200);
    let found = inventory["uses"].as_array().unwrap().iter().find(|one| one["id"] == id).unwrap();
    found["state"].clone()
}

/// Waits until the pepper lies under this cluster key.
async fn sealed_under(admin: &Client, epoch: u32) {
    wait_for("the pepper is sealed", || async {
        (state_of(admin, "people.pepper").await["key_epoch"] == epoch).then_some(())
    })
    .await;
}

async fn refused(node: &Node, username: &str) {
    let login = json!({ "username": username, "password": "this is not the passphrase" });
    node.anonymous().post("/sessions", &login).await.expect_problem(401, "wrong_credentials");
}

/// The stopped node of this folder, opened by this process.
async fn opened(folder: &Path) -> Cluster {
    let config = ClusterConfig::new(folder.join("dev/n1"), "n1", "s1");
    let seal = Arc::new(KeyFileSeal::new(folder.join("dev/n1.key"), &config.dir).unwrap());
    Cluster::open(config, seal).await.unwrap()
}

fn hash_of(cluster: &Cluster, username: &str) -> String {
    cluster.state().user_by_name(username).unwrap().password_hash.0.clone()
}

#[tokio::test]
async fn log_ins_go_on_over_a_rotation_of_the_cluster_key_and_a_restart() {
    let node = Node::start().await;
    let admin = node.admin().await;
    sealed_under(&admin, 1).await;
    let pia = node.member(&admin, node.application(), "viewer", "pia").await;
    refused(&node, "pia").await;

    admin.post("/cluster/key/rotate", &json!({ "epoch": 1 })).await.expect(204);
    sealed_under(&admin, 2).await;
    wait_for("the cluster key before is forgotten", || async {
        (state_of(&admin, "cluster.key").await["epochs"] == 1).then_some(())
    })
    .await;
    node.log_in("pia", PASSPHRASE).await.get("/me").await.expect(200);
    refused(&node, "pia").await;
    let record = admin.get("/audit?action=cluster.set_pepper&result=ok").await.expect(200);
    assert_eq!(record["items"].as_array().unwrap().len(), 2, "{record}");

    let node = node.restart().await;
    node.log_in("pia", PASSPHRASE).await.get("/me").await.expect(200);
    refused(&node, "pia").await;
    node.with_token(pia.token.as_deref().unwrap()).get("/me").await.expect(200);

    let folder = node.stop().await;
    let cluster = opened(folder.path()).await;
    let pepper = cluster.pepper().unwrap().expect("there is one");
    let named = format!(",keyid={}$", BASE64_NOPAD.encode(&pepper.id()));
    assert!(hash_of(&cluster, "pia").contains(&named), "{}", hash_of(&cluster, "pia"));
    cluster.shutdown().await;
    let secrets = [("the pepper", HEXLOWER.encode(pepper.expose()))];
    for file in files(folder.path()) {
        let bytes = std::fs::read(&file).unwrap();
        assert!(!canary::contains(&bytes, pepper.expose()), "{} holds the pepper", file.display());
        assert_eq!(canary::found(&bytes, &secrets), [""; 0], "{}", file.display());
    }
}

#[tokio::test]
async fn a_hash_from_before_there_was_a_pepper_is_taken_over_at_the_next_log_in() {
    let node = Node::start().await;
    let admin = node.admin().await;
    sealed_under(&admin, 1).await;
    node.member(&admin, node.application(), "viewer", "pia").await;
    let folder = node.stop().await;

    // As a release without a pepper left it.
    let cluster = opened(folder.path()).await;
    let state = cluster.state();
    let user = state.user_by_name("pia").unwrap().id;
    let session = state.sessions_of(user).next().unwrap().id;
    let bare = Passphrases::new(1, || Ok(None)).unwrap();
    let password_hash = PasswordHash(bare.hash(SecretText::new(PASSPHRASE.to_owned())).await.unwrap());
    let command = AccessCommand::SetPassword { user, password_hash, end_other_sessions: false };
    cluster.propose(Actor::user(user, session), Command::Access(command)).await.unwrap();
    assert!(!hash_of(&cluster, "pia").contains("keyid"));
    cluster.shutdown().await;
    drop((cluster, state));

    let node = Node::start_again(folder).await;
    refused(&node, "pia").await;
    node.log_in("pia", PASSPHRASE).await.get("/me").await.expect(200);
    let folder = node.stop().await;
    let cluster = opened(folder.path()).await;
    assert!(hash_of(&cluster, "pia").contains(",keyid="), "{}", hash_of(&cluster, "pia"));
    cluster.shutdown().await;
}
