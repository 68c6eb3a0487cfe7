//! The uploads that run on this node: one lane each, so that an upload has one writer and one offset.
//!
//! What is acknowledged is durable, and the offset a client is told is the Blob's durable length. The lane is only a
//! cache of the writer: after a restart the Blob is taken over and goes on where it stood.

use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use cluster::actor::Actor;
use cluster::command::AssetCommand;
use cluster::command::BlobKind;
use cluster::id::ApplicationId;
use cluster::id::AssetId;
use cluster::id::BlobId;
use cluster::refusal::Refusal;
use cluster::state::Asset;
use cluster::state::AssetState;
use cluster::store::BlobError;
use cluster::store::FIRST_EPOCH;
use cluster::store::Level;
use serde::Deserialize;
use serde::Serialize;
use tokio::sync::Notify;
use tokio::sync::OwnedMutexGuard;

use super::tus::Length;
use super::tus::Metadata;
use super::tus::title_of;
use crate::asset_store::AssetStore;
use crate::asset_store::OpenBlob;
use crate::asset_store::Resumed;
use crate::asset_store::StoreError;

/// An upload nobody has touched for so long is given up.
pub const EXPIRES_AFTER: Duration = Duration::from_secs(24 * 60 * 60);
/// How long whoever asks for the offset waits for a running PATCH to let go.
const LETS_GO_WITHIN: Duration = Duration::from_secs(5);
/// So many uploads may rest with their writers open; each costs a few open files, and an upload that is announced costs a
/// client nothing.
const OPEN_UPLOADS: usize = 256;
/// File name of an upload that names none.
const UNNAMED: &str = "upload";

/// What stands beside the original's bytes while they arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum UploadMark {
    /// A plain PUT: nobody can resume it, so what is left of it after a crash is removed.
    OneShot,
    /// The length, told after the creation.
    Length(u64),
}

/// The writer of one upload, held by one request at a time.
#[derive(Debug, Default)]
pub struct Lane {
    open: Option<OpenBlob>,
    length: Option<u64>,
    one_shot: bool,
    ended: bool,
}

#[derive(Debug)]
struct Slot {
    lane: Arc<tokio::sync::Mutex<Lane>>,
    let_go: Arc<Notify>,
    touched: Instant,
}

/// One request's hold on an upload.
#[derive(Debug)]
pub struct Hold {
    /// Whose.
    pub asset: Arc<Asset>,
    /// Rings when somebody wants to know where the upload stands: a client that lost its connection.
    pub let_go: Arc<Notify>,
    lane: OwnedMutexGuard<Lane>,
}

/// What cannot be done with an upload.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// Another request is writing.
    #[error("another request is writing to this upload; ask again where it stands")]
    Busy,
    /// It is complete or given up.
    #[error("this upload is complete")]
    Complete,
    /// The bytes do not go on where the upload stands.
    #[error("the upload stands at byte {at}")]
    WrongOffset {
        /// Where it stands.
        at: u64,
    },
    /// More than was announced.
    #[error("the upload was announced with {length} bytes")]
    TooLong {
        /// What was announced.
        length: u64,
    },
    /// Told once, changed later.
    #[error("the upload's length is already known to be {length}")]
    LengthKnown {
        /// What is known.
        length: u64,
    },
    /// The bytes are not what the client's checksum says.
    #[error("the bytes do not have the checksum that was sent; nothing was kept of them")]
    Checksum,
    /// A piece with a checksum is held in memory until it is checked, so it cannot be large.
    #[error("a piece with a checksum may have at most {limit} bytes")]
    PieceTooLarge {
        /// At most.
        limit: u64,
    },
    /// The client went away or sent less than it announced. What arrived is kept.
    #[error("the request ended before its body did")]
    Cut,
    /// Storage.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<BlobError> for UploadError {
    fn from(error: BlobError) -> Self {
        Self::Store(error.into())
    }
}

