//! `download`: the original or a rendition by a one-client link, gone on with after a lost connection.

use std::path::{Path, PathBuf};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use super::connection::Connection;
use super::error::CliError;
use super::fetch::{Wanted, fetch};
use super::file_name::own_name;
use super::shown;

/// Download an asset.
#[derive(Debug, Args)]
pub struct Download {
    #[command(flatten)]
    connection: Connection,
    /// The asset's id.
    id: String,
    /// `original`, or a rendition such as `v720`.
    #[arg(long, default_value = "original")]
    what: String,
    /// Where to; the uploaded file's name when missing.
    #[arg(long, short)]
    output: Option<PathBuf>,
}

impl Download {
    /// Carries it out.
    pub async fn run(self) -> Result<(), CliError> {
        let client = self.connection.signed_in()?;
        let asset: Value = client.get(client.api(["assets", &self.id])).await?;
        let output = self.output.clone().unwrap_or_else(|| name_here(&asset, &self.id, &self.what));
        if output.exists() {
            return Err(CliError::Exists(output));
        }
        let wanted = Wanted {
            asset: &self.id,
            what: &self.what,
            output: &output,
            sha256: asset["sha256"].as_str().filter(|_| self.what == "original"),
            keeps_half: false,
        };
        let bar = progress_bar();
        let fetched = fetch(&client, &wanted, &bar).await;
        bar.finish_and_clear();
        fetched?;
        shown::line(&output.display().to_string());
        Ok(())
    }
}

fn progress_bar() -> ProgressBar {
    let bar = ProgressBar::no_length();
    let template = "{bar:32} {binary_bytes} of {binary_total_bytes}  {binary_bytes_per_sec}  {eta} left";
    bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

/// A name in the present folder: never a path, whatever the node says.
fn name_here(asset: &Value, id: &str, what: &str) -> PathBuf {
    let name = own_name(asset["file_name"].as_str().unwrap_or_default(), &format!("{id}.mp4"));
    if what == "original" {
        return PathBuf::from(name);
    }
    let stem = Path::new(&name).file_stem().unwrap_or_default().to_string_lossy().into_owned();
    PathBuf::from(format!("{stem}-{}.mp4", what.replace('/', "_")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_file_name_from_the_node_stays_in_this_folder() {
        let named = |name: &str, what: &str| name_here(&json!({"file_name": name}), "id", what);
        assert_eq!(named("film.mkv", "original"), PathBuf::from("film.mkv"));
        assert_eq!(named("film.mkv", "v720"), PathBuf::from("film-v720.mp4"));
        for bad in ["", "..", "/", ".bashrc", "../.ssh"] {
            assert_eq!(named(bad, "original"), PathBuf::from("id.mp4"), "{bad}");
        }
        assert_eq!(named("../../etc/passwd", "original"), PathBuf::from("passwd"));
    }
}
