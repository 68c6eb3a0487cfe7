//! The headers of tus 1.0, read strictly: every doubt is a typed refusal, before a byte of the body is touched.

use cluster::state::Limits;
use data_encoding::BASE64;
use data_encoding::HEXLOWER;
use thiserror::Error;

/// The one version there is.
pub const VERSION: &str = "1.0.0";
/// What we can do beyond the core.
pub const EXTENSIONS: &str =
    "creation,creation-with-upload,creation-defer-length,termination,expiration,checksum";
/// `Tus-Checksum-Algorithm`.
pub const ALGORITHMS: &str = "sha1,sha256";
/// The largest upload: what a signed 64-bit file offset of any player can address, with room to spare.
pub const MAX_SIZE: u64 = 1 << 46;
/// `Content-Type` of a PATCH.
pub const OFFSET_OCTET_STREAM: &str = "application/offset+octet-stream";

const LONGEST_METADATA: usize = 8192;
const LONGEST_NAME: usize = 255;
/// Characters of a name that are kept.
const KEPT_NAME: usize = Limits::NAME as usize;

/// What is wrong with the headers of an upload.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HeaderError {
    /// No or another `Tus-Resumable`.
    #[error("this server speaks tus {VERSION}; send `Tus-Resumable: {VERSION}`")]
    Version,
    /// A header that must be there is not.
    #[error("the header {0} is missing")]
    Missing(&'static str),
    /// A number that is none, is negative, or has no room.
    #[error("{0} must be a whole number from 0 to {MAX_SIZE}")]
    Number(&'static str),
    /// More than this server takes.
    #[error("an upload may have at most {MAX_SIZE} bytes")]
    TooLarge,
    /// An upload of nothing.
    #[error("the file is empty")]
    Empty,
    /// `Upload-Length` and `Upload-Defer-Length` contradict one another, or neither is given.
    #[error("send either Upload-Length or `Upload-Defer-Length: 1`")]
    Length,
    /// `Upload-Metadata` is not a list of keys and base64 values.
    #[error("Upload-Metadata is not valid: {0}")]
    Metadata(&'static str),
    /// A file name that is none: a path, control characters, too long.
    #[error("the file name is not valid: {0}")]
    FileName(&'static str),
    /// `Upload-Checksum` is not `<algorithm> <base64>`.
    #[error("Upload-Checksum must be an algorithm of {ALGORITHMS} and a base64 digest")]
    Checksum,
    /// The body's media type is not the one tus asks for.
    #[error("a PATCH must have the Content-Type {OFFSET_OCTET_STREAM}")]
    ContentType,
    /// One header twice with different meaning.
    #[error("the header {0} is given more than once")]
    Twice(&'static str),
}

impl HeaderError {
    /// The stable code of the problem.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Version => "tus_version",
            Self::Missing(_) => "header_missing",
            Self::Number(_) | Self::Length => "bad_length",
            Self::TooLarge => "upload_too_large",
            Self::Empty => "empty_file",
            Self::Metadata(_) => "bad_metadata",
            Self::FileName(_) => "bad_file_name",
            Self::Checksum => "bad_checksum_header",
            Self::ContentType => "bad_content_type",
            Self::Twice(_) => "header_twice",
        }
    }

    /// The HTTP status of the problem.
    pub fn status(&self) -> u16 {
        match self {
            Self::Version => 412,
            Self::TooLarge => 413,
            Self::ContentType => 415,
            _ => 400,
        }
    }
}

/// How long the file will be: known now, or told by a later PATCH.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length {
    /// `Upload-Length`.
    Known(u64),
    /// `Upload-Defer-Length: 1`.
    Deferred,
}

/// Reads the two length headers of a creation.
pub fn length(upload_length: Option<&str>, defer: Option<&str>) -> Result<Length, HeaderError> {
    match (upload_length, defer) {
        (Some(text), None) => match number("Upload-Length", text)? {
            0 => Err(HeaderError::Empty),
            long if long > MAX_SIZE => Err(HeaderError::TooLarge),
            length => Ok(Length::Known(length)),
        },
        (None, Some("1")) => Ok(Length::Deferred),
        _ => Err(HeaderError::Length),
    }
}

/// A plain decimal number; no sign, no space, no hexadecimal.
pub fn number(name: &'static str, text: &str) -> Result<u64, HeaderError> {
    let plain = !text.is_empty() && text.len() <= 20 && text.bytes().all(|byte| byte.is_ascii_digit());
    if !plain {
        return Err(HeaderError::Number(name));
    }
    text.parse().map_err(|_| HeaderError::Number(name))
}

/// What the uploader says of the file. All of it is a claim; the probe decides.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metadata {
    /// `filename` (or `name`).
    pub file_name: Option<String>,
    /// `title`.
    pub title: Option<String>,
    /// `filetype` (or `type`).
    pub media_type: Option<String>,
    /// `application`.
    pub application: Option<String>,
}

