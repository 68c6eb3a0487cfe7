//! Who this node is: kept sealed in its folder, and nowhere else. A folder without it is no node.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{ClusterConfig, OpenError};
use crate::authority::{Authority, AuthorityError, CertificateKey, Lifetime, NodeName};
use crate::command::Incarnation;
use crate::id::NodeId;
use crate::keyring::{StorageKey, fill_random};
use crate::persist::{self, Persist};
use crate::raft::log::files;

const PURPOSE: &str = "identity";

/// A node's identity.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    pub(super) node: NodeId,
    pub(super) cluster: [u8; 16],
    /// The authority's certificate (DER).
    pub(super) authority: Vec<u8>,
    /// This node's certificate (DER).
    pub(super) certificate: Vec<u8>,
    /// Its private key (PKCS #8 DER).
    pub(super) key: Vec<u8>,
    /// How often the node was started.
    pub(super) starts: u64,
    /// Where others were when it joined: until its State says where they are.
    pub(super) seeds: Vec<(NodeId, String)>,
    /// It has held what the others hold: an empty log beside this is a lost one.
    pub(super) settled: bool,
}

impl Persist for Identity {
    const VERSION: u8 = 1;
    type Previous = Self;
    fn migrate(previous: Self) -> Option<Self> {
        Some(previous)
    }
}

impl Identity {
    /// The identity of the node a cluster begins with: a new key, and a certificate by its own authority.
    pub(super) fn founder(
        name: NodeName,
        authority: &Authority,
        life: Lifetime,
    ) -> Result<Self, AuthorityError> {
        let key = CertificateKey::generate()?;
        let certificate = authority.certify(&key.request, name, life)?;
        Ok(Self {
            node: name.node,
            cluster: name.cluster,
            authority: authority.certificate().to_vec(),
            certificate,
            key: key.key.to_vec(),
            starts: 0,
            seeds: Vec::new(),
            settled: true,
        })
    }

    /// Reads it; none for a folder that is no node of a cluster yet. It is there twice: a damaged copy is made up for by the
    /// other one, which may be one write behind, of which nobody had been told.
    pub(super) fn read(config: &ClusterConfig, key: &StorageKey) -> Result<Option<Self>, OpenError> {
        let first = Self::read_copy(&config.identity_file(), key)?;
        if let Copy::Good(identity) = first {
            return Ok(Some(identity));
        }
        match (first, Self::read_copy(&config.spare_identity_file(), key)?) {
            (_, Copy::Good(identity)) => {
                tracing::warn!("the node's identity was damaged and is mended from its second copy");
                identity.write(config, key)?;
                Ok(Some(identity))
            }
            (Copy::Absent, Copy::Absent) => Ok(None),
            _ => Err(OpenError::IdentityDamaged(config.identity_file())),
        }
    }

    fn read_copy(path: &Path, key: &StorageKey) -> Result<Copy, OpenError> {
        let Some(sealed) = files::read_if_present(path)? else { return Ok(Copy::Absent) };
        let plain = key.open(PURPOSE, b"", &sealed).ok();
        let identity = plain.and_then(|plain| persist::decode(&plain).ok());
        Ok(identity.map_or(Copy::Damaged, Copy::Good))
    }

    /// Writes both copies, so that after a crash the old or the new one is there.
    pub(super) fn write(&self, config: &ClusterConfig, key: &StorageKey) -> Result<(), OpenError> {
        let plain = persist::encode(self).map_err(|error| OpenError::Consensus(error.to_string()))?;
        let sealed = key.seal(PURPOSE, b"", &plain)?;
        files::write_atomically(&config.identity_file(), &sealed)?;
        files::write_atomically(&config.spare_identity_file(), &sealed)?;
        Ok(())
    }

    /// Counts one more start, before anybody is told of it.
    pub(super) fn start(
        &mut self,
        config: &ClusterConfig,
        key: &StorageKey,
    ) -> Result<Incarnation, OpenError> {
        self.starts += 1;
        self.write(config, key)?;
        let mut instance = [0; 16];
        fill_random(&mut instance)?;
        Ok(Incarnation { count: self.starts, instance })
    }
}

/// One of the two files.
enum Copy {
    Absent,
    Damaged,
    Good(Identity),
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Identity(node {}, start {}, redacted)", self.node, self.starts)
    }
}
