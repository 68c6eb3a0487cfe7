//! For tests and fuzzing: everything that reads bytes of a connection, in one call.

use bytes::Bytes;

use super::frame::{Frame, Kind};
use super::hello::{Hello, HelloAnswer, Lane};
use crate::cluster::read_join_messages;
use crate::command::Incarnation;
use crate::net::Message;
use crate::transfer::read_wire_head;

/// Reads frames as far as there are whole ones, and their heads as all that a head may be.
pub fn read_all(bytes: &[u8]) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().build() else { return };
    runtime.block_on(async {
        let mut rest = bytes;
        while let Ok(frame) = Frame::read(&mut rest).await {
            let head = &frame.message.head;
            if let Ok(hello) = postcard::from_bytes::<Hello>(head) {
                std::hint::black_box(hello.version());
            }
            drop(postcard::from_bytes::<HelloAnswer>(head));
            read_join_messages(head);
            read_wire_head(&frame.message);
        }
    });
}

/// Good input: a greeting, a call and a ping, one after the other.
#[must_use]
pub fn example() -> Vec<u8> {
    let mut bytes = Vec::new();
    let hello = Hello::new(Incarnation::default(), Lane::Bulk);
    let head = postcard::to_allocvec(&hello).unwrap_or_default();
    let message = Message { head: Bytes::from_static(b"\x01\x05\x00"), body: Bytes::from_static(b"body") };
    let call = Frame { kind: Kind::Call, service: 2, deadline_ms: 1000, id: 9, message };
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().build() else { return bytes };
    runtime.block_on(async {
        for frame in [Frame::hello(head), call, Frame::plain(Kind::Ping)] {
            // Writing to memory does not fail.
            drop(frame.write(&mut bytes).await);
        }
    });
    bytes
}
