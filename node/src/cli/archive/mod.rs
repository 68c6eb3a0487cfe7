//! `export` and `import`: everything as plain files and JSON in a folder, and back.
//!
//! The folder needs no mediakeep to be read: one folder per application, one per asset with the original as it was
//! uploaded, `SHA256SUMS` for `sha256sum -c`, and `export.json`, which is written last. Both commands use the public API
//! alone.

mod asset;
mod error;
mod export;
mod files;
mod folder;
mod gather;
mod import;
mod record;
mod settle;
mod source;

pub use error::ArchiveError;
pub use export::Export;
pub use import::Import;

/// `format` in `export.json`.
const FORMAT: &str = "mediakeep-export";
/// The version of the format that this program writes and reads.
const VERSION: u64 = 1;
/// Says that the folder is whole; written last.
const HEAD: &str = "export.json";
/// Says that the folder is not whole yet.
const BEGUN: &str = "export.unfinished.json";
const SUMS: &str = "SHA256SUMS";
const AUDIT: &str = "audit.jsonl";
const APPLICATION: &str = "application.json";
const ASSETS: &str = "assets";
const ASSET: &str = "asset.json";
/// The own field that says which exported asset one was made from. A field is shown, found and exported like everything
/// else people see of an asset, and needs no place of its own in the API.
const ORIGIN: &str = "imported_from";
