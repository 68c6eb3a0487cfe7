//! Rules of time: what may follow a media playlist that a player has already loaded.
use super::{MediaPlaylist, Playlist, Violation, read};

/// Checks that `after` may be what a reload of `before` gives. Both must be media playlists.
#[must_use]
pub fn check_reload(before: &str, after: &str) -> Vec<Violation> {
    let (Playlist::Media(before), Playlist::Media(after)) = (read(before).0, read(after).0) else {
        return vec![Violation::new("reload", 0, "only media playlists are reloaded")];
    };
    let mut found = Vec::new();
    let mut broken = |rule, detail: &str| found.push(Violation::new(rule, 0, detail));
    if after.target_duration != before.target_duration {
        broken("target_duration_changed", "EXT-X-TARGETDURATION must not change");
    }
    if after.media_sequence < before.media_sequence {
        broken("sequence_backwards", "EXT-X-MEDIA-SEQUENCE must not go backwards");
    }
    if after.discontinuity_sequence < before.discontinuity_sequence {
        broken("sequence_backwards", "EXT-X-DISCONTINUITY-SEQUENCE must not go backwards");
    }
    if before.ended && !after.ended {
        broken("end_removed", "EXT-X-ENDLIST must not be taken away");
    }
    if before.kind.is_some() && after.media_sequence != before.media_sequence {
        broken("segment_removed", "EVENT and VOD playlists must keep all their segments");
    }
    if last(&after) < last(&before) {
        broken("segment_removed", "segments at the end were taken away");
    }
    if before.ended && last(&after) > last(&before) {
        broken("after_end", "segments follow where the playlist had ended");
    }
    for old in &before.segments {
        let Some(new) = after.segments.iter().find(|segment| segment.sequence == old.sequence) else {
            continue;
        };
        let same =
            new.uri == old.uri && new.key == old.key && new.map == old.map && new.duration == old.duration;
        if !same {
            let detail = format!("segment {} is not what it was", old.sequence);
            found.push(Violation::new("segment_changed", new.line, detail));
        }
    }
    found
}

fn last(playlist: &MediaPlaylist) -> Option<u64> {
    playlist.segments.last().map(|segment| segment.sequence)
}
