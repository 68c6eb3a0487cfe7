//! Where the segments of a part go: enciphered as they will be in the renditions, all rungs into one Blob of the part, each
//! with its mark in one barrier.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cluster::keyring::ContentKey;
use cluster::store::{BlobError, BlobReader};
use pipeline::tracks::{BadMark, BlobMark, RenditionId, SegmentInfo};
use pipeline::{Progress, Sidecar, Sink, SinkError};
use tokio::sync::Mutex;

use super::sink::enciphered;
use crate::asset_store::{OpenBlob, StoreError};

/// What a mark in the Blob of a part is tied to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PartMark {
    /// A header or a segment of this rendition.
    Media(RenditionId, BlobMark),
    /// The part is complete: the last mark.
    End {
        /// Something in the source could not be decoded.
        damaged: bool,
    },
}

impl PartMark {
    /// A byte for the length of the rendition's name, the name, and its mark; nothing but what is after it at the end.
    fn encode(&self) -> Vec<u8> {
        match self {
            Self::Media(id, mark) => {
                let name = id.to_string();
                let length = u8::try_from(name.len()).unwrap_or(u8::MAX);
                [&[length], name.as_bytes(), &mark.encode()].concat()
            }
            Self::End { damaged } => vec![0, u8::from(*damaged)],
        }
    }

    /// Reads what `encode` wrote.
    pub fn decode(bytes: &[u8]) -> Result<Self, BadMark> {
        let (&length, rest) = bytes.split_first().ok_or(BadMark)?;
        if length == 0 {
            return match rest {
                [damaged @ (0 | 1)] => Ok(Self::End { damaged: *damaged == 1 }),
                _ => Err(BadMark),
            };
        }
        let (name, mark) = rest.split_at_checked(length.into()).ok_or(BadMark)?;
        let name = std::str::from_utf8(name).map_err(|_| BadMark)?;
        Ok(Self::Media(name.parse().map_err(|_| BadMark)?, BlobMark::decode(mark)?))
    }
}

/// The marks of a part's Blob from number `from` on, each with where the bytes before it end.
pub fn marks(reader: &BlobReader, from: usize) -> Result<Vec<(u64, PartMark)>, StoreError> {
    let read = |(end, bytes): (u64, Bytes)| {
        let mark = PartMark::decode(&bytes).map_err(|error| BlobError::Io(error.to_string()))?;
        Ok((end, mark))
    };
    reader.marks(from).into_iter().map(read).collect()
}

/// What a part has so far.
#[derive(Debug, Default)]
pub struct PartContent {
    next: HashMap<RenditionId, u64>,
    /// Whether it is complete, and then whether the source was found damaged.
    pub end: Option<bool>,
}

impl PartContent {
    /// Reads the marks of the part's Blob.
    pub fn read(reader: &BlobReader) -> Result<Self, StoreError> {
        let mut content = Self::default();
        for (_, mark) in marks(reader, 0)? {
            match mark {
                PartMark::Media(id, BlobMark::Init { .. }) => drop(content.next.entry(id).or_default()),
                PartMark::Media(id, BlobMark::Segment(segment)) => {
                    content.next.insert(id, segment.sequence + 1);
                }
                PartMark::End { damaged } => content.end = Some(damaged),
            }
        }
        Ok(content)
    }

    /// The segment of a rendition that comes next, in a part that begins with `first`.
    pub fn next_sequence(&self, id: RenditionId, first: u64) -> u64 {
        self.next.get(&id).map_or(first, |next| (*next).max(first))
    }
}

/// The sink of one try at a part.
#[derive(Debug)]
pub struct PartSink {
    blob: OpenBlob,
    key: ContentKey,
    content: PartContent,
    trouble: Option<StoreError>,
}

impl PartSink {
    /// Goes on with a Blob that has this content.
    pub fn new(blob: OpenBlob, key: ContentKey, content: PartContent) -> Self {
        Self { blob, key, content, trouble: None }
    }

    /// What went wrong with storage, when that is why the transcode stopped.
    pub fn trouble(&mut self) -> Option<StoreError> {
        self.trouble.take()
    }

    /// Notes that the part is complete, and hands over its Blob to be sealed.
    pub async fn end(&mut self, damaged: bool) -> Result<OpenBlob, StoreError> {
        // A mark is tied to bytes; these say nothing.
        let nothing = Bytes::from_static(&[0]);
        self.blob.writer.append_marked(nothing, &PartMark::End { damaged }.encode()).await?;
        Ok(self.blob.clone())
    }

    async fn append(&mut self, bytes: Bytes, mark: PartMark) -> Result<(), SinkError> {
        match self.blob.writer.append_marked(bytes, &mark.encode()).await {
            Ok(_) => Ok(()),
            Err(error) => {
                let told = SinkError(error.to_string());
                self.trouble = Some(error.into());
                Err(told)
            }
        }
    }
}

/// The sink as the transcode holds it, while the work keeps another hold for the end.
#[derive(Debug, Clone)]
pub struct SharedPart(pub Arc<Mutex<PartSink>>);

#[async_trait]
impl Sink for SharedPart {
    async fn init(&mut self, rendition: RenditionId, bytes: Bytes) -> Result<(), SinkError> {
        let mut sink = self.0.lock().await;
        if sink.content.next.contains_key(&rendition) {
            return Ok(());
        }
        let length = u32::try_from(bytes.len()).map_err(|error| SinkError(error.to_string()))?;
        sink.append(bytes, PartMark::Media(rendition, BlobMark::Init { length })).await?;
        sink.content.next.insert(rendition, 0);
        Ok(())
    }

    async fn segment(
        &mut self,
        rendition: RenditionId,
        info: SegmentInfo,
        bytes: Bytes,
    ) -> Result<(), SinkError> {
        let mut sink = self.0.lock().await;
        let sequence = info.sequence;
        let Some(next) = sink.content.next.get(&rendition) else {
            return Err(SinkError("a segment came before its header".to_owned()));
        };
        if sequence < *next {
            return Ok(());
        }
        let (mark, ciphertext) = enciphered(&sink.key, sink.blob.writer.length(), info, bytes);
        sink.append(ciphertext, PartMark::Media(rendition, BlobMark::Segment(mark))).await?;
        sink.content.next.insert(rendition, sequence + 1);
        Ok(())
    }

    async fn sidecar(&mut self, _kind: Sidecar, _bytes: Bytes) -> Result<(), SinkError> {
        Ok(())
    }

    async fn progress(&mut self, _progress: Progress) -> Result<(), SinkError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_read_back_as_written() {
        let init = BlobMark::Init { length: 812 };
        let marks = [
            PartMark::Media(RenditionId::Video(1080), init.clone()),
            PartMark::Media(RenditionId::Video(2), init),
            PartMark::End { damaged: true },
            PartMark::End { damaged: false },
        ];
        for mark in marks {
            assert_eq!(PartMark::decode(&mark.encode()), Ok(mark));
        }
    }

    #[test]
    fn what_is_cut_or_unknown_is_refused() {
        let whole = PartMark::Media(RenditionId::Video(1080), BlobMark::Init { length: 812 }).encode();
        for length in 0..whole.len() {
            assert_eq!(PartMark::decode(&whole[..length]), Err(BadMark), "{length} bytes");
        }
        assert_eq!(PartMark::decode(&[0, 2]), Err(BadMark));
        assert_eq!(PartMark::decode(&[1, 0xff]), Err(BadMark));
    }
}
