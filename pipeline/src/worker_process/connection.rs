//! The worker's end of the conversation: sends results, asks for bytes.

use std::collections::HashMap;
use std::io;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use crate::protocol::{Frame, FromWorker, ToWorker, read_frame, write_frame};

type Answer = io::Result<Bytes>;

/// Shared by all threads of the worker.
#[derive(Debug)]
pub(crate) struct Connection {
    writer: Mutex<UnixStream>,
    waiting: Mutex<HashMap<u64, SyncSender<Answer>>>,
    next_request: AtomicU64,
    /// Messages on their way to the node.
    sending: AtomicUsize,
    sent: AtomicU64,
    is_source_lost: AtomicBool,
}

impl Connection {
    /// Wraps the socket; [`Connection::listen`] must run on a thread of its own for reads to be answered.
    pub(crate) fn new(socket: UnixStream) -> Arc<Self> {
        Arc::new(Self {
            writer: Mutex::new(socket),
            waiting: Mutex::default(),
            next_request: AtomicU64::new(0),
            sending: AtomicUsize::new(0),
            sent: AtomicU64::new(0),
            is_source_lost: AtomicBool::new(false),
        })
    }

    /// Sends one message. It blocks while the node is busy storing what came before: that is what bounds a worker's memory.
    pub(crate) fn send(&self, message: &FromWorker, body: &[u8]) -> io::Result<()> {
        self.sending.fetch_add(1, Ordering::Relaxed);
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = write_frame(&*writer, message, body);
        self.sending.fetch_sub(1, Ordering::Relaxed);
        self.sent.fetch_add(1, Ordering::Relaxed);
        sent
    }

    /// Messages sent so far: one that works sends some now and then.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Whether the node has yet to answer a read or to take a message.
    pub(crate) fn is_waiting(&self) -> bool {
        self.sending.load(Ordering::Relaxed) > 0
            || !self.waiting.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Takes note that bytes of the source could not be had. What is made of the source from now on is not what is in it.
    pub(crate) fn lose_source(&self) {
        self.is_source_lost.store(true, Ordering::Relaxed);
    }

    /// Whether bytes of the source could not be had.
    pub(crate) fn is_source_lost(&self) -> bool {
        self.is_source_lost.load(Ordering::Relaxed)
    }

    /// Asks for bytes of the source; the answer comes through the receiver.
    pub(crate) fn ask(&self, offset: u64, length: u32) -> io::Result<Receiver<Answer>> {
        let request = self.next_request.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = sync_channel(1);
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(request, sender);
        self.send(&FromWorker::Read { request, offset, length }, &[])?;
        Ok(receiver)
    }

    /// Hands answers to those who wait for them, until the node closes the socket.
    pub(crate) fn listen(&self, mut socket: UnixStream) {
        while let Ok(Frame { head, body }) = read_frame::<ToWorker>(&mut socket) {
            let (request, answer) = match head {
                ToWorker::Bytes { request } => (request, Ok(body)),
                ToWorker::ReadFailed { request } => {
                    (request, Err(io::Error::other("the source cannot be read")))
                }
                ToWorker::Start { .. } => break,
            };
            let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&request);
            if let Some(sender) = waiting {
                // The asker may have given up; then nobody wants the bytes.
                let _ = sender.send(answer);
            }
        }
        // Nobody will answer any more: dropping the senders wakes all who wait.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
