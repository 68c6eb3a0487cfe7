//! Tries, inside the cage, what the cage must refuse. The test that proves the cage asks a worker for this.

use std::fs::{File, OpenOptions};
use std::net::{TcpStream, UdpSocket};
use std::os::unix::net::UnixListener;
use std::process::Command;

type Attempt = (&'static str, fn() -> bool);

/// Everything a taken-over worker would like to do.
const ATTEMPTS: [Attempt; 9] = [
    ("read a foreign file", || File::open("/etc/passwd").is_ok()),
    ("list a folder", || std::fs::read_dir("/").is_ok()),
    ("write a file", || OpenOptions::new().create(true).append(true).open("/tmp/mediakeep-escape").is_ok()),
    ("run a program", || Command::new("/bin/true").status().is_ok()),
    ("connect to a network", || {
        TcpStream::connect(("127.0.0.1", 9)).is_ok() || UdpSocket::bind("127.0.0.1:0").is_ok()
    }),
    ("open a local socket", || UnixListener::bind("/tmp/mediakeep-escape.socket").is_ok()),
    ("read its own memory map", || File::open("/proc/self/maps").is_ok()),
    ("signal its parent", || {
        rustix::process::getppid().is_some_and(|parent| rustix::process::test_kill_process(parent).is_ok())
    }),
    ("raise a limit", || {
        let more = rustix::process::Rlimit { current: Some(1 << 20), maximum: Some(1 << 20) };
        rustix::process::setrlimit(rustix::process::Resource::Fsize, more).is_ok()
    }),
];

/// The names of the attempts that succeeded.
pub(crate) fn attempts() -> Vec<String> {
    ATTEMPTS.iter().filter(|(_, attempt)| attempt()).map(|(name, _)| (*name).to_owned()).collect()
}