/// Reads `Upload-Metadata`: `key base64,key base64,...`.
pub fn metadata(text: &str) -> Result<Metadata, HeaderError> {
    if text.len() > LONGEST_METADATA {
        return Err(HeaderError::Metadata("it is too long"));
    }
    let mut found = Metadata::default();
    let mut seen = Vec::new();
    for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once(' ').unwrap_or((pair, ""));
        if seen.contains(&key) {
            return Err(HeaderError::Metadata("a key is given twice"));
        }
        seen.push(key);
        let value = metadata_value(value)?;
        match key {
            "filename" => found.file_name = Some(file_name(&value)?),
            "name" if found.file_name.is_none() => found.file_name = Some(file_name(&value)?),
            "title" => found.title = Some(title(&value)?),
            "filetype" | "type" => found.media_type = media_type(&value),
            "application" => found.application = Some(value),
            // Clients add keys of their own; they mean nothing to us.
            _ => {}
        }
    }
    Ok(found)
}

fn metadata_value(encoded: &str) -> Result<String, HeaderError> {
    let bytes = BASE64
        .decode(encoded.trim().as_bytes())
        .map_err(|_| HeaderError::Metadata("a value is not base64"))?;
    let text = String::from_utf8(bytes).map_err(|_| HeaderError::Metadata("a value is not UTF-8"))?;
    if text.chars().any(char::is_control) {
        return Err(HeaderError::Metadata("a value has control characters"));
    }
    Ok(text)
}

/// A file name as one component: no path, nothing that hides what it is.
pub fn file_name(name: &str) -> Result<String, HeaderError> {
    let name = name.trim();
    match name {
        "" => return Err(HeaderError::FileName("it is empty")),
        "." | ".." => return Err(HeaderError::FileName("it names a folder")),
        _ => {}
    }
    if name.len() > LONGEST_NAME {
        return Err(HeaderError::FileName("it is longer than 255 bytes"));
    }
    if name.contains(['/', '\\']) {
        return Err(HeaderError::FileName("it contains a path"));
    }
    if name.chars().any(|c| c.is_control() || is_direction_mark(c)) {
        return Err(HeaderError::FileName("it has control characters"));
    }
    Ok(shortened(name))
}

/// The name with its end, without the middle that there is no room for: a file system allows more than is kept.
fn shortened(name: &str) -> String {
    let too_many = name.chars().count().saturating_sub(KEPT_NAME);
    let end = name.rfind('.').filter(|at| name.len() - at <= 20).unwrap_or(name.len());
    let stem = name[..end].chars().count().saturating_sub(too_many);
    let stem: String = name[..end].chars().take(stem).collect();
    stem + &name[end..]
}

fn title(text: &str) -> Result<String, HeaderError> {
    // The same rule as for a title that is given later.
    cluster::state::checked_title("title", text).map_err(|_| {
        HeaderError::Metadata("the title is empty, too long, or has characters that are not shown as written")
    })
}

/// A media type is only kept when it looks like one; browsers send an empty one for kinds they do not know.
pub fn media_type(text: &str) -> Option<String> {
    let token = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
    };
    let (kind, sub) = text.split_once('/')?;
    (text.len() <= 100 && token(kind) && token(sub)).then(|| text.to_ascii_lowercase())
}

fn is_direction_mark(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The title of a file nobody named: its name without the extension.
pub fn title_of(file_name: &str) -> String {
    let stem = match file_name.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() && extension.len() <= 5 => stem,
        _ => file_name,
    };
    let readable = stem.replace('_', " ");
    if readable.trim().is_empty() { file_name.to_owned() } else { readable.trim().to_owned() }
}

/// A digest the client sent with a piece of its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checksum {
    algorithm: Algorithm,
    digest: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Algorithm {
    Sha1,
    Sha256,
}

impl Checksum {
    /// Reads `Upload-Checksum`.
    pub fn parse(header: &str) -> Result<Self, HeaderError> {
        let (name, digest) = header.split_once(' ').ok_or(HeaderError::Checksum)?;
        let (algorithm, length) = match name {
            "sha1" | "sha-1" => (Algorithm::Sha1, 20),
            "sha256" | "sha-256" => (Algorithm::Sha256, 32),
            _ => return Err(HeaderError::Checksum),
        };
        let digest = BASE64.decode(digest.as_bytes()).map_err(|_| HeaderError::Checksum)?;
        if digest.len() != length {
            return Err(HeaderError::Checksum);
        }
        Ok(Self { algorithm, digest })
    }

    /// True when `bytes` are what the client meant to send.
    pub fn matches(&self, bytes: &[u8]) -> bool {
        let algorithm = match self.algorithm {
            Algorithm::Sha1 => &aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY,
            Algorithm::Sha256 => &aws_lc_rs::digest::SHA256,
        };
        aws_lc_rs::digest::digest(algorithm, bytes).as_ref() == self.digest
    }
}

