//! etcd's own protocol, as far as one put and one linearizable get need it.

use std::time::Duration;

use prost::Message;
use tonic::transport::{Channel, Endpoint};
use tonic_prost::ProstCodec;

use crate::Options;

/// Keys one client goes round.
const KEYS: u64 = 10_000;

#[derive(Clone, PartialEq, Message)]
struct PutRequest {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct RangeRequest {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
}

/// Nothing of the answer is looked at.
#[derive(Clone, PartialEq, Message)]
struct Answer {}

pub struct Client {
    grpc: tonic::client::Grpc<Channel>,
    number: usize,
    value: Vec<u8>,
}

impl Client {
    pub async fn connect(options: &Options, number: usize) -> anyhow::Result<Self> {
        let address = options.endpoints[number % options.endpoints.len()].clone();
        let endpoint =
            Endpoint::from_shared(address)?.connect_timeout(Duration::from_secs(2)).tcp_nodelay(true);
        let grpc = tonic::client::Grpc::new(endpoint.connect().await?);
        Ok(Self { grpc, number, value: vec![b'v'; options.value] })
    }

    pub async fn put(&mut self, turn: u64) -> anyhow::Result<()> {
        let request = PutRequest { key: self.key(turn), value: self.value.clone() };
        self.call(request, "/etcdserverpb.KV/Put").await
    }

    pub async fn get(&mut self, turn: u64) -> anyhow::Result<()> {
        let request = RangeRequest { key: self.key(turn) };
        self.call(request, "/etcdserverpb.KV/Range").await
    }

    fn key(&self, turn: u64) -> Vec<u8> {
        format!("k/{}/{}", self.number, turn % KEYS).into_bytes()
    }

    async fn call<R: Message + Default + 'static>(
        &mut self,
        request: R,
        path: &'static str,
    ) -> anyhow::Result<()> {
        self.grpc.ready().await?;
        let path = http::uri::PathAndQuery::from_static(path);
        let codec: ProstCodec<R, Answer> = ProstCodec::default();
        self.grpc.unary(tonic::Request::new(request), path, codec).await?;
        Ok(())
    }
}
