//! What a passphrase must be: long and not a well-known one. No rules about digits or symbols, no expiry
//! (NIST SP 800-63B-4).

/// Fewest characters; nothing but the passphrase protects an account.
pub const SHORTEST: usize = 15;
/// Most characters, so that hashing stays bounded.
pub const LONGEST: usize = 256;

/// Why a passphrase was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Weakness {
    /// Too short.
    #[error("A passphrase needs at least {SHORTEST} characters. A few unrelated words are fine.")]
    TooShort,
    /// Too long.
    #[error("A passphrase may have at most {LONGEST} characters.")]
    TooLong,
    /// Guessed early by anyone who tries.
    #[error("This passphrase is among the first that are guessed. Choose a few unrelated words instead.")]
    Common,
    /// Nothing but the user name or the product name, repeated or padded.
    #[error("The passphrase is little more than the user name or the product's name.")]
    Predictable,
}

impl Weakness {
    /// The stable code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::TooShort => "passphrase_too_short",
            Self::TooLong => "passphrase_too_long",
            Self::Common => "passphrase_common",
            Self::Predictable => "passphrase_predictable",
        }
    }
}

/// Long strings known from published lists of leaked passphrases, letters and digits only, lower case.
const COMMON: &str = include_str!("common_passphrases.txt");
/// Words that lists of leaked passphrases repeat or pad to get to a length.
const BASES: [&str; 24] = [
    "password",
    "passwort",
    "passphrase",
    "qwerty",
    "qwertz",
    "azerty",
    "letmein",
    "welcome",
    "admin",
    "administrator",
    "secret",
    "iloveyou",
    "dragon",
    "monkey",
    "football",
    "baseball",
    "master",
    "sunshine",
    "princess",
    "trustno",
    "changeme",
    "default",
    "login",
    "root",
];
const RUNS: [&str; 8] = [
    "01234567890123456789012345678901234567890123456789",
    "98765432109876543210987654321098765432109876543210",
    "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz",
    "zyxwvutsrqponmlkjihgfedcbazyxwvutsrqponmlkjihgfedcba",
    "qwertyuiopasdfghjklzxcvbnmqwertyuiopasdfghjklzxcvbnm",
    "qwertzuiopasdfghjklyxcvbnmqwertzuiopasdfghjklyxcvbnm",
    "1q2w3e4r5t6y7u8i9o0p1q2w3e4r5t6y7u8i9o0p",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p",
];

/// Checks a new passphrase of `username`.
pub fn check(passphrase: &str, username: &str) -> Result<(), Weakness> {
    let length = passphrase.chars().count();
    if length < SHORTEST {
        return Err(Weakness::TooShort);
    }
    if length > LONGEST {
        return Err(Weakness::TooLong);
    }
    let bare = bare(passphrase);
    if is_common(&bare, passphrase) {
        return Err(Weakness::Common);
    }
    let username = self::bare(username);
    if [username.as_str(), "mediakeep"].iter().any(|word| word.len() >= 3 && is_padded(&bare, word)) {
        return Err(Weakness::Predictable);
    }
    Ok(())
}

fn bare(text: &str) -> String {
    text.to_lowercase().chars().filter(|letter| letter.is_alphanumeric()).collect()
}

fn is_common(bare: &str, passphrase: &str) -> bool {
    let distinct = passphrase.chars().collect::<std::collections::BTreeSet<_>>().len();
    distinct < 5
        || COMMON.lines().any(|line| line == bare)
        || RUNS.iter().any(|run| !bare.is_empty() && run.contains(bare))
        || is_repeated(bare)
        || BASES.iter().any(|word| is_padded(bare, word))
}

/// One piece of at most a third of the text, again and again.
fn is_repeated(text: &str) -> bool {
    let letters: Vec<char> = text.chars().collect();
    (1..=letters.len() / 3)
        .any(|piece| letters.iter().enumerate().all(|(at, letter)| *letter == letters[at % piece]))
}

/// `word` once or more, and besides it nothing but digits.
fn is_padded(text: &str, word: &str) -> bool {
    text.contains(word) && text.replace(word, "").chars().all(|letter| letter.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_words_are_enough_without_digits_or_symbols() {
        for good in [
            "correct staple battery horse",
            "wolken treiben über das meer",
            "наша старая лодка",
            "x#9 v..Lq 77!jkwe",
        ] {
            assert_eq!(check(good, "anna"), Ok(()), "{good}");
        }
    }

    #[test]
    fn length_is_counted_in_characters() {
        assert_eq!(check("äöüß äöü xy wq", "anna"), Err(Weakness::TooShort));
        assert_eq!(check(&"ab cd ef gh".repeat(30), "anna"), Err(Weakness::TooLong));
    }

    #[test]
    fn what_everybody_guesses_is_refused() {
        for common in [
            "passwordpassword",
            "Password1234567",
            "123456789012345",
            "qwertyuiopasdfgh",
            "aaaaaaaaaaaaaaaaaaa",
            "1q2w3e4r5t6y7u8i9o",
            "abcabcabcabcabcabc",
            "correct horse battery staple",
            "ILoveYou 2023 2024 2025",
        ] {
            assert_eq!(check(common, "anna"), Err(Weakness::Common), "{common}");
        }
    }

    #[test]
    fn the_user_name_is_no_passphrase() {
        assert_eq!(check("katharina-katharina-1", "Katharina"), Err(Weakness::Predictable));
        assert_eq!(check("MediaKeep MediaKeep 99", "anna"), Err(Weakness::Predictable));
    }
}
