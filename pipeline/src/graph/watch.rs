//! Runs a graph to its end and makes sense of what its bus says.

use std::time::{Duration, Instant};

use gstreamer as gst;
use gstreamer::prelude::{Cast, ElementExt, PadExtManual};

use super::alarm::Alarm;
use crate::failure::{Failure, FailureCode};

/// How long the branches may take to finish after the source broke off.
const DRAINING: Duration = Duration::from_secs(30);

/// How a graph ended.
#[derive(Debug, Default)]
pub(crate) struct Ending {
    /// What stopped it before the end of the source, if anything did.
    pub(crate) failure: Option<Failure>,
    /// Errors that elements reported and went on after.
    pub(crate) warnings: u32,
}

/// Plays the pipeline until all its sinks have seen the end. After a media error `drain` is called once and the branches may
/// finish: what was made before the error is good. Our own failures are errors.
pub(crate) fn run(pipeline: &gst::Pipeline, alarm: &Alarm, drain: impl FnOnce()) -> Result<Ending, Failure> {
    let bus = pipeline.bus().ok_or_else(|| Failure::internal("no bus"))?;
    let mut ending = Ending::default();
    if pipeline.set_state(gst::State::Playing).is_err() {
        ending.failure = Some(alarm.raised().unwrap_or_else(|| Failure::new(FailureCode::Damaged)));
        return Ok(ending);
    }
    let mut drain = Some(drain);
    let mut deadline = None;
    loop {
        let left = deadline.map(|deadline: Instant| deadline.saturating_duration_since(Instant::now()));
        let patience = left.and_then(|left| gst::ClockTime::try_from(left).ok());
        let Some(message) = bus.timed_pop(patience) else {
            return Ok(ending);
        };
        match message.view() {
            gst::MessageView::Eos(_) => return Ok(ending),
            gst::MessageView::Application(_) => return Err(raised(alarm)),
            gst::MessageView::Error(error) => {
                if alarm.raised().is_some() {
                    return Err(raised(alarm));
                }
                ending.failure.get_or_insert(meaning(&error.error()));
                if let Some(drain) = drain.take() {
                    deadline = Some(Instant::now() + DRAINING);
                    drain();
                }
                end_behind(error.src());
            }
            gst::MessageView::Warning(warning) if warning.error().is::<gst::StreamError>() => {
                ending.warnings += 1
            }
            _ => {}
        }
    }
}

fn raised(alarm: &Alarm) -> Failure {
    alarm.raised().unwrap_or_else(|| Failure::internal("an alarm without a reason"))
}

/// An element that failed passes no end on: what follows it is told here.
fn end_behind(element: Option<&gst::Object>) {
    let pad = element
        .and_then(|object| object.downcast_ref::<gst::Element>())
        .and_then(|element| element.static_pad("src"));
    if let Some(pad) = pad {
        pad.push_event(gst::event::Eos::new());
    }
}

/// What an element's error means for the one who uploaded the file.
fn meaning(error: &gst::glib::Error) -> Failure {
    let code = match error.kind::<gst::StreamError>() {
        Some(gst::StreamError::TypeNotFound | gst::StreamError::WrongType) => {
            FailureCode::UnsupportedContainer
        }
        Some(gst::StreamError::CodecNotFound) => FailureCode::NoPlayableTracks,
        _ => FailureCode::Damaged,
    };
    Failure::new(code)
}
