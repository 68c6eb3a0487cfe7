//! Identifiers: 128 random bits, written as 26 lower-case Crockford base32 characters.
//!
//! In JSON an id is that string; in postcard (log, snapshots) it is its 16 bytes. The proposer of a
//! Command picks new ids, and `State::apply` refuses one that is already taken.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// Characters of a written id: 130 bits, of which the two highest are always zero.
pub const ID_LENGTH: usize = 26;

/// The text is not an id: 26 lower-case Crockford base32 characters, the first at most `7`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an id: expected 26 lower-case base32 characters")]
pub struct ParseIdError;

fn encode(bytes: [u8; 16]) -> [u8; ID_LENGTH] {
    let mut rest = u128::from_be_bytes(bytes);
    let mut text = [b'0'; ID_LENGTH];
    for place in text.iter_mut().rev() {
        *place = ALPHABET[usize::from(rest.to_le_bytes()[0] & 31)];
        rest >>= 5;
    }
    text
}

fn decode(text: &str) -> Result<[u8; 16], ParseIdError> {
    let text = text.as_bytes();
    if text.len() != ID_LENGTH || text[0] > b'7' {
        return Err(ParseIdError);
    }
    let mut value: u128 = 0;
    for byte in text {
        let digit = ALPHABET.iter().position(|letter| letter == byte).ok_or(ParseIdError)?;
        value = (value << 5) | digit as u128;
    }
    Ok(value.to_be_bytes())
}

macro_rules! id_types {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 16]);

        impl $name {
            /// The smallest id: the lower end of a range, never given to anything.
            pub const ZERO: Self = Self([0; 16]);

            /// A new id from the given source of randomness.
            pub fn random(rng: &mut impl rand::Rng) -> Self {
                let mut bytes = [0; 16];
                rng.fill_bytes(&mut bytes);
                Self(bytes)
            }

            /// A new id from the process's cryptographic generator.
            pub fn generate() -> Self {
                Self::random(&mut rand::rng())
            }

            /// The 16 bytes.
            pub fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                let text = encode(self.0);
                formatter.pad(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;
            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                decode(text).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.collect_str(self)
                } else {
                    self.0.serialize(serializer)
                }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if deserializer.is_human_readable() {
                    let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                    text.parse().map_err(de::Error::custom)
                } else {
                    <[u8; 16]>::deserialize(deserializer).map(Self)
                }
            }
        }
    )*};
}

id_types! {
    /// One video, recording or audio file with everything made from it.
    AssetId
    /// A space with its own assets, members and policy.
    ApplicationId
    /// A person.
    UserId
    /// A sealed file read by range.
    BlobId
    /// One sign-in of one person.
    SessionId
    /// A key with which another system uses the API.
    ApiKeyId
    /// A named group of assets inside an application.
    CollectionId
    /// Work on an asset.
    JobId
    /// An invitation to join an application.
    InviteId
    /// A place for backups.
    BackupTargetId
    /// One backup, or one check of one.
    BackupRunId
    /// What an edge keeps warm.
    WarmId
    /// One viewer's temporary right to watch one asset.
    ViewId
    /// A role of an application's own making.
    RoleId
}

/// A node: the log index at which it was added, so never used twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeId(pub u64);

impl fmt::Display for NodeId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_written_and_read_back_strictly() {
        let id = AssetId([0xff; 16]);
        assert_eq!(id.to_string(), "7zzzzzzzzzzzzzzzzzzzzzzzzz");
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(AssetId::ZERO.to_string(), "0".repeat(26));
        for wrong in [
            "",
            "7zzzzzzzzzzzzzzzzzzzzzzzz",
            "7zzzzzzzzzzzzzzzzzzzzzzzzzz",
            "8zzzzzzzzzzzzzzzzzzzzzzzzz",
            "7Zzzzzzzzzzzzzzzzzzzzzzzzz",
            "7zzzzzzzzzzzzzzzzzzzzzzzzi",
            "7zzzzzzzzzzzzzzzzzzzzzzz\u{e9}",
        ] {
            assert_eq!(wrong.parse::<AssetId>(), Err(ParseIdError), "{wrong}");
        }
    }

    #[test]
    fn an_id_is_text_in_json_and_bytes_in_postcard() {
        let id = UserId::generate();
        let json = serde_json::to_string(&id).unwrap();
        assert_eq!(json, format!("\"{id}\""));
        assert_eq!(serde_json::from_str::<UserId>(&json).unwrap(), id);
        let bytes = postcard::to_allocvec(&id).unwrap();
        assert_eq!(bytes, id.0);
        assert_eq!(postcard::from_bytes::<UserId>(&bytes).unwrap(), id);
    }
}
