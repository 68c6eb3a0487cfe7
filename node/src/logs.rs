//! Logs: to the journal under systemd, to standard error otherwise; secrets and capability paths never in them.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Where log lines go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One readable line each.
    Text,
    /// One JSON object each.
    Json,
}

/// Libraries speak of what passes through them, headers and log entries included: what `RUST_LOG` asks for holds for our
/// own code, never for them.
///
/// Consensus reports every try to reach a node that is away as a warning, ten in a second: who leads, who is away and
/// what cannot be done is said by our own code.
const LIBRARIES: [&str; 10] = [
    "openraft=off",
    "sled=warn",
    "rustls=error",
    "actix_http=info",
    "actix_web=info",
    "actix_tls=info",
    "h2=info",
    "hyper=info",
    "hyper_util=info",
    "reqwest=info",
];

/// Starts logging for this process; later calls change nothing. `filter` as `RUST_LOG` writes it.
pub fn start(format: LogFormat) {
    let asked = std::env::var("RUST_LOG").unwrap_or_else(|_| "info".to_owned());
    if systemd_journal_logger::connected_to_journal() && start_journal(&asked) {
        return;
    }
    let filter = LIBRARIES.iter().filter_map(|level| level.parse().ok());
    let filter =
        filter.fold(tracing_subscriber::EnvFilter::new(asked), tracing_subscriber::EnvFilter::add_directive);
    let lines =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false);
    let started = match format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().try_init(),
    };
    drop(started);
}

/// `tracing` hands its events to `log` (feature `log`) as long as it has no subscriber of its own.
fn start_journal(asked: &str) -> bool {
    let Ok(journal) = systemd_journal_logger::JournalLog::new() else { return false };
    let filter = format!("{asked},{}", LIBRARIES.join(","));
    let Ok(filter) = env_filter::Builder::new().try_parse(&filter).map(env_filter::Builder::build) else {
        return false;
    };
    let level = filter.filter();
    let journal = journal.with_syslog_identifier("mediakeep".to_owned());
    let installed = log::set_boxed_logger(Box::new(env_filter::FilteredLog::new(journal, filter))).is_ok();
    if installed {
        log::set_max_level(level);
    }
    installed
}

/// An error and everything that caused it, in one line.
#[must_use]
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut line = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let _ = write!(line, ": {cause}");
        next = cause.source();
    }
    line
}

/// The path as it may be logged: whatever follows `/play/` or `/download/` is a capability, or leads to one, and what
/// follows `/files/` is a name of the uploader's.
#[must_use]
pub fn redact_path(path: &str) -> String {
    for prefix in ["/play/", "/download/"] {
        if let Some(rest) = path.strip_prefix(prefix) {
            let file = rest.rsplit_once('/').map_or("", |(_, file)| file);
            return format!("{prefix}***/{file}");
        }
    }
    // The name of an uploaded file says what is in it.
    let shown = match path.split_once("/files/") {
        Some((place, _)) => Cow::Owned(format!("{place}/files/***")),
        None => Cow::Borrowed(path),
    };
    shown.chars().filter(|letter| !letter.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capability_paths_are_redacted() {
        assert_eq!(redact_path("/play/SECRET/main.m3u8"), "/play/***/main.m3u8");
        assert_eq!(redact_path("/play/SECRET/a/b/1.m4s"), "/play/***/1.m4s");
        assert_eq!(redact_path("/download/SECRET"), "/download/***/");
        assert_eq!(redact_path("/api/v1/assets/abc"), "/api/v1/assets/abc");
        assert_eq!(
            redact_path("/api/v1/applications/a/files/Secret.mp4"),
            "/api/v1/applications/a/files/***"
        );
    }

    #[test]
    fn a_path_cannot_forge_a_log_line() {
        assert_eq!(redact_path("/x\nINFO forged"), "/xINFO forged");
    }
}
