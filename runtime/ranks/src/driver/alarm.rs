//! When the dispatcher is to look again though nobody calls.
//!
//! tokio's timer counts whole milliseconds and is late by one on average, which a request of some milliseconds feels. On Linux
//! a timer of the kernel wakes the runtime instead, to some ten microseconds.

use crate::clock::Clock;
use flexdit_core::Nanos;

/// A timer of the kernel, waited for by the runtime.
#[cfg(target_os = "linux")]
pub(super) struct Alarm {
    timer: tokio::io::unix::AsyncFd<std::os::fd::OwnedFd>,
    /// What it is set to.
    at: Option<Nanos>,
}

#[cfg(target_os = "linux")]
impl Alarm {
    /// An alarm that is not set. Made inside a runtime.
    #[expect(unsafe_code, reason = "the runtime polls a descriptor that it does not own")]
    pub(super) fn new() -> std::io::Result<Self> {
        use rustix::time::{TimerfdClockId, TimerfdFlags, timerfd_create};
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        // SAFETY: the descriptor is owned by the value that is registered, which never replaces it, so it stays open and the same
        // until the registration ends.
        let timer = unsafe { tokio::io::unix::AsyncFd::register(timer)? };
        Ok(Self { timer, at: None })
    }

    /// Returns at `at` or later. Dropped before, it is set still.
    pub(super) async fn wait(&mut self, clock: &Clock, at: Nanos) {
        if self.at != Some(at) && self.set(at.saturating_sub(clock.now())).is_err() {
            // Too far away for the kernel: for ever.
            return std::future::pending().await;
        }
        self.at = Some(at);
        loop {
            let Ok(mut ready) = self.timer.readable().await else { return };
            if rustix::io::read(&self.timer, &mut [0; 8]).is_ok() {
                self.at = None;
                return;
            }
            ready.clear_ready();
        }
    }

    /// Sets the timer to go off once, so much later.
    fn set(&self, left: Nanos) -> rustix::io::Result<()> {
        use rustix::time::{Itimerspec, TimerfdTimerFlags, Timespec, timerfd_settime};
        let parts = |ns: u64| Timespec {
            tv_sec: (ns / 1_000_000_000).cast_signed(),
            tv_nsec: (ns % 1_000_000_000).cast_signed(),
        };
        // Zero would switch it off.
        let once = Itimerspec { it_interval: parts(0), it_value: parts(left.0.max(1)) };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once).map(|_| ())
    }
}

/// The runtime's own timer.
#[cfg(not(target_os = "linux"))]
pub(super) struct Alarm;

#[cfg(not(target_os = "linux"))]
impl Alarm {
    /// Nothing to make.
    pub(super) fn new() -> std::io::Result<Self> {
        Ok(Self)
    }

    /// Returns at `at` or later.
    pub(super) async fn wait(&mut self, clock: &Clock, at: Nanos) {
        tokio::time::sleep_until(clock.instant(at).into()).await;
    }
}
