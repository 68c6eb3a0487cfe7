//! A way to the others that is found only after the node has started.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;

use super::{Message, Net, NetError, Service};
use crate::id::NodeId;

/// Reaches nobody until it is told how.
#[derive(Debug, Default)]
pub struct LateNet {
    net: OnceLock<Arc<dyn Net>>,
}

impl LateNet {
    /// From now on `net` is used. The first one stays.
    pub fn set(&self, net: Arc<dyn Net>) {
        drop(self.net.set(net));
    }
}

#[async_trait]
impl Net for LateNet {
    async fn call(
        &self,
        to: NodeId,
        service: Service,
        message: Message,
        deadline: Duration,
    ) -> Result<Message, NetError> {
        match self.net.get() {
            Some(net) => net.call(to, service, message, deadline).await,
            None => Err(NetError::Unreachable { node: to, reason: "this node knows no other".to_owned() }),
        }
    }
}
