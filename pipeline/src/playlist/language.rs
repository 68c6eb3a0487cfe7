//! Language tags as BCP 47 wants them, from what containers carry (mostly ISO 639-2).

/// Three-letter codes (both the bibliographic and the terminological ones) and the shorter one that BCP 47 requires.
#[rustfmt::skip]
const SHORTER: [(&str, &str); 66] = [
    ("afr", "af"), ("alb", "sq"), ("ara", "ar"), ("arm", "hy"), ("baq", "eu"), ("bel", "be"), ("ben", "bn"),
    ("bul", "bg"), ("cat", "ca"), ("ces", "cs"), ("chi", "zh"), ("cym", "cy"), ("cze", "cs"), ("dan", "da"),
    ("deu", "de"), ("dut", "nl"), ("ell", "el"), ("eng", "en"), ("est", "et"), ("eus", "eu"), ("fas", "fa"),
    ("fin", "fi"), ("fra", "fr"), ("fre", "fr"), ("ger", "de"), ("gle", "ga"), ("glg", "gl"), ("gre", "el"),
    ("heb", "he"), ("hin", "hi"), ("hrv", "hr"), ("hun", "hu"), ("hye", "hy"), ("ice", "is"), ("ind", "id"),
    ("isl", "is"), ("ita", "it"), ("jpn", "ja"), ("kat", "ka"), ("kor", "ko"), ("lav", "lv"), ("lit", "lt"),
    ("mac", "mk"), ("may", "ms"), ("mkd", "mk"), ("nld", "nl"), ("nor", "no"), ("per", "fa"), ("pol", "pl"),
    ("por", "pt"), ("ron", "ro"), ("rum", "ro"), ("rus", "ru"), ("slk", "sk"), ("slo", "sk"), ("slv", "sl"),
    ("spa", "es"), ("sqi", "sq"), ("srp", "sr"), ("swe", "sv"), ("tha", "th"), ("tur", "tr"), ("ukr", "uk"),
    ("vie", "vi"), ("wel", "cy"), ("zho", "zh"),
];

/// A well-formed BCP 47 tag for what a container calls a language; `None` for "undetermined" and for what is no tag.
#[must_use]
pub fn language_tag(text: &str) -> Option<String> {
    let mut parts = text.trim().split(['-', '_']);
    let first = parts.next()?.to_ascii_lowercase();
    let language = (2..=8).contains(&first.len()) && first.bytes().all(|byte| byte.is_ascii_lowercase());
    if !language || ["und", "mul", "zxx", "mis"].contains(&first.as_str()) {
        return None;
    }
    let mut tag =
        SHORTER.iter().find(|(long, _)| *long == first).map_or(first, |(_, short)| (*short).to_owned());
    for part in parts {
        let well_formed =
            (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !well_formed || tag.len() + part.len() > 34 {
            return None;
        }
        tag.push('-');
        tag.push_str(part);
    }
    Some(tag)
}
