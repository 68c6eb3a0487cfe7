//! Lines, tags and attribute lists of a playlist.
use std::collections::BTreeMap;

use super::Violation;

/// What stands on a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content<'a> {
    /// `#EXT...`, with what follows the colon.
    Tag { name: &'a str, value: &'a str },
    /// An address.
    Uri(&'a str),
}

/// One line that means something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line<'a> {
    pub(super) number: usize,
    pub(super) content: Content<'a>,
}

/// The lines of a playlist; blank ones and comments are left out.
pub(super) fn lines<'a>(playlist: &'a str, found: &mut Vec<Violation>) -> Vec<Line<'a>> {
    if playlist.starts_with('\u{feff}') {
        found.push(Violation::new("byte_order_mark", 1, "a playlist must not begin with a byte order mark"));
    }
    if playlist.lines().next().map(str::trim_end) != Some("#EXTM3U") {
        found.push(Violation::new("extm3u", 1, "the first line must be #EXTM3U"));
    }
    let mut lines = Vec::new();
    for (index, line) in playlist.lines().enumerate() {
        let number = index + 1;
        if line.chars().any(char::is_control) {
            found.push(Violation::new("control_character", number, "control characters are not allowed"));
        }
        if line.trim().is_empty() {
            continue;
        }
        if line.starts_with([' ', '\t']) || line.ends_with([' ', '\t']) {
            found.push(Violation::new(
                "white_space",
                number,
                "a line must not begin or end with white space",
            ));
        }
        let content = match line.strip_prefix('#') {
            Some(tag) if tag.starts_with("EXT") => {
                let (name, value) = tag.split_once(':').unwrap_or((tag, ""));
                Content::Tag { name, value }
            }
            Some(_) => continue,
            None => Content::Uri(line),
        };
        lines.push(Line { number, content });
    }
    lines
}

/// A value of an attribute list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Quoted(&'a str),
    Plain(&'a str),
}

/// An attribute list, with accessors that report what has the wrong form.
#[derive(Debug, Clone)]
pub(super) struct Attributes<'a> {
    line: usize,
    tag: &'a str,
    values: BTreeMap<&'a str, Value<'a>>,
}

impl<'a> Attributes<'a> {
    /// Reads `NAME=value,NAME="value"`.
    pub(super) fn read(line: usize, tag: &'a str, text: &'a str, found: &mut Vec<Violation>) -> Self {
        let mut values = BTreeMap::new();
        let mut rest = text;
        while !rest.is_empty() {
            let Some((name, after)) = rest.split_once('=') else {
                found.push(Violation::new("attribute_list", line, format!("{tag}: no value in {rest:?}")));
                break;
            };
            if name.is_empty()
                || !name
                    .bytes()
                    .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'-')
            {
                found.push(Violation::new(
                    "attribute_list",
                    line,
                    format!("{tag}: bad attribute name {name:?}"),
                ));
            }
            let (value, after) = Self::value(after);
            let Some(value) = value else {
                found.push(Violation::new("attribute_list", line, format!("{tag}: {name} has no end quote")));
                break;
            };
            if values.insert(name, value).is_some() {
                found.push(Violation::new("attribute_list", line, format!("{tag}: {name} stands twice")));
            }
            rest = match after.strip_prefix(',') {
                Some(rest) if !rest.is_empty() => rest,
                None if after.is_empty() => break,
                _ => {
                    found.push(Violation::new("attribute_list", line, format!("{tag}: junk after {name}")));
                    break;
                }
            };
        }
        Self { line, tag, values }
    }

    fn value(text: &'a str) -> (Option<Value<'a>>, &'a str) {
        if let Some(quoted) = text.strip_prefix('"') {
            return match quoted.split_once('"') {
                Some((value, rest)) => (Some(Value::Quoted(value)), rest),
                None => (None, ""),
            };
        }
        let end = text.find(',').unwrap_or(text.len());
        (Some(Value::Plain(&text[..end])), &text[end..])
    }

    fn report(&self, found: &mut Vec<Violation>, rule: &'static str, detail: &str) {
        found.push(Violation::new(rule, self.line, format!("{}: {detail}", self.tag)));
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// A quoted value, empty ones refused.
    pub(super) fn quoted(&self, name: &str, found: &mut Vec<Violation>) -> Option<&'a str> {
        match self.values.get(name)? {
            Value::Quoted("") => {
                self.report(found, "attribute_form", &format!("{name} is empty"));
                None
            }
            Value::Quoted(value) => Some(value),
            Value::Plain(_) => {
                self.report(found, "attribute_form", &format!("{name} must stand between quotes"));
                None
            }
        }
    }

    /// A value without quotes.
    pub(super) fn plain(&self, name: &str, found: &mut Vec<Violation>) -> Option<&'a str> {
        match self.values.get(name)? {
            Value::Plain(value) => Some(value),
            Value::Quoted(_) => {
                self.report(found, "attribute_form", &format!("{name} must not stand between quotes"));
                None
            }
        }
    }

    pub(super) fn require(&self, name: &str, found: &mut Vec<Violation>) {
        if !self.has(name) {
            self.report(found, "required_attribute", &format!("{name} is missing"));
        }
    }

    pub(super) fn integer(&self, name: &str, found: &mut Vec<Violation>) -> Option<u64> {
        let value = self.plain(name, found)?;
        let number = decimal_integer(value);
        if number.is_none() {
            self.report(found, "attribute_form", &format!("{name} is no decimal integer"));
        }
        number
    }

    pub(super) fn float(&self, name: &str, found: &mut Vec<Violation>) -> Option<f64> {
        let value = self.plain(name, found)?;
        let number = decimal_float(value);
        if number.is_none() {
            self.report(found, "attribute_form", &format!("{name} is no decimal number"));
        }
        number
    }

    /// One of a few words.
    pub(super) fn word(&self, name: &str, words: &[&str], found: &mut Vec<Violation>) -> Option<&'a str> {
        let value = self.plain(name, found)?;
        if words.contains(&value) {
            return Some(value);
        }
        self.report(found, "attribute_form", &format!("{name} must be one of {words:?}"));
        None
    }
}

/// Digits only, at most 2^64 - 1.
pub(super) fn decimal_integer(text: &str) -> Option<u64> {
    let digits = (1..=20).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

/// Digits with at most one point, not negative.
pub(super) fn decimal_float(text: &str) -> Option<f64> {
    let form = (1..=40).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
        && text.bytes().filter(|byte| *byte == b'.').count() <= 1
        && text.bytes().any(|byte| byte.is_ascii_digit());
    if form { text.parse().ok() } else { None }
}
