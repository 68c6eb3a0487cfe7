//! Connections of other nodes: who they are is proved by TLS and checked against State, at first and at each request.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rustls::server::Accepted;
use tokio::io::{AsyncWriteExt, BufReader, BufWriter};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::server::TlsStream;
use tokio_rustls::{LazyConfigAcceptor, StartHandshake};

use super::Shared;
use super::frame::{Frame, Kind, bad};
use super::hello::{Hello, HelloAnswer, Lane};
use super::threshold::{Guest, Threshold};
use super::trust::{BULK_PROTOCOL, JOIN_PROTOCOL};
use crate::authority::{NodeName, Part, ends_at_ms};
use crate::command::Incarnation;
use crate::id::NodeId;
use crate::net::{BULK_AT_ONCE, Message, Service};

/// A connection must have said who it is within this time.
const GREET_WITHIN: Duration = Duration::from_secs(5);
/// The other side asks at least every second whether we are there; a silent one is gone.
const SILENT_FOR: Duration = Duration::from_secs(5);
/// Nodes that try to join at once.
const JOINING: usize = 4;
/// Requests under way on one connection for small ones.
const URGENT_AT_ONCE: usize = 256;
const BUFFER: usize = 64 * 1024;
/// What a node that wants to join may send, in bytes.
const JOIN_BYTES: usize = 16 * 1024;

/// Takes connections until the node stops.
pub(super) async fn accept(shared: Arc<Shared>, listener: TcpListener) {
    let threshold = Arc::new(Threshold::default());
    let joining = Arc::new(Semaphore::new(JOINING));
    loop {
        let (socket, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be taken");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let guest = threshold.enter(from.ip());
        let (shared, joining) = (shared.clone(), joining.clone());
        tokio::spawn(async move {
            let until = Instant::now() + GREET_WITHIN;
            let started = tokio::select! {
                started = timeout_at(until, start(socket)) => started.map_err(io::Error::other).flatten(),
                () = guest.is_sent_away() => Err(io::Error::other("others came after it")),
                () = shared.ending.cancelled() => return,
            };
            let on_bulk = shared.bulk.clone();
            match started {
                Ok(Started { hello, io, is_bulk: true }) => {
                    drop(on_bulk.spawn(attend(Visit { shared, joining, guest, from, until }, hello, io)));
                }
                Ok(Started { hello, io, is_bulk: false }) => {
                    attend(Visit { shared, joining, guest, from, until }, hello, io).await;
                }
                Err(error) => tracing::debug!(%from, %error, "a connection from outside ended"),
            }
        });
    }
}

/// What has been read of a connection, which is not tied to any thread: the first message of TLS.
struct Started {
    hello: Accepted,
    io: std::net::TcpStream,
    /// It says that it is not for agreement.
    is_bulk: bool,
}

async fn start(socket: TcpStream) -> io::Result<Started> {
    socket.set_nodelay(true)?;
    let StartHandshake { accepted, io, .. } =
        LazyConfigAcceptor::new(rustls::server::Acceptor::default(), socket).await?;
    let is_bulk = offers(&accepted, BULK_PROTOCOL);
    Ok(Started { hello: accepted, io: io.into_std()?, is_bulk })
}

fn offers(hello: &Accepted, protocol: &[u8]) -> bool {
    hello.client_hello().alpn().is_some_and(|mut names| names.any(|name| name == protocol))
}

/// Whoever is at the door.
struct Visit {
    shared: Arc<Shared>,
    joining: Arc<Semaphore>,
    guest: Guest,
    from: SocketAddr,
    /// By then it must have said who it is.
    until: Instant,
}

/// Hears who it is and serves it, on the threads that this runs on.
async fn attend(visit: Visit, hello: Accepted, io: std::net::TcpStream) {
    let Visit { shared, joining, guest, from, until } = visit;
    let ending = shared.ending.clone();
    let served = async {
        let greeting = timeout_at(until, greet(&shared, hello, io));
        let greeted = tokio::select! {
            greeted = greeting => greeted,
            () = guest.is_sent_away() => return Err(io::Error::other("others came after it")),
        };
        drop(guest);
        match greeted.map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "no greeting"))?? {
            Greeted::Node(stream, peer) => serve(shared, stream, peer).await,
            Greeted::Joiner(stream, request) => {
                // Whoever wants to join is nobody yet: those there is no room for are sent away, not kept.
                let _one_of_few = joining.try_acquire_owned().map_err(io::Error::other)?;
                timeout(Duration::from_secs(40), serve_joiner(&shared, stream, request)).await?
            }
        }
    };
    tokio::select! {
        () = ending.cancelled() => {}
        ended = served => if let Err(error) = ended {
            tracing::debug!(%from, %error, "a connection from outside ended");
        },
    }
}

