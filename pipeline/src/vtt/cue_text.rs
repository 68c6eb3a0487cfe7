//! The text of a cue: tags of the specification are kept, everything else is words.
use super::{MAX_CUE_BYTES, Markup, timing};

/// Deepest nesting of tags that is kept; deeper ones are dropped.
const MAX_DEPTH: usize = 16;
/// Longest name in a `v` tag, longest class list.
const MAX_ANNOTATION: usize = 200;

/// Rebuilds the text from its parts; `None` when it has foreign markup and that is to be refused.
pub(super) fn clean(text: &str, markup: Markup) -> Option<String> {
    let mut clean = String::with_capacity(text.len());
    let mut open: Vec<String> = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(['<', '&']) {
        words(&mut clean, &rest[..at]);
        rest = &rest[at..];
        if rest.starts_with('&') {
            rest = entity(&mut clean, rest);
            continue;
        }
        let Some(end) = rest.find('>') else {
            // A lone `<` is a word like any other.
            clean.push_str("&lt;");
            rest = &rest[1..];
            continue;
        };
        if !tag(&mut clean, &mut open, &rest[1..end]) && markup == Markup::Refuse {
            return None;
        }
        rest = &rest[end + 1..];
    }
    words(&mut clean, rest);
    for name in open.iter().rev() {
        clean.push_str(&format!("</{name}>"));
    }
    Some(clean)
}

/// Escapes plain words, line by line; blank lines are dropped, since they would end the cue.
pub(super) fn escape(text: &str) -> String {
    let mut clean = String::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if !clean.is_empty() {
            clean.push('\n');
        }
        words(&mut clean, line);
        if clean.len() > MAX_CUE_BYTES {
            break;
        }
    }
    // One less than a cue may have: its line end counts where it is read.
    let mut end = clean.len().min(MAX_CUE_BYTES - 1);
    while !clean.is_char_boundary(end) {
        end -= 1;
    }
    // Not in the middle of an escape.
    if let Some(at) = clean[..end].rfind('&')
        && !clean[at..end].contains(';')
    {
        end = at;
    }
    clean.truncate(end);
    clean
}

fn words(clean: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '<' => clean.push_str("&lt;"),
            '>' => clean.push_str("&gt;"),
            '&' => clean.push_str("&amp;"),
            '\n' | '\t' => clean.push(character),
            other if other.is_control() => {}
            other => clean.push(other),
        }
    }
}

/// Copies a known escape, or escapes the `&` that begins none; returns what follows.
fn entity<'a>(clean: &mut String, text: &'a str) -> &'a str {
    for known in ["&amp;", "&lt;", "&gt;", "&nbsp;", "&lrm;", "&rlm;"] {
        if let Some(rest) = text.strip_prefix(known) {
            clean.push_str(known);
            return rest;
        }
    }
    for (known, character) in [("&quot;", '"'), ("&apos;", '\''), ("&#39;", '\'')] {
        if let Some(rest) = text.strip_prefix(known) {
            clean.push(character);
            return rest;
        }
    }
    clean.push_str("&amp;");
    &text[1..]
}

/// The words an annotation stands for, on one line: escapes are read, so that writing them escapes them once only.
fn plain(annotation: &str) -> String {
    const ESCAPES: [(&str, char); 9] = [
        ("&amp;", '&'),
        ("&lt;", '<'),
        ("&gt;", '>'),
        ("&nbsp;", '\u{a0}'),
        ("&lrm;", '\u{200e}'),
        ("&rlm;", '\u{200f}'),
        ("&quot;", '"'),
        ("&apos;", '\''),
        ("&#39;", '\''),
    ];
    let mut read = String::with_capacity(annotation.len());
    let mut rest = annotation;
    while let Some(next) = rest.chars().next() {
        if let Some((escape, character)) = ESCAPES.iter().find(|(escape, _)| rest.starts_with(escape)) {
            read.push(*character);
            rest = &rest[escape.len()..];
            continue;
        }
        match next {
            '\n' | '\t' => read.push(' '),
            other if other.is_control() => {}
            other => read.push(other),
        }
        rest = &rest[next.len_utf8()..];
    }
    read
}

/// Writes the tag anew if WebVTT knows it; tells whether it does.
fn tag(clean: &mut String, open: &mut Vec<String>, inner: &str) -> bool {
    if let Some(name) = inner.strip_prefix('/') {
        let Some(at) = open.iter().rposition(|tag| tag == name.trim()) else {
            // An end without a start means nothing, but only foreign ones are a reason to refuse.
            return is_known(name.trim());
        };
        for name in open.drain(at..).rev() {
            clean.push_str(&format!("</{name}>"));
        }
        return true;
    }
    if let Some(ms) = timing::stamp(inner) {
        clean.push_str(&format!("<{}>", timing::Stamp(ms)));
        return true;
    }
    let (head, annotation) = inner.split_once([' ', '\t', '\n']).unwrap_or((inner, ""));
    let mut parts = head.split('.');
    let name = parts.next().unwrap_or_default();
    if !is_known(name) {
        return false;
    }
    if open.len() == MAX_DEPTH {
        return true;
    }
    clean.push('<');
    clean.push_str(name);
    for class in parts.filter(|class| is_class(class)).take(8) {
        clean.push('.');
        clean.push_str(class);
    }
    let annotation: String = plain(annotation).trim().chars().take(MAX_ANNOTATION).collect();
    // Dashes before the `>` that ends the tag would be an arrow, as only the line of times has one.
    let annotation = annotation.trim_end_matches(|c: char| c == '-' || c.is_whitespace());
    if ["v", "lang"].contains(&name) && !annotation.is_empty() {
        clean.push(' ');
        words(clean, annotation);
    }
    clean.push('>');
    open.push(name.to_owned());
    true
}

fn is_known(name: &str) -> bool {
    ["b", "i", "u", "c", "v", "lang", "ruby", "rt"].contains(&name)
}

fn is_class(class: &str) -> bool {
    (1..=32).contains(&class.len())
        && !class.ends_with('-')
        && class.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}
