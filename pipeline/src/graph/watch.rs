//! Runs a graph to its end and makes sense of what its bus says.

use gstreamer as gst;
use gstreamer::prelude::ElementExt;

use super::alarm::Alarm;
use crate::failure::{Failure, FailureCode};

/// How a graph ended.
#[derive(Debug, Default)]
pub(crate) struct Ending {
    /// What stopped it before the end of the source, if anything did.
    pub(crate) failure: Option<Failure>,
    /// Errors decoders reported and went on after.
    pub(crate) decode_errors: u32,
}

/// Plays the pipeline until all its sinks have seen the end, or an error. Media errors come back in the ending, since what was
/// made before them is good; our own failures are errors.
pub(crate) fn run(pipeline: &gst::Pipeline, alarm: &Alarm) -> Result<Ending, Failure> {
    let bus = pipeline.bus().ok_or_else(|| Failure::internal("no bus"))?;
    let mut ending = Ending::default();
    if pipeline.set_state(gst::State::Playing).is_err() {
        ending.failure = Some(alarm.raised().unwrap_or_else(|| Failure::new(FailureCode::Damaged)));
        return Ok(ending);
    }
    for message in bus.iter_timed(gst::ClockTime::NONE) {
        match message.view() {
            gst::MessageView::Eos(_) => break,
            gst::MessageView::Application(_) => {
                return Err(alarm.raised().unwrap_or_else(|| Failure::internal("alarm")));
            }
            gst::MessageView::Error(error) => {
                if let Some(failure) = alarm.raised() {
                    return Err(failure);
                }
                ending.failure = Some(meaning(&error.error()));
                break;
            }
            gst::MessageView::Warning(warning) => {
                if warning.error().is::<gst::StreamError>() {
                    ending.decode_errors += 1;
                }
            }
            _ => {}
        }
    }
    Ok(ending)
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
