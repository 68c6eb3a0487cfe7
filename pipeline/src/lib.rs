//! Media: what a source holds, how it is transcoded, packaged and encrypted.
#![forbid(unsafe_code)]

pub mod encrypt;
pub mod hls_check;
pub mod ladder;
pub mod mp4;
pub mod playlist;
pub mod tracks;
pub mod vtt;
