//! Planted faults of holders and writers of Blobs: one goes on taking the writes of a lower epoch, the other counts copies
//! that it has not waited for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::blob::BlobName;
use crate::id::NodeId;
use crate::net::{Message, Net, NetError, Serve, Service};
use crate::transfer::{Answer, Request, wire_head, wire_message};

/// A holder that fences nobody off: it takes writes of a lower epoch as if they were the newest writer's.
pub(super) struct Lenient {
    holder: Arc<dyn Serve>,
    newest: Mutex<HashMap<BlobName, u64>>,
}

impl Lenient {
    pub(super) fn new(holder: Arc<dyn Serve>) -> Self {
        Self { holder, newest: Mutex::default() }
    }

    /// The highest epoch this holder has heard of, once `epoch` is one of them.
    fn newest(&self, name: BlobName, epoch: u64) -> u64 {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = newest.entry(name).or_default();
        *newest = epoch.max(*newest);
        *newest
    }
}

#[async_trait]
impl Serve for Lenient {
    async fn serve(&self, from: NodeId, message: Message) -> Result<Message, String> {
        let request = match wire_head::<Request>(&message)? {
            Request::Write { name, epoch, writes } => {
                Request::Write { name, epoch: self.newest(name, epoch), writes }
            }
            Request::Begin { name, beginning } => {
                self.newest(name, beginning.epoch);
                Request::Begin { name, beginning }
            }
            Request::Fence { name, .. } => Request::Report(name),
            other => other,
        };
        let message = wire_message(&request, message.body).map_err(|error| error.to_string())?;
        self.holder.serve(from, message).await
    }
}

/// A writer that counts a copy before it is there.
#[derive(Debug)]
pub(super) struct Careless(pub(super) Arc<dyn Net>);

#[async_trait]
impl Net for Careless {
    async fn call(
        &self,
        to: NodeId,
        service: Service,
        message: Message,
        deadline: Duration,
    ) -> Result<Message, NetError> {
        let is_write = service == Service::Blob
            && matches!(wire_head::<Request>(&message), Ok(Request::Write { .. } | Request::Whole { .. }));
        if !is_write {
            return self.0.call(to, service, message, deadline).await;
        }
        let net = self.0.clone();
        tokio::spawn(async move { net.call(to, service, message, deadline).await });
        wire_message(&Answer::Done, Bytes::new()).map_err(|_| NetError::Lost(to))
    }
}