enum Greeted {
    Node(Box<TlsStream<TcpStream>>, Peer),
    /// With what it asks.
    Joiner(Box<TlsStream<TcpStream>>, Frame),
}

#[derive(Debug, Clone, Copy)]
struct Peer {
    node: NodeId,
    part: Part,
    incarnation: Incarnation,
    lane: Lane,
    /// When the certificate it showed ends, in ms since 1970.
    ends_at_ms: Option<u64>,
}

async fn greet(shared: &Shared, hello: Accepted, io: std::net::TcpStream) -> io::Result<Greeted> {
    let wants_to_join = offers(&hello, JOIN_PROTOCOL);
    let start = StartHandshake::from_parts(hello, TcpStream::from_std(io)?);
    if wants_to_join {
        let mut stream = Box::new(start.into_stream(shared.join_server.clone()).await?);
        let request = Frame::read_within(&mut stream, JOIN_BYTES, 0).await?;
        return Ok(Greeted::Joiner(stream, request));
    }
    let mut stream = Box::new(start.into_stream(shared.server()).await?);
    let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let name = shown.and_then(|certificate| NodeName::of(certificate).ok());
    let ends_at_ms = shown.and_then(|certificate| ends_at_ms(certificate));
    let frame = Frame::read(&mut stream).await?;
    let hello: Hello = postcard::from_bytes(&frame.message.head).map_err(|_| bad("an unknown greeting"))?;
    let answer = match (name, hello.version()) {
        (Some(name), _) if name.cluster != shared.name.cluster => Err("this is another cluster".to_owned()),
        (None, _) => Err("this is not the certificate of a node".to_owned()),
        (_, None) => Err("no common version of the protocol".to_owned()),
        (Some(name), Some(version)) => {
            shared.admits(name.part, name.node, &hello.incarnation).map(|()| (name, version))
        }
    };
    let said = match &answer {
        Ok((_, version)) => HelloAnswer::Welcome { version: *version, incarnation: shared.incarnation },
        Err(reason) => HelloAnswer::No { reason: reason.clone() },
    };
    let said = postcard::to_allocvec(&said).map_err(|_| bad("a greeting"))?;
    Frame::hello(said).write(&mut stream).await?;
    stream.flush().await?;
    let (name, _) = answer.map_err(|reason| {
        tracing::warn!(?name, reason, "a node was turned away");
        io::Error::new(io::ErrorKind::PermissionDenied, reason)
    })?;
    let (node, part) = (name.node, name.part);
    let peer = Peer { node, part, incarnation: hello.incarnation, lane: hello.lane, ends_at_ms };
    Ok(Greeted::Node(stream, peer))
}

