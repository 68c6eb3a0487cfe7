//! Clients that write Blobs: they open one at some node, append, seal, leave in the middle, take over what others left,
//! read, trash and purge. What they are told goes into the [`Ledger`].

use std::time::Duration;

use super::chance::Chance;
use super::ledger::{Ledger, Upload, Wanted};
use super::node::Node;
use super::workload::person;
use super::world::World;
use crate::blob::BlobKind;
use crate::cluster::ProposeError;
use crate::command::{AssetCommand, WrappedKey};
use crate::id::{AssetId, BlobId};
use crate::keyring::DataKey;
use crate::outcome::Outcome;
use crate::refusal::Refusal;
use crate::store::{BlobError, BlobWriter, Sealed};

/// Uploads one client begins at most.
const MOST: u64 = 5;

/// One client.
pub(super) struct Uploader {
    pub(super) number: u64,
    pub(super) world: World,
    pub(super) ledger: Ledger,
    pub(super) chance: Chance,
}

/// Waits for what a node does, as long as it lives.
pub(super) async fn on<T>(node: &Node, doing: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        () = node.ended.cancelled() => None,
        done = doing => Some(done),
    }
}

/// A change asked of any node by a person. None: nobody knows what came of it.
pub(super) async fn ask(node: &Node, command: AssetCommand) -> Option<Result<Outcome, Refusal>> {
    match on(node, node.forwarding().propose(person(), command.into())).await? {
        Ok(outcome) => Some(Ok(outcome)),
        Err(ProposeError::Refused(refusal)) => Some(Err(refusal)),
        Err(_) => None,
    }
}

/// The first byte of an upload's id.
const UPLOADS: u8 = 0xA0;

/// Whether an asset is an upload.
pub(super) fn is_upload(asset: AssetId) -> bool {
    asset.0[0] == UPLOADS
}

fn create(asset: AssetId) -> AssetCommand {
    AssetCommand::Create {
        asset,
        application: super::workload::APPLICATION,
        title: "an upload".to_owned(),
        file_name: "film.mp4".to_owned(),
        media_type: "video/mp4".to_owned(),
        declared_length: None,
        wrapped_key: WrappedKey::from(vec![1; 60]),
        key_epoch: 1,
        original: BlobId(asset.0),
    }
}

impl Uploader {
    pub(super) fn new_like(&mut self) -> Self {
        let chance = self.world.chance(&format!("straggler {}", self.chance.any()));
        Self { number: self.number, world: self.world.clone(), ledger: self.ledger.clone(), chance }
    }

