//! A disk of its own for a node, in memory, which can be made full and given room again while it is used.

use std::path::{Path, PathBuf};
use std::process::Command;

/// How much room there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// As much as it was made with.
    Plenty,
    /// So little that no media may be written; agreement goes on.
    Little,
    /// None at all.
    None,
}

/// A file system in memory; gone with the test.
#[derive(Debug)]
pub struct Disk {
    path: PathBuf,
    mebibytes: u64,
}

impl Disk {
    /// Mounts it at the new folder `path`.
    pub fn mount(path: &Path, mebibytes: u64) -> Self {
        sweep();
        std::fs::create_dir(path).unwrap();
        let options = format!("size={mebibytes}m");
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &options, &format!("mk{}x", std::process::id())]).arg(path);
        let status = command.status().expect("mount is there");
        assert!(status.success(), "this test mounts a file system and needs root");
        Self { path: path.to_owned(), mebibytes }
    }

    /// Gives it this much room.
    pub fn make(&self, room: Room) {
        // What is written meanwhile may need what was just to be taken away.
        let is_made = (0..50).any(|_| {
            let found = rustix::fs::statvfs(&self.path).unwrap();
            let used = (found.f_blocks - found.f_bfree) * found.f_frsize;
            let bytes = match room {
                Room::Plenty => self.mebibytes << 20,
                Room::Little => used * 100 / 95,
                Room::None => used,
            };
            let options = format!("remount,size={bytes}");
            let tried = Command::new("mount").args(["-o", &options]).arg(&self.path).output();
            tried.expect("mount is there").status.success()
        });
        assert!(is_made, "the disk at {} does not become {room:?}", self.path.display());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        unmount(&self.path);
    }
}

/// Lazily: a node may still look at it.
fn unmount(path: &Path) {
    drop(Command::new("umount").arg("-l").arg(path).output());
}

/// Takes away those of tests that ended without doing so.
fn sweep() {
    for line in std::fs::read_to_string("/proc/mounts").unwrap_or_default().lines() {
        let mut words = line.split_whitespace();
        let (Some(source), Some(path)) = (words.next(), words.next()) else { continue };
        let process = source.strip_prefix("mk").and_then(|rest| rest.strip_suffix('x'));
        if let Some(process) = process.and_then(|process| process.parse::<u32>().ok())
            && !Path::new(&format!("/proc/{process}")).exists()
        {
            unmount(Path::new(path));
        }
    }
}
