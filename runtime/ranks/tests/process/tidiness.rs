//! What a test may leave behind: nothing.

use rustix::process::{WaitId, WaitIdOptions, waitid};

/// What this process has of the operating system.
#[derive(Debug, PartialEq, Eq)]
pub struct Traces {
    children: bool,
    files: usize,
    threads: usize,
    /// Mapped memory of worlds.
    mappings: usize,
}

impl Traces {
    pub fn look() -> Self {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let entries = |folder: &str| std::fs::read_dir(folder).expect("readable").count();
        let maps = std::fs::read_to_string("/proc/self/maps").expect("readable");
        Self {
            // An error says that there is none, running or dead.
            children: waitid(WaitId::All, options).is_ok(),
            files: entries("/proc/self/fd"),
            threads: entries("/proc/self/task"),
            mappings: maps.lines().filter(|line| line.contains("memfd:flexdit")).count(),
        }
    }
}
