//! The manifest of a run: sealed, and sent last. It is what makes a run whole.
//!
//! `MKBACKUP`, the length of the header (4 bytes), the header, the sealed body, and BLAKE3 of all before (32 bytes), by
//! which one that was cut off is told from a whole one without any key.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::hash;
use crate::audit_record::ChainHead;
use crate::id::BackupRunId;
use crate::keyring::{AeadKey, KeyError, NodeSecrets, PublicKey, Secret, derive, random_secret};
use crate::persist::{self, Persist};
use crate::recovery::RecoveryKey;

const MAGIC: &[u8; 8] = b"MKBACKUP";
const PURPOSE: &[u8] = b"mediakeep backup run v1";
/// No manifest is longer: it names segments of the audit log, not Blobs.
pub(super) const LONGEST: usize = 64 * 1024 * 1024;

/// Why a manifest could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Cut off, or changed.
    #[error("the manifest is cut off or damaged")]
    Damaged,
    /// Written by another version.
    #[error("the manifest was written by another version: {0}")]
    Version(String),
    /// Not sealed to this key.
    #[error("this key does not open the backup: it is of another cluster, or was replaced since")]
    OtherKey,
    /// The machinery below failed.
    #[error(transparent)]
    Key(KeyError),
}

/// What anybody may read of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Whose.
    pub cluster: [u8; 16],
    /// Which run.
    pub run: BackupRunId,
    /// The log index it is of.
    pub index: u64,
    /// Cluster time when it was taken.
    pub time_ms: u64,
    /// Who can open it: public keys, each with the run's key sealed to it.
    pub recipients: Vec<(PublicKey, Vec<u8>)>,
}

impl Persist for Header {
    const VERSION: u8 = 1;
    type Previous = Self;
    fn migrate(previous: Self) -> Option<Self> {
        Some(previous)
    }
}

/// What only a holder of the run's key may read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Body {
    /// The same run: a body is of no use under another header.
    pub(super) run: BackupRunId,
    /// State at the run's index.
    pub(super) state: Part,
    /// Every object.
    pub(super) objects: Part,
    /// How many objects.
    pub(super) count: u64,
    /// The audit log, in order.
    pub(super) audit: Vec<AuditPart>,
    /// The newest audit record.
    pub(super) chain: ChainHead,
}

impl Persist for Body {
    const VERSION: u8 = 1;
    type Previous = Self;
    fn migrate(previous: Self) -> Option<Self> {
        Some(previous)
    }
}

/// One object of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Part {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) length: u64,
    /// BLAKE3.
    pub(super) hash: [u8; 32],
}

/// Some records of the audit log.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct AuditPart {
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) object: Part,
    /// Opens the object.
    pub(super) key: [u8; 32],
}

impl std::fmt::Debug for AuditPart {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "AuditPart({} to {}, {}, redacted)", self.first, self.last, self.object.name)
    }
}

/// The key of one run.
pub(super) struct RunKey {
    secret: Secret,
}

impl RunKey {
    pub(super) fn generate() -> Result<Self, KeyError> {
        Ok(Self { secret: random_secret()? })
    }

    /// The key for one file of the run.
    pub(super) fn purpose(&self, purpose: &str) -> Result<AeadKey, KeyError> {
        AeadKey::new(&*derive(self.secret.as_slice(), &[b"backup", purpose.as_bytes()])?)
    }

    /// The run's key, sealed to each of these.
    pub(super) fn seal_to(
        &self,
        run: BackupRunId,
        recipients: &[PublicKey],
    ) -> Result<Vec<(PublicKey, Vec<u8>)>, KeyError> {
        let seal = |to: &PublicKey| Ok((*to, to.seal(PURPOSE, run.as_bytes(), self.secret.as_slice())?));
        recipients.iter().map(seal).collect()
    }

    fn from_opened(opened: &Zeroizing<Vec<u8>>) -> Result<Self, ManifestError> {
        let bytes: &[u8; 32] = opened.as_slice().try_into().map_err(|_| ManifestError::Damaged)?;
        Ok(Self { secret: Zeroizing::new(*bytes) })
    }
}

/// Whose private key opens a run.
pub(super) enum Opener<'a> {
    Recovery(&'a RecoveryKey),
    Node(&'a NodeSecrets),
}

impl Opener<'_> {
    fn open(&self, header: &Header) -> Result<RunKey, ManifestError> {
        let own = match self {
            Self::Recovery(key) => key.public_key(),
            Self::Node(secrets) => secrets.public_key(),
        };
        let sealed = header.recipients.iter().find(|(to, _)| *to == own);
        let (_, sealed) = sealed.ok_or(ManifestError::OtherKey)?;
        let aad = header.run.as_bytes();
        let opened = match self {
            Self::Recovery(key) => key.open(PURPOSE, aad, sealed),
            Self::Node(secrets) => secrets.open(PURPOSE, aad, sealed),
        };
        RunKey::from_opened(&opened.map_err(|_| ManifestError::Damaged)?)
    }
}

