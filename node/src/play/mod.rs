//! Playback: Views, playlists, keys and ciphertext segments.

pub mod range;
