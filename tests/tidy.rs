//! House rules that are checked like any other behaviour: sizes, import direction, file heads, no loose ends.
//!
//! Reads the tree it was built from; starts nothing.

use std::fs;
use std::path::{Path, PathBuf};

const LINES_MAX: usize = 600;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the workspace").to_path_buf()
}

fn collect(folder: &Path, extensions: &[&str], found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a readable entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() {
            if !matches!(name, "target" | "node_modules" | "dist" | ".git" | ".tools") {
                collect(&path, extensions, found);
            }
        } else if path.extension().and_then(|e| e.to_str()).is_some_and(|e| extensions.contains(&e)) {
            found.push(path);
        }
    }
}

fn sources(extensions: &[&str]) -> Vec<(String, String)> {
    let root = root();
    let mut paths = Vec::new();
    for folder in ["appliance", "cluster", "node", "pipeline", "tests", "benches"] {
        if root.join(folder).is_dir() {
            collect(&root.join(folder), extensions, &mut paths);
        }
    }
    paths.sort();
    assert!(paths.len() > 20, "the walk must find the sources");
    paths
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).expect("sources are UTF-8");
            (path.strip_prefix(&root).expect("below the root").display().to_string(), text)
        })
        .collect()
}

fn complain(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn every_rust_file_says_what_lives_there() {
    let complaints: Vec<_> = sources(&["rs"])
        .iter()
        .filter(|(_, text)| !text.starts_with("//!"))
        .map(|(path, _)| format!("{path}: begin with a //! line"))
        .collect();
    complain(&complaints);
}

#[test]
fn no_file_outgrows_a_reader() {
    let complaints: Vec<_> = sources(&["rs", "ts", "tsx", "mjs"])
        .iter()
        .filter(|(path, _)| !path.ends_with("schema.d.ts"))
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(_, lines)| *lines > LINES_MAX)
        .map(|(path, lines)| format!("{path}: {lines} lines, at most {LINES_MAX}"))
        .collect();
    complain(&complaints);
}

#[test]
fn imports_point_one_way() {
    let forbidden = [
        ("cluster/src", ["pipeline::", "appliance::", "node::", "actix_web::"].as_slice()),
        ("pipeline/src", ["cluster::", "appliance::", "node::", "openraft::", "actix_web::"].as_slice()),
        ("appliance/src", ["cluster::", "pipeline::", "node::", "actix_web::"].as_slice()),
    ];
    let mut complaints = Vec::new();
    for (path, text) in sources(&["rs"]) {
        for (folder, names) in &forbidden {
            if !path.starts_with(folder) {
                continue;
            }
            for (number, line) in text.lines().enumerate() {
                let line = line.trim_start();
                if names.iter().any(|name| line.starts_with(&format!("use {name}"))) {
                    complaints.push(format!("{path}:{}: {line}", number + 1));
                }
            }
        }
    }
    complain(&complaints);
}

#[test]
fn our_crates_forbid_unsafe_code() {
    for krate in ["appliance", "cluster", "node", "pipeline"] {
        let text = fs::read_to_string(root().join(krate).join("src/lib.rs")).expect("lib.rs");
        assert!(text.contains("#![forbid(unsafe_code)]"), "{krate}/src/lib.rs must forbid unsafe code");
    }
}

#[test]
fn nothing_is_left_open_in_the_code() {
    let marks = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X:"), concat!("#[ign", "ore")];
    let mut complaints = Vec::new();
    for (path, text) in sources(&["rs", "ts", "tsx", "mjs", "sh"]) {
        for (number, line) in text.lines().enumerate() {
            if marks.iter().any(|mark| line.contains(mark)) {
                complaints.push(format!("{path}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    complain(&complaints);
}

#[test]
fn lock_files_carry_no_download_addresses() {
    let cargo = fs::read_to_string(root().join("Cargo.lock")).expect("Cargo.lock");
    let foreign: Vec<_> = cargo
        .lines()
        .filter(|line| line.starts_with("source = "))
        .filter(|line| *line != "source = \"registry+https://github.com/rust-lang/crates.io-index\"")
        .collect();
    assert!(foreign.is_empty(), "{foreign:?}");
    let npm = root().join("node/console/package-lock.json");
    let npm = fs::read_to_string(npm).expect("package-lock.json");
    assert!(!npm.contains("\"resolved\": \"http"), "package-lock.json names download addresses");
}
