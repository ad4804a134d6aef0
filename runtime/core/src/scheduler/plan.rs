//! What a policy decides: the tasks to start now.
//!
//! A plan hands out only free ranks, as [`Grant`]s that can be used once, so double booking cannot be written.
//! Whatever else is illegal is refused and counted, never fatal.

use super::phase::{Phase, RankPhase};
use super::state::State;
use crate::group::Group;
use crate::ids::{Rank, RequestId};
use crate::parallelism::Parallelism;
use crate::rank_set::RankSet;
use crate::units::Nanos;
use alloc::vec::Vec;

/// Free ranks handed to the policy for one use.
#[derive(Debug, PartialEq, Eq)]
pub struct Grant(Group);

impl Grant {
    /// The granted ranks, in the order in which a task would use them.
    pub fn group(&self) -> &Group {
        &self.0
    }
}

/// One decision, applied after the policy returns.
#[derive(Debug)]
pub(super) enum Decision {
    Run { slot: u32, group: Group, parallelism: Parallelism },
    RunAhead { slot: u32, parallelism: Parallelism },
    Chunk { slot: u32, steps: u32 },
    Pause { slot: u32 },
    Resume { slot: u32 },
    Shed { slot: u32 },
    Reserve { rank: Rank, until: Nanos },
    Unreserve { rank: Rank },
}

/// The decisions of one call of [`super::Policy::decide`].
pub struct Plan<'a> {
    pub(super) state: &'a State,
    pub(super) free: RankSet,
    pub(super) decisions: Vec<Decision>,
    pub(super) illegal: u64,
    pub(super) wake: Option<Nanos>,
}

