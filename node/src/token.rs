//! Signed tokens: what a View or a download link carries instead of a row in State.
//!
//! A token is `v1` followed by base64url of `MAC || claims`. The MAC is HMAC-SHA-256 under a key all nodes of the
//! cluster derive alike, over a purpose string and the claims, so that a token made for one purpose never opens another.
//! One token has exactly one spelling: padding, other alphabets, trailing bits and trailing bytes are refused.

use aws_lc_rs::hmac;
use data_encoding::BASE64URL_NOPAD;
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

const PREFIX: &str = "v1";
/// Bytes of a token's MAC.
pub const MAC_LENGTH: usize = 32;
/// Longer text cannot be one of ours and is not even decoded.
const LONGEST_TOKEN: usize = 512;

/// What a token says; each kind of claim names its own purpose, which the MAC covers.
pub trait Claims: Serialize + DeserializeOwned {
    /// Never the same for two kinds of claim.
    const PURPOSE: &'static str;
}

/// Why a token is not accepted. Whoever presented it learns no more than "not valid".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TokenError {
    /// Not the one spelling a token has.
    #[error("this link is not complete or was changed")]
    Malformed,
    /// The MAC is of another key, another purpose, or was made up.
    #[error("this link is not valid")]
    Forged,
}

/// The key that makes and checks tokens; its bytes are never printed.
#[derive(Clone)]
pub struct TokenKey(hmac::Key);

impl std::fmt::Debug for TokenKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("TokenKey(..)")
    }
}

impl TokenKey {
    /// A key from 32 secret bytes that every node of the cluster derives alike.
    pub fn new(secret: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// The token for `claims`: URL-safe text without separators.
    pub fn sign<C: Claims>(&self, claims: &C) -> Result<String, TokenError> {
        let body = postcard::to_stdvec(claims).map_err(|_| TokenError::Malformed)?;
        let mut bytes = self.mac::<C>(&body).as_ref().to_vec();
        bytes.extend_from_slice(&body);
        Ok(format!("{PREFIX}{}", BASE64URL_NOPAD.encode(&bytes)))
    }

    /// The claims of `text`, when its MAC is ours. Expiry and revocation are the caller's to check.
    pub fn verify<C: Claims>(&self, text: &str) -> Result<C, TokenError> {
        if text.len() > LONGEST_TOKEN {
            return Err(TokenError::Malformed);
        }
        let encoded = text.strip_prefix(PREFIX).ok_or(TokenError::Malformed)?;
        let bytes = BASE64URL_NOPAD.decode(encoded.as_bytes()).map_err(|_| TokenError::Malformed)?;
        let (mac, body) = bytes.split_at_checked(MAC_LENGTH).ok_or(TokenError::Malformed)?;
        let expected = self.mac::<C>(body);
        if !bool::from(subtle::ConstantTimeEq::ct_eq(expected.as_ref(), mac)) {
            return Err(TokenError::Forged);
        }
        match postcard::take_from_bytes(body) {
            Ok((claims, [])) => Ok(claims),
            _ => Err(TokenError::Malformed),
        }
    }

    fn mac<C: Claims>(&self, body: &[u8]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(C::PURPOSE.as_bytes());
        context.update(&[0]);
        context.update(body);
        context.sign()
    }
}

/// True when a path segment is meant as a token rather than as an id.
pub fn looks_like_token(segment: &str) -> bool {
    segment.len() > 60 && segment.starts_with(PREFIX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Ticket {
        number: u64,
        name: String,
    }
    impl Claims for Ticket {
        const PURPOSE: &'static str = "ticket";
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Voucher {
        number: u64,
        name: String,
    }
    impl Claims for Voucher {
        const PURPOSE: &'static str = "voucher";
    }

    fn key() -> TokenKey {
        TokenKey::new(&[7; 32])
    }

    fn ticket() -> Ticket {
        Ticket { number: 300, name: "Anna".into() }
    }

    #[test]
    fn what_was_signed_is_read_back() {
        let token = key().sign(&ticket()).unwrap();
        assert_eq!(key().verify::<Ticket>(&token), Ok(ticket()));
        assert!(token.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'));
    }

    #[test]
    fn every_changed_truncated_or_lengthened_spelling_is_refused() {
        let token = key().sign(&ticket()).unwrap();
        for at in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(key().verify::<Ticket>(&changed).is_err(), "changed at {at}");
            assert!(key().verify::<Ticket>(&token[..at]).is_err(), "cut at {at}");
        }
        for tail in ["A", "=", "==", "AA", "AAAA", " ", "\u{0}", "\u{200b}", "%00", "/"] {
            assert!(key().verify::<Ticket>(&format!("{token}{tail}")).is_err(), "tail {tail:?}");
        }
    }

    #[test]
    fn other_alphabets_versions_and_lengths_are_refused() {
        let token = key().sign(&ticket()).unwrap();
        let wide: String = token.chars().map(|c| char::from_u32(c as u32 + 0xfee0).unwrap()).collect();
        let twice = format!("{token}{token}");
        for text in [
            "",
            "v1",
            "v2",
            &token.replacen("v1", "v2", 1),
            &token.to_uppercase(),
            &wide,
            &twice,
            &"v1A".repeat(4000),
        ] {
            assert!(key().verify::<Ticket>(text).is_err());
        }
    }

    #[test]
    fn another_key_or_purpose_is_refused() {
        let token = key().sign(&ticket()).unwrap();
        assert_eq!(TokenKey::new(&[8; 32]).verify::<Ticket>(&token), Err(TokenError::Forged));
        assert_eq!(key().verify::<Voucher>(&token), Err(TokenError::Forged));
    }

    #[test]
    fn the_key_is_not_printed() {
        assert_eq!(format!("{:?}", key()), "TokenKey(..)");
    }
}
