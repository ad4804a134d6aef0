//! What others took of the cores while something was measured: other programs, and the host of a virtual machine.
//!
//! Invariant: this program's own threads do not count, nor those of rank processes that it started.

use serde::{Deserialize, Serialize};
use std::fs;

/// Shares above this are worth a warning: real runs of one seed differ by about as much on a quiet machine.
pub const NOISY: f64 = 0.05;

/// Fewest ticks of capacity that a share is told of: it is no finer than a tick.
const FEWEST: u64 = 100;

/// Capacity of the cores that this program may use, and what others took of it, in ticks of the system's clock, over some
/// spans of time. Zero where the system does not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// Busy ticks, those stolen by the host included, that were not this program's.
    pub others: u64,
    /// All ticks.
    pub capacity: u64,
}

impl Taken {
    /// Both together.
    pub fn and(self, more: Self) -> Self {
        Self { others: self.others + more.others, capacity: self.capacity + more.capacity }
    }

    /// The share that others took, 0 to 1; `None` where that is not known, or the time was too short to tell.
    pub fn share(self) -> Option<f64> {
        let share = self.others as f64 / self.capacity as f64;
        (self.capacity >= FEWEST).then_some(share.min(1.0))
    }

    /// What a reader must know if others took more than [`NOISY`]; `during` as in `the runs`.
    pub fn warning(self, during: &str) -> Option<String> {
        let share = self.share().filter(|share| *share > NOISY)?;
        Some(format!(
            "The machine was not quiet: during {during} other programs, or its host, took {:.0} % of the capacity of the cores. \
             More than {:.0} % is worth repeating.",
            share * 100.0,
            NOISY * 100.0
        ))
    }

    /// The share in words: `0.4 %`, or that it is not known.
    pub fn words(self) -> String {
        let words = |share: f64| format!("{:.1} %", share * 100.0);
        self.share().map_or_else(|| "not known".to_owned(), words)
    }
}

/// Watches the machine from its making on.
pub struct Watch {
    begin: Option<Reading>,
    cores: Vec<usize>,
}

impl Watch {
    /// Begins.
    pub fn begin() -> Self {
        let cores = crate::bench::machine::cores();
        Self { begin: Reading::now(&cores), cores }
    }

    /// What others took since the beginning.
    pub fn end(self) -> Taken {
        match (self.begin, Reading::now(&self.cores)) {
            (Some(begin), Some(end)) => end.since(&begin),
            _ => Taken::default(),
        }
    }
}

/// Ticks since the machine and this program began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Reading {
    capacity: u64,
    busy: u64,
    own: u64,
}

impl Reading {
    fn now(cores: &[usize]) -> Option<Self> {
        let own = own()?;
        let (capacity, busy) = of_stat(&fs::read_to_string("/proc/stat").ok()?, cores)?;
        Some(Self { capacity, busy, own })
    }

    /// The system counts its cores' time and a program's apart, so they may differ by a tick or two.
    fn since(&self, begin: &Self) -> Taken {
        let capacity = self.capacity.saturating_sub(begin.capacity);
        let busy = self.busy.saturating_sub(begin.busy);
        let others = busy.saturating_sub(self.own.saturating_sub(begin.own));
        Taken { others, capacity }
    }
}

/// All ticks and busy ones of some cores.
fn of_stat(text: &str, cores: &[usize]) -> Option<(u64, u64)> {
    let (mut all, mut busy) = (0, 0);
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let name = words.next().unwrap_or_default();
        let core = name.strip_prefix("cpu").and_then(|number| number.parse::<usize>().ok());
        if !core.is_some_and(|core| cores.contains(&core)) {
            continue;
        }
        // user, nice, system, idle, iowait, irq, softirq, steal; guests are within user and nice.
        let ticks: Vec<u64> = words.take(8).map_while(|word| word.parse().ok()).collect();
        let idle = ticks.get(3)? + ticks.get(4).copied().unwrap_or(0);
        let sum: u64 = ticks.iter().sum();
        (all, busy) = (all + sum, busy + sum - idle);
    }
    (all > 0).then_some((all, busy))
}

/// This program's ticks: its threads, those that ended too, its children that ended, and the children that it has.
fn own() -> Option<u64> {
    let (_, mut own) = of_process(&fs::read_to_string("/proc/self/stat").ok()?)?;
    let me = std::process::id();
    for entry in fs::read_dir("/proc").ok()?.flatten() {
        let is_process = entry.file_name().to_string_lossy().parse::<u32>().is_ok();
        let text = is_process.then(|| fs::read_to_string(entry.path().join("stat")).ok()).flatten();
        if let Some((parent, ticks)) = text.as_deref().and_then(of_process)
            && parent == me
        {
            own += ticks;
        }
    }
    Some(own)
}

/// The parent of a process and its ticks, from its `stat`. Its name, in brackets, may hold anything.
fn of_process(stat: &str) -> Option<(u32, u64)> {
    let (_, rest) = stat.rsplit_once(')')?;
    let words: Vec<&str> = rest.split_whitespace().collect();
    let ticks = words.get(11..15)?.iter().map(|word| word.parse::<u64>().ok());
    Some((words.get(1)?.parse().ok()?, ticks.sum::<Option<u64>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "\
cpu  900 0 100 800 0 0 0 100 0 0
cpu0 400 0 50 450 0 0 0 50 0 0
cpu1 500 0 50 350 0 0 0 50 0 0
intr 5
";

    #[test]
    fn the_systems_words_for_busy_cores_are_understood() {
        assert_eq!(of_stat(STAT, &[0, 1]), Some((1_900, 1_100)));
        assert_eq!(of_stat(STAT, &[1]), Some((950, 600)), "the host's share is busy");
        assert_eq!(of_stat(STAT, &[7]), None);
        assert_eq!(of_stat("cpu0 nonsense\n", &[0]), None);
        let stat = "7 (a) R (b)) S 3 7 7 0 -1 4 1 2 3 4 50 6 7 8 20 0";
        assert_eq!(of_process(stat), Some((3, 71)));
        assert_eq!(of_process("7 (a) S 3"), None);
    }

    #[test]
    fn a_load_that_stays_is_told_however_quiet_the_moment_before_it_was() {
        let begin = Reading { capacity: 1_000, busy: 500, own: 300 };
        let end = Reading { capacity: 1_400, busy: 880, own: 620 };
        let taken = end.since(&begin);
        assert_eq!(taken, Taken { others: 60, capacity: 400 });
        assert_eq!((taken.share(), taken.words()), (Some(0.15), "15.0 %".to_owned()));
        let words = taken.warning("the runs").expect("it is above the threshold");
        assert!(
            words.contains("during the runs other programs, or its host, took 15 %"),
            "{words}"
        );
        // Runs with little of it are pooled, and a quiet one takes nothing back.
        assert_eq!(taken.and(Taken { others: 0, capacity: 800 }).warning("the runs"), None);
        // A tick more of one's own than the cores had is no news of others.
        assert_eq!(Reading { own: 700, ..end }.since(&begin).others, 0);
    }

    #[test]
    fn what_is_not_known_or_too_short_is_no_quiet_machine() {
        assert_eq!(Taken::default().share(), None);
        let short = Taken { others: 9, capacity: 20 };
        assert_eq!((short.share(), short.warning("the runs")), (None, None));
        assert_eq!(short.words(), "not known");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_machine_tells() {
        let taken = Watch::begin().end();
        assert!(taken.others <= taken.capacity);
        assert!(Reading::now(&crate::bench::machine::cores()).is_some());
    }
}