/// The bytes of a manifest.
pub(super) fn encode(header: &Header, body: &Body, key: &RunKey) -> Result<Vec<u8>, ManifestError> {
    let unencodable = |error: persist::PersistError| ManifestError::Version(error.to_string());
    let header = persist::encode(header).map_err(unencodable)?;
    let plain = Zeroizing::new(persist::encode(body).map_err(unencodable)?);
    let sealing = key.purpose("manifest").map_err(ManifestError::Key)?;
    let sealed = sealing.seal(&header, &plain).map_err(ManifestError::Key)?;
    let length = u32::try_from(header.len()).map_err(|_| ManifestError::Damaged)?;
    let mut bytes = [MAGIC.as_slice(), &length.to_be_bytes(), &header, &sealed].concat();
    let end = hash(&bytes);
    bytes.extend_from_slice(&end);
    Ok(bytes)
}

/// A manifest, whole, with its body still sealed.
pub(super) struct Whole<'a> {
    pub(super) header: Header,
    header_bytes: &'a [u8],
    sealed: &'a [u8],
}

/// Reads a manifest as far as that goes without a key.
pub(super) fn decode(bytes: &[u8]) -> Result<Whole<'_>, ManifestError> {
    let (rest, end) = bytes.split_last_chunk::<32>().ok_or(ManifestError::Damaged)?;
    if hash(rest) != *end {
        return Err(ManifestError::Damaged);
    }
    let rest = rest.strip_prefix(MAGIC.as_slice()).ok_or(ManifestError::Damaged)?;
    let (length, rest) = rest.split_first_chunk::<4>().ok_or(ManifestError::Damaged)?;
    let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| ManifestError::Damaged)?;
    let (header_bytes, sealed) = rest.split_at_checked(length).ok_or(ManifestError::Damaged)?;
    let header = persist::decode(header_bytes).map_err(|error| ManifestError::Version(error.to_string()))?;
    Ok(Whole { header, header_bytes, sealed })
}

impl Whole<'_> {
    pub(super) fn open(&self, opener: &Opener<'_>) -> Result<(RunKey, Body), ManifestError> {
        let key = opener.open(&self.header)?;
        let opened =
            key.purpose("manifest").map_err(ManifestError::Key)?.open(self.header_bytes, self.sealed);
        let plain = opened.map_err(|_| ManifestError::Damaged)?;
        let body: Body =
            persist::decode(&plain).map_err(|error| ManifestError::Version(error.to_string()))?;
        if body.run == self.header.run { Ok((key, body)) } else { Err(ManifestError::Damaged) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(name: &str) -> Part {
        Part { name: name.to_owned(), version: String::new(), length: 3, hash: [1; 32] }
    }

    #[test]
    fn a_manifest_opens_whole_by_its_recipients_alone() {
        let (recovery, node) = (RecoveryKey::generate().unwrap(), NodeSecrets::generate().unwrap());
        let run = BackupRunId([4; 16]);
        let key = RunKey::generate().unwrap();
        let header = Header {
            cluster: [2; 16],
            run,
            index: 77,
            time_ms: 5,
            recipients: key.seal_to(run, &[recovery.public_key(), node.public_key()]).unwrap(),
        };
        let body = Body {
            run,
            state: part("state"),
            objects: part("objects"),
            count: 9,
            audit: vec![AuditPart { first: 1, last: 2, object: part("audit"), key: [8; 32] }],
            chain: ChainHead::default(),
        };
        let bytes = encode(&header, &body, &key).unwrap();
        for opener in [Opener::Recovery(&recovery), Opener::Node(&node)] {
            let whole = decode(&bytes).unwrap();
            assert_eq!(whole.header, header);
            assert_eq!(whole.open(&opener).unwrap().1, body);
        }
        let stranger = RecoveryKey::generate().unwrap();
        let refused = decode(&bytes).unwrap().open(&Opener::Recovery(&stranger));
        assert_eq!(refused.map(|(_, body)| body).unwrap_err(), ManifestError::OtherKey);
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(decode(&changed).is_err(), "a change at byte {at}");
            assert!(decode(&bytes[..at]).is_err(), "a cut at byte {at}");
        }
    }
}
