//! Times that cannot be meant. One damaged time may lie a day ahead, and the gap before it would be filled, frame by frame.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use gstreamer as gst;
use gstreamer::prelude::PadExtManual;

use super::Health;
use super::elements::running_time;

/// Longest gap that is believed past the end that the source claims.
const LONGEST_GAP: gst::ClockTime = gst::ClockTime::from_seconds(600);

/// Drops what leaps ahead on this pad, and counts it as damage.
pub(super) fn drop_leaps(pad: &gst::Pad, claimed_ms: Option<u64>, health: &Arc<Health>) {
    let (health, previous) = (health.clone(), Mutex::new(gst::ClockTime::ZERO));
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let Some(time) = info.buffer().and_then(|buffer| running_time(pad, buffer)) else {
            return gst::PadProbeReturn::Ok;
        };
        let mut previous = previous.lock().unwrap_or_else(PoisonError::into_inner);
        if is_believable(time, *previous, claimed_ms) {
            *previous = time;
            return gst::PadProbeReturn::Ok;
        }
        health.corrupt.fetch_add(1, Ordering::Relaxed);
        gst::PadProbeReturn::Drop
    });
}

fn is_believable(time: gst::ClockTime, previous: gst::ClockTime, claimed_ms: Option<u64>) -> bool {
    let claimed = gst::ClockTime::from_mseconds(claimed_ms.unwrap_or(0));
    time <= previous.max(claimed).saturating_add(LONGEST_GAP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_gap_is_believed_where_the_source_is_as_long() {
        let seconds = gst::ClockTime::from_seconds;
        assert!(is_believable(seconds(500), seconds(2), None));
        assert!(is_believable(seconds(7_000), seconds(2), Some(7_200_000)));
        assert!(
            is_believable(seconds(7_000), seconds(6_990), Some(2_000)),
            "it went on past its claimed end"
        );
        assert!(!is_believable(seconds(90_000), seconds(2), Some(2_000)));
        assert!(!is_believable(seconds(90_000), seconds(2), None));
    }
}
