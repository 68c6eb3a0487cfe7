//! The node's side of a nursery, and of the workers it bears.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::process::Command;

use super::handover::{Birth, WISH, receive, send};

/// Within this a nursery answers, also one that has yet to load its plugins on a busy machine.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);

/// No plugin registry is read, written or scanned: the plugins wanted are loaded by name. Few malloc arenas, since each
/// thread of a pipeline would otherwise keep its own.
const ENVIRONMENT: [(&str, &str); 6] = [
    ("GST_REGISTRY_DISABLE", "yes"),
    ("GST_REGISTRY_1_0", "/dev/null"),
    ("GST_PLUGIN_SYSTEM_PATH_1_0", ""),
    ("GST_PLUGIN_PATH_1_0", ""),
    ("LC_ALL", "C.UTF-8"),
    ("MALLOC_ARENA_MAX", "2"),
];

/// A nursery that runs. Dropped, it bears no more and ends when its workers have.
#[derive(Debug)]
pub(super) struct Nursery {
    control: OwnedFd,
    process: OwnedFd,
    is_distrusted: Arc<AtomicBool>,
}

impl Nursery {
    /// Starts one. Must be called within a runtime, which buries it.
    pub(super) fn start(program: &OsStr, idle: Duration, errors: Stdio) -> io::Result<Self> {
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        set_socket_timeout(&ours, Timeout::Recv, Some(ANSWER_WITHIN))?;
        let child = Command::new(program)
            .args(["worker", &idle.as_millis().to_string()])
            .env_clear()
            .envs(ENVIRONMENT)
            .current_dir("/")
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .stderr(errors)
            .spawn()?;
        // Nobody has waited for it: the id is its own.
        let id = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        let id = id.ok_or_else(|| io::Error::other("no process id"))?;
        Ok(Self {
            control: ours,
            process: pidfd_open(id, PidfdFlags::empty())?,
            is_distrusted: Arc::default(),
        })
    }

    /// Whether a worker of it died of itself. Workers of one nursery have their memory laid out alike: what one crash gave
    /// away must be of no use against the next.
    pub(super) fn is_distrusted(&self) -> bool {
        self.is_distrusted.load(Ordering::Relaxed)
    }

    /// A worker, and the node's end of its socket. An error means that this nursery is of no use any more.
    pub(super) fn bear(&self) -> io::Result<(WorkerProcess, UnixStream)> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        send(self.control.as_fd(), WISH, Some(theirs.as_fd()))?;
        drop(theirs);
        let (answer, worker) = receive(self.control.as_fd()).inspect_err(|_| {
            // It hangs. Its workers end with it, also the one that nobody would know of.
            let _ = pidfd_send_signal(&self.process, Signal::KILL);
        })?;
        let birth = Birth::from_bytes(&answer).ok_or(io::ErrorKind::UnexpectedEof)?;
        if birth.error != 0 {
            return Err(io::Error::from_raw_os_error(birth.error));
        }
        let process = worker.ok_or(io::ErrorKind::InvalidData)?;
        Ok((WorkerProcess { process, id: birth.process, is_distrusted: self.is_distrusted.clone() }, ours))
    }
}

/// A worker process. Dropped, it is killed.
#[derive(Debug)]
pub(crate) struct WorkerProcess {
    process: OwnedFd,
    id: i32,
    is_distrusted: Arc<AtomicBool>,
}

impl WorkerProcess {
    /// Its id.
    pub(crate) fn id(&self) -> i32 {
        self.id
    }

    /// Takes note that it died of itself: its nursery bears no more.
    pub(crate) fn distrust_its_nursery(&self) {
        self.is_distrusted.store(true, Ordering::Relaxed);
    }
}

impl Drop for WorkerProcess {
    fn drop(&mut self) {
        // One that has finished and one that must stop are treated alike; it holds nothing of worth. It may be gone.
        let _ = pidfd_send_signal(&self.process, Signal::KILL);
    }
}
