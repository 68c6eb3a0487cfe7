//! A planted fault: a leader that counts a copy before it is there.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use openraft::raft::AppendEntriesResponse;

use crate::id::NodeId;
use crate::net::{Message, Net, NetError, Service};
use crate::raft::network::RaftHead;

/// Takes an append that was not answered for one that was acknowledged.
#[derive(Debug)]
pub(super) struct Early(pub(super) std::sync::Arc<dyn Net>);

#[async_trait]
impl Net for Early {
    async fn call(
        &self,
        to: NodeId,
        service: Service,
        message: Message,
        deadline: Duration,
    ) -> Result<Message, NetError> {
        let head = postcard::from_bytes::<RaftHead>(&message.head);
        let is_append = service == Service::Raft && matches!(head, Ok(RaftHead::Append));
        match self.0.call(to, service, message, deadline).await {
            Err(error) if is_append => {
                let body = postcard::to_allocvec(&AppendEntriesResponse::<u64>::Success);
                body.map(|body| Message { head: Bytes::new(), body: body.into() }).map_err(|_| error)
            }
            other => other,
        }
    }
}
