//! What a worker taken over by a hostile file could do: nothing.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

#[path = "pipeline_nursery.rs"]
mod nursery;
mod pipeline_support;

use std::sync::Arc;

use bytes::Bytes;
use pipeline::FailureCode;
use pipeline_support::{probe, worker};

#[test]
fn inside_the_cage_no_file_no_network_no_program_can_be_reached() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let escaped = runtime.block_on(pipeline::try_sandbox(&worker())).unwrap();
    assert_eq!(escaped, Vec::<String>::new(), "a worker could do what it must not");
    assert!(!std::path::Path::new("/tmp/mediakeep-escape").exists());
}

#[test]
fn bytes_that_are_no_media_are_refused_with_a_reason() {
    let cases: [(&str, Vec<u8>, FailureCode); 4] = [
        ("empty", Vec::new(), FailureCode::Empty),
        ("zeros", vec![0; 300_000], FailureCode::UnsupportedContainer),
        ("text", b"Dear Sir or Madam, ".repeat(1000), FailureCode::UnsupportedContainer),
        ("zip", b"PK\x03\x04".iter().copied().chain([7; 5000]).collect(), FailureCode::UnsupportedContainer),
    ];
    for (name, bytes, code) in cases {
        let failure = probe(Arc::new(Bytes::from(bytes))).expect_err(name);
        assert_eq!(failure.code, code, "{name}");
        assert!(failure.reason.ends_with('.'), "{name}: {}", failure.reason);
    }
}
