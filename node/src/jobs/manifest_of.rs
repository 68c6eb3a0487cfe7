//! The manifest of a finished transcode, from its plan and what was stored.

use std::collections::HashMap;

use pipeline::Sidecar;
use pipeline::ladder::Rung;
use pipeline::mp4::read_init;
use pipeline::playlist::{language_tag, measure, measure_iframes};
use pipeline::tracks::{
    AudioRendition, AudioTrack, RenditionId, SubtitleRendition, SubtitleTrack, VideoRendition,
};

use super::sink::Outputs;
use super::stored_track::StoredTrack;
use crate::manifest::{Manifest, Plan, SealedRef, Sidecars, TextTrack, Track};

type Stored = HashMap<RenditionId, (SealedRef, StoredTrack)>;

/// Fills the renditions and sidecars of `manifest`.
pub fn fill(manifest: &mut Manifest, plan: &Plan, outputs: &Outputs) {
    let stored = &outputs.renditions;
    manifest.video = plan.rungs.iter().filter_map(|rung| video_track(rung, stored)).collect();
    manifest.audio = plan.probe.audio.iter().filter_map(|track| audio_track(plan, track, stored)).collect();
    let text = |track: &SubtitleTrack| {
        let found = outputs.sidecars.get(&Sidecar::Subtitles { track: track.index })?;
        Some(TextTrack { rendition: subtitle_rendition(track), stored: *found })
    };
    manifest.subtitles = plan.probe.subtitles.iter().filter_map(text).collect();
    let beside = |kind| outputs.sidecars.get(&kind).copied();
    manifest.sidecars = Sidecars {
        poster: beside(Sidecar::Poster),
        chosen_poster: manifest.sidecars.chosen_poster,
        storyboard: beside(Sidecar::Storyboard),
        storyboard_vtt: beside(Sidecar::StoryboardVtt),
        waveform: beside(Sidecar::Waveform),
    };
    let ends = manifest.video.iter().map(|track| track.end_us);
    let ends = ends.chain(manifest.audio.iter().map(|track| track.end_us));
    manifest.duration_ms = ends.max().unwrap_or(0).div_ceil(1000);
}

/// What playlists say of a video rung with these segments. `None` while it has no header or no segment.
pub fn video_rendition(rung: &Rung, track: &StoredTrack) -> Option<VideoRendition> {
    let segments = track.segments();
    (!segments.is_empty()).then_some(())?;
    Some(VideoRendition {
        id: rung.id,
        width: rung.width,
        height: rung.height,
        frame_rate: rung.frame_rate,
        codecs: codecs(track)?,
        bandwidth: measure(segments),
        iframe_bandwidth: measure_iframes(segments),
    })
}

/// What playlists say of an audio track with these segments. `None` while it has no header or no segment.
pub fn audio_rendition(plan: &Plan, track: &AudioTrack, stored: &StoredTrack) -> Option<AudioRendition> {
    let segments = stored.segments();
    (!segments.is_empty()).then_some(())?;
    let tag = track.language.as_deref().and_then(language_tag);
    let any_default = plan.probe.audio.iter().any(|track| track.default);
    let name = track.title.clone().or_else(|| tag.clone());
    Some(AudioRendition {
        id: audio_id(track)?,
        language: tag,
        name: name.unwrap_or_else(|| format!("Audio {}", track.index + 1)),
        default: if any_default { track.default } else { track.index == 0 },
        channels: track.channels.clamp(1, 2),
        codecs: codecs(stored)?,
        bandwidth: measure(segments),
    })
}

/// The rendition an audio track of the source becomes.
pub fn audio_id(track: &AudioTrack) -> Option<RenditionId> {
    u16::try_from(track.index).ok().map(RenditionId::Audio)
}

fn subtitle_rendition(track: &SubtitleTrack) -> SubtitleRendition {
    let tag = track.language.as_deref().and_then(language_tag);
    let name = track.title.clone().or_else(|| tag.clone());
    SubtitleRendition {
        id: format!("s{}", track.index),
        language: tag,
        name: name.unwrap_or_else(|| format!("Subtitles {}", track.index + 1)),
        default: track.default,
        forced: track.forced,
    }
}

fn codecs(track: &StoredTrack) -> Option<String> {
    read_init(track.init()?).ok().map(|init| init.codecs())
}

fn video_track(rung: &Rung, stored: &Stored) -> Option<Track<VideoRendition>> {
    let (sealed, track) = stored.get(&rung.id)?;
    Some(as_track(video_rendition(rung, track)?, *sealed, track))
}

fn audio_track(plan: &Plan, track: &AudioTrack, stored: &Stored) -> Option<Track<AudioRendition>> {
    let (sealed, found) = stored.get(&audio_id(track)?)?;
    Some(as_track(audio_rendition(plan, track, found)?, *sealed, found))
}

fn as_track<R>(rendition: R, stored: SealedRef, track: &StoredTrack) -> Track<R> {
    Track { rendition, stored, segments: track.segments().len() as u64, end_us: track.end_us() }
}
