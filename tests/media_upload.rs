//! Uploads: resumed by tus, refused when they are wrong, never half visible.

use data_encoding::BASE64;
use reqwest::Method;
use serde_json::json;

use crate::media_support::{begin, clip, plays, put, ready, send, tus, view};
use crate::support::{Node, wait_for};

#[tokio::test]
async fn a_file_uploaded_in_pieces_over_a_restart_plays_in_every_rendition() {
    let node = Node::start().await;
    let admin = node.admin().await;
    let (file, half) = (clip(), clip().len() / 2);
    let asset = begin(&admin, file.len()).await;
    let first = send(&admin, &asset, 0, &file[..half]).await;
    assert_eq!((first.status, first.header("upload-offset")), (204, half.to_string().as_str()));
    send(&admin, &asset, 0, &file[..half]).await.expect_problem(409, "wrong_offset");
    send(&admin, &asset, half, &[file, &file[..9]].concat())
        .await
        .expect_problem(413, "longer_than_announced");

    let node = node.restart().await;
    let admin = node.admin().await;
    let stands = admin.send(tus(&admin, Method::HEAD, &format!("/uploads/{asset}"))).await;
    assert_eq!((stands.status, stands.header("upload-offset")), (200, half.to_string().as_str()));
    let rest = &file[half..];
    let checked = |digest: &[u8]| {
        let request = tus(&admin, Method::PATCH, &format!("/uploads/{asset}")).header("Upload-Offset", half);
        let request = request.header("Content-Type", "application/offset+octet-stream");
        request.header("Upload-Checksum", format!("sha256 {}", BASE64.encode(digest))).body(rest.to_vec())
    };
    admin.send(checked(&[7; 32])).await.expect_problem(460, "checksum_mismatch");
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, rest);
    let last = admin.send(checked(digest.as_ref())).await;
    assert_eq!((last.status, last.header("upload-offset")), (204, file.len().to_string().as_str()));

    ready(&admin, &asset).await;
    let again = admin.send(tus(&admin, Method::HEAD, &format!("/uploads/{asset}"))).await;
    assert_eq!(again.header("upload-offset"), file.len().to_string());
    let path = view(&admin, &asset).await;
    plays(&node, &admin, &path).await;
    let record = admin.get("/audit?action=view.start").await.expect(200);
    assert_eq!(record["items"].as_array().unwrap().len(), 1, "{record}");
    node.stop().await;
}

#[tokio::test]
async fn a_plain_put_is_whole_or_leaves_nothing() {
    let node = Node::start().await;
    let admin = node.admin().await;
    let path = format!("/applications/{}/files", node.application());
    let send =
        |name: &str, body: reqwest::Body| admin.request(Method::PUT, &format!("{path}/{name}")).body(body);
    admin.send(send("a.mp4", Vec::new().into())).await.expect_problem(400, "empty_file");
    for name in ["%2e%2e%2fpasswd", "a%5Cb", "a%0Ab", "%E2%80%AEgpj.exe"] {
        admin.send(send(name, b"x".to_vec().into())).await.expect_problem(400, "bad_file_name");
    }
    // A body that breaks off: the client dies in the middle.
    let broken = || {
        let pieces = [Ok(clip()[..1000].to_vec()), Err(std::io::Error::other("gone"))];
        send("broken.mp4", reqwest::Body::wrap_stream(futures_util::stream::iter(pieces)))
    };
    assert!(broken().send().await.is_err());
    // The same of known length: one that is taken into memory, and one that is written as it comes.
    for length in [5_000, 5_000_000] {
        assert!(broken().header("Content-Length", length).send().await.is_err());
    }
    let list = format!("/applications/{}/assets", node.application());
    wait_for("nothing half uploaded", || async {
        admin.get(&list).await.expect(200)["items"].as_array().unwrap().is_empty().then_some(())
    })
    .await;
    // And one of unknown length that does not.
    let pieces = clip().chunks(50_000).map(|piece| Ok::<_, std::io::Error>(piece.to_vec()));
    let streamed = reqwest::Body::wrap_stream(futures_util::stream::iter(pieces.collect::<Vec<_>>()));
    let asset = admin.send(send("whole.mp4", streamed)).await.expect(201);
    ready(&admin, asset["asset"].as_str().unwrap()).await;
    node.stop().await;
}

