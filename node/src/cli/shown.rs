//! What is printed: plain tables, sizes, times, and text that cannot play tricks on a terminal.

use std::io::{self, Write};

use serde_json::Value;

/// Text from elsewhere, safe to print: control characters and direction overrides are written out.
pub fn safe(text: &str) -> String {
    let tricky = |c: char| {
        c.is_control()
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
    };
    text.chars().flat_map(|c| if tricky(c) { c.escape_unicode().collect() } else { vec![c] }).collect()
}

/// A field of a JSON object as text; empty when absent.
pub fn field(object: &Value, name: &str) -> String {
    match &object[name] {
        Value::Null => String::new(),
        Value::String(text) => safe(text),
        other => safe(&other.to_string()),
    }
}

/// `1.5 GiB`.
pub fn size(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}

/// `1 asset`, `2 assets`: for nouns that end in an `s` when there are several.
pub fn counted(number: u64, noun: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{ending}")
}

/// `1:02:03`.
pub fn duration(ms: u64) -> String {
    let seconds = ms / 1000;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// `2026-11-26 08:15:00 UTC` of milliseconds since 1970.
pub fn time(ms: u64) -> String {
    let seconds = i64::try_from(ms / 1000).unwrap_or(i64::MAX);
    let Ok(time) = actix_web::cookie::time::OffsetDateTime::from_unix_timestamp(seconds) else {
        return ms.to_string();
    };
    let (date, month) = (time.date(), u8::from(time.month()));
    let clock = format!("{:02}:{:02}:{:02}", time.hour(), time.minute(), time.second());
    format!("{:04}-{month:02}-{:02} {clock} UTC", date.year(), date.day())
}

/// One line to standard output. A reader that has gone away (`| head`) is no failure.
pub fn line(text: &str) {
    let _ = writeln!(io::stdout().lock(), "{text}");
}

/// One line to standard error, for people.
pub fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// JSON to standard output.
pub fn json(value: &Value) {
    line(&serde_json::to_string_pretty(value).unwrap_or_default());
}

/// A table with a head, columns as wide as their widest cell.
pub fn table(head: &[&str], rows: &[Vec<String>]) {
    let mut widths: Vec<usize> = head.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let written = |cells: Vec<&str>| -> String {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    line(&written(head.to_vec()));
    for row in rows {
        line(&written(row.iter().map(String::as_str).collect()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_cannot_move_the_cursor_or_turn_the_line() {
        assert_eq!(safe("plain ü 片"), "plain ü 片");
        assert_eq!(safe("a\u{1b}[2Jb\u{202e}c\n"), "a\\u{1b}[2Jb\\u{202e}c\\u{a}");
    }

    #[test]
    fn times_read_like_a_players() {
        assert_eq!(duration(0), "0:00");
        assert_eq!(duration(62_999), "1:02");
        assert_eq!(duration(3_723_000), "1:02:03");
        assert_eq!(time(1_800_000_000_500), "2027-01-15 08:00:00 UTC");
    }
}
