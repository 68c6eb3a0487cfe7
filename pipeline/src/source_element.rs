//! The GStreamer element that reads a source by asking the node for bytes, and the bounded read-ahead behind it.
//!
//! A complete source is random access: demuxers pull what they need, in any order. A source that still grows is offered
//! in push mode only, front to end, so that no demuxer waits for an index at an end that is not there yet.

use std::collections::VecDeque;
use std::io;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use gstreamer as gst;
use gstreamer::glib;
use gstreamer::subclass::prelude::ObjectSubclassIsExt;

use crate::outline::Patch;
use crate::worker_process::Connection;

/// What is asked for at once.
const BLOCK: u32 = 256 * 1024;
/// Blocks kept: with the block, 4 MiB, enough for the tracks of a badly interleaved file to read side by side.
const BLOCKS_KEPT: usize = 16;
/// Blocks asked for before they are needed.
const BLOCKS_AHEAD: u64 = 2;

/// Reads the node's source through a small cache of blocks.
#[derive(Debug)]
pub(crate) struct SourceReader {
    connection: Arc<Connection>,
    length: Option<u64>,
    blocks: Mutex<VecDeque<Block>>,
    /// Read in place of what the source holds there.
    patch: OnceLock<Patch>,
}

#[derive(Debug)]
struct Block {
    number: u64,
    state: BlockState,
}

#[derive(Debug)]
enum BlockState {
    Asked(Receiver<io::Result<Bytes>>),
    Here(Bytes),
}

impl SourceReader {
    /// A reader of a source of this length; `None` while it still grows.
    pub(crate) fn new(connection: Arc<Connection>, length: Option<u64>) -> Arc<Self> {
        Arc::new(Self { connection, length, blocks: Mutex::default(), patch: OnceLock::new() })
    }

    /// The whole length, when the source is complete.
    pub(crate) fn length(&self) -> Option<u64> {
        self.length
    }

    /// Whether a read failed: then what the elements say about the media means nothing.
    pub(crate) fn has_failed(&self) -> bool {
        self.connection.is_source_lost()
    }

    /// Fills the buffer from `offset`; returns fewer bytes only at the end of the source.
    pub(crate) fn read(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            let at = offset + filled as u64;
            let block = self.block(at / u64::from(BLOCK)).inspect_err(|_| self.connection.lose_source())?;
            let from = usize::try_from(at % u64::from(BLOCK)).unwrap_or(0);
            let Some(available) = block.get(from..).filter(|rest| !rest.is_empty()) else {
                break;
            };
            let count = available.len().min(buffer.len() - filled);
            buffer[filled..filled + count].copy_from_slice(&available[..count]);
            filled += count;
        }
        self.put_right(offset, &mut buffer[..filled]);
        Ok(filled)
    }

    /// From now on reads these bytes in place of the source's own; only the first patch counts.
    pub(crate) fn mend(&self, patch: Patch) {
        // A second worker step finds the same defect again.
        let _ = self.patch.set(patch);
    }

    fn put_right(&self, offset: u64, read: &mut [u8]) {
        let Some(patch) = self.patch.get() else { return };
        for (byte, place) in patch.bytes.iter().zip(patch.offset..) {
            let at = place.checked_sub(offset).and_then(|at| usize::try_from(at).ok());
            if let Some(old) = at.and_then(|at| read.get_mut(at)) {
                *old = *byte;
            }
        }
    }

    /// Messages to the node so far, reads and results alike.
    pub(crate) fn messages(&self) -> u64 {
        self.connection.sent()
    }

    /// Whether the node owes this worker anything: then standing still is not being stuck.
    pub(crate) fn waits_for_node(&self) -> bool {
        self.connection.is_waiting()
    }

    fn block(&self, number: u64) -> io::Result<Bytes> {
        // Held while waiting: two threads that read one source would only wait for each other's blocks anyway.
        let mut blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        let last = self.length.map(|length| length.saturating_sub(1) / u64::from(BLOCK));
        if last.is_some_and(|last| number > last) {
            return Ok(Bytes::new());
        }
        let sequential = number == 0 || blocks.iter().any(|block| block.number + 1 == number);
        self.ask(&mut blocks, number)?;
        // Known for long it may be the next one to make room: not for those behind it.
        used_now(&mut blocks, number);
        if sequential {
            for ahead in 1..=BLOCKS_AHEAD {
                // While the source grows its end is unknown, and a read past it would only wait.
                if last.is_some_and(|last| number + ahead <= last) {
                    self.ask(&mut blocks, number + ahead)?;
                }
            }
        }
        let position = blocks.iter().position(|block| block.number == number);
        let mut block = position.and_then(|at| blocks.remove(at)).ok_or(io::ErrorKind::NotFound)?;
        let bytes = match block.state {
            BlockState::Here(bytes) => bytes,
            BlockState::Asked(answer) => {
                let answer = answer.recv().map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
                answer?
            }
        };
        block.state = BlockState::Here(bytes.clone());
        blocks.push_back(block);
        Ok(bytes)
    }

    /// Asks for a block unless it is known; the least recently used one makes room.
    fn ask(&self, blocks: &mut VecDeque<Block>, number: u64) -> io::Result<()> {
        if blocks.iter().any(|block| block.number == number) {
            return Ok(());
        }
        let answer = self.connection.ask(number * u64::from(BLOCK), BLOCK)?;
        if blocks.len() >= BLOCKS_KEPT
            && let Some(Block { state: BlockState::Asked(unused), .. }) = blocks.pop_front()
        {
            // The node bounds the reads under way; an answer nobody needs any more still has to arrive first.
            let _ = unused.recv();
        }
        blocks.push_back(Block { number, state: BlockState::Asked(answer) });
        Ok(())
    }
}

