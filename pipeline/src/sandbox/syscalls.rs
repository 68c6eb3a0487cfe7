//! The system calls that workers, and the nursery they come from, may make. Everything else is refused.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};

use super::SandboxError;

const EPERM: u32 = 1;
const ENOSYS: u32 = 38;
const CLONE_THREAD: u64 = 0x0001_0000;

/// Allowed with any arguments: memory, threads, time, waiting, and reading and writing what is already open.
#[cfg(target_arch = "x86_64")]
const ALLOWED: &[i64] = &[
    0,   // read
    1,   // write
    3,   // close
    5,   // fstat
    7,   // poll
    8,   // lseek
    9,   // mmap
    10,  // mprotect
    11,  // munmap
    12,  // brk
    13,  // rt_sigaction
    14,  // rt_sigprocmask
    15,  // rt_sigreturn
    19,  // readv
    20,  // writev
    24,  // sched_yield
    25,  // mremap
    28,  // madvise
    32,  // dup
    35,  // nanosleep
    39,  // getpid
    44,  // sendto
    45,  // recvfrom
    46,  // sendmsg
    47,  // recvmsg
    60,  // exit
    63,  // uname
    72,  // fcntl
    96,  // gettimeofday
    97,  // getrlimit
    98,  // getrusage
    99,  // sysinfo
    102, // getuid
    104, // getgid
    107, // geteuid
    108, // getegid
    110, // getppid
    131, // sigaltstack
    186, // gettid
    201, // time
    202, // futex
    203, // sched_setaffinity
    204, // sched_getaffinity
    218, // set_tid_address
    228, // clock_gettime
    229, // clock_getres
    230, // clock_nanosleep
    231, // exit_group
    270, // pselect6
    271, // ppoll
    273, // set_robust_list
    290, // eventfd2
    293, // pipe2
    309, // getcpu
    318, // getrandom
    324, // membarrier
    334, // rseq
    435, // clone3: the other filter answers ENOSYS, so that threads are made by clone, whose flags can be checked
];
#[cfg(target_arch = "x86_64")]
const CLONE: i64 = 56;
#[cfg(target_arch = "x86_64")]
const PRCTL: i64 = 157;
#[cfg(target_arch = "x86_64")]
const TGKILL: i64 = 234;
#[cfg(target_arch = "x86_64")]
const SOCKETPAIR: i64 = 53;

/// Allowed to the nursery beyond: to fork, to see its workers end, and what a worker does before it gives all this up.
#[cfg(target_arch = "x86_64")]
const ALLOWED_TO_NURSERIES: &[i64] = &[
    33,  // dup2
    56,  // clone
    140, // getpriority
    141, // setpriority
    157, // prctl
    234, // tgkill: what a worker aborts itself with
    247, // waitid
    292, // dup3
    317, // seccomp
    434, // pidfd_open
];

/// As above, with the numbers of the generic table.
#[cfg(target_arch = "aarch64")]
const ALLOWED: &[i64] = &[
    63, 64, 57, 80, 73, 173, 62, 222, 226, 215, 214, 134, 135, 139, 65, 66, 124, 216, 233, 23, 101, 172, 206,
    207, 211, 212, 93, 160, 25, 169, 163, 165, 179, 174, 176, 175, 177, 132, 178, 98, 122, 123, 96, 113, 114,
    115, 94, 72, 99, 19, 59, 168, 278, 283, 293, 435,
];
#[cfg(target_arch = "aarch64")]
const ALLOWED_TO_NURSERIES: &[i64] = &[24, 220, 141, 140, 167, 131, 95, 277, 434];
#[cfg(target_arch = "aarch64")]
const CLONE: i64 = 220;
#[cfg(target_arch = "aarch64")]
const PRCTL: i64 = 167;
#[cfg(target_arch = "aarch64")]
const TGKILL: i64 = 131;
#[cfg(target_arch = "aarch64")]
const SOCKETPAIR: i64 = 199;

const CLONE3: i64 = 435;
/// GStreamer's buses wake their readers through an unnamed pair; it leads nowhere else, and `connect` and `bind` are refused.
const AF_UNIX: u64 = 1;
/// `prctl(PR_SET_NAME)`: threads get names.
const PR_SET_NAME: u64 = 15;

/// Of all filters that are installed, the strictest answer counts.
pub(super) fn allow_those_of_a_nursery() -> Result<(), SandboxError> {
    let no_clone3 = BTreeMap::from([(CLONE3, Vec::new())]);
    apply(no_clone3, SeccompAction::Allow, SeccompAction::Errno(ENOSYS))?;

    let mut rules = freely(ALLOWED);
    rules.extend(freely(ALLOWED_TO_NURSERIES));
    rules.insert(SOCKETPAIR, vec![only(0, SeccompCmpOp::Eq, AF_UNIX)?]);
    apply(rules, SeccompAction::Errno(EPERM), SeccompAction::Allow)
}

/// What the nursery may do beyond is given up.
pub(super) fn allow_those_of_a_worker() -> Result<(), SandboxError> {
    let mut rules = freely(ALLOWED);
    rules.insert(CLONE, vec![only(0, SeccompCmpOp::MaskedEq(CLONE_THREAD), CLONE_THREAD)?]);
    rules.insert(PRCTL, vec![only(0, SeccompCmpOp::Eq, PR_SET_NAME)?]);
    rules.insert(SOCKETPAIR, vec![only(0, SeccompCmpOp::Eq, AF_UNIX)?]);
    // Aborting signals itself; nobody else may be signalled.
    let own = u64::from(std::process::id());
    rules.insert(TGKILL, vec![only(0, SeccompCmpOp::Eq, own)?]);
    apply(rules, SeccompAction::Errno(EPERM), SeccompAction::Allow)
}

fn freely(numbers: &[i64]) -> BTreeMap<i64, Vec<SeccompRule>> {
    numbers.iter().map(|number| (*number, Vec::new())).collect()
}

fn only(argument: u8, operation: SeccompCmpOp, value: u64) -> Result<SeccompRule, SandboxError> {
    let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operation, value)?;
    Ok(SeccompRule::new(vec![condition])?)
}

fn apply(
    rules: BTreeMap<i64, Vec<SeccompRule>>,
    otherwise: SeccompAction,
    matched: SeccompAction,
) -> Result<(), SandboxError> {
    let architecture = TargetArch::try_from(std::env::consts::ARCH)?;
    let program: BpfProgram = SeccompFilter::new(rules, otherwise, matched, architecture)?.try_into()?;
    Ok(seccompiler::apply_filter(&program)?)
}
