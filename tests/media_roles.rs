//! Roles of an application's own making, on real videos: who may do what, at once when it changes, through API and player.

use reqwest::Method;
use serde_json::{Value, json};

use crate::media_support::{clip, put, ready, view};
use crate::support::{Client, Node};

struct Stage {
    node: Node,
    admin: Client,
    roles: String,
}

impl Stage {
    async fn new() -> Self {
        let node = Node::start().await;
        let admin = node.admin().await;
        let roles = format!("/applications/{}/roles", node.application());
        Self { node, admin, roles }
    }

    async fn role(&self, name: &str, abilities: &[&str]) -> String {
        let body = json!({ "name": name, "abilities": abilities });
        let made = self.admin.post(&self.roles, &body).await.expect(201);
        made["id"].as_str().unwrap().to_owned()
    }

    async fn change(&self, role: &str, name: &str, abilities: &[&str]) {
        let body = json!({ "name": name, "abilities": abilities });
        self.admin.put(&format!("{}/{role}", self.roles), &body).await.expect(200);
    }

    /// A member with a role, and its id.
    async fn member(&self, name: &str, role: &str) -> (Client, String) {
        let member = self.node.member(&self.admin, self.node.application(), "viewer", name).await;
        let id = member.get("/me").await.expect(200)["user"]["id"].as_str().unwrap().to_owned();
        self.admin.put(&self.place(&id), &json!({ "custom_role": role })).await.expect(204);
        (member, id)
    }

    fn place(&self, user: &str) -> String {
        format!("/applications/{}/members/{user}", self.node.application())
    }

    fn at(&self, rest: &str) -> String {
        format!("/applications/{}/{rest}", self.node.application())
    }
}

fn lacks_ability(problem: &Value) {
    assert_eq!(problem["needs"], "ability", "{problem}");
}

#[tokio::test]
async fn a_key_that_only_uploads_brings_a_video_in_and_gets_none_out() {
    let stage = Stage::new().await;
    let role = stage.role("Drop box", &["upload"]).await;
    let body = json!({ "name": "scanner", "custom_role": role });
    let key = stage.admin.post(&stage.at("api-keys"), &body).await.expect(201);
    assert_eq!(key["custom_role"]["name"], "Drop box");
    let scanner = stage.node.with_token(key["secret"].as_str().unwrap());
    let asset = put(&stage.node, &scanner, clip()).await;
    ready(&stage.admin, &asset).await;

    let path = format!("/assets/{asset}");
    for (rest, body) in [
        ("/views", json!({})),
        ("/publish", json!({})),
        ("/trash", json!({})),
        ("/retry", json!({})),
        ("/downloads", json!({ "what": "original" })),
    ] {
        let refused = scanner.post(&format!("{path}{rest}"), &body).await;
        lacks_ability(&refused.expect_problem(403, "forbidden"));
    }
    // Nor what is in it: its pictures, its sound and its words. The poster is its face in the library.
    for part in ["storyboard.vtt", "storyboard.jpg", "waveform", "captions/en"] {
        let refused = scanner.get(&format!("{path}/{part}")).await;
        lacks_ability(&refused.expect_problem(403, "forbidden"));
    }
    assert_eq!(scanner.get(&format!("{path}/poster")).await.status, 200);
    let rename = scanner.patch(&path, &json!({ "title": "x" })).await;
    lacks_ability(&rename.expect_problem(403, "forbidden"));
    assert_eq!(
        scanner.get(&path).await.expect(200)["title"],
        stage.admin.get(&path).await.expect(200)["title"]
    );
    let refused = stage.admin.delete(&format!("{}/{role}", stage.roles)).await;
    refused.expect_problem(409, "role_in_use");
    stage.node.stop().await;
}

