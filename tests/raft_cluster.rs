//! One node: what it acknowledged is there after a restart, and what it refuses it refuses in so many words.

use cluster::{Cluster, OpenError, ProposeError};

use crate::support::{Home, claim, note, system};

#[tokio::test]
async fn a_restart_keeps_everything() {
    let home = Home::new();
    let first = home.create().await;
    first.propose(system(), claim()).await.unwrap();
    for number in 0..20 {
        first.propose(system(), note(&format!("note {number}"))).await.unwrap();
    }
    let before = postcard::to_allocvec(&*first.state()).unwrap();
    let time = first.now_ms();
    first.shutdown().await;
    drop(first);

    let again = home.open().await;
    assert_eq!(postcard::to_allocvec(&*again.state()).unwrap(), before);
    assert!(again.state().is_claimed());
    assert!(again.now_ms() >= time);
    assert_eq!(again.status().repairs, Vec::<String>::new());
    again.propose(system(), note("after")).await.unwrap();
    let read = again.linearizable().await.unwrap();
    assert_eq!(read.chain_head().sequence, again.audit().last());
    again.shutdown().await;
}

#[tokio::test]
async fn a_folder_holds_one_cluster_and_one_process() {
    let home = Home::new();
    assert!(matches!(Cluster::open(home.config.clone(), home.seal()).await, Err(OpenError::Absent(_))));
    let running = home.create().await;
    assert!(matches!(Cluster::open(home.config.clone(), home.seal()).await, Err(OpenError::InUse(_))));
    running.shutdown().await;
    drop(running);
    assert!(matches!(Cluster::create(home.config.clone(), home.seal()).await, Err(OpenError::Exists(_))));
}

#[tokio::test]
async fn an_oversized_change_is_refused_and_harms_nothing() {
    let home = Home::new();
    let cluster = home.create().await;
    let error = cluster.propose(system(), note(&"x".repeat(20_000))).await.unwrap_err();
    assert!(matches!(error, ProposeError::TooLarge { .. }), "{error}");
    cluster.propose(system(), note("small")).await.unwrap();
    cluster.shutdown().await;
}