/// A body whose last byte waits until it is let go.
fn held_back(bytes: &'static [u8]) -> (reqwest::Body, tokio::sync::oneshot::Sender<()>) {
    let (let_go, waits) = tokio::sync::oneshot::channel::<()>();
    let (most, last) = bytes.split_at(bytes.len() - 1);
    let last = async move {
        waits.await.expect("the test lets the last byte go");
        Ok(last)
    };
    let pieces = futures_util::stream::once(async move { Ok::<_, std::io::Error>(most) });
    let pieces = futures_util::StreamExt::chain(pieces, futures_util::stream::once(last));
    (reqwest::Body::wrap_stream(pieces), let_go)
}

#[tokio::test]
async fn an_upload_whose_end_fails_is_ended_all_the_same() {
    let node = Node::start().await;
    let admin = node.admin().await;
    let writer = node.member(&admin, node.application(), "user", "wanda").await;
    let wanda = writer.get("/me").await.expect(200)["user"]["id"].as_str().unwrap().to_owned();
    let asset = begin(&writer, clip().len()).await;
    let (body, let_go) = held_back(clip());
    let request = tus(&writer, Method::PATCH, &format!("/uploads/{asset}")).header("Upload-Offset", 0);
    let request = request.header("Content-Type", "application/offset+octet-stream").body(body);
    let sending = tokio::spawn(request.send());
    wait_for("the upload to be written", || async {
        (send(&admin, &asset, 0, b"").await.status == 423).then_some(())
    })
    .await;
    // All bytes arrive, but whoever sent them may not finish any more.
    admin.patch(&format!("/users/{wanda}"), &json!({ "suspended": true })).await.expect(200);
    let_go.send(()).unwrap();
    let refused = sending.await.unwrap().unwrap().status();
    assert!(refused.is_client_error(), "{refused}");
    ready(&admin, &asset).await;
    node.stop().await;
}

#[tokio::test]
async fn wrong_headers_are_refused_before_anything_exists() {
    let node = Node::start().await;
    let admin = node.admin().await;
    let options = admin.send(admin.request(Method::OPTIONS, "/uploads")).await;
    assert!(options.header("tus-extension").contains("creation") && options.status == 204);
    type Case<'a> = (&'a [(&'a str, &'a str)], u16, &'a str);
    let cases: [Case<'_>; 9] = [
        (&[("Upload-Length", "5")], 412, "tus_version"),
        (&[("Tus-Resumable", "0.2.2"), ("Upload-Length", "5")], 412, "tus_version"),
        (&[("Tus-Resumable", "1.0.0")], 400, "bad_length"),
        (&[("Tus-Resumable", "1.0.0"), ("Upload-Length", "-5")], 400, "bad_length"),
        (&[("Tus-Resumable", "1.0.0"), ("Upload-Length", "0")], 400, "empty_file"),
        (&[("Tus-Resumable", "1.0.0"), ("Upload-Length", "99999999999999999")], 413, "upload_too_large"),
        (
            &[("Tus-Resumable", "1.0.0"), ("Upload-Length", "5"), ("Upload-Metadata", "filename ???")],
            400,
            "bad_metadata",
        ),
        (
            &[("Tus-Resumable", "1.0.0"), ("Upload-Length", "5"), ("Upload-Metadata", "filename Li4vYQ==")],
            400,
            "bad_file_name",
        ),
        (&[("Tus-Resumable", "1.0.0"), ("Upload-Length", "5"), ("Upload-Length", "6")], 400, "header_twice"),
    ];
    for (headers, status, code) in cases {
        let request = admin.request(Method::POST, "/uploads");
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        admin.send(request).await.expect_problem(status, code);
    }
    let list = admin.get(&format!("/applications/{}/assets", node.application())).await.expect(200);
    assert_eq!(list["items"], json!([]));
    let asset = begin(&admin, 100).await;
    let gone = admin.send(tus(&admin, Method::DELETE, &format!("/uploads/{asset}"))).await;
    assert_eq!(gone.status, 204);
    send(&admin, &asset, 0, b"x").await.expect_problem(404, "asset_not_found");
    let stranger = node.member(&admin, node.application(), "viewer", "vera").await;
    let request = tus(&stranger, Method::POST, "/uploads").header("Upload-Length", 5);
    assert_eq!(stranger.send(request).await.status, 403);
    node.stop().await;
}

