//! On-disk encodings are pinned: a change of one is a change of version, made on purpose.

use std::fmt::Write as _;
use std::path::Path;

use cluster::command::{Command, Incarnation};
use cluster::entry::{Entry, Request};
use cluster::state::State;

use crate::samples::{commands, name, stage};
use crate::world::*;

/// Compares with `tests/blessed/NAME`, or writes it when `BLESS=1`.
pub fn blessed(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/blessed").join(name);
    if std::env::var_os("BLESS").is_some_and(|value| value == "1") {
        std::fs::write(&path, text).expect("the blessed file is written");
        return;
    }
    let wanted = std::fs::read_to_string(&path).expect("the blessed file is there; BLESS=1 writes it");
    let difference = wanted.lines().zip(text.lines()).find(|(wanted, found)| wanted != found);
    if let Some((wanted, found)) = difference {
        panic!("{name} differs:\n  blessed: {wanted}\n  now:     {found}");
    }
    assert_eq!(wanted, text, "{name} differs in length");
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string");
        text
    })
}

#[test]
fn commands_are_encoded_as_blessed_and_read_back() {
    let mut table = String::from("Postcard bytes of one example of every command, as kept in the log.\n");
    for command in commands() {
        let bytes = postcard::to_allocvec(&command).unwrap();
        assert_eq!(postcard::from_bytes::<Command>(&bytes).unwrap(), command);
        writeln!(table, "{} {}", name(&command), hex(&bytes)).unwrap();
    }
    let entry = Entry {
        time_ms: START,
        actor: owner().at(Some("192.0.2.1".parse().unwrap()), "request"),
        command: commands().remove(0),
        request: Some(Request { node: NODE, life: Incarnation::default(), number: 9, settled: 7 }),
    };
    let bytes = postcard::to_allocvec(&entry).unwrap();
    assert_eq!(postcard::from_bytes::<Entry>(&bytes).unwrap(), entry);
    writeln!(table, "Entry {}", hex(&bytes)).unwrap();
    blessed("commands.txt", &table);
}

#[test]
fn a_state_is_encoded_as_blessed_and_read_back_with_its_indexes() {
    let world = stage();
    let bytes = postcard::to_allocvec(&world.state).unwrap();
    let again: State = postcard::from_bytes(&bytes).unwrap();
    assert_eq!(again, world.state, "indexes and all");
    assert_eq!(postcard::to_allocvec(&again).unwrap(), bytes);
    let mut table = String::from("Postcard bytes of a small State, as kept in a snapshot.\n");
    for row in bytes.chunks(60) {
        writeln!(table, "{}", hex(row)).unwrap();
    }
    blessed("state.txt", &table);
}

#[test]
fn cut_or_changed_bytes_never_panic() {
    let bytes = postcard::to_allocvec(&commands()).unwrap();
    for length in 0..bytes.len() {
        let cut: Result<Vec<Command>, _> = postcard::from_bytes(&bytes[..length]);
        assert!(cut.is_err());
    }
    for place in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[place] ^= 0x55;
        // Either refused or another command: both are fine, a panic is not.
        let _: Result<Vec<Command>, _> = postcard::from_bytes(&changed);
    }
}
