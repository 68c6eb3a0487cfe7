//! The timing line of a cue: two stamps and settings.
use std::fmt;

/// Latest stamp that is believed: a thousand hours.
const LATEST_MS: u64 = 1_000 * 3_600_000;

/// A time as WebVTT writes it, always with hours.
pub(super) struct Stamp(pub(super) u64);

impl fmt::Display for Stamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, ms) = (self.0 / 1_000, self.0 % 1_000);
        let (minutes, hours) = (seconds / 60 % 60, seconds / 3_600);
        write!(formatter, "{hours:02}:{minutes:02}:{:02}.{ms:03}", seconds % 60)
    }
}

/// Start, end and the settings that are understood; `None` unless start < end.
pub(super) fn read(line: &str) -> Option<(u64, u64, String)> {
    let (start, rest) = line.split_once("-->")?;
    let mut words = rest.split_ascii_whitespace();
    let start = stamp(start.trim_matches([' ', '\t']))?;
    let end = stamp(words.next()?)?;
    let settings: Vec<_> = words.filter(|word| known_setting(word)).take(6).collect();
    (start < end).then(|| (start, end, settings.join(" ")))
}

/// `HH:MM:SS.mmm` with two or more digits of hours, or `MM:SS.mmm`.
pub(super) fn stamp(text: &str) -> Option<u64> {
    let (clock, ms) = text.split_once('.')?;
    let parts: Vec<_> = clock.split(':').collect();
    let (hours, minutes, seconds) = match parts.as_slice() {
        [minutes, seconds] => (0, number(minutes, 2..=2)?, number(seconds, 2..=2)?),
        [hours, minutes, seconds] => {
            (number(hours, 2..=4)?, number(minutes, 2..=2)?, number(seconds, 2..=2)?)
        }
        _ => return None,
    };
    let ms = number(ms, 3..=3)?;
    let total = ((hours * 60 + minutes) * 60 + seconds) * 1_000 + ms;
    (minutes < 60 && seconds < 60 && total <= LATEST_MS).then_some(total)
}

fn number(text: &str, digits: std::ops::RangeInclusive<usize>) -> Option<u64> {
    let plain = digits.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

fn known_setting(word: &str) -> bool {
    let Some((name, value)) = word.split_once(':') else { return false };
    let percent = |text: &str| {
        let Some(number) = text.strip_suffix('%') else { return false };
        number.len() <= 8
            && number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
            && number.parse::<f64>().is_ok_and(|percent| (0.0..=100.0).contains(&percent))
    };
    let whole = |text: &str| text.len() <= 5 && text.parse::<i32>().is_ok() && !text.starts_with('+');
    let (main, alignment) = value.split_once(',').map_or((value, None), |(main, rest)| (main, Some(rest)));
    match name {
        "vertical" => ["rl", "lr"].contains(&value),
        "align" => ["start", "center", "end", "left", "right"].contains(&value),
        "size" => percent(value),
        "position" => {
            percent(main)
                && alignment.is_none_or(|word| ["line-left", "center", "line-right"].contains(&word))
        }
        "line" => {
            (percent(main) || whole(main))
                && alignment.is_none_or(|word| ["start", "center", "end"].contains(&word))
        }
        _ => false,
    }
}