#[tokio::test]
async fn captions_and_posters_stand_beside_the_video() {
    let node = Node::start().await;
    let admin = node.admin().await;
    let asset = put(&node, &admin, clip()).await;
    ready(&admin, &asset).await;
    let captions = |text: &str| {
        let request = admin.request(Method::PUT, &format!("/assets/{asset}/captions/de"));
        request.body(text.to_owned())
    };
    admin.send(captions("no captions")).await.expect_problem(400, "not_webvtt");
    let script = "WEBVTT\n\n00:00.000 --> 00:01.000\n<script>x</script>\n";
    admin.send(captions(script)).await.expect_problem(400, "captions_markup_refused");
    admin.send(captions("WEBVTT\n\n00:00.000 --> 00:01.000\nGuten Tag\n")).await.expect(204);
    let path = view(&admin, &asset).await;
    let main = admin.get(&format!("{path}main.m3u8")).await.text();
    assert!(main.contains("URI=\"subs/de/index.m3u8\""), "{main}");
    assert_eq!(admin.get(&format!("{path}subs/de/index.m3u8")).await.status, 200);
    assert!(admin.get(&format!("{path}subs/de/0.vtt")).await.text().contains("Guten Tag"));
    admin.delete(&format!("/assets/{asset}/captions/de")).await.expect(204);
    assert_eq!(admin.get(&format!("{path}subs/de/0.vtt")).await.status, 404);

    let poster =
        |bytes: &[u8]| admin.request(Method::PUT, &format!("/assets/{asset}/poster")).body(bytes.to_vec());
    admin.send(poster(b"GIF89a")).await.expect_problem(415, "unsupported_media_type");
    let picture = [&[0xff, 0xd8, 0xff, 0xe0][..], &[0; 100]].concat();
    admin.send(poster(&picture)).await.expect(204);
    let shown = admin.get(&format!("/assets/{asset}/poster")).await;
    assert_eq!((shown.status, shown.header("content-type")), (200, "image/jpeg"));
    assert_eq!(shown.bytes, picture);
    node.stop().await;
}

/// Anybody who may upload can announce uploads for nothing: they must not use up the node's open files.
#[tokio::test]
async fn a_thousand_announced_uploads_keep_few_files_open_and_each_goes_on() {
    let node = Node::start().await;
    let admin = node.admin().await;
    let file = clip();
    let half = file.len() / 2;
    let first = begin(&admin, file.len()).await;
    send(&admin, &first, 0, &file[..half]).await.expect(204);
    let open_files = || {
        let folder = format!("/proc/{}/fd", node.ready.nodes[0].pid);
        std::fs::read_dir(folder).unwrap().count()
    };
    let before = open_files();
    for _ in 0..1_000 {
        begin(&admin, 100).await;
    }
    let more = open_files() - before;
    assert!(more < 900, "a thousand uploads keep {more} files open");
    // The longest at rest goes on where it stood.
    send(&admin, &first, half, &file[half..]).await.expect(204);
    ready(&admin, &first).await;
    node.stop().await;
}
