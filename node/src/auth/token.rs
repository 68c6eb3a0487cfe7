//! Secrets that stand for somebody: session tokens, API keys, invitations and resets. Only their SHA-256 is stored.
//!
//! A token names what it belongs to, so that finding it is a look-up by id and comparing it is constant-time:
//! `mks_<id>_<secret>`. The secret is 256 random bits; it needs no slow hash.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{SHA256, digest};
use rand::RngExt;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use utoipa::openapi::{ObjectBuilder, RefOr, Schema, Type};
use utoipa::{PartialSchema, ToSchema};
use zeroize::Zeroizing;

/// Random bytes of a token.
pub const SECRET_LENGTH: usize = 32;

/// Text that must not be printed: passphrases, codes, tokens. `Debug` shows nothing, memory is wiped.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    /// Takes the text.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text itself; never log it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SecretText(***)")
    }
}

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

/// Only for the one answer that shows a secret once.
impl Serialize for SecretText {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl PartialSchema for SecretText {
    fn schema() -> RefOr<Schema> {
        RefOr::T(Schema::Object(ObjectBuilder::new().schema_type(Type::String).build()))
    }
}

impl ToSchema for SecretText {
    fn name() -> std::borrow::Cow<'static, str> {
        std::borrow::Cow::Borrowed("SecretText")
    }
}

/// What a token stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// A sign-in: the cookie, or the command line's token.
    Session,
    /// Another system's key.
    ApiKey,
    /// An invitation.
    Invite,
    /// A reset of a passphrase.
    Reset,
}

impl TokenKind {
    const ALL: [(Self, &'static str); 4] =
        [(Self::Session, "mks"), (Self::ApiKey, "mkk"), (Self::Invite, "mki"), (Self::Reset, "mkr")];

    fn prefix(self) -> &'static str {
        Self::ALL.iter().find(|(kind, _)| *kind == self).map_or("mk", |(_, prefix)| prefix)
    }
}

/// A token, read or freshly made.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// What it stands for.
    pub kind: TokenKind,
    /// The id of the session, key, invitation or person, as text.
    pub id: String,
    secret: Zeroizing<[u8; SECRET_LENGTH]>,
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Token({:?} {} ***)", self.kind, self.id)
    }
}

/// The text is not a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a token")]
pub struct NotAToken;

impl Token {
    /// A new secret for the thing named `id`.
    pub fn fresh(kind: TokenKind, id: impl fmt::Display) -> Self {
        Self { kind, id: id.to_string(), secret: Zeroizing::new(rand::rng().random()) }
    }

    /// What State keeps.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, self.secret.as_slice()).as_ref());
        hash
    }

    /// Compares in constant time.
    #[must_use]
    pub fn matches(&self, stored: &[u8; 32]) -> bool {
        self.hash().ct_eq(stored).into()
    }

    /// The whole token, to be shown or set once.
    #[must_use]
    pub fn reveal(&self) -> SecretText {
        let secret = data_encoding::BASE32_NOPAD.encode(self.secret.as_slice()).to_ascii_lowercase();
        SecretText::new(format!("{}_{}_{secret}", self.kind.prefix(), self.id))
    }
}

impl FromStr for Token {
    type Err = NotAToken;

    fn from_str(text: &str) -> Result<Self, NotAToken> {
        if text.len() > 128 {
            return Err(NotAToken);
        }
        let mut pieces = text.split('_');
        let (Some(prefix), Some(id), Some(secret), None) =
            (pieces.next(), pieces.next(), pieces.next(), pieces.next())
        else {
            return Err(NotAToken);
        };
        let (kind, _) = TokenKind::ALL.iter().find(|(_, known)| *known == prefix).ok_or(NotAToken)?;
        if secret.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(NotAToken);
        }
        let bytes = data_encoding::BASE32_NOPAD
            .decode(secret.to_ascii_uppercase().as_bytes())
            .map_err(|_| NotAToken)?;
        let secret = Zeroizing::new(<[u8; 32]>::try_from(bytes.as_slice()).map_err(|_| NotAToken)?);
        Ok(Self { kind: *kind, id: id.to_owned(), secret })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_back_and_matches_only_its_own_hash() {
        let token = Token::fresh(TokenKind::ApiKey, "abc");
        let read: Token = token.reveal().expose().parse().unwrap();
        assert_eq!(read, token);
        assert!(read.matches(&token.hash()));
        assert!(!Token::fresh(TokenKind::ApiKey, "abc").matches(&token.hash()));
    }

    #[test]
    fn what_is_not_a_token_is_refused() {
        let good = Token::fresh(TokenKind::Session, "abc").reveal().expose().to_owned();
        let upper = good.to_ascii_uppercase();
        let long = format!("{good}{}", "a".repeat(100));
        for bad in ["", "mks", "mks__", "mks_a_b", "xxx_a_b", &good[1..], &upper, &long, &format!("{good}_x")]
        {
            assert_eq!(bad.parse::<Token>(), Err(NotAToken), "{bad}");
        }
    }

    #[test]
    fn nothing_secret_is_printed() {
        let token = Token::fresh(TokenKind::Session, "abc");
        let text = token.reveal();
        let secret = text.expose().rsplit('_').next().unwrap();
        assert!(!format!("{token:?} {text:?}").contains(secret));
    }
}
