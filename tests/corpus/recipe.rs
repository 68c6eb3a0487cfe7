//! Reads tests/corpus/recipe.

use std::collections::BTreeSet;

/// What must become of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// It may become playable.
    pub playable: bool,
    /// It may be refused with one of these codes.
    pub codes: Vec<String>,
}

/// One file of the corpus.
#[derive(Debug, Clone)]
pub struct Entry {
    pub name: String,
    pub expected: Expected,
    pub sha256: Option<String>,
    pub maker: String,
    pub arguments: Vec<String>,
}

/// The entries, in order; panics on what is no recipe.
pub fn read(text: &str) -> Vec<Entry> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let entries: Vec<_> = lines.map(entry).collect();
    let names: BTreeSet<_> = entries.iter().map(|entry| &entry.name).collect();
    assert_eq!(names.len(), entries.len(), "two files of one name");
    entries
}

fn entry(line: &str) -> Entry {
    let fields: Vec<_> = line.splitn(4, " | ").map(str::trim).collect();
    let [name, outcome, hash, how] = fields.as_slice() else { panic!("not four fields: {line}") };
    let mut words = how.split_ascii_whitespace().map(str::to_owned);
    Entry {
        name: (*name).to_owned(),
        expected: expected(outcome),
        sha256: (*hash != "-").then(|| (*hash).to_owned()),
        maker: words.next().expect("a maker"),
        arguments: words.collect(),
    }
}

fn expected(text: &str) -> Expected {
    let codes = |text: &str| text.split(", ").map(str::to_owned).collect();
    if text == "playable" {
        Expected { playable: true, codes: Vec::new() }
    } else if let Some(rest) = text.strip_prefix("refused ") {
        Expected { playable: false, codes: codes(rest) }
    } else if let Some(rest) = text.strip_prefix("playable or ") {
        Expected { playable: true, codes: codes(rest) }
    } else {
        panic!("not an outcome: {text}")
    }
}
