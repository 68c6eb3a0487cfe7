//! What is known of one asset's media beyond State: the plan a transcode follows, and the manifest it ends in.
//!
//! Both are versioned JSON in Blobs of the asset. The plan is written once, before the first segment, so that a job that
//! goes on after a crash makes the same renditions; the manifest names every Blob with its length and hash, and State
//! names the manifest by hash.

use cluster::command::BlobKind;
use cluster::id::AssetId;
use cluster::id::BlobId;
use pipeline::ladder;
use pipeline::ladder::Rung;
use pipeline::tracks::AudioRendition;
use pipeline::tracks::LeftOut;
use pipeline::tracks::Probe;
use pipeline::tracks::SubtitleRendition;
use pipeline::tracks::VideoRendition;
use pipeline::transcode::Unpassable;
use serde::Deserialize;
use serde::Serialize;
use thiserror::Error;

/// The version of manifests that this program writes.
const VERSION: u32 = 1;
/// The version of plans that it writes; 2 added `top_rung`.
const PLAN_VERSION: u32 = 2;
/// A manifest is some kilobytes; what is larger is none.
pub const LARGEST: u64 = 1 << 20;

/// Label of the plan's Blob.
pub const PLAN_LABEL: &str = "plan";
/// Label of a manifest's Blob.
pub const MANIFEST_LABEL: &str = "manifest";

/// The bytes are not a plan or manifest this version reads.
#[derive(Debug, Error)]
pub enum ManifestError {
    /// No JSON of this form.
    #[error("the manifest cannot be read: {0}")]
    Malformed(#[from] serde_json::Error),
    /// Written by a newer program.
    #[error("the manifest has version {0}, which this version does not know")]
    Version(u32),
}

/// What a transcode was found to have to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Of this encoding.
    pub version: u32,
    /// What the original holds.
    pub probe: Probe,
    /// The video renditions, highest first.
    pub rungs: Vec<Rung>,
    /// What becomes of the source's own pictures. Plans of version 1 encode them.
    #[serde(default)]
    pub top_rung: TopRung,
}

/// How the highest video rendition is made. Settled before the first segment, so that a job that goes on makes the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TopRung {
    /// Encoded, like the others.
    #[default]
    Encoded,
    /// The source's own pictures, as they are.
    PassedThrough,
    /// Encoded, since the source proved unfit on the way.
    Refused(Unpassable),
}

impl Plan {
    /// A plan of the current version.
    pub fn new(probe: Probe, rungs: Vec<Rung>) -> Self {
        let top_rung =
            if ladder::may_pass_through(&probe) { TopRung::PassedThrough } else { TopRung::Encoded };
        Self { version: PLAN_VERSION, probe, rungs, top_rung }
    }

    /// Reads a plan, of this version or older.
    pub fn decode(bytes: &[u8]) -> Result<Self, ManifestError> {
        let plan: Self = serde_json::from_slice(bytes)?;
        known(plan.version, PLAN_VERSION)?;
        Ok(plan)
    }
}

/// One sealed Blob as a manifest names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedRef {
    /// The Blob.
    pub blob: BlobId,
    /// What it holds.
    pub kind: BlobKind,
    /// Plaintext bytes.
    pub length: u64,
    /// Hash over the ciphertext.
    #[serde(with = "hex_hash")]
    pub hash: [u8; 32],
}

/// Something playable and the Blob that holds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Track<R> {
    /// What playlists say of it.
    pub rendition: R,
    /// Where its bytes are.
    pub stored: SealedRef,
    /// Segments in it.
    pub segments: u64,
    /// Where its last segment ends.
    pub end_us: u64,
}

/// Text to show over the picture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TextTrack {
    /// What playlists say of it.
    pub rendition: SubtitleRendition,
    /// Its WebVTT.
    pub stored: SealedRef,
}

/// Pictures and data beside the renditions.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Sidecars {
    /// The still picture found while processing.
    pub poster: Option<SealedRef>,
    /// The still picture somebody chose.
    pub chosen_poster: Option<SealedRef>,
    /// The sheet of small pictures.
    pub storyboard: Option<SealedRef>,
    /// Which part of the sheet belongs to which time.
    pub storyboard_vtt: Option<SealedRef>,
    /// Loudness over time.
    pub waveform: Option<SealedRef>,
}

