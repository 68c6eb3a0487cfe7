//! One picture as JPEG, by a little graph of its own.

use gstreamer as gst;
use gstreamer::prelude::{Cast, ElementExt, GObjectExtManualGst, ObjectExt};

use super::elements::{chain, make};
use crate::failure::Failure;

/// A picture of 8-bit planar 4:2:0 without padding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Picture {
    pub(crate) width: usize,
    pub(crate) height: usize,
    /// The luma plane and the two chroma planes, one after the other.
    pub(crate) samples: Vec<u8>,
}

impl Picture {
    /// A black picture; sides are even.
    pub(crate) fn black(width: usize, height: usize) -> Self {
        let luma = width * height;
        let mut samples = vec![16; luma];
        samples.resize(luma * 3 / 2, 128);
        Self { width, height, samples }
    }

    /// Where each plane starts, with its width and height.
    pub(crate) fn planes(width: usize, height: usize) -> [(usize, usize, usize); 3] {
        let luma = width * height;
        let (half_width, half_height) = (width / 2, height / 2);
        [
            (0, width, height),
            (luma, half_width, half_height),
            (luma + half_width * half_height, half_width, half_height),
        ]
    }

    /// Copies `tile` to this place of the picture; both coordinates are even and the tile lies inside.
    pub(crate) fn paste(&mut self, tile: &Self, x: usize, y: usize) {
        let here = Self::planes(self.width, self.height);
        let there = Self::planes(tile.width, tile.height);
        for (number, ((to, to_width, _), (from, from_width, from_height))) in
            here.into_iter().zip(there).enumerate()
        {
            let shrink = if number == 0 { 1 } else { 2 };
            for row in 0..from_height {
                let target = to + (y / shrink + row) * to_width + x / shrink;
                let source = from + row * from_width;
                self.samples[target..target + from_width]
                    .copy_from_slice(&tile.samples[source..source + from_width]);
            }
        }
    }

    /// The picture shrunk to this size, each sample the mean of those it covers.
    pub(crate) fn shrunk(&self, width: usize, height: usize) -> Self {
        let mut samples = Vec::with_capacity(width * height * 3 / 2);
        let sources = Self::planes(self.width, self.height);
        for ((from, from_width, from_height), (_, to_width, to_height)) in
            sources.into_iter().zip(Self::planes(width, height))
        {
            for row in 0..to_height {
                let rows = row * from_height / to_height
                    ..((row + 1) * from_height / to_height).max(row * from_height / to_height + 1);
                for column in 0..to_width {
                    let first = column * from_width / to_width;
                    let columns = first..((column + 1) * from_width / to_width).max(first + 1);
                    let count = rows.len() * columns.len();
                    let sum: usize = rows
                        .clone()
                        .map(|y| {
                            let line = from + y * from_width;
                            self.samples[line + columns.start..line + columns.end]
                                .iter()
                                .map(|s| usize::from(*s))
                                .sum::<usize>()
                        })
                        .sum();
                    samples.push(u8::try_from(sum / count).unwrap_or(u8::MAX));
                }
            }
        }
        Self { width, height, samples }
    }
}

/// Encodes a picture at this quality (1 to 100).
pub(crate) fn encode(picture: &Picture, quality: i32) -> Result<Vec<u8>, Failure> {
    let failed = || Failure::internal("making a JPEG");
    let side = |value: usize| i32::try_from(value).unwrap_or(i32::MAX);
    let caps = gst::Caps::builder("video/x-raw")
        .field("format", "I420")
        .field("width", side(picture.width))
        .field("height", side(picture.height))
        .field("framerate", gst::Fraction::new(0, 1))
        .build();
    let source = gstreamer_app::AppSrc::builder().caps(&caps).format(gst::Format::Time).build();
    let encoder = make("jpegenc")?;
    encoder.set_property("quality", quality);
    encoder.set_property_from_str("idct-method", "islow");
    let sink = gstreamer_app::AppSink::builder().sync(false).async_(false).build();
    let pipeline = gst::Pipeline::new();
    chain(&pipeline, &[source.clone().upcast(), encoder, sink.clone().upcast()])?;
    pipeline.set_state(gst::State::Playing).map_err(|_| failed())?;
    let mut buffer = gst::Buffer::from_mut_slice(padded(picture));
    if let Some(buffer) = buffer.get_mut() {
        buffer.set_pts(gst::ClockTime::ZERO);
    }
    source.push_buffer(buffer).map_err(|_| failed())?;
    source.end_of_stream().map_err(|_| failed())?;
    let sample = sink.try_pull_sample(gst::ClockTime::from_seconds(30)).ok_or_else(failed)?;
    let bytes = sample.buffer().and_then(|buffer| buffer.map_readable().ok()).map(|map| map.to_vec());
    // The graph only holds memory; it goes with the picture.
    let _ = pipeline.set_state(gst::State::Null);
    bytes.ok_or_else(failed)
}

/// The samples with rows as GStreamer lays them out by default: each padded to a multiple of four.
fn padded(picture: &Picture) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(picture.samples.len());
    for (start, width, height) in Picture::planes(picture.width, picture.height) {
        let stride = width.next_multiple_of(4);
        for row in 0..height {
            let from = start + row * width;
            bytes.extend_from_slice(&picture.samples[from..from + width]);
            bytes.resize(bytes.len() + stride - width, 0);
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_land_where_they_belong_in_every_plane() {
        let mut sheet = Picture::black(8, 4);
        let tile =
            Picture { width: 4, height: 2, samples: [[200; 8].as_slice(), &[90; 2], &[70; 2]].concat() };
        sheet.paste(&tile, 4, 2);
        assert_eq!(sheet.samples[16..24], [16, 16, 16, 16, 200, 200, 200, 200]);
        assert_eq!(sheet.samples[32..40], [128, 128, 128, 128, 128, 128, 90, 90]);
        assert_eq!(sheet.samples[40..48], [128, 128, 128, 128, 128, 128, 70, 70]);
    }

    #[test]
    fn shrinking_takes_the_mean() {
        let mut picture = Picture::black(4, 4);
        picture.samples[..16].copy_from_slice(&[0, 100, 10, 10, 100, 200, 10, 10, 1, 1, 2, 2, 1, 1, 2, 2]);
        assert_eq!(picture.shrunk(2, 2).samples, [100, 10, 1, 2, 128, 128]);
    }
}
