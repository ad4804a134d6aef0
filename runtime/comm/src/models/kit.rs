//! What a model is made of: the checker's atomics, cells and threads, under one set of names.
//!
//! [`Loom`] tries all interleavings and all values that a load may return; [`Shuttle`](super::random::Shuttle) draws
//! interleavings at random.

use std::sync::Mutex;
use std::sync::atomic::Ordering;

/// A model checker's parts.
pub(super) trait Kit: Sized + 'static {
    /// An atomic word.
    type Atomic: Send + Sync;
    /// Plain data: an access that is not ordered after the last write, or a write not after all reads, fails the model.
    type Cell<T: Copy + Send>: Send + Sync;
    /// What one sleeper lies in.
    type Bed: Send + Sync;

    fn atomic(value: u64) -> Self::Atomic;
    fn load(atomic: &Self::Atomic, order: Ordering) -> u64;
    fn store(atomic: &Self::Atomic, value: u64, order: Ordering);
    fn add(atomic: &Self::Atomic, value: u64, order: Ordering);
    fn fence();

    fn cell<T: Copy + Send>(value: T) -> Self::Cell<T>;
    fn get<T: Copy + Send>(cell: &Self::Cell<T>) -> T;
    fn set<T: Copy + Send>(cell: &Self::Cell<T>, value: T);

    fn bed() -> Self::Bed;
    /// Sleeps until roused, unless `unless` says otherwise; nothing happens in between, as in the kernel's futex.
    fn lie(bed: &Self::Bed, unless: impl FnOnce() -> bool);
    fn rouse(bed: &Self::Bed);

    fn give_way();
    /// Runs all of `bodies` at once, to their ends.
    fn together(bodies: Vec<Box<dyn FnOnce() + Send>>);
}

/// Every interleaving, every value a load may return, up to the model's bound on preemptions.
pub(super) struct Loom;

/// Data whose every access the checker sees.
pub(super) struct Watched<T> {
    accesses: loom::cell::UnsafeCell<()>,
    value: Mutex<T>,
}

// SAFETY: the cell of accesses has no content; the checker runs one thread at a time, and its bookkeeping is what tells
// concurrent accesses.
unsafe impl<T: Send> Send for Watched<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Watched<T> {}

/// A lock that is let go while sleeping.
pub(super) struct Bed {
    lock: loom::sync::Mutex<()>,
    roused: loom::sync::Condvar,
}

impl Kit for Loom {
    type Atomic = loom::sync::atomic::AtomicU64;
    type Cell<T: Copy + Send> = Watched<T>;
    type Bed = Bed;

    fn atomic(value: u64) -> Self::Atomic {
        loom::sync::atomic::AtomicU64::new(value)
    }

    fn load(atomic: &Self::Atomic, order: Ordering) -> u64 {
        atomic.load(order)
    }

    fn store(atomic: &Self::Atomic, value: u64, order: Ordering) {
        atomic.store(value, order);
    }

    fn add(atomic: &Self::Atomic, value: u64, order: Ordering) {
        atomic.fetch_add(value, order);
    }

    fn fence() {
        loom::sync::atomic::fence(Ordering::SeqCst);
    }

    fn cell<T: Copy + Send>(value: T) -> Watched<T> {
        Watched { accesses: loom::cell::UnsafeCell::new(()), value: Mutex::new(value) }
    }

    fn get<T: Copy + Send>(cell: &Watched<T>) -> T {
        cell.accesses.with(|_| *cell.value.lock().expect("one thread at a time"))
    }

    fn set<T: Copy + Send>(cell: &Watched<T>, value: T) {
        cell.accesses.with_mut(|_| *cell.value.lock().expect("one thread at a time") = value);
    }

    fn bed() -> Bed {
        Bed { lock: loom::sync::Mutex::new(()), roused: loom::sync::Condvar::new() }
    }

    fn lie(bed: &Bed, unless: impl FnOnce() -> bool) {
        let held = bed.lock.lock().expect("never poisoned");
        if !unless() {
            drop(bed.roused.wait(held).expect("never poisoned"));
        }
    }

    fn rouse(bed: &Bed) {
        let held = bed.lock.lock().expect("never poisoned");
        bed.roused.notify_one();
        drop(held);
    }

    fn give_way() {
        loom::thread::yield_now();
    }

    fn together(mut bodies: Vec<Box<dyn FnOnce() + Send>>) {
        let last = bodies.pop().expect("somebody");
        let others: Vec<_> = bodies.into_iter().map(loom::thread::spawn).collect();
        last();
        for other in others {
            other.join().expect("a failure fails the model at once");
        }
    }
}