/// Everything made of one asset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Of this encoding.
    pub version: u32,
    /// Whose.
    pub asset: AssetId,
    /// SHA-256 of the uploaded bytes, as people compare it.
    pub original_sha256: Option<String>,
    /// What the original holds.
    pub probe: Probe,
    /// Length of play.
    pub duration_ms: u64,
    /// Parts of the original could not be decoded.
    pub damaged: bool,
    /// Tracks of picture or sound in it of which nothing could be made.
    #[serde(default)]
    pub left_out: Vec<LeftOut>,
    /// Highest first.
    pub video: Vec<Track<VideoRendition>>,
    /// In the order of the source.
    pub audio: Vec<Track<AudioRendition>>,
    /// Found in the source.
    pub subtitles: Vec<TextTrack>,
    /// Uploaded by people; `rendition.id` is the language.
    pub captions: Vec<TextTrack>,
    /// Beside the renditions.
    pub sidecars: Sidecars,
}

impl Manifest {
    /// The manifest of an asset of which nothing is known yet: what captions of a video in processing would go into.
    pub fn new(asset: AssetId, probe: Probe) -> Self {
        Self {
            version: VERSION,
            asset,
            original_sha256: None,
            probe,
            duration_ms: 0,
            damaged: false,
            left_out: Vec::new(),
            video: Vec::new(),
            audio: Vec::new(),
            subtitles: Vec::new(),
            captions: Vec::new(),
            sidecars: Sidecars::default(),
        }
    }

    /// Reads a manifest, of this version or older.
    pub fn decode(bytes: &[u8]) -> Result<Self, ManifestError> {
        let manifest: Self = serde_json::from_slice(bytes)?;
        known(manifest.version, VERSION)?;
        Ok(manifest)
    }

    /// Every Blob the manifest names.
    pub fn stored(&self) -> impl Iterator<Item = SealedRef> + '_ {
        let sidecars = &self.sidecars;
        let beside = [
            sidecars.poster,
            sidecars.chosen_poster,
            sidecars.storyboard,
            sidecars.storyboard_vtt,
            sidecars.waveform,
        ];
        let video = self.video.iter().map(|track| track.stored);
        let audio = self.audio.iter().map(|track| track.stored);
        let text = self.subtitles.iter().chain(&self.captions).map(|track| track.stored);
        video.chain(audio).chain(text).chain(beside.into_iter().flatten())
    }

    /// Bytes of all of them.
    pub fn stored_bytes(&self) -> u64 {
        self.stored().map(|stored| stored.length).sum()
    }
}

fn known(version: u32, newest: u32) -> Result<(), ManifestError> {
    if (1..=newest).contains(&version) { Ok(()) } else { Err(ManifestError::Version(version)) }
}

mod hex_hash {
    use serde::Deserialize;
    use serde::Deserializer;
    use serde::Serializer;
    use serde::de::Error as _;

    pub(super) fn serialize<S: Serializer>(hash: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&data_encoding::HEXLOWER.encode(hash))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = data_encoding::HEXLOWER.decode(text.as_bytes()).map_err(D::Error::custom)?;
        bytes.try_into().map_err(|_| D::Error::custom("a hash has 32 bytes"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let mut manifest = Manifest::new(AssetId([3; 16]), Probe::default());
        let stored =
            SealedRef { blob: BlobId([4; 16]), kind: BlobKind::Caption, length: 10, hash: [0xab; 32] };
        let rendition = SubtitleRendition {
            id: "de".into(),
            language: Some("de".into()),
            name: "Deutsch".into(),
            default: false,
            forced: false,
        };
        manifest.captions.push(TextTrack { rendition, stored });
        manifest.sidecars.poster = Some(SealedRef { length: 5, ..stored });
        manifest
    }

    #[test]
    fn a_manifest_reads_back_as_written() {
        let bytes = serde_json::to_vec(&manifest()).unwrap();
        assert_eq!(Manifest::decode(&bytes).unwrap(), manifest());
        assert_eq!(manifest().stored_bytes(), 15);
    }

    #[test]
    fn a_plan_keeps_how_its_top_rung_is_made_and_older_ones_encode_it() {
        let mut plan = Plan::new(Probe::default(), Vec::new());
        plan.top_rung = TopRung::Refused(Unpassable::RareKeyframes);
        assert_eq!(Plan::decode(&serde_json::to_vec(&plan).unwrap()).unwrap(), plan);
        let mut old = serde_json::to_value(&plan).unwrap();
        old["version"] = 1.into();
        old.as_object_mut().unwrap().remove("top_rung");
        assert_eq!(Plan::decode(old.to_string().as_bytes()).unwrap().top_rung, TopRung::Encoded);
    }

    #[test]
    fn a_newer_version_and_no_json_are_refused() {
        let mut newer = manifest();
        newer.version = VERSION + 1;
        let bytes = serde_json::to_vec(&newer).unwrap();
        assert!(matches!(Manifest::decode(&bytes), Err(ManifestError::Version(_))));
        assert!(matches!(Manifest::decode(b"{"), Err(ManifestError::Malformed(_))));
    }
}
