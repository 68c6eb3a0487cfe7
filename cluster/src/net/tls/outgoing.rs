//! Connections this node opens: one a node and lane, opened when first needed and again whenever it is lost.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncWriteExt, BufReader, BufWriter, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::frame::{Frame, Kind, bad};
use super::hello::{Hello, HelloAnswer, Lane};
use super::join::is_a_matter_of_time;
use crate::authority::{NODE_HOST, NodeName, ends_at_ms};
use crate::id::NodeId;
use crate::net::{Message, NetError, Service};

/// A connection must be made within this time.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);
/// A silent connection is asked whether it is there this often.
const PING_EVERY: Duration = Duration::from_secs(1);
/// And given up after this long.
const SILENT_FOR: Duration = Duration::from_secs(4);
const FIRST_BACK_OFF: Duration = Duration::from_millis(50);
const LONGEST_BACK_OFF: Duration = Duration::from_secs(1);
/// Requests that may wait to be written.
const WAITING: usize = 64;
const BUFFER: usize = 64 * 1024;

type Waiting = Arc<Mutex<HashMap<u64, oneshot::Sender<Result<Message, NetError>>>>>;

/// An open connection.
#[derive(Debug, Clone)]
struct Connection {
    frames: mpsc::Sender<Frame>,
    waiting: Waiting,
    closed: CancellationToken,
}

/// How a link is.
#[derive(Debug, Clone)]
enum Way {
    Opening,
    Open(Connection),
    Shut {
        reason: String,
        /// Nobody listens on that port.
        refused: bool,
    },
}

/// The way to one node for one kind of message.
#[derive(Debug)]
pub(super) struct Link {
    node: NodeId,
    way: watch::Receiver<Way>,
    next: AtomicU64,
    end: CancellationToken,
}

impl Link {
    /// Opens the link on `on`, and keeps it open until it is dropped.
    pub(super) fn open(shared: Arc<Shared>, node: NodeId, lane: Lane, on: &Handle) -> Arc<Self> {
        let (sender, way) = watch::channel(Way::Opening);
        let end = shared.ending.child_token();
        let keeper = Keeper { shared, node, lane };
        let stop = end.clone();
        on.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = keeper.keep(&sender) => {}
            }
        });
        Arc::new(Self { node, way, next: AtomicU64::new(1), end })
    }

    pub(super) async fn call(
        &self,
        service: Service,
        message: Message,
        deadline: Duration,
    ) -> Result<Message, NetError> {
        let until = Instant::now() + deadline;
        let connection = tokio::time::timeout_at(until, self.connection())
            .await
            .map_err(|_| self.unreachable("it does not answer"))??;
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let deadline_ms = u32::try_from(deadline.as_millis()).unwrap_or(u32::MAX);
        let frame = Frame { kind: Kind::Call, service: service as u8, deadline_ms, id, message };
        if !frame.fits() {
            return Err(NetError::Refused { node: self.node, reason: "the message is too large".to_owned() });
        }
        let (reply, answer) = oneshot::channel();
        lock(&connection.waiting).insert(id, reply);
        // Also when this call is dropped halfway: an answer that nobody waits for is thrown away.
        let _forget = Forget { waiting: connection.waiting.clone(), id };
        let asked = async {
            connection.frames.send(frame).await.map_err(|_| NetError::Lost(self.node))?;
            tokio::select! {
                answer = answer => answer.unwrap_or(Err(NetError::Lost(self.node))),
                () = connection.closed.cancelled() => Err(NetError::Lost(self.node)),
            }
        };
        tokio::time::timeout_at(until, asked).await.unwrap_or(Err(NetError::TimedOut(self.node)))
    }

    async fn connection(&self) -> Result<Connection, NetError> {
        let mut way = self.way.clone();
        loop {
            match &*way.borrow_and_update() {
                Way::Open(connection) => return Ok(connection.clone()),
                Way::Shut { reason, .. } => return Err(self.unreachable(reason)),
                Way::Opening => {}
            }
            way.changed().await.map_err(|_| self.unreachable("this node is stopping"))?;
        }
    }

    /// Ends it for good, with whatever is under way on it.
    pub(super) fn end(&self) {
        self.end.cancel();
    }

    /// Whether nobody listens on the other node's port.
    pub(super) fn is_refused(&self) -> bool {
        matches!(*self.way.borrow(), Way::Shut { refused: true, .. })
    }

    fn unreachable(&self, reason: &str) -> NetError {
        NetError::Unreachable { node: self.node, reason: reason.to_owned() }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

struct Forget {
    waiting: Waiting,
    id: u64,
}

impl Drop for Forget {
    fn drop(&mut self) {
        lock(&self.waiting).remove(&self.id);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Opens a connection whenever there is none.
struct Keeper {
    shared: Arc<Shared>,
    node: NodeId,
    lane: Lane,
}

impl Keeper {
    async fn keep(&self, way: &watch::Sender<Way>) {
        let mut back_off = FIRST_BACK_OFF;
        let mut has_said = false;
        loop {
            match self.connect().await {
                Ok((connection, stream)) => {
                    (back_off, has_said) = (FIRST_BACK_OFF, false);
                    let opened = Instant::now();
                    way.send_replace(Way::Open(connection.0.clone()));
                    let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
                    let ends_at_ms = shown.and_then(|certificate| ends_at_ms(certificate));
                    let shown = shown.map(|shown| shown.to_vec()).unwrap_or_default();
                    let over = async {
                        tokio::select! {
                            () = self.shared.when_over(ends_at_ms) => {}
                            () = self.shared.when_of_the_past(shown) => {}
                        }
                    };
                    carry(connection, stream, self.node, over).await;
                    let reason = "the connection ended".to_owned();
                    way.send_replace(Way::Shut { reason, refused: false });
                    if opened.elapsed() > LONGEST_BACK_OFF {
                        // Whether the other side is still there is worth knowing at once.
                        continue;
                    }
                }
                Err(error) => {
                    tracing::debug!(node = %self.node, lane = ?self.lane, %error, "no connection");
                    if is_a_matter_of_time(&error) && !std::mem::replace(&mut has_said, true) {
                        let node = self.node;
                        tracing::warn!(%node, %error, "a certificate is not valid at the time one of both has: is a clock wrong?");
                    }
                    let refused = error.kind() == io::ErrorKind::ConnectionRefused;
                    way.send_replace(Way::Shut { reason: error.to_string(), refused });
                }
            }
            tokio::time::sleep(back_off).await;
            back_off = (back_off * 2).min(LONGEST_BACK_OFF);
        }
    }

    async fn connect(&self) -> io::Result<((Connection, mpsc::Receiver<Frame>), TlsStream<TcpStream>)> {
        let address = self
            .shared
            .membership
            .address(self.node)
            .filter(|address| !address.is_empty())
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no address is known"))?;
        let stream = timeout(CONNECT_WITHIN, self.greet(&address))
            .await
            .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "no connection in time"))??;
        let (frames, receiver) = mpsc::channel(WAITING);
        let closed = CancellationToken::new();
        Ok(((Connection { frames, waiting: Waiting::default(), closed }, receiver), stream))
    }

    async fn greet(&self, address: &str) -> io::Result<TlsStream<TcpStream>> {
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        let name = ServerName::try_from(NODE_HOST).map_err(|_| bad("a name"))?;
        let mut stream = TlsConnector::from(self.shared.client(self.lane)).connect(name, socket).await?;
        let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        let shown = shown.and_then(|certificate| NodeName::of(certificate).ok());
        let expected = NodeName::node(self.shared.name.cluster, self.node);
        if shown != Some(expected) {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "another node answers there"));
        }
        let hello = Hello::new(self.shared.incarnation, self.lane);
        let hello = postcard::to_allocvec(&hello).map_err(|_| bad("a greeting"))?;
        Frame::hello(hello).write(&mut stream).await?;
        stream.flush().await?;
        let answer = Frame::read(&mut stream).await?;
        match postcard::from_bytes(&answer.message.head) {
            Ok(HelloAnswer::Welcome { incarnation, .. }) if answer.kind == Kind::Hello => {
                let admitted = self.shared.membership.admits(self.node, &incarnation);
                admitted.map_err(|reason| io::Error::new(io::ErrorKind::PermissionDenied, reason))?;
                Ok(stream)
            }
            Ok(HelloAnswer::No { reason }) => Err(io::Error::new(io::ErrorKind::PermissionDenied, reason)),
            _ => Err(bad("an unknown greeting")),
        }
    }
}