/// The uploads of this node.
#[derive(Debug, Clone)]
pub struct Uploads {
    store: AssetStore,
    slots: Arc<Mutex<HashMap<AssetId, Slot>>>,
    /// Uploads whose end failed here: nobody else knows that they wait for it.
    unended: Arc<Mutex<HashSet<AssetId>>>,
    attention: Arc<Notify>,
}

impl Uploads {
    /// None yet.
    pub fn new(store: AssetStore) -> Self {
        Self { store, slots: Arc::default(), unended: Arc::default(), attention: Arc::default() }
    }

    /// Creates the asset and opens its original. Refused before anything exists when there is no room for it.
    pub async fn create(
        &self,
        actor: &Actor,
        application: ApplicationId,
        metadata: Metadata,
        length: Length,
        mark: Option<UploadMark>,
    ) -> Result<Arc<Asset>, UploadError> {
        let declared = match length {
            Length::Known(bytes) => Some(bytes),
            Length::Deferred => None,
        };
        self.room_for(declared)?;
        let asset = AssetId::generate();
        let original = BlobId::generate();
        self.propose_create(actor, asset, original, application, metadata, declared).await?;
        self.store.place(asset).await?;
        match self.open_original(asset, original, mark).await {
            Ok(record) => Ok(record),
            Err(error) => {
                self.abandon(&self.store.node(), asset).await?;
                Err(error)
            }
        }
    }

    /// Takes the upload for writing, if nobody else has it.
    pub async fn hold(&self, asset: AssetId) -> Result<Hold, UploadError> {
        let (lane, let_go) = self.slot(asset);
        let lane = lane.try_lock_owned().map_err(|_| UploadError::Busy)?;
        self.ready(asset, lane, let_go).await
    }

    /// Takes the upload, asking whoever writes to let go: a client that asks where its upload stands has lost the
    /// connection it was writing on, even when we have not noticed yet.
    pub async fn hold_after_letting_go(&self, asset: AssetId) -> Result<Hold, UploadError> {
        let (lane, let_go) = self.slot(asset);
        let waiting = async {
            loop {
                let_go.notify_waiters();
                match tokio::time::timeout(Duration::from_millis(100), lane.clone().lock_owned()).await {
                    Ok(lane) => return lane,
                    Err(_) => continue,
                }
            }
        };
        let lane = tokio::time::timeout(LETS_GO_WITHIN, waiting).await.map_err(|_| UploadError::Busy)?;
        self.ready(asset, lane, let_go).await
    }

    /// Gives an upload up: it is purged at once.
    pub async fn abandon(&self, actor: &Actor, asset: AssetId) -> Result<(), UploadError> {
        self.store.propose(actor, AssetCommand::AbandonUpload { asset }).await?;
        self.forget(asset);
        Ok(())
    }

    /// Seconds since somebody touched the upload, as far as this process knows.
    pub fn idle(&self, asset: AssetId) -> Option<Duration> {
        self.slots().get(&asset).map(|slot| slot.touched.elapsed())
    }

    /// Leaves an upload whose end failed to the tender.
    pub fn leave(&self, asset: AssetId) {
        self.forget(asset);
        self.unended().insert(asset);
        self.attention.notify_one();
    }

    /// Takes back what was left: it is an upload like any other again.
    pub fn take_back(&self, asset: AssetId) {
        self.unended().remove(&asset);
    }

    /// Waits until an upload is left.
    pub async fn left(&self) {
        self.attention.notified().await;
    }

    /// The uploads that were left; of them only those that are still `open` are remembered.
    pub fn unended_of(&self, open: &[Arc<Asset>]) -> HashSet<AssetId> {
        let mut unended = self.unended();
        unended.retain(|asset| open.iter().any(|found| found.id == *asset));
        unended.clone()
    }

    /// The store below.
    pub fn store(&self) -> &AssetStore {
        &self.store
    }

    /// Forgets the writer of an upload that is over.
    pub fn forget(&self, asset: AssetId) {
        self.slots().remove(&asset);
    }

