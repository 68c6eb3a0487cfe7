//! Real connections on this machine, whose certificates are by authorities that come and go.

use super::*;
use crate::authority::{Authority, CertificateKey, Lifetime};
use crate::net::Serve;

const CLUSTER: [u8; 16] = [5; 16];
const LISTENS: NodeId = NodeId(1);
const ASKS: NodeId = NodeId(2);
const NOW_MS: u64 = 1_900_000_000_000;
const DEADLINE: Duration = Duration::from_secs(10);

#[derive(Debug)]
struct Fixed;

impl TimeProvider for Fixed {
    fn current_time(&self) -> Option<rustls_pki_types::UnixTime> {
        Some(rustls_pki_types::UnixTime::since_unix_epoch(Duration::from_millis(NOW_MS)))
    }
}

/// Everybody belongs to it, and the listening node is there.
struct Everybody(String);

impl Membership for Everybody {
    fn admits(&self, _: NodeId, _: &Incarnation) -> Result<(), String> {
        Ok(())
    }

    fn admits_edge(&self, _: NodeId, _: &Incarnation) -> Result<(), String> {
        Ok(())
    }

    fn address(&self, _: NodeId) -> Option<String> {
        Some(self.0.clone())
    }
}

struct Echo;

#[async_trait]
impl Serve for Echo {
    async fn serve(&self, _: NodeId, message: Message) -> Result<Message, String> {
        Ok(message)
    }
}

/// A node's certificate by `authority`, and its key.
fn certificate(authority: &Authority, node: NodeId) -> (Vec<u8>, CertificateKey) {
    let key = CertificateKey::generate().unwrap();
    let life = Lifetime { now_ms: NOW_MS, life: Duration::from_secs(3600) };
    (authority.certify(&key.request, NodeName::node(CLUSTER, node), life).unwrap(), key)
}

fn der(authority: &Authority) -> Vec<u8> {
    authority.certificate().to_vec()
}

struct Side {
    net: Arc<TlsNet>,
    shown: Arc<ShownCertificate>,
    node: NodeId,
}

impl Side {
    fn start(
        node: NodeId,
        authority: &Authority,
        at: String,
        listener: Option<std::net::TcpListener>,
    ) -> Self {
        let (certificate, key) = certificate(authority, node);
        let shown = ShownCertificate::new(vec![certificate, der(authority)], &key.key).unwrap();
        let services = Services::default();
        services.register(Service::Control, Arc::new(Echo));
        let net = TlsNet::start(TlsSettings {
            name: NodeName::node(CLUSTER, node),
            incarnation: Incarnation { count: 1, instance: [u8::try_from(node.0).unwrap(); 16] },
            authorities: vec![der(authority)],
            shown: shown.clone(),
            membership: Arc::new(Everybody(at)),
            services,
            listener,
            time: Arc::new(Fixed),
            bulk: Handle::current(),
        });
        Self { net: net.unwrap(), shown, node }
    }

    /// Has a certificate by `authority`, and shows `rest` behind it.
    fn renew(&self, authority: &Authority, rest: &[Vec<u8>]) {
        let (certificate, key) = certificate(authority, self.node);
        let chain = [vec![certificate, der(authority)], rest.to_vec()].concat();
        self.shown.replace(chain, &key.key).unwrap();
    }

    async fn asks(&self, deadline: Duration) -> Result<(), NetError> {
        let message = Message { head: Bytes::from_static(b"there?"), body: Bytes::new() };
        self.net.call(LISTENS, Service::Control, message, deadline).await.map(drop)
    }

    /// Asks until the answer is good, or is not, as it is to be: connections come and go behind it.
    async fn comes_to(&self, good: bool) {
        let asking = async { while self.asks(Duration::from_secs(1)).await.is_ok() != good {} };
        tokio::time::timeout(DEADLINE, asking).await.expect("it comes to that");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_authority_is_taken_by_who_knows_the_old_one_and_the_old_one_is_refused_once_dropped() {
    let (before, next) = (Authority::generate().unwrap(), Authority::generate().unwrap());
    let crossed = before.cross(&next).unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap().to_string();
    let listens = Side::start(LISTENS, &before, at.clone(), Some(listener));
    let first = Side::start(ASKS, &before, at.clone(), None);
    first.asks(DEADLINE).await.unwrap();

    // One side is ahead: the other has not heard of it yet.
    assert!(listens.net.trust(vec![der(&next), der(&before)]).unwrap());
    listens.renew(&next, &[crossed, der(&before)]);
    first.asks(DEADLINE).await.expect("the connection of before goes on");
    let second = Side::start(ASKS, &before, at.clone(), None);
    second.asks(DEADLINE).await.expect("the authority before leads to the new one");

    // It has heard of it, and has no certificate by it.
    assert!(second.net.trust(vec![der(&next), der(&before)]).unwrap());
    assert!(!second.net.trust(vec![der(&next), der(&before)]).unwrap(), "that is no change");
    second.asks(DEADLINE).await.unwrap();

    assert!(listens.net.trust(vec![der(&next)]).unwrap());
    second.comes_to(false).await;
    first.comes_to(false).await;
    let late = Side::start(ASKS, &before, at, None);
    late.net.trust(vec![der(&next), der(&before)]).unwrap();
    late.asks(Duration::from_secs(2)).await.expect_err("a certificate by the old one is refused");

    second.renew(&next, &[]);
    second.comes_to(true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_asks_ends_a_connection_to_a_certificate_by_what_it_trusts_no_more() {
    let (before, next) = (Authority::generate().unwrap(), Authority::generate().unwrap());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap().to_string();
    let listens = Side::start(LISTENS, &before, at.clone(), Some(listener));
    let asks = Side::start(ASKS, &before, at, None);
    asks.asks(DEADLINE).await.unwrap();
    // The listening side has heard of nothing, and would go on.
    asks.net.trust(vec![der(&next)]).unwrap();
    asks.comes_to(false).await;
    listens.renew(&next, &[]);
    asks.comes_to(true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_who_say_nothing_keep_nobody_out() {
    let authority = Authority::generate().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap().to_string();
    let _listens = Side::start(LISTENS, &authority, at.clone(), Some(listener));
    let mut strangers = Vec::new();
    for _ in 0..3 * threshold::GREETING {
        strangers.push(tokio::net::TcpStream::connect(&at).await.unwrap());
    }
    let asks = Side::start(ASKS, &authority, at, None);
    asks.asks(Duration::from_secs(2)).await.unwrap();
    drop(strangers);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_joins_with_a_wrong_clock_is_told_so() {
    let authority = Authority::generate().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap().to_string();
    // Its certificate is of the year 2030.
    let _listens = Side::start(LISTENS, &authority, at.clone(), Some(listener));
    let asked = ask_to_join(&at, crate::authority::fingerprint(&der(&authority)), Bytes::new()).await;
    assert!(matches!(asked, Err(JoinCallError::WrongTime(_))), "{asked:?}");
    let asked = ask_to_join(&at, [7; 32], Bytes::new()).await;
    assert!(matches!(asked, Err(JoinCallError::WrongAuthority(_))), "{asked:?}");
}

#[test]
fn nothing_changes_for_what_is_no_authority() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _inside = runtime.enter();
    let authority = Authority::generate().unwrap();
    let side = Side::start(ASKS, &authority, String::new(), None);
    side.net.trust(vec![b"no certificate".to_vec()]).unwrap_err();
    assert!(!side.net.trust(vec![der(&authority)]).unwrap(), "it trusts what it did");
}
