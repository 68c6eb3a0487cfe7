//! Runs a graph to its end and makes sense of what its bus says.

use std::time::{Duration, Instant};

use gstreamer as gst;
use gstreamer::prelude::{Cast, ElementExt, GstBinExtManual, PadExtManual};

use super::alarm::Alarm;
use super::branches::Branches;
use crate::failure::{Failure, FailureCode};
use crate::source_element::SourceReader;

/// How long the branches may take to finish after the source broke off.
const DRAINING: Duration = Duration::from_secs(30);
/// How often it is looked whether the graph still works.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// A graph that uses no processor and waits for nothing so long is stuck.
const STUCK_AFTER: Duration = Duration::from_secs(10);
/// The same once its source broke off: all that is left to do is to work off queues.
const DRAINED_AFTER: Duration = Duration::from_secs(2);
/// Processor time that looking takes by itself.
const IDLING: Duration = Duration::from_millis(10);

/// How a graph ended.
#[derive(Debug, Default)]
pub(crate) struct Ending {
    /// What stopped it before the end of the source, if anything did.
    pub(crate) failure: Option<Failure>,
    /// Errors that elements reported and went on after.
    pub(crate) warnings: u32,
    /// Tracks were given up; the others went on.
    pub(crate) broken_tracks: bool,
}

/// Plays the pipeline until all its sinks have seen the end. After a media error `drain` is called once and the branches may
/// finish: what was made before the error is good. An error behind one of several tracks ends that track alone. A graph that stands still without an error has met damage that some
/// element took for neither an end nor an error, and is treated alike. One that spends `most_fruitless` of processor time
/// without reading or sending anything runs in circles: that, and our own failures, are errors.
pub(crate) fn run(
    pipeline: &gst::Pipeline,
    alarm: &Alarm,
    branches: &Branches,
    reader: &SourceReader,
    most_fruitless: Duration,
    drain: impl FnOnce(),
) -> Result<Ending, Failure> {
    let bus = pipeline.bus().ok_or_else(|| Failure::internal("no bus"))?;
    let mut ending = Ending::default();
    give_up_before_errors_spread(&bus, branches);
    if pipeline.set_state(gst::State::Playing).is_err() {
        ending.failure = Some(alarm.raised().unwrap_or_else(|| Failure::new(FailureCode::Damaged)));
        return Ok(ending);
    }
    let mut drain = Some(drain);
    let mut deadline: Option<Instant> = None;
    let mut pulse = Pulse::new(reader);
    loop {
        let message = bus.timed_pop(gst::ClockTime::try_from(LOOK_EVERY).ok());
        if deadline.is_some_and(|deadline| Instant::now() > deadline) {
            return Ok(ending);
        }
        let Some(message) = message else {
            pulse.feel(reader);
            if pulse.fruitless() > most_fruitless {
                // It runs in circles, and may hold locks that any further step would wait for.
                return Err(Failure::new(FailureCode::Damaged));
            }
            match drain.take_if(|_| pulse.still() > STUCK_AFTER) {
                Some(drain) => {
                    ending.failure.get_or_insert(Failure::new(FailureCode::Damaged));
                    deadline = Some(Instant::now() + DRAINING);
                    pulse = Pulse::new(reader);
                    drain();
                }
                None if deadline.is_some() && pulse.still() > DRAINED_AFTER => return Ok(ending),
                None => {}
            }
            continue;
        };
        match message.view() {
            gst::MessageView::Eos(_) => return Ok(ending),
            gst::MessageView::Application(_) => return Err(raised(alarm)),
            gst::MessageView::Error(error) => {
                if alarm.raised().is_some() {
                    return Err(raised(alarm));
                }
                if failed_element(error.src()).is_some_and(|element| branches.give_up(element)) {
                    ending.broken_tracks = true;
                    end_behind(error.src());
                    continue;
                }
                if reader.has_failed() {
                    return Err(Failure::new(FailureCode::SourceUnreadable));
                }
                ending.failure.get_or_insert(meaning(&error.error()));
                if let Some(drain) = drain.take() {
                    deadline = Some(Instant::now() + DRAINING);
                    pulse = Pulse::new(reader);
                    drain();
                }
                end_behind(error.src());
                if pipeline.iterate_sinks().into_iter().next().is_none() {
                    // Nothing was found in the source, so nothing will ever say that it has ended.
                    return Ok(ending);
                }
            }
            gst::MessageView::Warning(warning) if warning.error().is::<gst::StreamError>() => {
                ending.warnings += 1
            }
            _ => {}
        }
    }
}

/// What this process does: works, waits, stands still, or runs in circles.
struct Pulse {
    processor_time: Duration,
    looked: Instant,
    still: Duration,
    messages: u64,
    message_time: Duration,
}

impl Pulse {
    fn new(reader: &SourceReader) -> Self {
        let now = processor_time();
        let messages = reader.messages();
        Self {
            processor_time: now,
            looked: Instant::now(),
            still: Duration::ZERO,
            messages,
            message_time: now,
        }
    }

    /// Looks again.
    fn feel(&mut self, reader: &SourceReader) {
        let (now, messages) = (processor_time(), reader.messages());
        // A process that was itself stopped, or given no processor, has not stood still meanwhile.
        let passed = self.looked.elapsed().min(2 * LOOK_EVERY);
        self.looked = Instant::now();
        if reader.waits_for_node() || now > self.processor_time + IDLING {
            (self.processor_time, self.still) = (now, Duration::ZERO);
        } else {
            self.still += passed;
        }
        if messages != self.messages {
            (self.messages, self.message_time) = (messages, now);
        }
    }

    /// How long it has done nothing at all, though nothing was waited for.
    fn still(&self) -> Duration {
        self.still
    }

    /// Processor time spent since it last read or sent anything.
    fn fruitless(&self) -> Duration {
        self.processor_time.saturating_sub(self.message_time)
    }
}

fn processor_time() -> Duration {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::try_from(spent).unwrap_or_default()
}

fn raised(alarm: &Alarm) -> Failure {
    alarm.raised().unwrap_or_else(|| Failure::internal("an alarm without a reason"))
}

/// An element says on the bus that it failed before it answers its upstream so. In that moment its track is cut off, so that
/// the answer finds nobody who would stop the other tracks for it.
fn give_up_before_errors_spread(bus: &gst::Bus, branches: &Branches) {
    let branches = branches.clone();
    bus.set_sync_handler(move |_, message| {
        if let gst::MessageView::Error(error) = message.view()
            && let Some(element) = failed_element(error.src())
        {
            branches.give_up(element);
        }
        gst::BusSyncReply::Pass
    });
}

fn failed_element(object: Option<&gst::Object>) -> Option<&gst::Element> {
    object?.downcast_ref::<gst::Element>()
}

/// An element that failed passes no end on: what follows it is told here.
fn end_behind(element: Option<&gst::Object>) {
    let pad = failed_element(element).and_then(|element| element.static_pad("src"));
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