/// Makes this block the one that makes room last.
fn used_now(blocks: &mut VecDeque<Block>, number: u64) {
    let position = blocks.iter().position(|block| block.number == number);
    let block = position.and_then(|at| blocks.remove(at));
    blocks.extend(block);
}

glib::wrapper! {
    /// The element; made by [`SourceElement::reading`].
    pub struct SourceElement(ObjectSubclass<element::SourceElement>)
        @extends gstreamer_base::BaseSrc, gst::Element, gst::Object;
}

impl SourceElement {
    /// An element that reads this source.
    pub(crate) fn reading(reader: Arc<SourceReader>) -> Self {
        let element: Self = glib::Object::new();
        // A new object's cell is empty, so this cannot find it filled.
        let _ = element.imp().reader.set(reader);
        element
    }
}

mod element {
    use std::sync::{Arc, LazyLock, OnceLock};

    use gstreamer as gst;
    use gstreamer::glib;
    use gstreamer::subclass::prelude::{
        ElementImpl, GstObjectImpl, ObjectImpl, ObjectImplExt, ObjectSubclass, ObjectSubclassExt,
    };
    use gstreamer_base::prelude::BaseSrcExt;
    use gstreamer_base::subclass::base_src::{BaseSrcImpl, CreateSuccess};

    use super::{BLOCK, SourceReader};

    /// State of one element.
    #[derive(Debug, Default)]
    pub struct SourceElement {
        pub(super) reader: OnceLock<Arc<SourceReader>>,
    }

    impl SourceElement {
        fn reader(&self) -> Result<&Arc<SourceReader>, gst::FlowError> {
            self.reader.get().ok_or(gst::FlowError::NotNegotiated)
        }

        fn fill(&self, offset: u64, bytes: &mut [u8]) -> Result<usize, gst::FlowError> {
            let count = self.reader()?.read(offset, bytes).map_err(|_| {
                gst::element_imp_error!(self, gst::ResourceError::Read, ["the source cannot be read"]);
                gst::FlowError::Error
            })?;
            if count == 0 { Err(gst::FlowError::Eos) } else { Ok(count) }
        }
    }

    #[glib::object_subclass]
    impl ObjectSubclass for SourceElement {
        const NAME: &'static str = "MediakeepSource";
        type Type = super::SourceElement;
        type ParentType = gstreamer_base::BaseSrc;
    }

    impl ObjectImpl for SourceElement {
        fn constructed(&self) {
            self.parent_constructed();
            let element = self.obj();
            element.set_format(gst::Format::Bytes);
            element.set_blocksize(BLOCK / 4);
        }
    }

