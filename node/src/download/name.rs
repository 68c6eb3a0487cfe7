//! File names in `Content-Disposition`: readable by every browser, harmful to none.

use std::fmt::Write as _;

/// `attachment` with a plain ASCII name for old clients and the full name in UTF-8 (RFC 6266, RFC 8187).
pub fn content_disposition(name: &str) -> String {
    let name = safe_name(name);
    let ascii: String = name
        .chars()
        .map(|c| if c.is_ascii_graphic() && !matches!(c, '"' | '%') || c == ' ' { c } else { '_' })
        .collect();
    format!("attachment; filename=\"{ascii}\"; filename*=UTF-8''{}", percent(&name))
}

/// `name` without anything a file system or a header could take for something else; never empty.
pub fn safe_name(name: &str) -> String {
    let cleaned: String = name.chars().map(|c| if is_unsafe(c) { '_' } else { c }).take(150).collect();
    let trimmed = cleaned.trim_matches(|c: char| c == '.' || c.is_whitespace());
    if trimmed.is_empty() { "video".to_owned() } else { trimmed.to_owned() }
}

/// `name` with its extension replaced.
pub fn with_extension(name: &str, extension: &str) -> String {
    let stem = match name.rsplit_once('.') {
        Some((stem, old)) if !stem.is_empty() && old.len() <= 5 => stem,
        _ => name,
    };
    format!("{stem}.{extension}")
}

/// Control characters, path and shell characters, and the marks that turn reading direction around.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|' | ';' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

fn percent(name: &str) -> String {
    let mut out = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_readable_and_cannot_leave_the_header() {
        assert_eq!(
            content_disposition("a b.mp4"),
            "attachment; filename=\"a b.mp4\"; filename*=UTF-8''a%20b.mp4"
        );
        assert_eq!(
            content_disposition("Ärger.mp4"),
            "attachment; filename=\"_rger.mp4\"; filename*=UTF-8''%C3%84rger.mp4"
        );
        let nasty = content_disposition("../../etc/\"x\"\r\nSet-Cookie: a=b;\u{202e}gpj.exe");
        assert!(!nasty.contains(['\r', '\n', '/', '\\', '\u{202e}']));
        assert_eq!(nasty.matches('"').count(), 2);
    }

    #[test]
    fn a_name_is_never_empty_and_never_a_dot_file() {
        for name in ["", "..", " . ", "\u{0}"] {
            let safe = safe_name(name);
            assert!(!safe.is_empty() && !safe.starts_with('.'), "{name:?} became {safe:?}");
        }
    }

    #[test]
    fn extensions_are_replaced() {
        assert_eq!(with_extension("film.mkv", "mp4"), "film.mp4");
        assert_eq!(with_extension("film", "mp4"), "film.mp4");
        assert_eq!(with_extension("1. Teil des Films", "mp4"), "1. Teil des Films.mp4");
    }
}