async fn serve(shared: Arc<Shared>, stream: Box<TlsStream<TcpStream>>, peer: Peer) -> io::Result<()> {
    let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let of_the_past = shared.when_of_the_past(shown.map(|shown| shown.to_vec()).unwrap_or_default());
    let (read, write) = tokio::io::split(stream);
    let at_once = if peer.lane == Lane::Urgent { URGENT_AT_ONCE } else { BULK_AT_ONCE };
    let (answers, mut to_write) = mpsc::channel::<Frame>(at_once);
    let writing = async move {
        let mut write = BufWriter::with_capacity(BUFFER, write);
        while let Some(frame) = to_write.recv().await {
            frame.write(&mut write).await?;
            while let Ok(frame) = to_write.try_recv() {
                frame.write(&mut write).await?;
            }
            write.flush().await?;
        }
        Ok(())
    };
    let removed = shared.when_not_admitted(peer.part, peer.node, peer.incarnation);
    let reading = async {
        let mut read = BufReader::with_capacity(BUFFER, read);
        let under_way = Arc::new(Semaphore::new(at_once));
        loop {
            let frame = timeout(SILENT_FOR, Frame::read(&mut read)).await??;
            shared.admits(peer.part, peer.node, &peer.incarnation).map_err(io::Error::other)?;
            match frame.kind {
                Kind::Ping => answers.send(Frame::plain(Kind::Pong)).await.map_err(io::Error::other)?,
                Kind::Call => {
                    let permit = under_way.clone().acquire_owned().await.map_err(io::Error::other)?;
                    let (shared, answers) = (shared.clone(), answers.clone());
                    tokio::spawn(async move {
                        let answer = answer(&shared, peer, frame).await;
                        // The connection may have ended meanwhile.
                        drop(answers.send(answer).await);
                        drop(permit);
                    });
                }
                _ => return Err(bad("an answer nobody asked for")),
            }
        }
    };
    tokio::select! {
        ended = writing => ended,
        ended = reading => ended,
        reason = removed => Err(io::Error::new(io::ErrorKind::PermissionDenied, reason)),
        () = shared.when_over(peer.ends_at_ms) => Err(bad("the certificate of this connection is over")),
        () = of_the_past => Err(bad("the authority of this connection's certificate was replaced")),
    }
}

async fn answer(shared: &Shared, peer: Peer, frame: Frame) -> Frame {
    let deadline = Duration::from_millis(u64::from(frame.deadline_ms));
    let answered = match Service::from_number(frame.service) {
        Some(service) if !service.may_be_asked_by(peer.part) => {
            tracing::warn!(node = %peer.node, part = ?peer.part, ?service, "a question that is not theirs was refused");
            Err(format!("{service:?} is not for you"))
        }
        Some(service) => {
            let serving = shared.services.serve(service, peer.node, frame.message);
            timeout(deadline, serving).await.unwrap_or_else(|_| Err("not done in time".to_owned()))
        }
        None => Err(format!("service {} is not known here", frame.service)),
    };
    reply(frame.id, frame.service, answered)
}

fn reply(id: u64, service: u8, answered: Result<Message, String>) -> Frame {
    let answered = answered.map(|message| Frame { kind: Kind::Answer, service, deadline_ms: 0, id, message });
    let refused = |reason: String| Frame {
        kind: Kind::Refused,
        service,
        deadline_ms: 0,
        id,
        message: Message { head: reason.chars().take(1000).collect::<String>().into(), body: Bytes::new() },
    };
    match answered {
        Ok(frame) if frame.fits() => frame,
        Ok(_) => refused("the answer is too large".to_owned()),
        Err(reason) => refused(reason),
    }
}

/// One question of a node that is none yet, and one answer.
async fn serve_joiner(
    shared: &Shared,
    mut stream: Box<TlsStream<TcpStream>>,
    frame: Frame,
) -> io::Result<()> {
    if frame.kind != Kind::Call {
        return Err(bad("not a request to join"));
    }
    let answered = match shared.joins.get() {
        Some(joins) => joins.join(frame.message.head).await,
        None => Err("this node is not ready".to_owned()),
    };
    let answered = answered.map(|head| Message { head, body: Bytes::new() });
    reply(frame.id, 0, answered).write(&mut stream).await?;
    stream.flush().await?;
    stream.shutdown().await
}