#[tokio::test]
async fn a_view_ends_when_the_role_no_longer_allows_it() {
    let stage = Stage::new().await;
    let asset = put(&stage.node, &stage.admin, clip()).await;
    ready(&stage.admin, &asset).await;
    stage.admin.post(&format!("/assets/{asset}/publish"), &json!({})).await.expect(200);
    let role = stage.role("Watches", &["watch"]).await;
    let (vera, id) = stage.member("vera", &role).await;
    let place = &vera.get("/me").await.expect(200)["applications"][0];
    assert_eq!((&place["role"], &place["abilities"]), (&json!("viewer"), &json!(["watch"])));
    assert_eq!(place["custom_role"]["name"], "Watches");

    let token = view(&vera, &asset).await;
    let nobody = stage.node.anonymous();
    let key = || async { nobody.get(&format!("{token}key/0")).await.status };
    assert_eq!(key().await, 200);
    stage.change(&role, "Catalogue", &[]).await;
    assert_eq!(key().await, 403);
    let refused = vera.post(&format!("/assets/{asset}/views"), &json!({})).await;
    lacks_ability(&refused.expect_problem(403, "forbidden"));
    assert_eq!(vera.get(&stage.at("assets")).await.expect(200)["items"][0]["id"], asset.as_str());
    stage.change(&role, "Watches", &["watch", "access"]).await;
    assert_eq!(key().await, 200);

    // A built-in role in its place, and the other one can go.
    stage.admin.put(&stage.place(&id), &json!({ "role": "viewer" })).await.expect(204);
    stage.admin.delete(&format!("{}/{role}", stage.roles)).await.expect(204);
    assert_eq!(vera.get("/me").await.expect(200)["applications"][0]["custom_role"], json!(null));
    stage.node.stop().await;
}

#[tokio::test]
async fn whoever_manages_members_raises_nobody_above_themselves() {
    let stage = Stage::new().await;
    let role = stage.role("Front desk", &["members", "watch"]).await;
    let (mia, own) = stage.member("mia", &role).await;
    let members = mia.get(&stage.at("members")).await.expect(200);
    let mine = members["items"].as_array().unwrap().iter().find(|one| one["user"] == own.as_str());
    assert_eq!(mine.unwrap()["custom_role"]["id"], role.as_str());
    for body in [json!({ "role": "admin" }), json!({ "role": "viewer" })] {
        lacks_ability(&mia.put(&stage.place(&own), &body).await.expect_problem(403, "forbidden"));
        lacks_ability(&mia.post(&stage.at("invites"), &body).await.expect_problem(403, "forbidden"));
    }
    let more = json!({ "name": "Front desk", "abilities": ["members", "watch", "purge"] });
    let refused = mia.put(&format!("{}/{role}", stage.roles), &more).await;
    lacks_ability(&refused.expect_problem(403, "forbidden"));
    let invite = mia.post(&stage.at("invites"), &json!({ "custom_role": role })).await.expect(201);
    assert_eq!(invite["custom_role"]["name"], "Front desk");
    // One's own place is one's own to leave.
    mia.delete(&stage.place(&own)).await.expect(204);
    stage.node.stop().await;
}

#[tokio::test]
async fn a_body_names_one_role_and_abilities_that_there_are() {
    let stage = Stage::new().await;
    let role = stage.role("Watches", &["watch"]).await;
    let both = json!({ "role": "viewer", "custom_role": role });
    for body in [both, json!({}), json!({ "custom_role": "x" }), json!({ "custom_role": null })] {
        stage.admin.post(&stage.at("invites"), &body).await.expect_problem(400, "invalid");
    }
    let foreign = json!({ "custom_role": "0".repeat(26) });
    stage.admin.post(&stage.at("invites"), &foreign).await.expect_problem(404, "role_not_found");
    for body in [
        json!({ "name": "x", "abilities": ["fly"] }),
        json!({ "name": "x" }),
        json!({ "name": "", "abilities": [] }),
        json!({ "name": "x", "abilities": [], "role": "admin" }),
    ] {
        let refused = stage.admin.post(&stage.roles, &body).await;
        assert_eq!(refused.status, 400, "{body}");
    }
    let taken = json!({ "name": "WATCHES", "abilities": [] });
    stage.admin.post(&stage.roles, &taken).await.expect_problem(409, "name_taken");
    let nowhere = format!("{}/{}", stage.roles, "0".repeat(26));
    stage.admin.delete(&nowhere).await.expect_problem(404, "role_not_found");
    let listed = stage.admin.get(&stage.roles).await.expect(200);
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    let viewer = stage.node.member(&stage.admin, stage.node.application(), "viewer", "vic").await;
    viewer.get(&stage.roles).await.expect_problem(403, "forbidden");
    let options = stage.admin.send(stage.admin.request(Method::PUT, &stage.roles)).await;
    assert_eq!(options.status, 405);
    stage.node.stop().await;
}
