//! What keeps Blobs besides State: the manifests of assets; and what forgets with the disk: the shelf of what is played.

use async_trait::async_trait;
use cluster::id::{AssetId, BlobId};
use cluster::state::Asset;
use cluster::workers::{Forget, Named};

use crate::asset_store::AssetStore;
use crate::play::Library;

/// Removes what State has forgotten until the process ends.
pub async fn collect(store: AssetStore, library: Library) {
    let cluster = store.cluster().clone();
    Forget::new(cluster, Manifests { store, library }).run().await;
}

struct Manifests {
    store: AssetStore,
    library: Library,
}

#[async_trait]
impl Named for Manifests {
    async fn named(&self, asset: &Asset) -> Result<Vec<BlobId>, String> {
        let manifest = self.store.manifest(asset).await.map_err(|error| error.to_string())?;
        Ok(manifest.iter().flat_map(|manifest| manifest.stored().map(|stored| stored.blob)).collect())
    }

    fn forget_asset(&self, asset: AssetId) {
        self.library.forget_asset(asset);
    }

    fn forget_blob(&self, blob: BlobId) {
        self.library.forget_blob(blob);
    }
}
