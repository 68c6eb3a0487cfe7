//! The written form of the recovery key and its shares.

use super::*;
use proptest::prelude::*;

#[test]
fn a_retyped_key_is_the_same_key_however_it_was_typed() {
    let key = RecoveryKey::generate().unwrap();
    let text = key.to_text();
    assert!(
        text.starts_with("MKR1-") && text.split('-').skip(1).all(|group| group.len() <= GROUP),
        "grouped"
    );
    let sloppy =
        text.to_lowercase().replace('-', " ").replace('0', "o").replace('1', "l").replace("mkrl", "mkr1");
    for typed in [text.as_str(), &sloppy, &format!("  {}\n", text.replace('-', ""))] {
        assert_eq!(RecoveryKey::confirm(typed, &key.public_key()).unwrap().public_key(), key.public_key());
    }
    let other = RecoveryKey::generate().unwrap();
    let confirmed = RecoveryKey::confirm(&other.to_text(), &key.public_key());
    assert_eq!(confirmed.unwrap_err(), RecoveryError::OtherKey);
}

#[test]
fn every_single_slip_is_noticed() {
    let text = RecoveryKey::generate().unwrap().to_text();
    let characters: Vec<char> = text.chars().collect();
    for at in 5..characters.len() {
        if characters[at] == '-' {
            continue;
        }
        let mut slipped = characters.clone();
        slipped[at] = if slipped[at] == 'A' { 'B' } else { 'A' };
        assert!(RecoveryKey::parse(&slipped.iter().collect::<String>()).is_err(), "character {at} replaced");
        slipped.remove(at);
        assert!(RecoveryKey::parse(&slipped.iter().collect::<String>()).is_err(), "character {at} left out");
        if at + 1 < characters.len() && characters[at + 1] != '-' && characters[at] != characters[at + 1] {
            let mut swapped = characters.clone();
            swapped.swap(at, at + 1);
            assert!(
                RecoveryKey::parse(&swapped.iter().collect::<String>()).is_err(),
                "characters at {at} swapped"
            );
        }
    }
}

#[test]
fn what_is_wrong_is_said() {
    let error = |text: &str| RecoveryKey::parse(text).unwrap_err();
    assert_eq!(error(""), RecoveryError::NotRecoveryText);
    assert_eq!(error("hello"), RecoveryError::NotRecoveryText);
    assert_eq!(error("MKR1-U"), RecoveryError::BadCharacter('U'));
    assert_eq!(error("MKR1-AAAAA"), RecoveryError::WrongLength);
    assert_eq!(error(&format!("MKR1-{}", "A".repeat(58))), RecoveryError::BadChecksum);
}

#[test]
fn shares_give_the_key_back_only_when_enough_belong_together() {
    let key = RecoveryKey::generate().unwrap();
    let shares: Vec<_> = key
        .split(3, 5)
        .unwrap()
        .iter()
        .map(|share| RecoveryShare::parse(&share.to_text()).unwrap())
        .collect();
    let pick = |numbers: &[usize]| numbers.iter().map(|at| shares[*at].clone()).collect::<Vec<_>>();
    assert_eq!(RecoveryKey::combine(&pick(&[4, 0, 2])).unwrap().public_key(), key.public_key());
    assert_eq!(RecoveryKey::combine(&shares).unwrap().public_key(), key.public_key());

    let too_few = RecoveryError::TooFewShares { needed: 3, got: 2 };
    assert_eq!(RecoveryKey::combine(&pick(&[1, 3])).unwrap_err(), too_few);
    assert_eq!(RecoveryKey::combine(&pick(&[1, 3, 1])).unwrap_err(), too_few, "one share twice is one share");

    let foreign = RecoveryKey::generate().unwrap().split(3, 5).unwrap();
    let mixed = [shares[0].clone(), shares[1].clone(), foreign[2].clone()];
    assert_eq!(RecoveryKey::combine(&mixed).unwrap_err(), RecoveryError::MixedShares);
}

#[test]
fn a_key_is_not_taken_for_a_share() {
    let key = RecoveryKey::generate().unwrap();
    assert_eq!(RecoveryShare::parse(&key.to_text()).unwrap_err(), RecoveryError::NotRecoveryText);
    let share = key.split(1, 1).unwrap()[0].to_text();
    assert_eq!(RecoveryKey::parse(&share).unwrap_err(), RecoveryError::NotRecoveryText);
}

#[test]
fn nothing_secret_is_printed() {
    let key = RecoveryKey::generate().unwrap();
    let share = &key.split(2, 2).unwrap()[0];
    let printed = format!("{key:?} {share:?}");
    let secret = data_encoding::HEXLOWER.encode(key.seed.as_slice());
    assert!(printed.contains("redacted") && !printed.contains(&secret));
}

proptest! {
    /// Whatever is typed, the answer is a key or a typed error, in bounded time.
    #[test]
    fn no_text_breaks_the_parser(text in "(MKR1|MKS1|mkr1)?[-0-9A-Za-z \u{0}-\u{ff}\u{df}\u{1f600}]{0,120}") {
        let _ = RecoveryKey::parse(&text);
        let _ = RecoveryShare::parse(&text);
    }

    #[test]
    fn every_seed_is_written_and_read_back(seed in any::<[u8; 32]>()) {
        let key = RecoveryKey::from_seed(Zeroizing::new(seed)).unwrap();
        let read = RecoveryKey::parse(&key.to_text()).unwrap();
        prop_assert_eq!(read.seed.as_slice(), seed.as_slice());
    }
}
