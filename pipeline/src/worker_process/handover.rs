//! Messages with a file descriptor, between the node and its nursery.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};

/// Longest message.
const LONGEST: usize = 8;

/// The node's wish for a worker; the descriptor with it is the worker's socket.
pub(super) const WISH: &[u8] = b"worker";

/// What the nursery answers: whether there is one, and its process id. The descriptor with it is the worker's pidfd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Birth {
    /// The system's error number; 0 when there is a worker.
    pub(super) error: i32,
    /// The worker's process id.
    pub(super) process: i32,
}

impl Birth {
    pub(super) fn to_bytes(self) -> [u8; LONGEST] {
        let mut bytes = [0; LONGEST];
        bytes[..4].copy_from_slice(&self.error.to_le_bytes());
        bytes[4..].copy_from_slice(&self.process.to_le_bytes());
        bytes
    }

    /// `None` when these are no words of a nursery.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (error, process) = bytes.split_first_chunk::<4>()?;
        let process = process.try_into().ok()?;
        Some(Self { error: i32::from_le_bytes(*error), process: i32::from_le_bytes(process) })
    }
}

/// Sends one message. The socket keeps messages apart.
pub(super) fn send(socket: BorrowedFd<'_>, bytes: &[u8], with: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors = with.as_slice();
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::other("no room for a descriptor"));
    }
    let send = || sendmsg(socket, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL);
    rustix::io::retry_on_intr(send)?;
    Ok(())
}

/// The next message and its descriptor; no bytes at all when the other side is gone.
pub(super) fn receive(socket: BorrowedFd<'_>) -> io::Result<(Vec<u8>, Option<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut bytes = [0; LONGEST];
    let mut into = [IoSliceMut::new(&mut bytes)];
    let receive = || recvmsg(socket, &mut into, &mut control, RecvFlags::CMSG_CLOEXEC);
    let length = rustix::io::retry_on_intr(receive)?.bytes.min(LONGEST);
    let mut descriptors = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
        _ => None,
    });
    let descriptor = descriptors.next().and_then(|mut descriptors| descriptors.next());
    Ok((bytes[..length].to_vec(), descriptor))
}
