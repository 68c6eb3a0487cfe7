//! The nursery: a process that has loaded every plugin and becomes a worker by forking, each time the node asks for one.
//!
//! Loading them takes a process longer than most looks at a source. The nursery has one thread, sits in the cage
//! that its workers are in (see [`crate::sandbox`]), never sees a byte of media, and ends by itself: when nobody asked for a while, or when the node is gone, which takes its workers along.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use fork::{Fork, fork};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, getpid, getppid, pidfd_open,
    set_parent_process_death_signal, waitid,
};

use super::handover::{Birth, WISH, receive, send};

/// While there are workers, the node's end is looked for this often: its socket may live on in another process.
const NODE_AGAIN: Duration = Duration::from_secs(1);

/// Forks whenever the node asks through `control`. Returns in each worker with its socket, and in the nursery with `None` at
/// its end. The calling process must have one thread.
pub(super) fn keep(control: BorrowedFd<'_>, idle: Duration) -> io::Result<Option<UnixStream>> {
    let node = getppid();
    let mut workers: Vec<OwnedFd> = Vec::new();
    let mut is_dismissed = false;
    while !(is_dismissed && workers.is_empty()) {
        let patience = if workers.is_empty() { idle } else { NODE_AGAIN };
        let Some(is_asked) = wait(control, is_dismissed, &workers, patience)? else {
            if workers.is_empty() || getppid() != node {
                break;
            }
            continue;
        };
        workers.retain(|worker| !has_ended(worker));
        if !is_asked {
            continue;
        }
        match receive(control)? {
            (wish, Some(socket)) if wish == WISH => match bear(control)? {
                Born::Here => return Ok(Some(UnixStream::from(socket))),
                Born::There(worker) => workers.extend(worker),
            },
            _ => is_dismissed = true,
        }
    }
    Ok(None)
}

/// Waits until the node has something to say (`true`) or a worker has ended; `None` after `patience` without either.
fn wait(
    control: BorrowedFd<'_>,
    is_dismissed: bool,
    workers: &[OwnedFd],
    patience: Duration,
) -> io::Result<Option<bool>> {
    let mut watched: Vec<PollFd<'_>> =
        workers.iter().map(|worker| PollFd::new(worker, PollFlags::IN)).collect();
    if !is_dismissed {
        watched.push(PollFd::from_borrowed_fd(control, PollFlags::IN));
    }
    let patience = Timespec::try_from(patience).map_err(io::Error::other)?;
    let count = rustix::io::retry_on_intr(|| poll(&mut watched, Some(&patience)))?;
    let is_asked = !is_dismissed && watched.last().is_some_and(|last| !last.revents().is_empty());
    Ok((count > 0).then_some(is_asked))
}

/// Whether the worker is gone; it is buried then.
fn has_ended(worker: &OwnedFd) -> bool {
    !matches!(waitid(WaitId::PidFd(worker.as_fd()), WaitIdOptions::EXITED | WaitIdOptions::NOHANG), Ok(None))
}

enum Born {
    /// This process is the worker.
    Here,
    /// Another is, or none could be had.
    There(Option<OwnedFd>),
}

fn bear(control: BorrowedFd<'_>) -> io::Result<Born> {
    let nursery = getpid();
    let answer = |error: i32, process: i32, worker: Option<&OwnedFd>| {
        send(control, &Birth { error, process }.to_bytes(), worker.map(AsFd::as_fd))
    };
    match fork() {
        Ok(Fork::Child) => {
            set_parent_process_death_signal(Some(Signal::KILL))?;
            // It may have died before that.
            if getppid() != Some(nursery) {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            Ok(Born::Here)
        }
        Ok(Fork::Parent(process)) => {
            let id = Pid::from_raw(process).ok_or_else(|| io::Error::other("no process id"))?;
            let worker = pidfd_open(id, PidfdFlags::empty())?;
            answer(0, process, Some(&worker))?;
            Ok(Born::There(Some(worker)))
        }
        Err(error) => {
            answer(error.raw_os_error().unwrap_or(-1), 0, None)?;
            Ok(Born::There(None))
        }
    }
}