    /// Works until the world says that it is enough.
    pub(super) async fn run(mut self) {
        let mut begun = 0;
        while !self.world.is_enough() {
            match self.chance.below(100) {
                0..15 if begun < MOST => {
                    begun += 1;
                    self.duel(begun).await;
                }
                0..45 if begun < MOST => {
                    begun += 1;
                    self.upload(begun).await;
                }
                0..60 => self.resume_one().await,
                60..82 => self.read_one().await,
                _ => self.move_one().await,
            }
            let pause = self.chance.between(1, 150);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }

    pub(super) fn note(&self, asset: AssetId, what: &str) {
        self.world.note(format_args!("uploader {} {what} {asset}", self.number));
    }

    fn pick(&mut self, fits: impl Fn(&Upload) -> bool) -> Option<Upload> {
        let fitting: Vec<Upload> = self.ledger.all().into_iter().filter(fits).collect();
        let at = self.chance.below(fitting.len() as u64);
        fitting.into_iter().nth(usize::try_from(at).unwrap_or(0))
    }

    async fn upload(&mut self, begun: u64) {
        if self.chance.percent(30) {
            self.upload_whole(begun).await;
        } else if let Some((node, writer)) = self.begin(begun).await {
            self.write_on(&node, 1, writer, Vec::new(), 30).await;
        }
    }

    /// A new asset whose Blob is put down whole.
    async fn upload_whole(&mut self, begun: u64) {
        let Some((node, asset, key)) = self.open(begun).await else { return };
        let Some(upload) = self.ledger.get(asset) else { return };
        let content = self.bytes();
        let bytes = content.clone().into();
        let put = node.bytes.put_whole(asset, upload.name().blob, BlobKind::Original, &key, bytes);
        match on(&node, put).await {
            Some(Ok(sealed)) => {
                self.note(asset, "has put down");
                self.hold(self.ledger.promise(asset, &content, false));
                if !self.chance.percent(10) {
                    self.tell(&node, asset, 1, sealed, Some(content)).await;
                }
            }
            Some(Err(error)) => self.note(asset, &format!("is told {error} when it puts down")),
            None => {}
        }
    }

    /// A new asset and the first writer of its Blob, at some node.
    pub(super) async fn begin(&mut self, begun: u64) -> Option<(Node, BlobWriter)> {
        let (node, asset, key) = self.open(begun).await?;
        let name = self.ledger.get(asset)?.name();
        let created = node.bytes.create(asset, name.blob, BlobKind::Original, 1, &key);
        match on(&node, created).await {
            Some(Ok(writer)) => return Some((node, writer)),
            Some(Err(error)) => self.note(asset, &format!("is told {error} when it creates")),
            None => {}
        }
        None
    }

    /// A new asset, told to State at some node.
    async fn open(&mut self, begun: u64) -> Option<(Node, AssetId, DataKey)> {
        let mut id = [UPLOADS; 16];
        id[1] = u8::try_from(self.number).unwrap_or(0);
        id[2] = u8::try_from(begun).unwrap_or(0);
        let asset = AssetId(id);
        let (node, key) = (self.world.node_for(None, &mut self.chance)?, DataKey::random().ok()?);
        self.ledger.begin(asset, key.clone());
        let Some(Ok(_)) = ask(&node, create(asset)).await else {
            self.note(asset, "may have created");
            return None;
        };
        self.ledger.change(asset, |upload| upload.wanted = Wanted::Kept);
        self.note(asset, "creates");
        Some((node, asset, key))
    }

    /// A piece, or all, of an upload.
    fn bytes(&mut self) -> Vec<u8> {
        let longest = if self.chance.percent(4) { 90_000 } else { 3_000 };
        let length = usize::try_from(self.chance.between(1, longest)).unwrap_or(1);
        let mut piece = vec![0; length];
        let mut bytes = blake3::Hasher::new().update(&self.chance.any().to_le_bytes()).finalize_xof();
        bytes.fill(&mut piece);
        piece
    }

    /// A few pieces and the end; or somebody leaves, or goes on so slowly that another takes over.
    pub(super) async fn write_on(
        &mut self,
        node: &Node,
        epoch: u64,
        writer: BlobWriter,
        mut content: Vec<u8>,
        pause_ms: u64,
    ) {
        let asset = writer.name().asset;
        for _ in 0..self.chance.between(0, 6) {
            let pause = self.chance.between(0, pause_ms);
            tokio::time::sleep(Duration::from_millis(pause)).await;
            if !self.append(node, &writer, &mut content).await {
                return;
            }
            if self.chance.percent(6) {
                return self.note(asset, "leaves");
            }
            if pause_ms < 100 && self.chance.percent(6) {
                self.note(asset, "goes on slowly with");
                let (mut straggler, node) = (self.new_like(), node.clone());
                tokio::spawn(async move { straggler.write_slowly(&node, epoch, writer, content).await });
                return;
            }
        }
        match on(node, writer.seal()).await {
            Some(Ok(sealed)) => self.tell(node, asset, epoch, sealed, Some(content)).await,
            Some(Err(error)) => self.note(asset, &format!("is told {error} when it seals")),
            None => {}
        }
    }

    fn write_slowly<'a>(
        &'a mut self,
        node: &'a Node,
        epoch: u64,
        writer: BlobWriter,
        content: Vec<u8>,
    ) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(self.write_on(node, epoch, writer, content, 600))
    }

    /// Appends one piece. Whether the writer can go on.
    pub(super) async fn append(&mut self, node: &Node, writer: &BlobWriter, content: &mut Vec<u8>) -> bool {
        let asset = writer.name().asset;
        let piece = self.bytes();
        content.extend_from_slice(&piece);
        match on(node, writer.append(piece.into())).await {
            Some(Ok(durable)) if durable == content.len() as u64 => {
                self.world.note(format_args!("uploader {} has {durable} bytes of {asset}", self.number));
                self.hold(self.ledger.promise(asset, content, false));
                true
            }
            Some(Ok(durable)) => {
                let length = content.len();
                self.world
                    .violation(format_args!("{durable} of {length} bytes of {asset} were acknowledged"));
                false
            }
            Some(Err(error)) => {
                self.note(asset, &format!("is told {error} when it appends to"));
                false
            }
            None => false,
        }
    }

    /// Tells State that a Blob is sealed. `content` is all of it, where that is known.
    async fn tell(&self, node: &Node, asset: AssetId, epoch: u64, sealed: Sealed, content: Option<Vec<u8>>) {
        let Sealed { length, hash, .. } = sealed;
        let command = AssetCommand::SealBlob { asset, blob: BlobId(asset.0), epoch, length, hash };
        let Some(Ok(_)) = ask(node, command).await else { return self.note(asset, "may have sealed") };
        self.note(asset, "has sealed");
        self.ledger.change(asset, |upload| upload.sealed = true);
        if let Some(content) = content {
            self.hold(self.ledger.promise(asset, &content, true));
        }
    }

    /// What was promised by now, and whether it may be.
    fn hold(&self, promised: Result<(), String>) {
        if let Err(what) = promised {
            self.world.violation(format_args!("{what}"));
        }
        self.world.promise();
    }

    async fn resume_one(&mut self) {
        let Some(upload) = self.pick(Upload::may_grow) else { return };
        let Some(node) = self.world.node_for(None, &mut self.chance) else { return };
        drop(self.resume(&node, &upload).await);
    }

    /// Takes an upload over at `node` and goes on with it. An error says what hindered it.
    pub(super) async fn resume(&mut self, node: &Node, upload: &Upload) -> Result<(), BlobError> {
        match self.granted(node, upload).await? {
            Some(epoch) => self.take_over(node, upload, epoch).await,
            None => Ok(()),
        }
    }

    /// The epoch by which State lets a writer at `node` take an upload over; none when it is sealed.
    pub(super) async fn granted(&mut self, node: &Node, upload: &Upload) -> Result<Option<u64>, BlobError> {
        let (asset, name) = (upload.asset, upload.name());
        match ask(node, AssetCommand::TakeOverBlob { asset, blob: name.blob }).await {
            Some(Ok(Outcome::BlobEpoch(epoch))) => {
                self.note(asset, &format!("takes over by epoch {epoch}"));
                Ok(Some(epoch))
            }
            Some(Err(Refusal::BlobSealed)) => {
                self.ledger.change(asset, |upload| upload.sealed = true);
                Ok(None)
            }
            other => Err(BlobError::Io(format!("taking over came to {other:?}"))),
        }
    }

    pub(super) async fn take_over(
        &mut self,
        node: &Node,
        upload: &Upload,
        epoch: u64,
    ) -> Result<(), BlobError> {
        let (asset, name) = (upload.asset, upload.name());
        match on(node, node.bytes.take_over(asset, name.blob, epoch, &upload.key)).await {
            Some(Ok(writer)) => {
                let content = match on(node, read_own(node, upload)).await {
                    Some(content) => content?,
                    None => return Ok(()),
                };
                let Some(content) = content else {
                    self.note(asset, "is taken over from at once:");
                    return Ok(());
                };
                self.continues(upload, &writer, &content);
                self.write_on(node, epoch, writer, content, 30).await;
                Ok(())
            }
            Some(Err(BlobError::Sealed(sealed))) => {
                self.tell(node, asset, epoch, sealed, None).await;
                Ok(())
            }
            Some(Err(error)) => {
                self.note(asset, &format!("is told {error} when it takes over"));
                Err(error)
            }
            None => Ok(()),
        }
    }

    /// What a writer takes over must begin with all that had been acknowledged before it asked. Whoever has taken over from
    /// it meanwhile may have written more than it has.
    fn continues(&self, upload: &Upload, writer: &BlobWriter, content: &[u8]) {
        let (asset, length) = (upload.asset, writer.durable_length());
        if (content.len() as u64) < length {
            let read = content.len();
            self.world
                .violation(format_args!("{read} of {length} bytes of {asset} are read after a takeover"));
        }
        if !content.starts_with(&upload.promised) {
            let (had, got) = (upload.promised.len(), content.len());
            self.world
                .violation(format_args!("{had} bytes of {asset} were acknowledged, {got} are taken over"));
        }
    }

    /// Reads a range at some node. What was acknowledged before must be what is read.
    async fn read_one(&mut self) {
        let readable = |upload: &Upload| upload.wanted == Wanted::Kept && !upload.promised.is_empty();
        let Some(upload) = self.pick(readable) else { return };
        let Some(node) = self.world.node_for(None, &mut self.chance) else { return };
        let name = upload.name();
        let from = self.chance.below(upload.promised.len() as u64);
        let length = u32::try_from(self.chance.between(1, 4000)).unwrap_or(1);
        let reading = async {
            let reader = node.bytes.reader(name.asset, name.blob, &upload.key).await?;
            reader.read(from, length).await
        };
        match on(&node, reading).await {
            Some(Ok(read)) => {
                let from = usize::try_from(from).unwrap_or(0);
                let known = &upload.promised[from..];
                let length = known.len().min(read.len());
                self.world.note(format_args!("uploader {} reads {length} of {}", self.number, name.asset));
                if known[..length] != read[..length] {
                    self.world.violation(format_args!("other bytes of {} are read at {from}", name.asset));
                }
            }
            Some(Err(error)) => self.note(name.asset, &format!("is told {error} when it reads")),
            None => {}
        }
    }

    /// Moves a sealed upload to the trash, and from there back, or on.
    async fn move_one(&mut self) {
        let ready = |upload: &Upload| upload.sealed && !upload.moved && upload.wanted == Wanted::Kept;
        let Some(upload) = self.pick(ready) else { return };
        let Some(node) = self.world.node_for(None, &mut self.chance) else { return };
        let asset = upload.asset;
        self.ledger.change(asset, |upload| {
            (upload.moved, upload.perhaps_trashed) = (true, true);
        });
        let Some(Ok(_)) = ask(&node, AssetCommand::Trash { asset }).await else { return };
        self.note(asset, "has trashed");
        let Some(node) = self.world.node_for(None, &mut self.chance) else { return };
        match self.chance.below(100) {
            0..40 => {
                self.ledger.change(asset, |upload| upload.wanted = Wanted::PerhapsGone);
                let Some(Ok(_)) = ask(&node, AssetCommand::Purge { asset }).await else { return };
                self.note(asset, "has purged");
                self.ledger.change(asset, |upload| upload.wanted = Wanted::Gone);
            }
            40..60 => {
                let Some(Ok(_)) = ask(&node, AssetCommand::Restore { asset }).await else { return };
                self.note(asset, "has restored");
                self.ledger.change(asset, |upload| (upload.moved, upload.perhaps_trashed) = (false, false));
            }
            _ => {}
        }
    }
}

