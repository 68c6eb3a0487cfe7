//! A viewer is sent to the nearest site, is told where else to go, and watches on when a site is gone.

use std::time::{Duration, Instant};

use reqwest::Method;
use rustix::process::Signal;
use serde_json::json;

use super::support::{Client, builder, stop, wait_for};
use super::{Three, media_support};

/// After a site is gone, viewers are sent to the next within this time.
const SENT_ON_WITHIN: Duration = Duration::from_secs(10);

impl Three {
    /// Nobody, who asks node `at` from another address of this machine.
    fn viewer(&self, at: usize, address: &str) -> Client {
        let http = builder(&self.ready.ca).local_address(Some(address.parse().unwrap())).build().unwrap();
        Client { http, ..self.nobody(at) }
    }

    async fn watchable(&self, admin: &Client) -> String {
        let path = format!("/applications/{}/files/clip.mp4", self.ready.application);
        let request = admin.request(Method::PUT, &path).body(media_support::clip().to_vec());
        let asset = admin.send(request).await.expect(201)["asset"].as_str().unwrap().to_owned();
        media_support::ready(admin, &asset).await;
        asset
    }
}

/// The sites a player is to try, in order, as the node that is asked calls them.
async fn order(viewer: &Client, view: &str) -> Vec<String> {
    let manifest = viewer.get(&format!("={view}steering.json")).await;
    assert_eq!(manifest.header("content-type"), "application/json");
    let manifest = manifest.expect(200);
    assert_eq!(manifest["VERSION"], 1);
    let ids = manifest["PATHWAY-PRIORITY"].as_array().unwrap();
    ids.iter().map(|id| id.as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_is_sent_to_the_nearest_site_that_lives() {
    let three = Three::start().await;
    let admin = three.admin(0).await;
    let asset = three.watchable(&admin).await;
    let networks = json!([
        { "network": "127.0.0.5/32", "site": "s2" },
        { "network": "127.0.0.6/32", "site": "not built yet" },
    ]);
    admin.put("/cluster/site-map", &json!({ "networks": networks })).await.expect(204);
    let known = admin.get("/cluster/site-map").await.expect(200);
    assert_eq!(
        known["networks"][0],
        json!({ "network": "127.0.0.5/32", "site": "s2", "round_trip_ms": null })
    );

    let wanted = json!({ "carrier": "path", "any_address": true });
    let view = admin.post(&format!("/assets/{asset}/views"), &wanted).await.expect(201);
    let view = view["playlist_url"].as_str().unwrap().strip_suffix("main.m3u8").unwrap().to_owned();
    let main = format!("={view}main.m3u8");

    let near = three.viewer(0, "127.0.0.5");
    let sent = near.get(&main).await;
    assert_eq!(sent.status, 307, "{}", sent.text());
    let there = sent.header("location").to_owned();
    assert!(there.starts_with(&format!("{}{view}main.m3u8", three.ready.nodes[1].url)), "{there}");
    let at_home = Client { base: three.ready.nodes[1].url.clone(), ..near.clone() };
    let playlist = at_home.get(&format!("={}", there.strip_prefix(&at_home.base).unwrap())).await;
    assert_eq!(playlist.status, 200);
    let tag = "#EXT-X-CONTENT-STEERING:SERVER-URI=\"steering.json\",PATHWAY-ID=\".\"";
    assert!(playlist.text().lines().any(|line| line == tag), "{}", playlist.text());
    assert_eq!(order(&at_home, &view).await[0], ".");
    assert_eq!(order(&near, &view).await[..2], ["s2", "."], "this one is near to the second site only");

    // Of a site without nodes, of no site the map knows, or sent here already: they stay.
    for stays in ["127.0.0.6", "127.0.0.7"] {
        let viewer = three.viewer(0, stays);
        assert_eq!(viewer.get(&main).await.status, 200, "{stays}");
        assert_eq!(order(&viewer, &view).await[0], ".", "{stays}");
    }
    assert_eq!(near.get(&format!("{main}?sent_by=9")).await.status, 200);

    three.signal(1, Signal::KILL);
    let began = Instant::now();
    wait_for("viewers of the dead site stay here", || async {
        (near.get(&main).await.status == 200).then_some(())
    })
    .await;
    assert!(began.elapsed() < SENT_ON_WITHIN, "{:?}", began.elapsed());
    let left = order(&near, &view).await;
    assert_eq!(left, [".", "s3"]);
    stop(three.dev).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_of_one_node_may_play_from_the_others_and_no_other_page_may() {
    let three = Three::start().await;
    let admin = three.admin(0).await;
    let asset = three.watchable(&admin).await;
    // The console says that its player can be steered, and with three sites gets a path that is good at all of them.
    let view = admin.post(&format!("/assets/{asset}/views"), &json!({ "steered": true })).await.expect(201);
    let main = format!("={}", view["playlist_url"].as_str().unwrap());
    let asked = |origin: String| {
        let second = three.nobody(1);
        let (request, main) = (second.request(Method::GET, &main).header("origin", origin), main.clone());
        async move {
            let answer = second.send(request).await;
            assert_eq!(answer.status, 200, "{main}");
            answer.headers.get("access-control-allow-origin").map(|value| value.to_str().unwrap().to_owned())
        }
    };
    let first = three.ready.nodes[0].url.clone();
    assert_eq!(asked(first.clone()).await, Some(first));
    assert_eq!(asked("https://evil.example".to_owned()).await, None);
    let page = three.nobody(0).get("=/").await;
    let policy = page.header("content-security-policy").to_owned();
    for node in &three.ready.nodes {
        assert!(policy.contains(&format!(" {}", node.url)), "{policy}");
    }
    stop(three.dev).await;
}
