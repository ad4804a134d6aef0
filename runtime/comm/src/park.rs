//! Sleeping until a word changes: a futex on Linux, short naps elsewhere.

use std::sync::atomic::AtomicU32;
use std::time::Duration;

/// Sleeps until woken, unless `word` is no longer `seen`; at most `most`. May return early.
#[cfg(all(target_os = "linux", not(miri)))]
pub(crate) fn wait(word: &AtomicU32, seen: u32, most: Duration, private: bool) {
    use rustix::thread::futex;
    let most = futex::Timespec {
        tv_sec: most.as_secs().cast_signed(),
        tv_nsec: most.subsec_nanos().into(),
    };
    // Every outcome (woken, changed already, interrupted, timed out) means the same: look again.
    let _ = futex::wait(word, flags(private), seen, Some(&most));
}

/// Wakes the one that sleeps on `word`, if there is one.
#[cfg(all(target_os = "linux", not(miri)))]
pub(crate) fn wake(word: &AtomicU32, private: bool) {
    // Fails only for a bad address, and this one is a reference.
    let _ = rustix::thread::futex::wake(word, flags(private), 1);
}

#[cfg(all(target_os = "linux", not(miri)))]
fn flags(private: bool) -> rustix::thread::futex::Flags {
    use rustix::thread::futex::Flags;
    if private { Flags::PRIVATE } else { Flags::empty() }
}

/// Naps, unless `word` is no longer `seen`.
#[cfg(not(all(target_os = "linux", not(miri))))]
pub(crate) fn wait(word: &AtomicU32, seen: u32, most: Duration, _private: bool) {
    if word.load(std::sync::atomic::Ordering::Acquire) == seen {
        std::thread::park_timeout(most.min(Duration::from_micros(100)));
    }
}

/// Nobody sleeps for long.
#[cfg(not(all(target_os = "linux", not(miri))))]
pub(crate) fn wake(_word: &AtomicU32, _private: bool) {}
