//! The passphrase once more: a browser is asked for it before what cannot be taken back.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Client, Node, wait_for};

/// A node on which a passphrase counts for so many seconds.
async fn node_with(seconds: u32) -> Node {
    let settings =
        format!("[limits]\nconfirm_seconds = {seconds}\nrequests_per_second = 1000\nrequest_burst = 1000\n");
    Node::start_as_configured(&settings).await
}

/// Somebody at a browser, with the cookies it was given.
struct Browser {
    client: Client,
    origin: String,
    cookies: Vec<String>,
}

fn cookie_of(answer: &Answer) -> String {
    answer.header("set-cookie").split(';').next().unwrap().to_owned()
}

impl Browser {
    async fn log_in(node: &Node) -> Self {
        let client = node.anonymous();
        let body = json!({ "username": node.ready.username, "password": node.ready.password });
        let answer = client.post("/sessions", &body).await;
        Self { cookies: vec![cookie_of(&answer)], client, origin: node.url().to_owned() }
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let request = self.client.request(method, path).header("cookie", self.cookies.join("; "));
        let request = request.header("origin", &self.origin);
        self.client
            .send(match body {
                Some(body) => request.json(&body),
                None => request,
            })
            .await
    }

    /// Tries something grave that comes to nothing: no such application is in the trash.
    async fn purge(&self, application: &str) -> Answer {
        self.ask(Method::DELETE, &format!("/trashed-applications/{application}"), None).await
    }

    async fn confirm(&self, passphrase: &str) -> Answer {
        let body = json!({ "password": passphrase });
        self.ask(Method::POST, "/sessions/current/confirm", Some(body)).await
    }

    async fn until_it_counts_no_longer(&self, application: &str) {
        wait_for("the passphrase counts no longer", || async {
            (self.purge(application).await.status == 403).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_browser_gives_the_passphrase_again_before_what_cannot_be_taken_back() {
    let node = node_with(2).await;
    let app = node.application();
    let mut browser = Browser::log_in(&node).await;
    browser.purge(app).await.expect(404);
    browser.until_it_counts_no_longer(app).await;
    browser.purge(app).await.expect_problem(403, "confirm_needed");
    let bulk = json!({ "ids": [app], "action": "purge" });
    let refused = browser.ask(Method::POST, "/assets/bulk", Some(bulk)).await;
    refused.expect_problem(403, "confirm_needed");
    browser.ask(Method::GET, &format!("/applications/{app}"), None).await.expect(200);
    let patch = json!({ "name": "Still works" });
    browser.ask(Method::PATCH, &format!("/applications/{app}"), Some(patch)).await.expect(200);

    browser.confirm("this is not the passphrase").await.expect_problem(403, "wrong_credentials");
    browser.purge(app).await.expect_problem(403, "confirm_needed");
    let confirmed = browser.confirm(&node.ready.password).await;
    confirmed.expect(204);
    let cookie = confirmed.header("set-cookie").to_owned();
    for property in ["__Host-confirmed=", "HttpOnly", "Secure", "SameSite=Strict", "Path=/", "Max-Age=2"] {
        assert!(cookie.contains(property), "{cookie}");
    }
    browser.cookies.push(cookie_of(&confirmed));
    browser.purge(app).await.expect(404);
    browser.until_it_counts_no_longer(app).await;

    let admin = node.admin().await;
    let records = admin.get("/audit?action=session.confirm").await.expect(200);
    let records = records["items"].as_array().unwrap();
    let mut results: Vec<_> = records.iter().map(|record| record["result"].as_str().unwrap()).collect();
    results.sort_unstable();
    assert_eq!(results, ["ok", "wrong_credentials"]);
    node.stop().await;
}

#[tokio::test]
async fn a_confirmation_is_good_for_the_sign_in_that_gave_it_and_tools_are_not_asked() {
    let node = node_with(4).await;
    let app = node.application();
    let (mut one, mut other) = (Browser::log_in(&node).await, Browser::log_in(&node).await);
    let tool = node.admin().await;
    one.until_it_counts_no_longer(app).await;
    other.until_it_counts_no_longer(app).await;
    tool.delete(&format!("/trashed-applications/{app}")).await.expect(404);
    let confirmed = one.confirm(&node.ready.password).await;
    confirmed.expect(204);
    one.cookies.push(cookie_of(&confirmed));
    other.cookies.push(cookie_of(&confirmed));
    one.purge(app).await.expect(404);
    other.purge(app).await.expect_problem(403, "confirm_needed");
    let mut forged = cookie_of(&confirmed);
    let last = forged.pop().unwrap();
    forged.push(if last == 'A' { 'B' } else { 'A' });
    let forged = Browser { cookies: vec![one.cookies[0].clone(), forged], ..Browser::log_in(&node).await };
    forged.purge(app).await.expect_problem(403, "confirm_needed");
    node.stop().await;
}
