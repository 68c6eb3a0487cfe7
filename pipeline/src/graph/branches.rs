//! Which part of a graph belongs to which track of the source, so that a broken track ends alone and the others go on.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gstreamer as gst;
use gstreamer::prelude::{ElementExtManual, PadExt, PadExtManual};

use super::catalog::Kind;
use super::demux::Track;

/// No branch is as long as this.
const MOST_STEPS: usize = 200;

/// The tracks of one run. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Branches(Arc<Mutex<Vec<Branch>>>);

#[derive(Debug)]
struct Branch {
    kind: Kind,
    index: u32,
    pad: gst::Pad,
    broken: Arc<AtomicBool>,
}

impl Branch {
    fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }
}

impl Branches {
    fn list(&self) -> MutexGuard<'_, Vec<Branch>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of a track. Once it is given up, what the source still holds of it goes nowhere: the demuxer must not meet
    /// the error of one branch, since it would stop all of them.
    pub(super) fn add(&self, track: &Track) {
        let broken = Arc::<AtomicBool>::default();
        let dropping = broken.clone();
        track.pad.add_probe(gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST, move |_, _| {
            if dropping.load(Ordering::Relaxed) { gst::PadProbeReturn::Drop } else { gst::PadProbeReturn::Ok }
        });
        self.list().push(Branch { kind: track.kind, index: track.index, pad: track.pad.clone(), broken });
    }

    /// Gives up the track that this element, which failed, works for. `false` when it works for all of them, or when no
    /// other picture or sound would be left.
    pub(super) fn give_up(&self, element: &gst::Element) -> bool {
        let branches = self.list();
        let Some(failed) = origin(element, &branches) else { return false };
        let is_left = |(position, branch): (usize, &Branch)| {
            position != failed && matches!(branch.kind, Kind::Video | Kind::Audio) && !branch.is_broken()
        };
        let goes_on = branches.iter().enumerate().any(is_left);
        if goes_on {
            branches[failed].broken.store(true, Ordering::Relaxed);
        }
        goes_on
    }

    /// Whether this track was given up.
    pub(crate) fn is_broken(&self, kind: Kind, index: u32) -> bool {
        self.list().iter().any(|branch| branch.kind == kind && branch.index == index && branch.is_broken())
    }
}

/// The branch that brings this element its data.
fn origin(element: &gst::Element, branches: &[Branch]) -> Option<usize> {
    let mut element = element.clone();
    for _ in 0..MOST_STEPS {
        let above = element.sink_pads().first()?.peer()?;
        if let Some(found) = branches.iter().position(|branch| branch.pad == above) {
            return Some(found);
        }
        element = above.parent_element()?;
    }
    None
}
