//! Downloads: for one client, whole or in parts, under a harmless name.

use reqwest::Method;
use serde_json::json;

use crate::media_support::{clip, put, ready, renditions, view};
use crate::support::{Node, files};

#[tokio::test]
async fn damage_is_said_in_words_and_takes_nothing_else_along() {
    let node = Node::start().await;
    let admin = node.admin().await;
    let asset = put(&node, &admin, clip()).await;
    ready(&admin, &asset).await;
    for file in files(&node.dir().join("blobs")) {
        let mut bytes = std::fs::read(&file).unwrap();
        let middle = bytes.len() / 2;
        // Only the original is as long.
        if bytes.len() >= clip().len() {
            bytes[middle] ^= 1;
            std::fs::write(&file, bytes).unwrap();
        }
    }
    let link = async |what: &str| {
        let made = admin.post(&format!("/assets/{asset}/downloads"), &json!({ "what": what })).await;
        format!("={}", made.expect(201)["url"].as_str().unwrap())
    };
    let nobody = node.anonymous();
    let middle = format!("bytes={0}-{0}", clip().len() / 2);
    let request = nobody.request(Method::GET, &link("original").await).header("Range", middle);
    nobody.send(request).await.expect_problem(500, "damaged");
    let viewed = view(&admin, &asset).await;
    assert!(!renditions(&admin.get(&format!("{viewed}main.m3u8")).await.text()).is_empty());
    node.stop().await;
}

#[tokio::test]
async fn a_link_is_for_the_first_client_and_its_further_ranges() {
    let node = Node::start().await;
    let admin = node.admin().await;
    let asset = put(&node, &admin, clip()).await;
    ready(&admin, &asset).await;
    let link = |what: String| {
        let (admin, asset) = (admin.clone(), asset.clone());
        async move {
            let wanted = json!({ "what": what });
            let made = admin.post(&format!("/assets/{asset}/downloads"), &wanted).await.expect(201);
            format!("={}", made["url"].as_str().unwrap())
        }
    };
    let nobody = node.anonymous();
    let get = |path: &str, headers: &[(&'static str, String)]| {
        let request = nobody.request(Method::GET, path);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, value));
        let nobody = nobody.clone();
        async move { nobody.send(request).await }
    };
    let path = link("original".to_owned()).await;
    let head = nobody.send(nobody.request(Method::HEAD, &path)).await;
    assert_eq!((head.status, head.header("content-length")), (200, clip().len().to_string().as_str()));
    let first = get(&path, &[("Range", "bytes=0-999".into())]).await;
    assert_eq!((first.status, &first.bytes[..]), (206, &clip()[..1000]));
    assert!(first.header("content-disposition").starts_with("attachment; filename=\"clip.mp4\""));
    assert_eq!(first.header("content-type"), "application/octet-stream");
    let cookie = first.header("set-cookie").split(';').next().unwrap().to_owned();
    let rest = get(&path, &[("Range", "bytes=1000-".into())]).await;
    assert_eq!((rest.status, &rest.bytes[..]), (206, &clip()[1000..]));
    assert_eq!(get(&path, &[("Cookie", cookie)]).await.bytes, clip());
    get(&path, &[]).await.expect_problem(403, "download_taken");
    let stranger = [("Range", "bytes=5-".into()), ("User-Agent", "another".into())];
    get(&path, &stranger).await.expect_problem(403, "download_taken");
    get(&path, &[("Cookie", "__Secure-download=guess".into())]).await.expect_problem(403, "download_taken");

    let viewed = view(&admin, &asset).await;
    let main = admin.get(&format!("{viewed}main.m3u8")).await.text();
    let rendition = renditions(&main).into_iter().rfind(|name| name.starts_with('v')).unwrap();
    let joined = get(&link(rendition).await, &[]).await;
    assert_eq!(joined.status, 200);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("joined.mp4");
    std::fs::write(&file, &joined.bytes).unwrap();
    crate::media_support::decoded(&node.ready.ca, file.to_str().unwrap()).await;
    let wanted = json!({ "what": "v9999" });
    assert_eq!(admin.post(&format!("/assets/{asset}/downloads"), &wanted).await.status, 404);
    let records = admin.get("/audit?action=download.start").await.expect(200);
    assert_eq!(records["items"].as_array().unwrap().len(), 2, "{records}");
    node.stop().await;
}
