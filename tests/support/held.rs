//! Holds a node and all it starts to a share of a processor, by the kernel's own means.

use std::path::PathBuf;

/// A control group with a quota of processor time. With this value it goes, and its processes are held no longer.
pub struct Held(PathBuf);

impl Held {
    /// Holds the process `id`, and what it starts from now on, to so many hundredths of one processor. Whatever else runs on
    /// the machine, the quota is to be had: the group weighs more than others.
    pub fn to_percent(id: u32, percent: u32) -> Self {
        let (first, second) = (PathBuf::from("/sys/fs/cgroup/cpu"), PathBuf::from("/sys/fs/cgroup"));
        let is_first = first.join("cpu.cfs_quota_us").exists() || first.join("cpu.shares").exists();
        let root = if is_first { first } else { second };
        let group = root.join(format!("mediakeep-test-{}-{id}", std::process::id()));
        std::fs::create_dir(&group).expect("a control group can be made: this test needs root and cgroups");
        let held = Self(group);
        let quota_us = percent * 1_000;
        if is_first {
            held.set("cpu.cfs_period_us", "100000");
            held.set("cpu.cfs_quota_us", &quota_us.to_string());
            held.set("cpu.shares", "20480");
        } else {
            held.set("cpu.max", &format!("{quota_us} 100000"));
            held.set("cpu.weight", "2000");
        }
        held.set("cgroup.procs", &id.to_string());
        held
    }

    fn set(&self, file: &str, value: &str) {
        let path = self.0.join(file);
        std::fs::write(&path, value).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let outside = self.0.with_file_name("cgroup.procs");
        // A process may start another one while they are moved: the group is refused its end until it is empty.
        for _ in 0..100 {
            let within = std::fs::read_to_string(self.0.join("cgroup.procs")).unwrap_or_default();
            for process in within.lines() {
                // It may have ended meanwhile.
                let _ = std::fs::write(&outside, process);
            }
            if std::fs::remove_dir(&self.0).is_ok() {
                return;
            }
        }
    }
}
