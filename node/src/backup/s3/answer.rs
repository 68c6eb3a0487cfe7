//! What a store answers, and how what it is told is written.

use cluster::backup::TargetError;
use data_encoding::BASE64;
use jiff::Timestamp;
use reqwest::{Response, StatusCode};

use super::exchange::text_of;

/// What a refusal means. Bodies are read only for their code.
pub(super) async fn refusal(answer: Response) -> TargetError {
    let status = answer.status();
    let text = text_of(answer).await.unwrap_or_default();
    let code = element(&text, "Code").unwrap_or_default().to_owned();
    let said = element(&text, "Message").unwrap_or_default();
    let sentence = if code.is_empty() { status.to_string() } else { format!("{code}: {said}") };
    let sentence: String = sentence.chars().filter(|letter| !letter.is_control()).take(300).collect();
    let full = ["QuotaExceeded", "XMinioStorageFull", "InsufficientStorage", "EntityTooLarge"];
    match status {
        _ if full.iter().any(|known| code.starts_with(known)) => TargetError::Full,
        StatusCode::INSUFFICIENT_STORAGE => TargetError::Full,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => TargetError::Denied(sentence),
        StatusCode::NOT_FOUND if code == "NoSuchBucket" => TargetError::Denied(sentence),
        StatusCode::NOT_FOUND => TargetError::Absent(code),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => TargetError::Unreachable(sentence),
        status if status.is_server_error() => TargetError::Unreachable(sentence),
        _ => TargetError::Failed(sentence),
    }
}

pub(super) fn header(answer: &Response, name: &str) -> Option<String> {
    answer.headers().get(name)?.to_str().ok().map(str::to_owned)
}

pub(super) fn odd(what: &str) -> TargetError {
    TargetError::Failed(format!("the store gave an answer that is not understood: {what}"))
}

/// The text of the first element of this name that holds no others.
pub(super) fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(text, _)| text)
}

pub(super) fn checksum(bytes: &[u8]) -> String {
    BASE64.encode(&crc32c::crc32c(bytes).to_be_bytes())
}

pub(super) fn date(ms: u64) -> Result<String, TargetError> {
    let failed = || TargetError::Failed("a time beyond all calendars".to_owned());
    // Up to the next second: a lock is never shorter than asked for.
    let seconds = i64::try_from(ms.div_ceil(1000)).map_err(|_| failed())?;
    Timestamp::from_second(seconds).map(|time| time.to_string()).map_err(|_| failed())
}

/// The innermost cause: the one that says something. The outer ones may hold a signed address.
pub(super) fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    if std::error::Error::source(error).is_some() {
        cause.to_string()
    } else {
        "the request failed".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_never_shorter_than_asked_for() {
        assert_eq!(date(1_800_000_000_001).unwrap(), "2027-01-15T08:00:01Z");
        assert_eq!(date(1_800_000_000_000).unwrap(), "2027-01-15T08:00:00Z");
    }

    #[test]
    fn an_element_is_found_and_its_like_is_not() {
        let xml = "<R><Modes>x</Modes><Mode>COMPLIANCE</Mode></R>";
        assert_eq!(element(xml, "Mode"), Some("COMPLIANCE"));
        assert_eq!(element(xml, "RetainUntilDate"), None);
    }
}
