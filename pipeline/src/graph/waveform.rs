//! The waveform: the loudest sample of every short stretch of sound.

use std::sync::{Arc, Mutex, PoisonError};

use gstreamer as gst;
use gstreamer::prelude::PadExtManual;
use serde::Serialize;

/// Peaks kept; when there are more, neighbours are joined, so that the file stays small however long the sound is.
const MAX_PEAKS: usize = 4_000;
/// The first length of a stretch.
const FIRST_INTERVAL_MS: u64 = 50;
/// Values a millisecond: stereo at 48 kHz.
const VALUES_PER_MS: u64 = 96;

/// Peaks so far.
#[derive(Debug, Default)]
pub(crate) struct Waveform(Mutex<Peaks>);

#[derive(Debug)]
struct Peaks {
    interval_ms: u64,
    peaks: Vec<u8>,
    current: f32,
    seen: u64,
}

impl Default for Peaks {
    fn default() -> Self {
        Self { interval_ms: FIRST_INTERVAL_MS, peaks: Vec::new(), current: 0.0, seen: 0 }
    }
}

/// The sidecar's form.
#[derive(Serialize)]
struct File<'peaks> {
    version: u8,
    interval_ms: u64,
    peaks: &'peaks [u8],
}

impl Peaks {
    fn add(&mut self, values: impl Iterator<Item = f32>) {
        for value in values {
            self.current = self.current.max(value.abs());
            self.seen += 1;
            if self.seen == self.interval_ms * VALUES_PER_MS {
                self.close();
            }
        }
    }

    fn close(&mut self) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to a byte")]
        self.peaks.push((self.current.clamp(0.0, 1.0) * 255.0).round() as u8);
        (self.current, self.seen) = (0.0, 0);
        if self.peaks.len() > MAX_PEAKS {
            self.peaks = self.peaks.chunks(2).map(|pair| pair.iter().copied().max().unwrap_or(0)).collect();
            self.interval_ms *= 2;
        }
    }
}

impl Waveform {
    /// Listens to interleaved 32-bit float samples on this pad.
    pub(crate) fn listen(self: &Arc<Self>, pad: &gst::Pad) {
        let waveform = self.clone();
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            if let Some(map) = info.buffer().and_then(|buffer| buffer.map_readable().ok()) {
                let values = map.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
                waveform.0.lock().unwrap_or_else(PoisonError::into_inner).add(values);
            }
            gst::PadProbeReturn::Ok
        });
    }

    /// The sidecar; `None` when there was no sound.
    pub(crate) fn finish(&self) -> Option<Vec<u8>> {
        let mut peaks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if peaks.seen > 0 {
            peaks.close();
        }
        let file = File { version: 1, interval_ms: peaks.interval_ms, peaks: &peaks.peaks };
        serde_json::to_vec(&file).ok().filter(|_| !peaks.peaks.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peak_stands_for_each_stretch() {
        let waveform = Waveform::default();
        let stretch = usize::try_from(FIRST_INTERVAL_MS * VALUES_PER_MS).unwrap();
        waveform.0.lock().unwrap().add((0..stretch * 2).map(|n| if n < stretch { -0.5 } else { 2.0 }));
        let text = String::from_utf8(waveform.finish().unwrap()).unwrap();
        assert_eq!(text, r#"{"version":1,"interval_ms":50,"peaks":[128,255]}"#);
    }

    #[test]
    fn hours_of_sound_make_no_larger_file() {
        let mut peaks = Peaks::default();
        for _ in 0..100_000 {
            peaks.close();
        }
        assert!(peaks.peaks.len() <= MAX_PEAKS && peaks.interval_ms > 1000);
    }
}