    /// Forgets the writers of uploads that another node has brought to their end, or given up: nothing here heard of it, and
    /// their files would stay open, and take up room, for good.
    pub fn forget_those_over(&self) {
        let state = self.store.cluster().state();
        // What is being begun is in State before it is here.
        let goes_on = |asset| state.asset(asset).is_some_and(|asset| asset.state == AssetState::Uploading);
        self.slots().retain(|asset, slot| goes_on(*asset) || Arc::strong_count(&slot.lane) > 1);
    }

    pub(super) fn room_for(&self, declared: Option<u64>) -> Result<(), UploadError> {
        let space = self.store.cluster().blobs().space()?;
        let fits = declared.is_none_or(|bytes| bytes < space.free);
        if space.level == Level::Fine && fits { Ok(()) } else { Err(BlobError::Full.into()) }
    }

    /// Wraps a new data key; once more when the cluster key moved on in between.
    pub(super) async fn propose_create(
        &self,
        actor: &Actor,
        asset: AssetId,
        original: BlobId,
        application: ApplicationId,
        metadata: Metadata,
        declared_length: Option<u64>,
    ) -> Result<(), UploadError> {
        let file_name = metadata.file_name.unwrap_or_else(|| UNNAMED.to_owned());
        let title = metadata.title.unwrap_or_else(|| title_of(&file_name));
        for last_try in [false, true] {
            let (_, wrapped_key, key_epoch) =
                self.store.cluster().keys().new_data_key(asset).map_err(StoreError::from)?;
            let command = AssetCommand::Create {
                asset,
                application,
                title: title.clone(),
                file_name: file_name.clone(),
                media_type: metadata.media_type.clone().unwrap_or_default(),
                declared_length,
                wrapped_key,
                key_epoch,
                original,
            };
            match self.store.propose(actor, command).await {
                Err(StoreError::Propose(cluster::ProposeError::Refused(Refusal::StaleKeyEpoch {
                    ..
                }))) if !last_try => {
                    self.store.cluster().learn_keys().await.map_err(StoreError::Propose)?;
                }
                outcome => return Ok(outcome.map(drop)?),
            }
        }
        Ok(())
    }

    async fn open_original(
        &self,
        asset: AssetId,
        original: BlobId,
        mark: Option<UploadMark>,
    ) -> Result<Arc<Asset>, UploadError> {
        let record = self.store.asset(asset)?;
        let key = self.store.key(&record)?;
        let bytes = self.store.cluster().bytes();
        let writer = bytes.create(asset, original, BlobKind::Original, FIRST_EPOCH, &key).await?;
        if let Some(mark) = mark {
            writer.mark(&encode(mark)).await?;
        }
        let (lane, _) = self.slot(asset);
        let mut lane = lane.lock().await;
        lane.length = record.declared_length;
        lane.one_shot = mark == Some(UploadMark::OneShot);
        lane.open = Some(OpenBlob { id: original, kind: BlobKind::Original, writer });
        drop(lane);
        Ok(record)
    }

    fn slot(&self, asset: AssetId) -> (Arc<tokio::sync::Mutex<Lane>>, Arc<Notify>) {
        let mut slots = self.slots();
        let slot = slots.entry(asset).or_insert_with(|| Slot {
            lane: Arc::default(),
            let_go: Arc::default(),
            touched: Instant::now(),
        });
        slot.touched = Instant::now();
        let found = (slot.lane.clone(), slot.let_go.clone());
        rest(&mut slots);
        found
    }

