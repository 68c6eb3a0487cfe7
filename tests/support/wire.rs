//! Listens to what goes over the loopback interface, for tests that look for what must not be there in clear. Needs root.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroU32;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rustix::net::{AddressFamily, Protocol, RecvFlags, SocketFlags, SocketType, recv, socket_with};

/// All of Ethernet's protocols, in the order of bytes on the wire.
const ALL: u16 = 0x0003;
const ETHERNET: usize = 14;
const TCP: u8 = 6;
/// A connection's bytes beyond this are not kept.
const MOST: usize = 64 * 1024 * 1024;

/// The bytes of each direction of each connection, by its two ports.
type Streams = HashMap<(u16, u16), Vec<u8>>;

/// A running capture.
pub struct Wire {
    stop: Arc<AtomicBool>,
    streams: Arc<Mutex<Streams>>,
    listener: JoinHandle<()>,
}

impl Wire {
    /// Begins to listen to every connection from or to one of `ports`.
    pub fn tap(ports: HashSet<u16>) -> Self {
        let protocol = NonZeroU32::new(u32::from(ALL.to_be())).map(Protocol::from_raw);
        let socket = socket_with(AddressFamily::PACKET, SocketType::RAW, SocketFlags::CLOEXEC, protocol)
            .expect("listening to the loopback interface needs root");
        rustix::net::sockopt::set_socket_recv_buffer_size(&socket, 64 * 1024 * 1024).unwrap();
        let quarter = std::time::Duration::from_millis(250);
        let timeout = rustix::net::sockopt::Timeout::Recv;
        rustix::net::sockopt::set_socket_timeout(&socket, timeout, Some(quarter)).unwrap();
        let (stop, streams) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let (until, into) = (stop.clone(), Arc::clone(&streams));
        let listener = std::thread::spawn(move || listen(&socket, &ports, &until, &into));
        Self { stop, streams, listener }
    }

    /// Stops, and gives what was heard.
    pub fn heard(self) -> Vec<((u16, u16), Vec<u8>)> {
        self.stop.store(true, Ordering::Relaxed);
        self.listener.join().unwrap();
        std::mem::take(&mut *self.streams.lock().unwrap()).into_iter().collect()
    }
}

fn listen(socket: &OwnedFd, ports: &HashSet<u16>, stop: &AtomicBool, streams: &Mutex<Streams>) {
    let mut buffer = vec![0; 128 * 1024];
    let mut last = HashMap::new();
    while !stop.load(Ordering::Relaxed) {
        let Ok((length, _)) = recv(socket, &mut buffer[..], RecvFlags::empty()) else { continue };
        let Some(segment) = Segment::of(&buffer[..length]) else { continue };
        if !ports.contains(&segment.ports.0) && !ports.contains(&segment.ports.1) {
            continue;
        }
        // The loopback interface shows each packet twice: as it goes and as it comes.
        if segment.bytes.is_empty() || last.insert(segment.ports, segment.number) == Some(segment.number) {
            continue;
        }
        let mut streams = streams.lock().unwrap();
        let stream = streams.entry(segment.ports).or_default();
        if stream.len() < MOST {
            stream.extend_from_slice(segment.bytes);
        }
    }
}

/// The part of a TCP stream that one packet carries.
struct Segment<'a> {
    ports: (u16, u16),
    number: u32,
    bytes: &'a [u8],
}

impl<'a> Segment<'a> {
    /// Of an IPv4 packet; none for anything else.
    fn of(packet: &'a [u8]) -> Option<Self> {
        let packet = packet.get(ETHERNET..)?;
        if packet.first()? >> 4 != 4 || *packet.get(9)? != TCP {
            return None;
        }
        let length = usize::from(u16::from_be_bytes(packet.get(2..4)?.try_into().ok()?));
        let header = usize::from(packet[0] & 15) * 4;
        // Packets that the interface cuts up later carry no length of their own.
        let end = if length == 0 { packet.len() } else { length };
        let tcp = packet.get(header..end)?;
        let number = |at: usize| Some(u16::from_be_bytes(tcp.get(at..at + 2)?.try_into().ok()?));
        let start = usize::from(*tcp.get(12)? >> 4) * 4;
        Some(Self {
            ports: (number(0)?, number(2)?),
            number: u32::from_be_bytes(tcp.get(4..8)?.try_into().ok()?),
            bytes: tcp.get(start..)?,
        })
    }
}