/// A digest as people compare it.
pub fn hex(digest: &[u8]) -> String {
    HEXLOWER.encode(digest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(text: &str) -> String {
        BASE64.encode(text.as_bytes())
    }

    #[test]
    fn metadata_is_read_and_unknown_keys_are_let_be() {
        let text = format!(
            "filename {}, title {},is_confidential,filetype {}",
            encoded("Tag 1.mp4"),
            encoded("Der Tag"),
            encoded("Video/MP4")
        );
        let found = metadata(&text).unwrap();
        assert_eq!(found.file_name.as_deref(), Some("Tag 1.mp4"));
        assert_eq!(found.title.as_deref(), Some("Der Tag"));
        assert_eq!(found.media_type.as_deref(), Some("video/mp4"));
        assert_eq!(metadata("").unwrap(), Metadata::default());
    }

    #[test]
    fn a_name_that_a_file_system_allows_is_kept_as_far_as_there_is_room() {
        for (given, kept) in
            [("a".repeat(251) + ".mp4", "a".repeat(196) + ".mp4"), ("b".repeat(255), "b".repeat(200))]
        {
            assert_eq!(file_name(&given).unwrap(), kept);
        }
        let umlauts = "ü".repeat(125) + ".mkv";
        assert_eq!(file_name(&umlauts).unwrap(), umlauts);
        assert!(file_name(&"a".repeat(256)).is_err());
    }

    #[test]
    fn bad_metadata_is_named() {
        let cases = [
            ("filename !!!".to_owned(), "bad_metadata"),
            ("filename YQ".to_owned(), "bad_metadata"),
            (format!("filename {}", BASE64.encode(b"\xff\xfe")), "bad_metadata"),
            (format!("filename {},filename {}", encoded("a"), encoded("b")), "bad_metadata"),
            (format!("title {}", encoded("a\nb")), "bad_metadata"),
            (format!("filename {}", encoded("a\u{0}b")), "bad_metadata"),
            (format!("filename {}", encoded("../../etc/passwd")), "bad_file_name"),
            (format!("filename {}", encoded("C:\\x.mp4")), "bad_file_name"),
            (format!("filename {}", encoded("..")), "bad_file_name"),
            (format!("filename {}", encoded("")), "bad_file_name"),
            (format!("filename {}", encoded(&"a".repeat(300))), "bad_file_name"),
            (format!("filename {}", encoded("gpj\u{202e}4pm.exe")), "bad_file_name"),
            ("a ".repeat(9000), "bad_metadata"),
        ];
        for (text, code) in cases {
            assert_eq!(metadata(&text).unwrap_err().code(), code, "{text:.60}");
        }
    }

    #[test]
    fn lengths_are_plain_numbers() {
        assert_eq!(length(Some("12"), None), Ok(Length::Known(12)));
        assert_eq!(length(None, Some("1")), Ok(Length::Deferred));
        assert_eq!(length(Some("0"), None), Err(HeaderError::Empty));
        assert_eq!(length(Some("99999999999999999"), None), Err(HeaderError::TooLarge));
        for text in ["", "-1", "+1", " 1", "1 ", "0x10", "1e3", "1.0", "999999999999999999999", "١٢"] {
            assert_eq!(length(Some(text), None), Err(HeaderError::Number("Upload-Length")), "{text:?}");
        }
        for (length_header, defer) in
            [(None, None), (Some("1"), Some("1")), (None, Some("0")), (None, Some(""))]
        {
            assert_eq!(length(length_header, defer), Err(HeaderError::Length));
        }
    }

    #[test]
    fn checksums_of_both_kinds_are_checked() {
        let good = Checksum::parse("sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=").unwrap();
        assert!(good.matches(b"hello world"));
        assert!(!good.matches(b"hello worle"));
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, b"x");
        assert!(
            Checksum::parse(&format!("sha256 {}", BASE64.encode(digest.as_ref()))).unwrap().matches(b"x")
        );
        for text in [
            "",
            "sha1",
            "md5 AAAA",
            "sha1 AAAA",
            "sha256 Kq5sNclPz7QV2+lfQIuc6R7oRu0=",
            "sha1  Kq5sNclPz7QV2+lfQIuc6R7oRu0=",
        ] {
            assert_eq!(Checksum::parse(text), Err(HeaderError::Checksum), "{text}");
        }
    }

    #[test]
    fn titles_come_from_names() {
        assert_eq!(title_of("My_holiday.mp4"), "My holiday");
        assert_eq!(title_of(".mp4"), ".mp4");
        assert_eq!(title_of("no extension"), "no extension");
    }

    proptest! {
        #[test]
        fn no_header_panics(text in ".{0,200}") {
            let _ = metadata(&text);
            let _ = number("x", &text);
            let _ = Checksum::parse(&text);
            let _ = file_name(&text);
            let _ = title_of(&text);
        }
    }
}
