//! Whether other programs want the cores that a run is about to use.
//!
//! Invariant: this program's own threads do not count, nor does what is gone a moment later.

use std::fs;

/// Readings of which the least counts.
const READINGS: usize = 16;

/// Threads of other programs that want a core now; `None` where the system does not tell.
pub(super) fn others() -> Option<u32> {
    let reading = |_| {
        std::thread::yield_now();
        let own = own();
        let all = of_loadavg(&fs::read_to_string("/proc/loadavg").ok()?)?;
        Some(all.saturating_sub(own))
    };
    (0..READINGS).map(reading).min().flatten()
}

/// Runnable threads of the whole system.
fn of_loadavg(text: &str) -> Option<u32> {
    let (running, _) = text.split_whitespace().nth(3)?.split_once('/')?;
    running.parse().ok()
}

/// This program's runnable threads; the one that asks is always one of them.
fn own() -> u32 {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let stats = tasks.filter_map(|task| fs::read_to_string(task.path().join("stat")).ok());
    let running = stats.filter(|stat| is_running(stat)).count() as u32;
    running.max(1)
}

/// Whether a thread's `stat` says that it wants a core. Its name, in brackets, may hold anything.
fn is_running(stat: &str) -> bool {
    stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('R'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_words_for_runnable_threads_are_understood() {
        assert_eq!(of_loadavg("0.71 0.60 0.82 3/85 14049\n"), Some(3));
        assert_eq!(of_loadavg("0.71 0.60\n"), None);
        assert!(is_running("7 (a) R (b)) R 1 7"));
        assert!(!is_running("7 (R) S 1 7"));
        assert!(own() >= 1);
    }
}
