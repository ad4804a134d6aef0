//! The physical references, measured in the same run: what the hardware itself takes.
//!
//! *Cache-line round trip*: two pinned threads hand one value there and back through two atomics on lines of their own.
//! *Memory copy*: one core alone, and all ranks at once, over the same sizes as the collectives.

use super::clock::{self, Moment};
use super::launch::Setting;
use super::machine;
use super::statistics::median;
use serde::{Deserialize, Serialize};
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Barrier, Mutex, PoisonError};

/// Round trips between two readings of the clock.
const TRIPS: u64 = 2_000;
/// Bytes that a batch of copies goes through, at least one copy; as the collectives' batches.
pub const BATCH_BYTES: u64 = 256 << 10;

/// How often something of this size is done in a batch: often enough for the clock, within the caches.
pub fn batch(bytes: u64) -> u32 {
    (BATCH_BYTES / bytes.max(1)).clamp(1, 256) as u32
}

/// Nanoseconds from one reading of the clock to the next, at the least.
pub fn clock_reading() -> f64 {
    let reading = |_| {
        let begun = clock::now();
        for _ in 0..100 {
            black_box(clock::now());
        }
        clock::now().since(begun) as f64 / 101.0
    };
    median((0..50).map(reading).collect()).unwrap_or(0.0)
}

/// An atomic on cache lines of its own, also where lines are fetched in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Line(AtomicU64);

/// Median time of a round trip of a cache line between two cores, over `samples` batches of 2,000; `None` with fewer
/// than two cores, where there is no such thing.
pub fn cache_line(setting: &Setting, samples: usize) -> Option<f64> {
    let cores = (setting.cores.len() >= 2).then(|| [setting.cores[0], setting.cores[1]])?;
    let lines = [Line::default(), Line::default()];
    let [there, back] = &lines;
    let last = samples as u64 * TRIPS;
    std::thread::scope(|scope| {
        scope.spawn(move || {
            if setting.pin {
                machine::pin(cores[1]);
            }
            for trip in 1..=last {
                await_value(&there.0, trip);
                back.0.store(trip, Ordering::Release);
            }
        });
        let pings = scope.spawn(move || {
            if setting.pin {
                machine::pin(cores[0]);
            }
            let batch = |batch: u64| {
                let begun = clock::now();
                for trip in batch * TRIPS + 1..=(batch + 1) * TRIPS {
                    there.0.store(trip, Ordering::Release);
                    await_value(&back.0, trip);
                }
                clock::now().since(begun) as f64 / TRIPS as f64
            };
            median((0..samples as u64).map(batch).collect())
        });
        pings.join().ok().flatten()
    })
}

fn await_value(cell: &AtomicU64, value: u64) {
    let mut looks = 0_u32;
    while cell.load(Ordering::Acquire) < value {
        std::hint::spin_loop();
        looks += 1;
        // The other thread may be waiting for this core.
        if looks.is_multiple_of(1 << 14) {
            std::thread::yield_now();
        }
    }
}

/// Copying memory at one size.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Copying {
    /// Bytes of one copy.
    pub bytes: u64,
    /// Threads that copied at once.
    pub threads: usize,
    /// Median time of one copy, of the slowest thread.
    pub time_ns: f64,
}

impl Copying {
    /// Bytes copied a nanosecond, of each thread: GB/s.
    pub fn bandwidth(&self) -> f64 {
        self.bytes as f64 / self.time_ns
    }
}

/// Times of one copy of `bytes` bytes by `threads` threads at once, one per batch, of the slowest thread; each batch
/// goes through the same room as a batch of collectives, and one that is not timed comes before.
pub fn copies(setting: &Setting, bytes: u64, threads: usize, batches: usize) -> Vec<f64> {
    let slowest = Mutex::new(vec![0.0_f64; batches]);
    let meeting = Barrier::new(threads);
    let start = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (slowest, meeting, start) = (&slowest, &meeting, &start);
            scope.spawn(move || {
                if let Some(core) = setting.core_of(thread) {
                    machine::pin(core);
                }
                let mut room = Room::new(bytes);
                room.copy();
                for at in 0..batches {
                    if meeting.wait().is_leader() {
                        start.store(clock::now().after(setting.lead_ns).0, Ordering::SeqCst);
                    }
                    meeting.wait();
                    let agreed = Moment(start.load(Ordering::SeqCst));
                    clock::wait_until(agreed, threads > setting.cores.len());
                    let begun = clock::now();
                    room.copy();
                    let time = clock::now().since(begun) as f64 / f64::from(room.count);
                    let mut slowest = slowest.lock().unwrap_or_else(PoisonError::into_inner);
                    slowest[at] = slowest[at].max(time);
                }
            });
        }
    });
    slowest.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// What one thread copies in a batch.
struct Room {
    from: Vec<u8>,
    to: Vec<u8>,
    bytes: usize,
    count: u32,
}

impl Room {
    fn new(bytes: u64) -> Self {
        let count = batch(bytes);
        let bytes = bytes as usize;
        let all = bytes * count as usize;
        Self { from: vec![1; all], to: vec![0; all], bytes, count }
    }

    fn copy(&mut self) {
        let parts = self.from.chunks_exact(self.bytes).zip(self.to.chunks_exact_mut(self.bytes));
        for (from, to) in parts {
            black_box(to).copy_from_slice(black_box(from));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_there_and_positive() {
        let setting = Setting { lead_ns: 0, ..Setting::default() };
        assert!(clock_reading() > 0.0);
        assert_eq!(cache_line(&Setting { cores: vec![0], ..setting.clone() }, 1), None);
        if setting.cores.len() > 1 {
            assert!(cache_line(&setting, 1).is_some_and(|time| time > 0.0));
        }
        let times = copies(&setting, 1_024, 3, 4);
        assert!(times.len() == 4 && times.iter().all(|time| *time > 0.0), "{times:?}");
    }

    #[test]
    fn batches_are_long_enough_for_the_clock_and_stay_within_the_caches() {
        assert_eq!((batch(0), batch(64), batch(4_096), batch(64 << 20)), (256, 256, 64, 1));
    }
}
