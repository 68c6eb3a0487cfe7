//! A refusal that is known before all of the body has come: what still comes is taken in and dropped for a moment, so that
//! a client that is busy sending hears why, instead of losing its stream or its connection. For the layer around every
//! request (`answer`).

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_web::HttpMessage as _;
use actix_web::dev::{Payload, ServiceRequest};
use actix_web::error::PayloadError;
use actix_web::web::Bytes;
use futures_util::{Stream, StreamExt as _};
use tokio::time::Sleep;

/// So much is dropped at most: the windows of a connection that are full already, and small files whole.
const BYTES: usize = 8 * 1024 * 1024;
/// And for so long.
const TIME: Duration = Duration::from_secs(5);

type Source = Rc<RefCell<Option<Payload>>>;

/// The body of a request, which its handler may leave unread.
pub struct Rest(Source);

impl Rest {
    /// Lets the handler read the body of `request` through what is kept here. `None` for one without a body.
    pub fn of(request: &mut ServiceRequest) -> Option<Self> {
        let payload = request.take_payload();
        if matches!(payload, Payload::None) {
            return None;
        }
        let source = Rc::new(RefCell::new(Some(payload)));
        request.set_payload(Payload::Stream { payload: Box::pin(Shared(source.clone())) });
        Some(Self(source))
    }

    /// What is left of it, to be dropped behind the answer.
    pub fn dropped(self) -> Dropped {
        Dropped { source: self.0, left: BYTES, until: None }
    }
}

/// What the handler reads.
struct Shared(Source);

impl Stream for Shared {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut source = self.0.borrow_mut();
        let Some(payload) = source.as_mut() else { return Poll::Ready(None) };
        let item = ready!(payload.poll_next_unpin(context));
        if !matches!(item, Some(Ok(_))) {
            *source = None;
        }
        Poll::Ready(item)
    }
}

/// Takes in what is left, within [`BYTES`] and [`TIME`].
pub struct Dropped {
    source: Source,
    left: usize,
    until: Option<Pin<Box<Sleep>>>,
}

impl Dropped {
    /// Ready once nothing more comes, or enough has come.
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let until = self.until.get_or_insert_with(|| Box::pin(tokio::time::sleep(TIME)));
        if until.as_mut().poll(context).is_ready() {
            self.source.take();
        }
        while let Some(payload) = self.source.borrow_mut().as_mut() {
            match ready!(payload.poll_next_unpin(context)) {
                Some(Ok(bytes)) if bytes.len() <= self.left => self.left -= bytes.len(),
                _ => break,
            }
        }
        self.source.take();
        Poll::Ready(())
    }
}
