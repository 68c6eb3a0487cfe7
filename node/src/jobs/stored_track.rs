//! What a rendition's Blob holds, read from its marks alone.

use bytes::Bytes;
use cluster::store::{BlobError, BlobReader};
use pipeline::tracks::{BlobMark, SegmentMark};

/// The header and the segments of one rendition.
#[derive(Debug, Clone, Default)]
pub struct StoredTrack {
    init: Option<Bytes>,
    segments: Vec<SegmentMark>,
    marks: usize,
}

impl StoredTrack {
    /// Reads header and marks.
    pub async fn read(reader: &BlobReader) -> Result<Self, BlobError> {
        let mut track = Self::default();
        track.read_on(reader).await?;
        Ok(track)
    }

    /// Reads what has come since.
    pub async fn read_on(&mut self, reader: &BlobReader) -> Result<(), BlobError> {
        for (_, mark) in reader.marks(self.marks) {
            match BlobMark::decode(&mark) {
                Ok(BlobMark::Init { length }) => self.init = Some(reader.read_span(0, length.into()).await?),
                Ok(BlobMark::Segment(segment)) => self.segments.push(segment),
                Err(error) => return Err(BlobError::Io(error.to_string())),
            }
            self.marks += 1;
        }
        Ok(())
    }

    /// Marks read so far.
    pub fn marks(&self) -> usize {
        self.marks
    }

    /// The clear header, once there is one.
    pub fn init(&self) -> Option<&Bytes> {
        self.init.as_ref()
    }

    /// The segments, in order.
    pub fn segments(&self) -> &[SegmentMark] {
        &self.segments
    }

    /// The sequence that comes next.
    pub fn next_sequence(&self) -> u64 {
        self.segments.last().map_or(0, |last| last.sequence + 1)
    }

    /// The segment with this sequence.
    pub fn segment(&self, sequence: u64) -> Option<&SegmentMark> {
        let first = self.segments.first()?.sequence;
        let index = usize::try_from(sequence.checked_sub(first)?).ok()?;
        self.segments.get(index)
    }

    /// Where the last segment ends.
    pub fn end_us(&self) -> u64 {
        self.segments.last().map_or(0, |last| last.start_us.saturating_add(last.duration_us))
    }

    pub(super) fn set_init(&mut self, bytes: Bytes) {
        self.init = Some(bytes);
        self.marks += 1;
    }

    pub(super) fn push(&mut self, segment: SegmentMark) {
        self.segments.push(segment);
        self.marks += 1;
    }
}
