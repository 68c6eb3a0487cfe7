//! The OpenAPI document: committed, served, and true in both directions.

use std::collections::BTreeSet;
use std::path::Path;

use node::routes::Routes;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::Node;

const METHODS: [&str; 7] = ["get", "put", "post", "delete", "options", "head", "patch"];

#[test]
fn the_committed_document_is_the_blessed_one() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    let text = node::openapi::text();
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&file, &text).unwrap();
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(committed == text, "node/openapi.json is not what the code says; run ./just fix");
}

#[test]
fn the_document_and_the_route_table_list_the_same_operations() {
    let document: serde_json::Value = serde_json::from_str(&node::openapi::text()).unwrap();
    let mut listed = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in METHODS {
            if item.get(method).is_some() {
                listed.insert((path.clone(), method.to_uppercase()));
            }
        }
    }
    let mut routes = Routes::default();
    node::api::configure_all(&mut routes);
    let operations = routes.operations();
    let served: BTreeSet<_> =
        operations.iter().map(|operation| (operation.path.clone(), operation.method.clone())).collect();
    assert_eq!(served.len(), operations.len(), "an operation is in the table twice");
    assert_eq!(listed, served);
}

#[test]
fn every_operation_has_a_name_of_its_own_a_tag_and_answers() {
    let document: serde_json::Value = serde_json::from_str(&node::openapi::text()).unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let mut names = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let name = operation["operationId"].as_str().unwrap_or_default();
            assert!(names.insert(name.to_owned()), "{name} ({method} {path}) is there twice");
            assert!(!operation["tags"].as_array().unwrap().is_empty(), "{path}");
            assert!(!operation["responses"].as_object().unwrap().is_empty(), "{path}");
        }
    }
}

#[test]
fn every_operation_says_what_it_needs() {
    let mut routes = Routes::default();
    node::api::configure_all(&mut routes);
    let forgotten: Vec<_> =
        routes.names().into_iter().filter(|name| node::access::needs::of(name).is_none()).collect();
    assert_eq!(forgotten, [""; 0]);
}

/// The document as it is committed; another test holds it to what the code says.
fn committed() -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

/// What a reference stands for, or the schema itself.
fn followed<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(name) => {
            document.pointer(name.trim_start_matches('#')).unwrap_or_else(|| panic!("{name} is nowhere"))
        }
        None => schema,
    }
}

/// Says of which values of a request nobody can know how large they may be.
fn without_bounds(document: &Value, schema: &Value, place: &str, found: &mut Vec<String>) {
    let schema = followed(document, schema);
    let is = |name: &str| {
        schema["type"] == name
            || schema["type"].as_array().is_some_and(|all| all.iter().any(|one| one == name))
    };
    if is("integer") && (schema["minimum"].is_null() || schema["maximum"].is_null()) {
        found.push(format!("{place}: a number"));
    }
    if is("array") {
        if schema["maxItems"].is_null() {
            found.push(format!("{place}: a list"));
        }
        without_bounds(document, &schema["items"], &format!("{place}[]"), found);
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        without_bounds(document, property, &format!("{place}.{name}"), found);
    }
    for choice in ["oneOf", "anyOf", "allOf"] {
        for one in schema[choice].as_array().into_iter().flatten() {
            without_bounds(document, one, place, found);
        }
    }
}

/// Every operation with its name.
fn operations(document: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let items = document["paths"].as_object().unwrap().values();
    let all = items.flat_map(|item| item.as_object().unwrap().values());
    all.map(|operation| (operation["operationId"].as_str().unwrap(), operation))
}

#[test]
fn every_number_and_list_that_is_asked_for_says_how_large_it_may_be() {
    let document = committed();
    let mut found = Vec::new();
    for (name, operation) in operations(&document) {
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let place = format!("{name}: {}", parameter["name"].as_str().unwrap());
            without_bounds(&document, &parameter["schema"], &place, &mut found);
        }
        for body in
            operation["requestBody"]["content"].as_object().into_iter().flat_map(|content| content.values())
        {
            without_bounds(&document, &body["schema"], name, &mut found);
        }
    }
    assert_eq!(found, [""; 0]);
}

/// A body is refused for a property that it does not name; whoever writes one by the document must be told.
#[test]
fn every_object_that_is_asked_for_says_that_it_takes_nothing_else() {
    fn open(document: &Value, schema: &Value, place: &str, found: &mut Vec<String>) {
        let schema = followed(document, schema);
        if schema["type"] == "object" && schema["additionalProperties"].is_null() {
            found.push(place.to_owned());
        }
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            open(document, property, &format!("{place}.{name}"), found);
        }
        for one in schema["oneOf"].as_array().into_iter().flatten() {
            open(document, one, place, found);
        }
    }
    let document = committed();
    let mut found = Vec::new();
    for (name, operation) in operations(&document) {
        for body in
            operation["requestBody"]["content"].as_object().into_iter().flat_map(|content| content.values())
        {
            open(&document, &body["schema"], name, &mut found);
        }
    }
    assert_eq!(found, [""; 0]);
}

/// A schema that takes nothing beside its own properties cannot be a part of one that has more.
#[test]
fn no_part_of_a_schema_forbids_the_rest_of_it() {
    let document = committed();
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        for part in schema["allOf"].as_array().into_iter().flatten() {
            assert_ne!(followed(&document, part)["additionalProperties"], false, "{name}");
        }
    }
}

#[tokio::test]
async fn what_may_be_left_out_may_be_null() {
    let node = Node::start().await;
    let admin = node.admin().await;
    let path = format!("/applications/{}/files/a.mp4", node.application());
    let asset = admin.send(admin.request(Method::PUT, &path).body("no video")).await.expect(201);
    let asset = asset["asset"].as_str().unwrap();
    for action in ["publish", "hold"] {
        admin.post(&format!("/assets/{asset}/{action}"), &Value::Null).await.expect(200);
    }
    node.stop().await;
}

#[tokio::test]
async fn a_refusal_has_a_status_that_its_operation_names() {
    let node = Node::start().await;
    let admin = node.admin().await;
    let map = json!({ "networks": [{ "network": "10.1.2.3/8", "site": "north" }] });
    let stale = json!({ "fingerprint": "0".repeat(64) });
    let document = committed();
    for (name, method, path, body, expected) in [
        ("site_map_set", Method::PUT, "/cluster/site-map", map, 400),
        ("authority_replace", Method::POST, "/cluster/authority/replace", stale, 409),
    ] {
        let status = admin.send(admin.request(method, path).json(&body)).await.status;
        let (_, operation) = operations(&document).find(|(known, _)| *known == name).unwrap();
        assert_eq!(status, expected, "{name}");
        assert!(!operation["responses"][status.to_string()].is_null(), "{name}: {status}");
    }
    node.stop().await;
}

#[tokio::test]
async fn the_node_serves_its_document_and_a_page_that_needs_nobody_else() {
    let node = Node::start().await;
    let client = node.anonymous();
    assert_eq!(client.get("/openapi.json").await.text(), node::openapi::text());
    let page = client.get("=/api/docs").await;
    assert_eq!(page.status, 200);
    for asset in ["=/api/docs/docs.js", "=/api/docs/docs.css"] {
        let text = client.get(asset).await;
        assert_eq!(text.status, 200);
        assert!(!text.text().contains("http://") && !text.text().contains("https://"));
    }
    assert!(!page.text().contains("https://"));
    node.stop().await;
}
