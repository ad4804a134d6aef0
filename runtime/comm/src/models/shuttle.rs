//! [`Kit`] of random schedules: as many interleavings as one cares to draw, each named by its seed. Memory is sequentially
//! consistent here; weak orders are the business of the exhaustive kit.

use super::kit::Kit;
use shuttle::sync::atomic::AtomicU64;
use shuttle::sync::{Condvar, Mutex};
use std::sync::atomic::{AtomicI32, Ordering};

/// Interleavings at random.
pub(super) struct Shuttle;

/// Data whose accesses take time, so that those that should not meet do.
pub(super) struct Slow<T> {
    /// Readers, or -1 for a writer.
    users: AtomicI32,
    value: std::sync::Mutex<T>,
}

impl Kit for Shuttle {
    type Atomic = AtomicU64;
    type Cell<T: Copy + Send> = Slow<T>;
    type Bed = (Mutex<()>, Condvar);

    fn atomic(value: u64) -> AtomicU64 {
        AtomicU64::new(value)
    }

    fn load(atomic: &AtomicU64, _order: Ordering) -> u64 {
        atomic.load(Ordering::SeqCst)
    }

    fn store(atomic: &AtomicU64, value: u64, _order: Ordering) {
        atomic.store(value, Ordering::SeqCst);
    }

    fn add(atomic: &AtomicU64, value: u64, _order: Ordering) {
        atomic.fetch_add(value, Ordering::SeqCst);
    }

    fn fence() {}

    fn cell<T: Copy + Send>(value: T) -> Slow<T> {
        Slow { users: AtomicI32::new(0), value: std::sync::Mutex::new(value) }
    }

    fn get<T: Copy + Send>(cell: &Slow<T>) -> T {
        assert!(cell.users.fetch_add(1, Ordering::Relaxed) >= 0, "read while it is written");
        shuttle::thread::yield_now();
        let value = *cell.value.lock().expect("one thread at a time");
        cell.users.fetch_sub(1, Ordering::Relaxed);
        value
    }

    fn set<T: Copy + Send>(cell: &Slow<T>, value: T) {
        assert_eq!(cell.users.swap(-1, Ordering::Relaxed), 0, "written while it is used");
        shuttle::thread::yield_now();
        *cell.value.lock().expect("one thread at a time") = value;
        cell.users.store(0, Ordering::Relaxed);
    }

    fn bed() -> Self::Bed {
        (Mutex::new(()), Condvar::new())
    }

    fn lie((lock, roused): &Self::Bed, unless: impl FnOnce() -> bool) {
        let held = lock.lock().expect("never poisoned");
        if !unless() {
            drop(roused.wait(held).expect("never poisoned"));
        }
    }

    fn rouse((lock, roused): &Self::Bed) {
        let held = lock.lock().expect("never poisoned");
        roused.notify_one();
        drop(held);
    }

    fn give_way() {
        shuttle::thread::yield_now();
    }

    fn together(bodies: Vec<Box<dyn FnOnce() + Send>>) {
        let threads: Vec<_> = bodies.into_iter().map(shuttle::thread::spawn).collect();
        for thread in threads {
            thread.join().expect("a failure fails the model at once");
        }
    }
}
