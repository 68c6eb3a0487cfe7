//! The worker's cage, closed before the first byte of untrusted media is read.
//!
//! The nursery closes it around itself once all plugins are loaded, while it has one thread, so that every later thread and
//! every worker is inside too. A worker then gives up what the nursery may do beyond: to fork. From then on it has its socket to
//! the node and its memory, and nothing else:
//! - no file: landlock grants nothing, the file size limit is 0, and the system calls that open are refused;
//! - no network: no system call makes a socket;
//! - no other process: nothing forks, executes, traces or signals others;
//! - no core file and no debugger.
//!
//! What is not on the list in [`syscalls`] gets `EPERM`, which C libraries take for "not allowed here" and live with.

mod attempts;
mod syscalls;

use landlock::{ABI, Access, AccessFs, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetStatus};
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

pub(crate) use attempts::attempts;

/// Address space: decoding 4K with several rungs stays far below; a runaway allocation fails instead of taking the machine.
const ADDRESS_SPACE: u64 = 6 << 30;
/// CPU seconds: a long film on a slow machine fits; an endless loop does not.
const CPU_SECONDS: u64 = 48 * 3600;
/// Descriptors: the socket and the wake-up descriptors of GStreamer's buses.
const DESCRIPTORS: u64 = 512;

/// The cage could not be closed: then no media is read.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// A limit or flag was refused.
    #[error("a process limit cannot be set: {0}")]
    Limit(#[from] rustix::io::Errno),
    /// The kernel's file system cage.
    #[error("landlock: {0}")]
    Landlock(#[from] landlock::RulesetError),
    /// The kernel is too old for landlock, or has it switched off.
    #[error("landlock is not available")]
    NoLandlock,
    /// The system call list could not be compiled.
    #[error("the system call list: {0}")]
    Compile(#[from] seccompiler::BackendError),
    /// The system call list could not be installed.
    #[error("seccomp: {0}")]
    Install(#[from] seccompiler::Error),
    /// A thread started too early would stay outside, or be lost by a fork with whatever it held locked.
    #[error("there are {0} threads before the cage is closed")]
    Threads(usize),
}

/// Closes the cage around the nursery for good: it may fork, and nothing else that its workers may not.
pub(crate) fn enter() -> Result<(), SandboxError> {
    let threads = std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count);
    if threads != 1 {
        return Err(SandboxError::Threads(threads));
    }
    limit(Resource::Core, 0)?;
    limit(Resource::Fsize, 0)?;
    limit(Resource::As, ADDRESS_SPACE)?;
    limit(Resource::Cpu, CPU_SECONDS)?;
    limit(Resource::Nofile, DESCRIPTORS)?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    rustix::thread::set_no_new_privs(true)?;
    close_file_system()?;
    syscalls::allow_those_of_a_nursery()
}

/// Closes it around a worker, which came from within.
pub(crate) fn enter_as_worker() -> Result<(), SandboxError> {
    syscalls::allow_those_of_a_worker()
}

fn limit(resource: Resource, value: u64) -> Result<(), SandboxError> {
    Ok(setrlimit(resource, Rlimit { current: Some(value), maximum: Some(value) })?)
}

/// Handles every kind of access and grants none. Whether a kernel without landlock will do is the operator's decision, and
/// there is none yet: it will not.
fn close_file_system() -> Result<(), SandboxError> {
    let status = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(ABI::V5))?
        .create()?
        .restrict_self()?;
    match status.ruleset {
        RulesetStatus::NotEnforced => Err(SandboxError::NoLandlock),
        _ => Ok(()),
    }
}
