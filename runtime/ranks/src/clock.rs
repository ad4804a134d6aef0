//! The one clock of a run: nanoseconds since the run began, the same on every thread.

use flexdit_core::Nanos;
use std::time::{Duration, Instant};

/// Measures time since its start. A plain value: copies agree.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// A clock that reads zero now.
    #[expect(clippy::disallowed_methods, reason = "this driver measures")]
    pub fn start() -> Self {
        Self { origin: Instant::now() }
    }

    /// Time since the start.
    pub fn now(&self) -> Nanos {
        nanos(self.origin.elapsed())
    }

    #[cfg(not(target_os = "linux"))]
    /// The instant `at` as the operating system counts it.
    pub(crate) fn instant(&self, at: Nanos) -> Instant {
        self.origin + Duration::from_nanos(at.0)
    }
}

/// A duration in nanoseconds; beyond 584 years it saturates.
pub(crate) fn nanos(duration: Duration) -> Nanos {
    Nanos(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
}
