//! The machine a benchmark ran on, and pinning ranks to its cores.
//!
//! Ranks are pinned round robin to the cores this process may use. Where that is not permitted, or not known how,
//! benchmarks run unpinned and say so.

use serde::{Deserialize, Serialize};

/// What is known of a machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Processor model, as the system names it; `unknown` if it does not.
    pub cpu: String,
    /// Cores that this process may use.
    pub cores: usize,
    /// Operating system with its release.
    pub os: String,
    /// Processor architecture.
    pub arch: String,
    /// When the benchmark ran (UTC), as in `2026-11-21`.
    pub date: String,
}

impl Machine {
    /// This machine, today.
    pub fn here() -> Self {
        Self {
            cpu: cpu_model().unwrap_or_else(|| "unknown".to_owned()),
            cores: cores().len(),
            os: system(),
            arch: std::env::consts::ARCH.to_owned(),
            date: date(crate::results::unix_seconds()),
        }
    }

    /// `AMD EPYC, 2 cores, linux 6.8 (x86_64), 2026-11-21`.
    pub fn words(&self) -> String {
        let Self { cpu, cores, os, arch, date } = self;
        let plural = if *cores == 1 { "" } else { "s" };
        format!("{cpu}, {cores} core{plural}, {os} ({arch}), {date}")
    }
}

fn cpu_model() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

#[cfg(unix)]
fn system() -> String {
    let name = rustix::system::uname();
    let release = name.release().to_string_lossy();
    let short = release.split('-').next().unwrap_or_default();
    format!("{} {short}", std::env::consts::OS)
}

#[cfg(not(unix))]
fn system() -> String {
    std::env::consts::OS.to_owned()
}

/// The day (UTC) of a number of seconds since 1970.
fn date(unix_s: u64) -> String {
    // Days since 0000-03-01, in eras of 400 years, so that leap days come last.
    let days = unix_s / 86_400 + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let shifted = (5 * day + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{:02}", day - (153 * shifted + 2) / 5 + 1)
}

/// The cores that this process may use, ascending.
#[cfg(target_os = "linux")]
pub fn cores() -> Vec<usize> {
    let allowed = rustix::thread::sched_getaffinity(None).ok();
    let listed = |set: rustix::thread::CpuSet| -> Vec<usize> {
        (0..rustix::thread::CpuSet::MAX_CPU).filter(|&core| set.is_set(core)).collect()
    };
    allowed.map(listed).filter(|cores| !cores.is_empty()).unwrap_or_else(counted)
}

/// The cores that this process may use, as far as their number is known.
#[cfg(not(target_os = "linux"))]
pub fn cores() -> Vec<usize> {
    counted()
}

fn counted() -> Vec<usize> {
    (0..std::thread::available_parallelism().map_or(1, usize::from)).collect()
}

/// Pins the calling thread to a core; whether that worked.
#[cfg(target_os = "linux")]
pub fn pin(core: usize) -> bool {
    let mut set = rustix::thread::CpuSet::new();
    if core >= rustix::thread::CpuSet::MAX_CPU {
        return false;
    }
    set.set(core);
    rustix::thread::sched_setaffinity(None, &set).is_ok()
}

/// Pins the calling thread to a core; never works here.
#[cfg(not(target_os = "linux"))]
pub fn pin(_: usize) -> bool {
    false
}

/// Whether this process runs with real-time priority, so that ordinary programs do not interrupt it, as `chrt -f 50` makes
/// it. Processes and threads that it starts do the same.
pub fn is_realtime() -> bool {
    std::fs::read_to_string("/proc/self/stat").is_ok_and(|stat| policy(&stat).is_some_and(is_fixed))
}

/// `SCHED_FIFO` or `SCHED_RR`.
fn is_fixed(policy: u32) -> bool {
    matches!(policy, 1 | 2)
}

/// The scheduling policy in the text of `/proc/PID/stat`: field 41, counted behind the name, which may hold anything.
fn policy(stat: &str) -> Option<u32> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(41 - 3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        assert_eq!(date(0), "1970-01-01");
        assert_eq!(date(951_782_400), "2000-02-29");
        assert_eq!(date(1_795_262_399), "2026-11-21");
        assert_eq!(date(1_798_761_600), "2027-01-01");
    }

    #[test]
    fn the_scheduling_policy_is_read_behind_any_name() {
        let numbers: Vec<String> = (4..=52).map(|field| field.to_string()).collect();
        let stat = format!("7 (a b) c) S {}", numbers.join(" "));
        assert_eq!(policy(&stat), Some(41));
        assert_eq!((policy("7 (x) S 1"), is_fixed(1), is_fixed(0)), (None, true, false));
    }

    #[test]
    fn this_machine_has_a_core_and_a_name() {
        let here = Machine::here();
        assert!(here.cores >= 1 && !here.cpu.is_empty(), "{}", here.words());
    }
}
