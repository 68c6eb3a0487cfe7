//! File names from elsewhere made fit for a folder here: never a path, nothing hidden, nothing that a file system, a
//! shell or an archive would take for something else. Used by `download` and `export`.

/// Bytes of a name. File systems take 255; a half gets an ending, and a name that is taken a beginning.
const LONGEST: usize = 220;

/// `given` as the name of a file here; `fallback` where nothing of it can be kept.
pub fn own_name(given: &str, fallback: &str) -> String {
    let last = given.rsplit(['/', '\\']).next().unwrap_or_default();
    if last.starts_with('.') {
        return fallback.to_owned();
    }
    let clean: String =
        last.chars().filter(|c| !is_unseen(*c)).map(|c| if is_special(c) { '_' } else { c }).collect();
    // Some file systems drop what ends in them, so that two names become one.
    let clean = clean.trim_matches(|c: char| c.is_whitespace() || c == '.');
    let short = shortened(clean);
    match short.as_str() {
        "" => fallback.to_owned(),
        name if is_device(name) => format!("_{name}"),
        _ => short,
    }
}

/// A name that none of `taken` is, on a file system that does not tell upper case from lower case either. Adds it to them.
pub fn free_name(name: &str, taken: &mut Vec<String>) -> String {
    let folded = |name: &str| name.to_lowercase();
    let (stem, ending) = split(name);
    let mut free = name.to_owned();
    let mut number = 2_u32;
    while taken.contains(&folded(&free)) {
        free = format!("{stem}-{number}{ending}");
        number += 1;
    }
    taken.push(folded(&free));
    free
}

/// Control characters, and the marks that turn reading direction around or are not seen at all.
fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

fn is_special(c: char) -> bool {
    matches!(c, ':' | '*' | '?' | '"' | '<' | '>' | '|')
}

/// Names that Windows takes for a device, whatever they end in.
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_ascii_lowercase();
    let numbered = |device: &str| {
        stem.strip_prefix(device)
            .is_some_and(|rest| rest.len() == 1 && rest.bytes().all(|b| b.is_ascii_digit()))
    };
    ["con", "prn", "aux", "nul"].contains(&stem.as_str()) || numbered("com") || numbered("lpt")
}

/// Cut in the middle, so that it keeps its ending.
fn shortened(name: &str) -> String {
    if name.len() <= LONGEST {
        return name.to_owned();
    }
    let (stem, ending) = split(name);
    let mut end = LONGEST.saturating_sub(ending.len()).min(stem.len());
    while !stem.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{ending}", stem[..end].trim_end())
}

/// The stem, and the ending with its dot when it is one.
fn split(name: &str) -> (&str, &str) {
    match name.rfind('.') {
        Some(at) if at > 0 && name.len() - at <= 16 => name.split_at(at),
        _ => (name, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_from_elsewhere_stays_in_its_folder() {
        let named = |name| own_name(name, "id.mp4");
        assert_eq!(named("film.mkv"), "film.mkv");
        assert_eq!(named("Überfahrt – 片.mkv"), "Überfahrt – 片.mkv");
        for bad in ["", "..", ".", "/", ".bashrc", "../.ssh", "a/..", "...", " . ", "\u{202e}", "\u{0}"] {
            assert_eq!(named(bad), "id.mp4", "{bad:?}");
        }
        assert_eq!(named("../../etc/passwd"), "passwd");
        assert_eq!(named("C:\\temp\\a?b.mp4"), "a_b.mp4");
        assert_eq!(named("a\nb\u{1b}[2J.mp4"), "ab[2J.mp4");
        assert_eq!(named("film.mp4. "), "film.mp4");
    }

    #[test]
    fn devices_are_no_files() {
        for device in ["con", "NUL.mp4", "Com1.tar.gz", "lpt9"] {
            assert_eq!(own_name(device, "id"), format!("_{device}"));
        }
        assert_eq!(own_name("console.mp4", "id"), "console.mp4");
        assert_eq!(own_name("com10.mp4", "id"), "com10.mp4");
    }

    #[test]
    fn a_long_name_keeps_its_ending_and_is_still_text() {
        let long = own_name(&format!("{}.mp4", "ü片".repeat(200)), "id");
        assert!(long.len() <= LONGEST && long.ends_with(".mp4"), "{} {long}", long.len());
        assert!(own_name(&"x".repeat(999), "id").len() <= LONGEST);
    }

    #[test]
    fn names_that_are_one_elsewhere_are_two() {
        let mut taken = vec!["asset.json".to_owned()];
        assert_eq!(free_name("Asset.JSON", &mut taken), "Asset-2.JSON");
        assert_eq!(free_name("asset-2.json", &mut taken), "asset-2-2.json");
        assert_eq!(free_name("Straße", &mut taken), "Straße");
        assert_eq!(free_name("STRASSE", &mut taken), "STRASSE");
    }
}
