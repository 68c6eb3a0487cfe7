//! Versioned on-disk types: every file and record carries its version, and a node reads the version before its own,
//! so that an update can always be followed by the one after it.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Bytes made room for at once.
const ROOM: usize = 512;

/// A type kept on disk. Its encoding is one version byte followed by postcard.
///
/// To change the shape of such a type: keep the old shape as `Previous`, raise `VERSION` by one, and write `migrate`.
/// A type that has had one shape only sets `Previous = Self`.
pub trait Persist: Serialize + DeserializeOwned + Sized {
    /// The version this build writes. Starts at 1.
    const VERSION: u8;

    /// The shape written by version `VERSION - 1`.
    type Previous: DeserializeOwned;

    /// Turns the previous shape into this one. `None` where it cannot be understood.
    fn migrate(previous: Self::Previous) -> Option<Self>;
}

/// Why stored bytes could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PersistError {
    /// Nothing was there, not even a version.
    #[error("the stored value is empty")]
    Empty,
    /// Written by a build newer than this one, or older than the one before it.
    #[error("the stored value has version {found}, this build reads {newest} and the one before it")]
    UnknownVersion {
        /// The version in the stored bytes.
        found: u8,
        /// The version this build writes.
        newest: u8,
    },
    /// The version is known but the bytes do not have its shape.
    #[error("the stored value is damaged: {0}")]
    Damaged(String),
}

/// Encodes `value` with its version in front.
///
/// # Errors
/// Only if the type itself cannot be serialised, which is a fault in the program.
pub fn encode<T: Persist>(value: &T) -> Result<Vec<u8>, PersistError> {
    // Room for most of what is written with each change, which would else be made in seven steps.
    let mut bytes = Vec::with_capacity(ROOM);
    bytes.push(T::VERSION);
    postcard::to_extend(value, bytes).map_err(|error| PersistError::Damaged(error.to_string()))
}

/// Decodes what [`encode`] wrote, by this build or by the one before it.
///
/// # Errors
/// [`PersistError`] says whether the bytes are absent, of an unreadable version, or damaged.
pub fn decode<T: Persist>(bytes: &[u8]) -> Result<T, PersistError> {
    let (&version, body) = bytes.split_first().ok_or(PersistError::Empty)?;
    let damaged = |error: postcard::Error| PersistError::Damaged(error.to_string());
    if version == T::VERSION {
        return whole::<T>(body).map_err(damaged);
    }
    if T::VERSION > 1 && version == T::VERSION - 1 {
        let previous = whole::<T::Previous>(body).map_err(damaged)?;
        return T::migrate(previous).ok_or_else(|| {
            PersistError::Damaged("the previous version could not be carried over".to_owned())
        });
    }
    Err(PersistError::UnknownVersion { found: version, newest: T::VERSION })
}

/// Decodes and insists that nothing is left over: trailing bytes mean another shape.
fn whole<T: DeserializeOwned>(body: &[u8]) -> Result<T, postcard::Error> {
    let (value, rest) = postcard::take_from_bytes::<T>(body)?;
    if rest.is_empty() { Ok(value) } else { Err(postcard::Error::SerdeDeCustom) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct First {
        name: String,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Second {
        name: String,
        size: u64,
    }

    impl Persist for First {
        const VERSION: u8 = 1;
        type Previous = Self;
        fn migrate(previous: Self) -> Option<Self> {
            Some(previous)
        }
    }

    impl Persist for Second {
        const VERSION: u8 = 2;
        type Previous = First;
        fn migrate(previous: First) -> Option<Self> {
            Some(Self { name: previous.name, size: 0 })
        }
    }

    #[test]
    fn the_previous_version_is_carried_over_and_no_other_is_read() {
        let old = encode(&First { name: "a".into() }).unwrap();
        assert_eq!(decode::<Second>(&old).unwrap(), Second { name: "a".into(), size: 0 });
        let new = encode(&Second { name: "b".into(), size: 7 }).unwrap();
        assert_eq!(decode::<Second>(&new).unwrap(), Second { name: "b".into(), size: 7 });
        assert_eq!(decode::<First>(&new), Err(PersistError::UnknownVersion { found: 2, newest: 1 }));
        assert_eq!(decode::<First>(&[]), Err(PersistError::Empty));
        assert_eq!(decode::<First>(&[0, 1, 2]), Err(PersistError::UnknownVersion { found: 0, newest: 1 }));
    }

    #[test]
    fn cut_and_overlong_bytes_are_refused() {
        let mut bytes = encode(&First { name: "abc".into() }).unwrap();
        assert!(matches!(decode::<First>(&bytes[..3]), Err(PersistError::Damaged(_))));
        bytes.push(0);
        assert!(matches!(decode::<First>(&bytes), Err(PersistError::Damaged(_))));
    }
}
