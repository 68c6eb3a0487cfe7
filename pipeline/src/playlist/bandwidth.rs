//! Bandwidth as RFC 8216bis means it: measured on the bytes that are sent.
use crate::encrypt::ciphertext_length;
use crate::mp4;
use crate::tracks::{Bandwidth, SegmentMark};

/// Peak and average over stored segments. A last segment shorter than half a second does not set the peak, as the RFC
/// only counts runs between half and one and a half target durations.
#[must_use]
pub fn measure(segments: &[SegmentMark]) -> Bandwidth {
    over(segments.iter().map(|segment| (segment.length, segment.duration_us)))
}

/// Peak and average over the I-frame resources of a rendition (see [`mod@super::iframes`]).
#[must_use]
pub fn measure_iframes(segments: &[SegmentMark]) -> Bandwidth {
    over(segments.iter().filter_map(|segment| {
        let keyframe = segment.keyframes.first()?;
        let plain = mp4::IFRAME_OVERHEAD + u64::from(keyframe.length);
        Some((ciphertext_length(plain), segment.duration_us))
    }))
}

/// What to announce while a rendition still grows: what was measured so far, or the encoder's own limits where these are
/// higher. The announced value then never rises under a viewer, short of a pass-through source that lies.
#[must_use]
pub fn expected(segments: &[SegmentMark], bitrate_kbps: u32, max_bitrate_kbps: u32) -> Bandwidth {
    let measured = measure(segments);
    Bandwidth {
        peak: measured.peak.max(u64::from(max_bitrate_kbps) * 1_000),
        average: measured.average.max(u64::from(bitrate_kbps) * 1_000),
    }
}

fn over(segments: impl Iterator<Item = (u64, u64)> + Clone) -> Bandwidth {
    const LEAST_US: u64 = 500_000;
    let rate = |(bytes, us): (u64, u64)| {
        let bits = u128::from(bytes) * 8 * 1_000_000;
        u64::try_from(bits.div_ceil(u128::from(us.max(1)))).unwrap_or(u64::MAX)
    };
    let total = segments.clone().fold((0u64, 0u64), |(bytes, us), (more, longer)| {
        (bytes.saturating_add(more), us.saturating_add(longer))
    });
    let average = if total.1 == 0 { 0 } else { rate(total) };
    let peak = segments.filter(|(_, us)| *us >= LEAST_US).map(rate).max().unwrap_or(average);
    Bandwidth { peak: peak.max(average), average }
}