    impl GstObjectImpl for SourceElement {}

    impl ElementImpl for SourceElement {
        fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
            static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
                gst::subclass::ElementMetadata::new(
                    "Node source",
                    "Source",
                    "Reads media bytes from the node",
                    "mediakeep",
                )
            });
            Some(&METADATA)
        }

        fn pad_templates() -> &'static [gst::PadTemplate] {
            static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
                let caps = gst::Caps::new_any();
                // Made of constants; were it refused, every test of this element would fail.
                gst::PadTemplate::new("src", gst::PadDirection::Src, gst::PadPresence::Always, &caps)
                    .into_iter()
                    .collect()
            });
            &TEMPLATES
        }
    }

    impl BaseSrcImpl for SourceElement {
        fn start(&self) -> Result<(), gst::ErrorMessage> {
            Ok(())
        }

        fn is_seekable(&self) -> bool {
            self.reader.get().is_some_and(|reader| reader.length().is_some())
        }

        fn size(&self) -> Option<u64> {
            self.reader.get()?.length()
        }

        fn create(
            &self,
            offset: u64,
            buffer: Option<&mut gst::BufferRef>,
            length: u32,
        ) -> Result<CreateSuccess, gst::FlowError> {
            if let Some(buffer) = buffer {
                let mut map = buffer.map_writable().map_err(|_| gst::FlowError::Error)?;
                let count = self.fill(offset, &mut map)?;
                drop(map);
                buffer.set_size(count);
                return Ok(CreateSuccess::FilledBuffer);
            }
            let mut bytes = vec![0; length as usize];
            let count = self.fill(offset, &mut bytes)?;
            bytes.truncate(count);
            let mut buffer = gst::Buffer::from_mut_slice(bytes);
            if let Some(buffer) = buffer.get_mut() {
                buffer.set_offset(offset);
            }
            Ok(CreateSuccess::NewBuffer(buffer))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::protocol::{FromWorker, ToWorker, read_frame, write_frame};

    /// A node whose source holds, in every block, the block's number.
    fn answer(mut node: UnixStream) {
        while let Ok(frame) = read_frame::<FromWorker>(&mut node) {
            let FromWorker::Read { request, offset, length } = frame.head else { continue };
            let number = u8::try_from(offset / u64::from(BLOCK)).unwrap_or(u8::MAX);
            let bytes = vec![number; length as usize];
            write_frame(&node, &ToWorker::Bytes { request }, &bytes).expect("the worker listens");
        }
    }

    fn reader_of(blocks: u64) -> Arc<SourceReader> {
        let (node, worker) = UnixStream::pair().expect("a pair of sockets");
        std::thread::spawn(move || answer(node));
        let connection = Connection::new(worker.try_clone().expect("a socket"));
        let listener = connection.clone();
        std::thread::spawn(move || listener.listen(worker));
        SourceReader::new(connection, Some(blocks * u64::from(BLOCK)))
    }

    fn read(reader: &SourceReader, number: u64) {
        let mut byte = [0];
        let count = reader.read(number * u64::from(BLOCK), &mut byte).expect("bytes are there");
        assert_eq!((count, u64::from(byte[0])), (1, number));
    }

    #[test]
    fn a_block_that_was_asked_for_long_ago_is_there_when_it_is_read() {
        let reader = reader_of(200);
        // Asks for the next two as well, which then are the oldest ones.
        read(&reader, 0);
        let others = BLOCKS_KEPT as u64 - BLOCKS_AHEAD - 1;
        (0..others).for_each(|other| read(&reader, 100 + 2 * other));
        read(&reader, 1);
        assert!(!reader.has_failed());
    }

    #[test]
    fn two_readings_of_one_source_disturb_neither() {
        for pace in 1..=BLOCKS_KEPT as u64 {
            let reader = reader_of(200);
            for step in 0..40 {
                read(&reader, step);
                (0..pace).for_each(|further| read(&reader, (100 + step * pace + further) % 200));
            }
            assert!(!reader.has_failed(), "{pace}");
        }
    }
}
