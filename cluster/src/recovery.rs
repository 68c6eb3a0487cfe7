//! The recovery key: made once with the cluster, shown once, whole or in shares, never stored. Its public half is in
//! State, so every cluster key epoch and every node's secrets can be sealed to it without it being there.
//!
//! Written form: Crockford base32 in groups of five, upper case, with a checksum, so that a slip of the pen is named and
//! not silently another key: `MKR1-0AZ9B-...` for the whole key, `MKS1-...` for a share. Reading forgives case, spaces,
//! missing dashes, and O for 0 or I and L for 1.

use std::fmt;

use aws_lc_rs::digest;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::keyring::{KEY_LENGTH, KeyError, PrivateKey, PublicKey, Secret, open_with, random_secret};
use crate::shamir::{self, Point};

const WHOLE: &str = "MKR1";
const SHARE: &str = "MKS1";
const CHECKSUM: usize = 4;
const GROUP: usize = 5;
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Share bytes before the secret part: which set (4), how many are needed, which one this is.
const SHARE_HEADER: usize = 6;

/// Why a typed recovery key or share was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecoveryError {
    /// Not a recovery key at all.
    #[error("this is not a recovery key: it starts with {WHOLE}, a share of one with {SHARE}")]
    NotRecoveryText,
    /// A character that is never used.
    #[error("the character {0:?} does not occur in a recovery key")]
    BadCharacter(char),
    /// Too short or too long.
    #[error("the recovery key is incomplete or has extra characters")]
    WrongLength,
    /// The checksum does not fit: mistyped somewhere.
    #[error("the recovery key is mistyped: its checksum does not fit")]
    BadChecksum,
    /// Shares of different keys.
    #[error("these shares belong to different recovery keys")]
    MixedShares,
    /// Not enough shares.
    #[error("{needed} different shares are needed, {got} given")]
    TooFewShares {
        /// How many the key was split to need.
        needed: u8,
        /// How many different ones were given.
        got: usize,
    },
    /// A valid recovery key, but of another cluster.
    #[error("this is the recovery key of another cluster")]
    OtherKey,
    /// The machinery below failed.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// The recovery key, in memory only while it is shown, confirmed or used.
pub struct RecoveryKey {
    seed: Secret,
    pair: PrivateKey,
}

impl RecoveryKey {
    /// A new recovery key.
    ///
    /// # Errors
    /// [`KeyError::NoRandomness`].
    pub fn generate() -> Result<Self, KeyError> {
        Self::from_seed(random_secret()?)
    }

    fn from_seed(seed: Secret) -> Result<Self, KeyError> {
        let pair = PrivateKey::from_seed(&seed, b"recovery")?;
        Ok(Self { seed, pair })
    }

    /// The public half, for State.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.pair.public()
    }

    /// The key as the operator writes it down.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        write(WHOLE, self.seed.as_slice())
    }

    /// Reads what [`RecoveryKey::to_text`] gave, however it was retyped.
    ///
    /// # Errors
    /// [`RecoveryError`] says what is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, RecoveryError> {
        let bytes = read(WHOLE, text, KEY_LENGTH)?;
        let seed: [u8; KEY_LENGTH] = bytes.as_slice().try_into().map_err(|_| RecoveryError::WrongLength)?;
        Ok(Self::from_seed(Zeroizing::new(seed))?)
    }

    /// Reads a retyped key and checks that it is the one whose public half is `expected`: the operator has it.
    ///
    /// # Errors
    /// [`RecoveryError::OtherKey`] when it is a valid key, but not that one.
    pub fn confirm(text: &str, expected: &PublicKey) -> Result<Self, RecoveryError> {
        let key = Self::parse(text)?;
        key.matches(expected)?;
        Ok(key)
    }

    fn matches(&self, expected: &PublicKey) -> Result<(), RecoveryError> {
        if bool::from(self.public_key().as_bytes().ct_eq(expected.as_bytes())) {
            Ok(())
        } else {
            Err(RecoveryError::OtherKey)
        }
    }

    /// Splits the key into `count` shares of which any `threshold` give it back.
    ///
    /// # Errors
    /// [`KeyError::Derivation`] unless `1 <= threshold <= count`.
    pub fn split(&self, threshold: u8, count: u8) -> Result<Vec<RecoveryShare>, KeyError> {
        let set = set_of(&self.public_key());
        let points = shamir::split(&self.seed, threshold, count)?;
        Ok(points.into_iter().map(|point| RecoveryShare { set, threshold, point }).collect())
    }

    /// Gives the key back from its shares.
    ///
    /// # Errors
    /// [`RecoveryError::TooFewShares`], [`RecoveryError::MixedShares`].
    pub fn combine(shares: &[RecoveryShare]) -> Result<Self, RecoveryError> {
        let first = shares.first().ok_or(RecoveryError::TooFewShares { needed: 1, got: 0 })?;
        if shares.iter().any(|share| (share.set, share.threshold) != (first.set, first.threshold)) {
            return Err(RecoveryError::MixedShares);
        }
        let mut points: Vec<Point> = shares.iter().map(|share| share.point.clone()).collect();
        points.sort_by_key(|point| point.x);
        points.dedup_by_key(|point| point.x);
        if points.len() < usize::from(first.threshold) {
            return Err(RecoveryError::TooFewShares { needed: first.threshold, got: points.len() });
        }
        let key = Self::from_seed(shamir::combine(&points)?)?;
        if set_of(&key.public_key()) == first.set { Ok(key) } else { Err(RecoveryError::MixedShares) }
    }

    pub(crate) fn open(
        &self,
        purpose: &[u8],
        aad: &[u8],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        open_with(&self.pair, purpose, aad, sealed)
    }
}

