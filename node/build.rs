//! Rebuilds the binary when the built console changes, and refuses a release image without one. Writes down which crates ours
//! depend on, for the inventory of cryptography.
//!
//! `rust-embed` does not notice a `dist` folder that appears later, so the folder is named here. npm is never called.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

const OURS: [&str; 4] = ["appliance", "cluster", "node", "pipeline"];

fn main() -> Result<(), String> {
    let dist = Path::new("console/dist");
    println!("cargo:rerun-if-changed=console/dist");
    println!("cargo:rerun-if-env-changed=MEDIAKEEP_CONSOLE");
    let required = std::env::var("MEDIAKEEP_CONSOLE").is_ok_and(|value| value == "required");
    if required && !dist.join("index.html").is_file() {
        return Err("node/console/dist/index.html is missing: run ./just console first".into());
    }
    write_dependencies()
}

/// `DIRECT` in `OUT_DIR/dependencies.rs`: the direct dependencies of our crates with their versions, from `Cargo.lock`.
fn write_dependencies() -> Result<(), String> {
    let lock = Path::new("../Cargo.lock");
    println!("cargo:rerun-if-changed={}", lock.display());
    let text = std::fs::read_to_string(lock).map_err(|error| format!("{}: {error}", lock.display()))?;
    let packages: Vec<&str> = text.split("[[package]]").skip(1).collect();
    let field = |package: &str, name: &str| {
        let line = package.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = "));
        line.map(|value| value.trim_matches('"').to_owned())
    };
    let mut versions: BTreeMap<String, String> = BTreeMap::new();
    for package in &packages {
        versions.extend(field(package, "name").zip(field(package, "version")));
    }
    let mut direct: BTreeMap<String, String> = BTreeMap::new();
    for package in
        packages.iter().filter(|package| field(package, "name").is_some_and(|name| OURS.contains(&&*name)))
    {
        let list = package.split_once("dependencies = [").map_or("", |(_, list)| list);
        for line in list.lines().map(str::trim).filter(|line| line.starts_with('"')) {
            // A name that there is twice has its version behind it.
            let mut words = line.trim_end_matches(',').trim_matches('"').split(' ');
            let Some(name) = words.next() else { continue };
            let version = words.next().map(str::to_owned).or_else(|| versions.get(name).cloned());
            direct.insert(name.to_owned(), version.unwrap_or_default());
        }
    }
    let mut code = String::from("pub(super) const DIRECT: &[(&str, &str)] = &[\n");
    for (name, version) in direct {
        writeln!(code, "    ({name:?}, {version:?}),").map_err(|error| error.to_string())?;
    }
    code.push_str("];\n");
    let folder = std::env::var("OUT_DIR").map_err(|error| error.to_string())?;
    std::fs::write(Path::new(&folder).join("dependencies.rs"), code).map_err(|error| error.to_string())
}
