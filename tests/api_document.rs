//! The OpenAPI document: committed, served, and true in both directions.

use std::collections::BTreeSet;
use std::path::Path;

use node::routes::Routes;

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