impl fmt::Debug for RecoveryKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "RecoveryKey({:?}, redacted)", self.public_key())
    }
}

/// One holder's share of a recovery key.
#[derive(Clone)]
pub struct RecoveryShare {
    /// The first bytes of the public key's hash: tells shares of different keys apart.
    set: [u8; 4],
    threshold: u8,
    point: Point,
}

impl RecoveryShare {
    /// How many different shares are needed.
    #[must_use]
    pub fn threshold(&self) -> u8 {
        self.threshold
    }

    /// Which share this is, from 1.
    #[must_use]
    pub fn number(&self) -> u8 {
        self.point.x
    }

    /// The share as its holder writes it down.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new(self.set.to_vec());
        bytes.extend_from_slice(&[self.threshold, self.point.x]);
        bytes.extend_from_slice(self.point.y.as_slice());
        write(SHARE, &bytes)
    }

    /// Reads what [`RecoveryShare::to_text`] gave.
    ///
    /// # Errors
    /// [`RecoveryError`] says what is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, RecoveryError> {
        let bytes = read(SHARE, text, SHARE_HEADER + KEY_LENGTH)?;
        let wrong_length = |_| RecoveryError::WrongLength;
        let y: [u8; KEY_LENGTH] = bytes[SHARE_HEADER..].try_into().map_err(wrong_length)?;
        let set = bytes[..4].try_into().map_err(wrong_length)?;
        let (threshold, x) = (bytes[4], bytes[5]);
        if threshold == 0 || x == 0 {
            return Err(RecoveryError::NotRecoveryText);
        }
        Ok(Self { set, threshold, point: Point { x, y: Zeroizing::new(y) } })
    }
}

impl fmt::Debug for RecoveryShare {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "RecoveryShare(number {}, {} needed, redacted)", self.number(), self.threshold)
    }
}

fn set_of(public: &PublicKey) -> [u8; 4] {
    let hash = digest::digest(&digest::SHA256, public.as_bytes());
    [hash.as_ref()[0], hash.as_ref()[1], hash.as_ref()[2], hash.as_ref()[3]]
}

fn checksum(prefix: &str, bytes: &[u8]) -> [u8; CHECKSUM] {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(prefix.as_bytes());
    context.update(bytes);
    let hash = context.finish();
    [hash.as_ref()[0], hash.as_ref()[1], hash.as_ref()[2], hash.as_ref()[3]]
}

fn write(prefix: &str, bytes: &[u8]) -> Zeroizing<String> {
    let mut whole = Zeroizing::new(bytes.to_vec());
    whole.extend_from_slice(&checksum(prefix, bytes));
    let mut text = Zeroizing::new(String::from(prefix));
    for (at, digit) in digits(&whole).enumerate() {
        if at % GROUP == 0 {
            text.push('-');
        }
        text.push(char::from(ALPHABET[usize::from(digit)]));
    }
    text
}

/// The bytes as five-bit digits, the last one filled up with zero bits.
fn digits(bytes: &[u8]) -> impl Iterator<Item = u8> + '_ {
    (0..(bytes.len() * 8).div_ceil(5)).map(move |digit| {
        (0..5).fold(0, |value, bit| {
            let at = digit * 5 + bit;
            let set = bytes.get(at / 8).is_some_and(|byte| byte >> (7 - at % 8) & 1 == 1);
            value << 1 | u8::from(set)
        })
    })
}

fn read(prefix: &str, text: &str, length: usize) -> Result<Zeroizing<Vec<u8>>, RecoveryError> {
    let typed = text.chars().filter(|character| !character.is_whitespace() && *character != '-');
    let typed: Zeroizing<String> = Zeroizing::new(typed.flat_map(char::to_uppercase).take(1024).collect());
    let body = typed.strip_prefix(prefix).ok_or(RecoveryError::NotRecoveryText)?;
    let total = length + CHECKSUM;
    let mut bits = Zeroizing::new(Vec::with_capacity(total * 8 + 5));
    for character in body.chars() {
        let digit = digit_of(character).ok_or(RecoveryError::BadCharacter(character))?;
        bits.extend((0..5).rev().map(|bit| digit >> bit & 1));
    }
    if bits.len() != (total * 8).div_ceil(5) * 5 {
        return Err(RecoveryError::WrongLength);
    }
    let (used, filling) = bits.split_at(total * 8);
    let bytes = used.chunks_exact(8).map(|byte| byte.iter().fold(0, |value, bit| value << 1 | bit));
    let mut bytes: Zeroizing<Vec<u8>> = Zeroizing::new(bytes.collect());
    let given = bytes.split_off(length);
    let fits: bool = given.ct_eq(&checksum(prefix, &bytes)).into();
    if fits && filling.iter().all(|bit| *bit == 0) { Ok(bytes) } else { Err(RecoveryError::BadChecksum) }
}

fn digit_of(character: char) -> Option<u8> {
    let meant = match character {
        'O' => '0',
        'I' | 'L' => '1',
        other => other,
    };
    ALPHABET.iter().position(|letter| char::from(*letter) == meant).and_then(|at| u8::try_from(at).ok())
}

#[cfg(test)]
mod tests;
