//! The one place of this crate that reads the clock: waiting for peers ends.

use std::time::{Duration, Instant};

/// Now.
#[expect(clippy::disallowed_methods, reason = "a communicator is a driver: its waits must end")]
fn now() -> Instant {
    Instant::now()
}

/// A moment until which is waited. Starts with the first question, so that who never waits never reads the clock.
#[derive(Debug)]
pub(super) struct Patience {
    length: Duration,
    begun: Option<Instant>,
}

impl Patience {
    /// Patience that lasts `length` from the first call of [`left`](Self::left).
    pub(super) fn new(length: Duration) -> Self {
        Self { length, begun: None }
    }

    /// Begins anew.
    pub(super) fn renew(&mut self) {
        self.begun = None;
    }

    /// What is left; `None` when nothing is.
    pub(super) fn left(&mut self) -> Option<Duration> {
        let spent = self.begun.get_or_insert_with(now).elapsed();
        self.length.checked_sub(spent).filter(|left| !left.is_zero())
    }

    /// How long was waited.
    pub(super) fn waited(&self) -> Duration {
        self.begun.map_or(Duration::ZERO, |begun| begun.elapsed())
    }
}
