//! Commands about edge nodes: what is joined, kept warm and purged there.

use serde::{Deserialize, Serialize};

use super::describe::Subject;
use super::values::{Incarnation, SecretHash};
use crate::id::{ApplicationId, AssetId, CollectionId, NodeId, WarmId};
use crate::state::State;

/// A change of what is known of edge nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum EdgeCommand {
    /// A one-use token by which an edge may join.
    CreateToken {
        /// Of its secret.
        secret_hash: SecretHash,
        /// When it ends: at most an hour from now.
        expires_ms: u64,
    },
    /// An edge joins by a token. Its id is the number of the Entry.
    Admit {
        /// Of the token's secret.
        secret_hash: SecretHash,
        /// What it says of itself.
        edge: NewEdge,
    },
    /// An edge has started: where people reach it, and by which of its starts.
    Report {
        /// The edge.
        edge: NodeId,
        /// Where people reach it: `host:port`.
        public_address: String,
        /// The version it runs.
        version: String,
        /// Its start.
        incarnation: Incarnation,
    },
    /// An edge is gone for good. Its id never comes back.
    Remove {
        /// The edge.
        edge: NodeId,
    },
    /// An edge is to hold what is selected before anybody asks for it.
    Warm {
        /// New.
        warm: WarmId,
        /// Where.
        edge: NodeId,
        /// What.
        selection: Selection,
    },
    /// An edge need not hold it any longer.
    EndWarm {
        /// Which.
        warm: WarmId,
    },
    /// Every edge forgets what it holds of what is selected.
    Purge {
        /// What.
        selection: Selection,
    },
    /// Both certificates of an edge are by another authority from now on.
    ReportAuthority {
        /// The edge.
        edge: NodeId,
        /// SHA-256 of that authority's certificate.
        authority: [u8; 32],
    },
}

/// An edge as it describes itself when it joins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewEdge {
    /// What people call it.
    pub name: String,
    /// Where it stands.
    pub site: String,
    /// SHA-256 of the public key its certificate carries.
    pub certificate_key: [u8; 32],
    /// Where people reach it: `host:port`.
    pub public_address: String,
}

/// Assets, one by one or by what they have in common. Those that come to match later are meant too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Selection {
    /// This one.
    Asset(AssetId),
    /// Those of a collection.
    Collection(CollectionId),
    /// Those of an application with a tag.
    Tag {
        /// Where.
        application: ApplicationId,
        /// The tag.
        tag: String,
    },
}

impl EdgeCommand {
    pub(super) fn action_name(&self) -> &'static str {
        match self {
            Self::CreateToken { .. } => "edge.create_token",
            Self::Admit { .. } => "edge.admit",
            Self::Report { .. } => "edge.report",
            Self::Remove { .. } => "edge.remove",
            Self::Warm { .. } => "edge.warm",
            Self::EndWarm { .. } => "edge.end_warm",
            Self::Purge { .. } => "edge.purge",
            Self::ReportAuthority { .. } => "edge.report_authority",
        }
    }

    pub(super) fn subject(&self, state: &State) -> Subject {
        match self {
            Self::CreateToken { expires_ms, .. } => Subject::cluster().with("expires_ms", expires_ms),
            Self::Admit { edge, .. } => Subject::of("edge", &edge.name)
                .with("site", &edge.site)
                .with("public_address", &edge.public_address),
            Self::Report { edge, public_address, version, incarnation } => Subject::of("edge", edge)
                .with("public_address", public_address)
                .with("version", version)
                .with("start", incarnation.count),
            Self::Remove { edge } => Subject::of("edge", edge),
            Self::Warm { warm, edge, selection } => {
                selected(state, selection, Subject::of("edge", edge)).with("warm", warm)
            }
            Self::EndWarm { warm } => match state.warm(*warm) {
                Some(found) => {
                    selected(state, &found.selection, Subject::of("edge", found.edge)).with("warm", warm)
                }
                None => Subject::of("warm", warm),
            },
            Self::Purge { selection } => selected(state, selection, Subject::of("edge", "all")),
            Self::ReportAuthority { edge, authority } => {
                Subject::of("edge", edge).with("sha256", data_encoding::HEXLOWER.encode(authority))
            }
        }
    }
}

/// Says what is selected.
fn selected(state: &State, selection: &Selection, subject: Subject) -> Subject {
    match selection {
        Selection::Asset(asset) => {
            subject.inside(state.asset(*asset).map(|asset| asset.application)).with("asset", asset)
        }
        Selection::Collection(collection) => {
            let application = state.collection(*collection).map(|found| found.application);
            subject.inside(application).with("collection", collection)
        }
        Selection::Tag { application, tag } => subject.inside(Some(*application)).with("tag", tag),
    }
}