    fn unended(&self) -> MutexGuard<'_, HashSet<AssetId>> {
        self.unended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<AssetId, Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes sure that the lane has a writer that can write.
    async fn ready(
        &self,
        asset: AssetId,
        mut lane: OwnedMutexGuard<Lane>,
        let_go: Arc<Notify>,
    ) -> Result<Hold, UploadError> {
        let record = match self.store.asset(asset) {
            Ok(record) if record.state == AssetState::Uploading && !lane.ended => record,
            Ok(_) => {
                self.forget(asset);
                return Err(UploadError::Complete);
            }
            Err(error) => {
                self.forget(asset);
                return Err(error.into());
            }
        };
        let sound = match &lane.open {
            Some(open) => open.writer.sync().await.is_ok(),
            None => false,
        };
        if !sound && let Err(error) = self.take_over(&record, &mut lane).await {
            if matches!(error, UploadError::Complete) {
                // All of it is sealed, only its end was interrupted. Somebody asks for it now.
                self.leave(asset);
            }
            return Err(error);
        }
        Ok(Hold { asset: record, let_go, lane })
    }

    async fn take_over(&self, asset: &Asset, lane: &mut Lane) -> Result<(), UploadError> {
        let blob = asset.blob(asset.original).ok_or_else(StoreError::gone)?;
        lane.open = None;
        match self.store.resume(&self.store.node(), asset, blob).await? {
            Resumed::Open(open) => {
                lane.length = asset.declared_length.or_else(|| told_length(&open));
                lane.open = Some(open);
                Ok(())
            }
            // Sealed before the node was killed; the tender finishes it.
            Resumed::Sealed(_) => Err(UploadError::Complete),
        }
    }
}

impl Hold {
    /// The writer.
    pub fn open(&self) -> Result<&OpenBlob, UploadError> {
        self.lane.open.as_ref().ok_or(UploadError::Complete)
    }

    /// Where the upload stands: what is durable.
    pub async fn offset(&self) -> Result<u64, UploadError> {
        Ok(self.open()?.writer.sync().await?)
    }

    /// How long it will be, when that is known.
    pub fn length(&self) -> Option<u64> {
        self.lane.length
    }

    /// Whether it comes in one request that cannot be resumed.
    pub fn is_one_shot(&self) -> bool {
        self.lane.one_shot
    }

    /// Learns the length of an upload that was begun without one.
    pub async fn tell_length(&mut self, length: u64) -> Result<(), UploadError> {
        match self.lane.length {
            Some(known) if known == length => return Ok(()),
            Some(known) => return Err(UploadError::LengthKnown { length: known }),
            None => {}
        }
        let at = self.offset().await?;
        if at > length {
            return Err(UploadError::TooLong { length });
        }
        self.open()?.writer.mark(&encode(UploadMark::Length(length))).await?;
        self.lane.length = Some(length);
        Ok(())
    }

    /// The writer, to seal it: the upload is over.
    pub fn end(&mut self) -> Option<OpenBlob> {
        self.lane.ended = true;
        self.lane.open.take()
    }
}

/// Whether the original was begun by a plain PUT.
pub fn is_one_shot(marks: &[(u64, bytes::Bytes)]) -> bool {
    marks.iter().any(|(_, mark)| decode(mark) == Some(UploadMark::OneShot))
}

fn told_length(open: &OpenBlob) -> Option<u64> {
    open.writer.marks(0).iter().rev().find_map(|(_, mark)| match decode(mark) {
        Some(UploadMark::Length(length)) => Some(length),
        _ => None,
    })
}

/// Closes the writers of those that nobody has touched for longest, where there are too many. Whoever comes back to one
/// finds it as after a restart: it is taken over, and goes on where it stood.
fn rest(slots: &mut HashMap<AssetId, Slot>) {
    while slots.len() > OPEN_UPLOADS {
        // The table alone has it: whoever works on an upload, or waits for it, holds its lane.
        let resting = slots.iter().filter(|(_, slot)| Arc::strong_count(&slot.lane) == 1);
        let Some(longest) = resting.min_by_key(|(_, slot)| slot.touched).map(|(asset, _)| *asset) else {
            return;
        };
        slots.remove(&longest);
    }
}

fn encode(mark: UploadMark) -> Vec<u8> {
    // Plain data into a growing vector has no way to fail.
    postcard::to_stdvec(&mark).unwrap_or_default()
}

fn decode(bytes: &[u8]) -> Option<UploadMark> {
    postcard::from_bytes(bytes).ok()
}
