//! What the audit log says about Commands on assets and collections. Called by `describe`.

use super::describe::{Subject, titled_asset};
use super::{AccessRule, AssetCommand};
use crate::id::CollectionId;
use crate::state::State;

impl AssetCommand {
    pub(super) fn action_name(&self) -> &'static str {
        match self {
            Self::Create { .. } => "asset.create",
            Self::OpenBlob { .. } => "blob.open",
            Self::TakeOverBlob { .. } => "blob.take_over",
            Self::SealBlob { .. } => "blob.seal",
            Self::DropBlob { .. } => "blob.drop",
            Self::UploadFinished { .. } | Self::FinishUpload { .. } => "asset.upload_finished",
            Self::SetWatchable { .. } => "asset.watchable",
            Self::SetManifest { .. } => "asset.set_manifest",
            Self::Describe { .. } => "asset.describe",
            Self::Publish { published: true, .. } => "asset.publish",
            Self::Publish { published: false, .. } => "asset.unpublish",
            Self::SetAccess { .. } => "asset.set_access",
            Self::EndViews { .. } => "asset.end_views",
            Self::Trash { .. } => "asset.trash",
            Self::Restore { .. } => "asset.restore",
            Self::Purge { .. } => "asset.purge",
            Self::AbandonUpload { .. } => "asset.abandon_upload",
            Self::Expire { .. } => "asset.expire",
            Self::SetLegalHold { hold: true, .. } => "asset.hold",
            Self::SetLegalHold { hold: false, .. } => "asset.release_hold",
            Self::SetPoster { .. } => "asset.set_poster",
            Self::CreateCollection { .. } => "collection.create",
            Self::UpdateCollection { .. } => "collection.update",
            Self::DeleteCollection { .. } => "collection.delete",
            Self::SetRetention { .. } => "collection.set_retention",
            Self::Place { .. } => "asset.place",
            Self::AddHolder { .. } => "asset.add_holder",
            Self::DropHolder { .. } => "asset.drop_holder",
            Self::ReplaceHolder { .. } => "asset.replace_holder",
        }
    }

    pub(super) fn subject(&self, state: &State) -> Subject {
        match self {
            Self::Create { asset, application, title, .. } => {
                Subject::of("asset", asset).inside(Some(*application)).with("title", title)
            }
            Self::OpenBlob { asset, blob, label, .. } => {
                titled_asset(state, *asset).with("blob", blob).with("label", label)
            }
            Self::TakeOverBlob { asset, blob }
            | Self::SealBlob { asset, blob, .. }
            | Self::DropBlob { asset, blob } => titled_asset(state, *asset).with("blob", blob),
            Self::SetLegalHold { asset, reason, .. } => titled_asset(state, *asset).with("reason", reason),
            Self::SetAccess { asset, rule } => titled_asset(state, *asset).with("rule", rule_name(rule)),
            Self::UploadFinished { asset, .. }
            | Self::FinishUpload { asset, .. }
            | Self::SetWatchable { asset, .. }
            | Self::SetManifest { asset, .. }
            | Self::Describe { asset, .. }
            | Self::Publish { asset, .. }
            | Self::EndViews { asset }
            | Self::Trash { asset }
            | Self::Restore { asset }
            | Self::Purge { asset }
            | Self::AbandonUpload { asset }
            | Self::Expire { asset }
            | Self::SetPoster { asset, .. } => titled_asset(state, *asset),
            Self::Place { asset, holders } => {
                let named: Vec<String> = holders.iter().map(ToString::to_string).collect();
                titled_asset(state, *asset).with("holders", named.join(" "))
            }
            Self::AddHolder { asset, node, .. } | Self::DropHolder { asset, node, .. } => {
                titled_asset(state, *asset).with("node", node)
            }
            Self::ReplaceHolder { asset, old, new, .. } => {
                titled_asset(state, *asset).with("old", old).with("new", new)
            }
            Self::CreateCollection { collection, application, name } => {
                Subject::of("collection", collection).inside(Some(*application)).with("name", name)
            }
            Self::UpdateCollection { collection, .. } | Self::DeleteCollection { collection } => {
                named_collection(state, *collection)
            }
            Self::SetRetention { collection, days, .. } => {
                let days = days.map_or("none".to_owned(), |days| days.to_string());
                named_collection(state, *collection).with("retention_days", days)
            }
        }
    }
}

fn named_collection(state: &State, collection: CollectionId) -> Subject {
    let subject = Subject::of("collection", collection);
    match state.collection(collection) {
        Some(kept) => subject.inside(Some(kept.application)).with("name", &kept.name),
        None => subject,
    }
}

fn rule_name(rule: &AccessRule) -> &'static str {
    match rule {
        AccessRule::Members => "members",
        AccessRule::Users(_) => "users",
        AccessRule::Editors => "editors",
    }
}
