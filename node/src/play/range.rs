//! `Range` of RFC 9110: one range of bytes, or the whole.

/// What part of a body the client is to get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// All of it, status 200.
    Whole,
    /// `start..end`, status 206; never empty, never past the end.
    Range {
        /// First byte.
        start: u64,
        /// One past the last byte.
        end: u64,
    },
    /// Nothing of the body lies in the asked range, status 416.
    Unsatisfiable,
}

/// Reads a `Range` header for a body of `length` bytes.
///
/// A header we do not understand, of another unit, or with several ranges is ignored, as RFC 9110 allows: the client gets
/// the whole body rather than an error.
pub fn parse(header: Option<&str>, length: u64) -> Part {
    let Some(spec) = header.and_then(|text| text.strip_prefix("bytes=")) else { return Part::Whole };
    let Some((first, last)) = spec.trim().split_once('-') else { return Part::Whole };
    match (number(first), number(last)) {
        (Some(Ok(first)), Some(Ok(last))) if first > last => Part::Whole,
        (Some(Ok(first)), Some(Ok(last))) => bounded(first, last.saturating_add(1).min(length)),
        (Some(Ok(first)), None) => bounded(first, length),
        (None, Some(Ok(suffix))) => bounded(length.saturating_sub(suffix), length),
        _ => Part::Whole,
    }
}

fn bounded(start: u64, end: u64) -> Part {
    if start < end { Part::Range { start, end } } else { Part::Unsatisfiable }
}

/// `None` for nothing, `Some(Err)` for what is not a plain number.
fn number(text: &str) -> Option<Result<u64, ()>> {
    if text.is_empty() {
        return None;
    }
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Err(()));
    }
    // More digits than a u64 has room for lie past any end there is.
    Some(Ok(text.parse().unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_to_the_body() {
        let range = |start, end| Part::Range { start, end };
        let cases = [
            (None, Part::Whole),
            (Some("bytes=0-9"), range(0, 10)),
            (Some("bytes=0-0"), range(0, 1)),
            (Some("bytes=90-"), range(90, 100)),
            (Some("bytes=-10"), range(90, 100)),
            (Some("bytes=-1000"), range(0, 100)),
            (Some("bytes=50-1000"), range(50, 100)),
            (Some("bytes=50-99999999999999999999999"), range(50, 100)),
            (Some("bytes=100-"), Part::Unsatisfiable),
            (Some("bytes=99999999999999999999999-"), Part::Unsatisfiable),
            (Some("bytes=-0"), Part::Unsatisfiable),
            (Some("bytes=9-1"), Part::Whole),
            (Some("bytes=1-2,4-5"), Part::Whole),
            (Some("bytes=a-b"), Part::Whole),
            (Some("bytes=-"), Part::Whole),
            (Some("bytes=+1-2"), Part::Whole),
            (Some("lines=1-2"), Part::Whole),
        ];
        for (header, expected) in cases {
            assert_eq!(parse(header, 100), expected, "{header:?}");
        }
        assert_eq!(parse(Some("bytes=0-"), 0), Part::Unsatisfiable);
        assert_eq!(parse(None, 0), Part::Whole);
    }
}
