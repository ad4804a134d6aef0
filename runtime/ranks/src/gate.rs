//! Where a task stops when its request is cancelled: at a step that none of its ranks has begun.
//!
//! One word holds the steps begun and the step at which to stop, so closing and beginning have one order. Invariant: either
//! every rank of a task runs a step or none does, so a cancelled task's collectives all match.

use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a task asks before every step.
pub(crate) trait Steps: Debug {
    /// Begins step `step` of the task; false if the task stops before it.
    fn enter(&self, step: u32) -> bool;
}

/// The gate before every step of one task.
#[derive(Debug)]
pub(crate) struct Gate(AtomicU64);

const OPEN: u64 = u32::MAX as u64;

fn parts(word: u64) -> (u64, u64) {
    (word & OPEN, word >> 32)
}

impl Gate {
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(OPEN << 32))
    }

    /// Lets no rank begin a step that none has begun.
    pub(crate) fn close(&self) {
        let close = |word| {
            let (begun, stop) = parts(word);
            Some(stop.min(begun) << 32 | begun)
        };
        // The closure never refuses.
        let _ = self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, close);
    }
}

impl Steps for Gate {
    fn enter(&self, step: u32) -> bool {
        let step = u64::from(step);
        let begin = |word| {
            let (begun, stop) = parts(word);
            (step < stop).then_some(stop << 32 | begun.max(step + 1))
        };
        self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, begin).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_that_one_rank_began_is_run_by_all() {
        let gate = Gate::new();
        assert!(gate.enter(0) && gate.enter(1));
        gate.close();
        assert!(gate.enter(0) && gate.enter(1) && !gate.enter(2));
        gate.close();
        assert!(gate.enter(1) && !gate.enter(2));
    }

    #[test]
    fn a_gate_closed_before_the_first_step_lets_nobody_in() {
        let gate = Gate::new();
        gate.close();
        assert!(!gate.enter(0));
    }

    #[test]
    fn all_threads_run_the_same_steps_wherever_the_gate_closes() {
        for _ in 0..200 {
            let gate = Gate::new();
            let run = || (0..1000).take_while(|step| gate.enter(*step)).count();
            let counts: Vec<usize> = std::thread::scope(|scope| {
                let runs: Vec<_> = (0..3).map(|_| scope.spawn(run)).collect();
                scope.spawn(|| gate.close());
                runs.into_iter().map(|run| run.join().expect("no panic")).collect()
            });
            // Whoever was last when it closed decides; nobody else goes on or stays behind.
            assert!(counts.windows(2).all(|pair| pair[0] == pair[1]), "{counts:?}");
        }
    }
}