impl Plan<'_> {
    /// Number of ranks still free in this plan.
    pub fn free(&self) -> u16 {
        self.free.len()
    }

    /// Whether `rank` is still free in this plan.
    pub fn is_free(&self, rank: Rank) -> bool {
        self.free.contains(rank)
    }

    /// `count` free ranks: those of `prefer` that are free first, in that order, then the lowest. `None`,
    /// with nothing taken, when fewer are free.
    pub fn take(&mut self, count: u16, prefer: &[Rank]) -> Option<Grant> {
        if self.free.len() < count {
            return None;
        }
        let mut group = Group::default();
        for &rank in prefer {
            if group.len() < usize::from(count) && self.free.remove(rank) {
                group.push(rank);
            }
        }
        let missing = usize::from(count) - group.len();
        if missing > 0 {
            let lowest: Group = self.free.iter().take(missing).collect();
            for &rank in lowest.iter() {
                self.free.remove(rank);
                group.push(rank);
            }
        }
        Some(Grant(group))
    }

    /// Exactly these ranks, in this order. `None`, with nothing taken, unless all are free.
    pub fn take_exact(&mut self, group: &Group) -> Option<Grant> {
        for (taken, &rank) in group.iter().enumerate() {
            if !self.free.remove(rank) {
                // Not free, or named twice.
                for &rank in &group[..taken] {
                    self.free.insert(rank);
                }
                return None;
            }
        }
        Some(Grant(group.clone()))
    }

    /// These ranks out of the policy's own reservations, in this order. `None` unless all are reserved
    /// and free of tasks.
    pub fn take_reserved(&mut self, group: &Group) -> Option<Grant> {
        let ranks = &self.state.ranks;
        let twice = |at: usize| group[..at].contains(&group[at]);
        if group.is_empty()
            || group.iter().any(|&r| ranks.phase(r) != RankPhase::Reserved)
            || (0..group.len()).any(twice)
        {
            return None;
        }
        Some(Grant(group.clone()))
    }

    /// Gives a grant back unused.
    pub fn give_back(&mut self, grant: Grant) {
        for &rank in grant.0.iter() {
            if self.state.ranks.phase(rank) == RankPhase::Idle {
                self.free.insert(rank);
            }
        }
    }

    /// Starts the next task of a ready request. The group's first `parallelism.degree()` ranks compute, the
    /// others are held. Returns false, counted as illegal, when the request is not ready, was already run
    /// by this plan, or the layout is not feasible for it; the ranks are free again then.
    pub fn run(&mut self, id: RequestId, grant: Grant, parallelism: Parallelism) -> bool {
        let Some(slot) = self.runnable(id, &grant, parallelism) else {
            self.illegal += 1;
            self.give_back(grant);
            return false;
        };
        self.state.get(slot).planned.set(self.state.decision);
        self.decisions.push(Decision::Run { slot, group: grant.0, parallelism });
        true
    }

    fn runnable(&self, id: RequestId, grant: &Grant, parallelism: Parallelism) -> Option<u32> {
        let slot = self.state.slot(id)?;
        let live = self.state.get(slot);
        let stage = live.issued.stage()?;
        let fits = usize::from(parallelism.degree()) <= grant.0.len();
        let fresh = live.phase == Phase::Ready && live.planned.get() != self.state.decision;
        (fits && fresh && self.state.task_time(live, stage, 1, parallelism).is_some())
            .then_some(slot)
    }

    /// Queues the task after the one in flight on the same group, so that its ranks do not wait for the
    /// control plane. Returns false, counted as illegal, when nothing is in flight, credit is used up, no task
    /// is left, or the layout does not fit the group.
    pub fn run_ahead(&mut self, id: RequestId, parallelism: Parallelism) -> bool {
        let Some(slot) = self.can_run_ahead(id, parallelism) else {
            self.illegal += 1;
            return false;
        };
        self.state.get(slot).planned.set(self.state.decision);
        self.decisions.push(Decision::RunAhead { slot, parallelism });
        true
    }

    /// Whether [`Plan::run_ahead`] has a task and credit for this request.
    pub fn credit(&self, id: RequestId) -> bool {
        self.state.slot(id).is_some_and(|slot| {
            let live = self.state.get(slot);
            live.phase == Phase::Running
                && !live.lost
                && live.in_flight.len() <= usize::from(self.state.credits)
                && live.planned.get() != self.state.decision
                && live.issued.stage().is_some()
                && live.moving.is_none()
        })
    }

    fn can_run_ahead(&self, id: RequestId, parallelism: Parallelism) -> Option<u32> {
        if !self.credit(id) {
            return None;
        }
        let slot = self.state.slot(id)?;
        let live = self.state.get(slot);
        let fits = usize::from(parallelism.degree()) <= live.group.len();
        let stage = live.issued.stage()?;
        let credits = usize::from(self.state.credits);
        let room = live.group.iter().all(|&rank| self.state.ranks.queued(rank) <= credits);
        (fits && room && self.state.task_time(live, stage, 1, parallelism).is_some())
            .then_some(slot)
    }

    /// Sets the chunk length from the next task on; at least 1 step.
    pub fn chunk(&mut self, id: RequestId, steps: u32) {
        self.on_slot(id, |slot| Decision::Chunk { slot, steps: steps.max(1) });
    }

    /// Takes a ready request out of the ready queue until [`Plan::resume`].
    pub fn pause(&mut self, id: RequestId) {
        self.on_slot(id, |slot| Decision::Pause { slot });
    }

    /// Puts a paused request back.
    pub fn resume(&mut self, id: RequestId) {
        self.on_slot(id, |slot| Decision::Resume { slot });
    }

    /// Gives up a ready or paused request.
    pub fn shed(&mut self, id: RequestId) {
        self.on_slot(id, |slot| Decision::Shed { slot });
    }

    /// Keeps `rank` for [`Plan::take_reserved`] until `until`; a busy rank drains first.
    pub fn reserve(&mut self, rank: Rank, until: Nanos) {
        self.free.remove(rank);
        self.decisions.push(Decision::Reserve { rank, until });
    }

    /// Ends a reservation.
    pub fn unreserve(&mut self, rank: Rank) {
        self.decisions.push(Decision::Unreserve { rank });
    }

    /// Asks to be called at `at` even if nothing happens; the earliest of several counts.
    pub fn wake_at(&mut self, at: Nanos) {
        self.wake = Some(self.wake.map_or(at, |wake| wake.min(at)));
    }

    /// Forgets everything decided so far.
    pub fn clear(&mut self) {
        for decision in &self.decisions {
            if let Decision::Run { slot, .. } | Decision::RunAhead { slot, .. } = decision {
                self.state.get(*slot).planned.set(u64::MAX);
            }
        }
        self.free = self.state.ranks.free().clone();
        self.decisions.clear();
        self.wake = None;
    }

    fn on_slot(&mut self, id: RequestId, decision: impl FnOnce(u32) -> Decision) {
        match self.state.slot(id) {
            Some(slot) => self.decisions.push(decision(slot)),
            None => self.illegal += 1,
        }
    }
}