/// All bytes of an upload that is written at a node; none where that writer has been fenced off meanwhile. Others read what
/// two holders have in common, which may be less than what was acknowledged.
async fn read_own(node: &Node, upload: &Upload) -> Result<Option<Vec<u8>>, BlobError> {
    let content = read_all(node, upload).await;
    let name = upload.name();
    let is_own = node.bytes.here().reader(name.asset, name.blob, &upload.key).await?.is_written_here();
    if is_own { content.map(Some) } else { Ok(None) }
}

/// All bytes of an upload as a node reads them.
pub(super) async fn read_all(node: &Node, upload: &Upload) -> Result<Vec<u8>, BlobError> {
    let name = upload.name();
    let reader = node.bytes.reader(name.asset, name.blob, &upload.key).await?;
    let mut content = Vec::new();
    while (content.len() as u64) < reader.length() {
        let piece = reader.read(content.len() as u64, 1 << 20).await?;
        if piece.is_empty() {
            break;
        }
        content.extend_from_slice(&piece);
    }
    Ok(content)
}

/// An asset of which no byte was acknowledged and no file can be found is given up.
pub(super) async fn give_up(node: &Node, ledger: &Ledger, asset: AssetId) {
    ledger.change(asset, |upload| upload.wanted = Wanted::PerhapsGone);
    if let Some(Ok(_)) = ask(node, AssetCommand::AbandonUpload { asset }).await {
        ledger.change(asset, |upload| upload.wanted = Wanted::Gone);
    }
}