/// Carries frames both ways until the connection ends or falls silent.
async fn carry(
    (connection, frames): (Connection, mpsc::Receiver<Frame>),
    stream: TlsStream<TcpStream>,
    node: NodeId,
    over: impl Future<Output = ()>,
) {
    let (read, write) = tokio::io::split(stream);
    let ended = tokio::select! {
        ended = write_all(frames, write) => ended,
        ended = read_all(&connection.waiting, read) => ended,
        () = over => Err(bad("the certificate of this connection is over")),
    };
    connection.closed.cancel();
    if let Err(error) = ended {
        tracing::debug!(%node, %error, "a connection ended");
    }
    for (_, reply) in lock(&connection.waiting).drain() {
        // A caller that has gone away needs no answer.
        drop(reply.send(Err(NetError::Lost(node))));
    }
}

async fn write_all(
    mut frames: mpsc::Receiver<Frame>,
    write: WriteHalf<TlsStream<TcpStream>>,
) -> io::Result<()> {
    let mut write = BufWriter::with_capacity(BUFFER, write);
    let mut ping = tokio::time::interval(PING_EVERY);
    loop {
        tokio::select! {
            frame = frames.recv() => match frame {
                Some(frame) => frame.write(&mut write).await?,
                None => return Ok(()),
            },
            _ = ping.tick() => Frame::plain(Kind::Ping).write(&mut write).await?,
        }
        while let Ok(frame) = frames.try_recv() {
            frame.write(&mut write).await?;
        }
        write.flush().await?;
    }
}

async fn read_all(waiting: &Waiting, read: ReadHalf<TlsStream<TcpStream>>) -> io::Result<()> {
    let mut read = BufReader::with_capacity(BUFFER, read);
    loop {
        let frame = timeout(SILENT_FOR, Frame::read(&mut read))
            .await
            .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "the other side is silent"))??;
        let reply = lock(waiting).remove(&frame.id);
        let Some(reply) = reply else { continue };
        let answer = match frame.kind {
            Kind::Answer => Ok(frame.message),
            Kind::Refused => Err(NetError::Refused {
                node: NodeId(0),
                reason: String::from_utf8_lossy(&frame.message.head).into_owned(),
            }),
            _ => continue,
        };
        drop(reply.send(answer));
    }
}
