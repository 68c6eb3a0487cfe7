//! Rebuilds the binary when the built console changes, and refuses a release image without one.
//!
//! `rust-embed` does not notice a `dist` folder that appears later, so the folder is named here. npm is never called.

fn main() -> Result<(), String> {
    let dist = std::path::Path::new("console/dist");
    println!("cargo:rerun-if-changed=console/dist");
    println!("cargo:rerun-if-env-changed=MEDIAKEEP_CONSOLE");
    let required = std::env::var("MEDIAKEEP_CONSOLE").is_ok_and(|value| value == "required");
    if required && !dist.join("index.html").is_file() {
        return Err("node/console/dist/index.html is missing: run ./just console first".into());
    }
    Ok(())
}
