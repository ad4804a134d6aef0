//! Ranks that hang: noticed when others wait for them in vain, and ended where they can be.
//!
//! A collective ends by its time-out for everybody but the rank that hangs. Whoever has still said nothing a while after the first
//! one timed out is taken to hang. Invariant: only what computes in a process of its own is ended; a thread cannot be, and is waited for.

use super::dispatch::{Dispatcher, InFlight};
use flexdit_core::{Group, Nanos, Rank};

/// What ranks gave up since another one did not come in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Late {
    /// A task, by its number.
    Task(u64),
    /// A reset, by its own.
    Reset(u64),
}

/// What is looked at again, and when.
pub(super) struct Suspicions {
    patience: Nanos,
    open: Vec<(Nanos, Late)>,
}

impl Suspicions {
    pub(super) fn new(patience: Nanos) -> Self {
        Self { patience, open: Vec::new() }
    }

    /// When the first is due.
    pub(super) fn next_at(&self) -> Option<Nanos> {
        self.open.first().map(|(at, _)| *at)
    }
}

impl Dispatcher<'_> {
    /// How long a rank may say nothing.
    pub(super) fn patience(&self) -> Nanos {
        self.suspicions.patience
    }

    /// Somebody gave up since others did not come in time: those are looked for if they say nothing for long.
    pub(super) fn suspect(&mut self, late: Late) {
        let Suspicions { patience, open } = &mut self.suspicions;
        if !open.iter().any(|(_, known)| *known == late) {
            open.push((self.clock.now() + *patience, late));
        }
    }

    /// Ends ranks that have said nothing for so long. Their loss is then reported as that of any other.
    pub(super) fn end_hung(&mut self, now: Nanos) {
        while self.suspicions.next_at().is_some_and(|at| at <= now) {
            let (_, late) = self.suspicions.open.remove(0);
            for rank in self.silent(late).iter() {
                self.fleet.end(*rank);
            }
        }
    }

    /// Ends every rank that has not reported all it was given.
    pub(super) fn end_late(&mut self) {
        for rank in self.fleet.living().iter() {
            if !self.fleet.get(*rank).queue.is_empty() || self.resets.wait_for(*rank) {
                self.fleet.end(*rank);
            }
        }
    }

    /// Ranks that are at this and have not reported it.
    fn silent(&self, late: Late) -> Group {
        match late {
            Late::Task(sequence) => {
                let Some(InFlight::Task { live, .. }) = self.in_flight.get(&sequence) else {
                    return Group::default();
                };
                let is_at_it =
                    |rank: &&Rank| self.fleet.ranks[rank.index()].queue.front() == Some(&sequence);
                live.task.active().iter().filter(is_at_it).copied().collect()
            }
            Late::Reset(id) => self.resets.awaited(id),
        }
    }
}
