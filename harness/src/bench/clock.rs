//! The benchmarks' clock: nanoseconds of one monotonic clock that all processes of a machine share.
//!
//! Threads, child processes and ranks under a launcher read the same clock, so an instant may be agreed upon between
//! them. Nothing else here reads a clock.

use serde::{Deserialize, Serialize};

/// An instant of the machine's monotonic clock, in nanoseconds since some fixed moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Moment(pub u64);

impl Moment {
    /// The instant `nanos` later.
    pub fn after(self, nanos: u64) -> Self {
        Self(self.0 + nanos)
    }

    /// Nanoseconds from `earlier` to this; 0 if it is not earlier.
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Now.
#[cfg(unix)]
pub fn now() -> Moment {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Moment(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}

/// Now, from the first call on: without a shared clock there are no rank processes either.
#[cfg(not(unix))]
#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
pub fn now() -> Moment {
    static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    let start = *START.get_or_init(std::time::Instant::now);
    Moment(start.elapsed().as_nanos() as u64)
}

/// Waits without sleeping until `moment`; gives up the core meanwhile if others need it.
pub fn wait_until(moment: Moment, crowded: bool) {
    while now() < moment {
        if crowded {
            std::thread::yield_now();
        } else {
            std::hint::spin_loop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_does_not_go_back_and_waiting_lasts_long_enough() {
        let before = now();
        wait_until(before.after(1_000), true);
        assert!(now().since(before) >= 1_000);
        assert_eq!(before.since(before.after(1)), 0);
    }
}
