//! What a value must be: bounded, without control characters, of its form.
//!
//! Names keep what they were given, also marks of direction: whoever shows or prints them encodes them. A title may not
//! override the direction of the text after it: it is shown beside file names and in lists, where that misleads.

use super::limits::Limits;
use crate::command::{PasswordHash, Policy, SealedClusterKey, WrappedKey};
use crate::refusal::{Problem, Refusal};

type Checked = Result<(), Refusal>;

/// At most `most` characters, none of them a control character (line ends and tabs only where `multiline`).
fn text(field: &str, value: &str, most: u32, multiline: bool) -> Checked {
    let problem = if value.chars().nth(most as usize).is_some() {
        Some(Problem::TooLong(most))
    } else if value.chars().any(|c| c.is_control() && !(multiline && matches!(c, '\n' | '\r' | '\t'))) {
        Some(Problem::ControlCharacter)
    } else {
        None
    };
    problem.map_or(Ok(()), |problem| Err(Refusal::invalid(field, problem)))
}

/// One line that may be empty.
pub(super) fn line(field: &str, value: &str, most: u32) -> Checked {
    text(field, value, most, false)
}

/// Several lines that may be empty.
pub(super) fn lines(field: &str, value: &str, most: u32) -> Checked {
    text(field, value, most, true)
}

/// One line with something in it; answers it without white space around.
pub(super) fn name(field: &str, value: &str) -> Result<String, Refusal> {
    let trimmed = value.trim();
    if trimmed.is_empty() {
        return Err(Refusal::invalid(field, Problem::Empty));
    }
    line(field, trimmed, Limits::NAME)?;
    Ok(trimmed.to_owned())
}

/// A name that shows as it is written: without overrides, embeddings and isolates of direction. The plain marks that
/// right-to-left titles need (U+200E, U+200F) stay.
///
/// # Errors
/// As for [`name`], and for such a character.
pub fn title(field: &str, value: &str) -> Result<String, Refusal> {
    let turns = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let title = name(field, value)?;
    if title.contains(turns) { Err(Refusal::invalid(field, Problem::TurnsText)) } else { Ok(title) }
}

/// A machine-readable word such as `unsupported_container`.
pub(super) fn code(field: &str, value: &str) -> Checked {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '.' | '-');
    if value.is_empty() {
        Err(Refusal::invalid(field, Problem::Empty))
    } else if value.len() > Limits::SHORT as usize {
        Err(Refusal::invalid(field, Problem::TooLong(Limits::SHORT)))
    } else if !value.chars().all(good) {
        Err(Refusal::invalid(field, Problem::Malformed))
    } else {
        Ok(())
    }
}

/// A user name as it is kept: trimmed and lower case.
///
/// # Errors
/// Empty, longer than 64 characters, or with anything but letters, digits and `. _ - + @`.
pub fn normalised_username(value: &str) -> Result<String, Refusal> {
    let username = value.trim().to_lowercase();
    let problem = if username.is_empty() {
        Problem::Empty
    } else if username.chars().nth(Limits::USERNAME as usize).is_some() {
        Problem::TooLong(Limits::USERNAME)
    } else if !username.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '+' | '@')) {
        Problem::Character
    } else {
        return Ok(username);
    };
    Err(Refusal::invalid("username", problem))
}

/// Looks like an argon2id hash in PHC form, and nothing longer.
pub(super) fn password_hash(hash: &PasswordHash) -> Checked {
    let well_formed = hash.0.len() <= 256 && hash.0.starts_with("$argon2id$") && hash.0.is_ascii();
    if well_formed { Ok(()) } else { Err(Refusal::invalid("password_hash", Problem::Malformed)) }
}

/// Something, and not too much of it.
pub(super) fn wrapped_key(key: &WrappedKey) -> Checked {
    sealed_bytes("wrapped_key", key.as_bytes())
}

pub(super) fn sealed_cluster_key(key: &SealedClusterKey) -> Checked {
    sealed_bytes("sealed", &key.sealed)
}

pub(super) fn sealed_bytes(field: &str, bytes: &[u8]) -> Checked {
    if bytes.is_empty() {
        Err(Refusal::invalid(field, Problem::Empty))
    } else if bytes.len() > Limits::SEALED_KEY {
        Err(Refusal::invalid(field, Problem::OutOfRange))
    } else {
        Ok(())
    }
}

/// How far the clock of the node that proposes may be ahead of the leader's stamp.
const CLOCKS_APART_MS: u64 = 10_000;

/// In the future, but no further than `longest_ms`, by any of the cluster's clocks.
pub(super) fn expiry(now_ms: u64, expires_ms: u64, longest_ms: u64) -> Checked {
    let good = expires_ms > now_ms && expires_ms - now_ms <= longest_ms.saturating_add(CLOCKS_APART_MS);
    if good { Ok(()) } else { Err(Refusal::invalid("expires_ms", Problem::OutOfRange)) }
}

pub(super) fn policy(policy: &Policy) -> Checked {
    if policy.offline_grace_ms > Limits::OFFLINE_GRACE_MS {
        return Err(Refusal::invalid("offline_grace_ms", Problem::OutOfRange));
    }
    if policy.trash_days > Limits::TRASH_DAYS {
        return Err(Refusal::invalid("trash_days", Problem::OutOfRange));
    }
    Ok(())
}

/// Free of repetitions and not too many.
pub(super) fn distinct<T: Ord>(field: &str, items: &[T], most: u32) -> Checked {
    if items.len() > most as usize {
        return Err(Refusal::invalid(field, Problem::TooMany(most)));
    }
    let mut sorted: Vec<&T> = items.iter().collect();
    sorted.sort_unstable();
    if sorted.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(Refusal::invalid(field, Problem::Repeated));
    }
    Ok(())
}
