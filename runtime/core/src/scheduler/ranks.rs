//! The scheduler's book of ranks: phases, inboxes, claims, reservations.

use super::phase::{RankInput, RankPhase};
use crate::ids::{Rank, TaskId};
use crate::rank_set::RankSet;
use crate::units::Nanos;
use alloc::vec::Vec;
use smallvec::SmallVec;

/// One rank.
#[derive(Debug)]
struct RankState {
    phase: RankPhase,
    /// Tasks in order, with the slot of their request.
    inbox: SmallVec<[(TaskId, u32); 2]>,
    /// When its inbox should be empty, by the estimates.
    predicted: Nanos,
    /// When its reservation lapses.
    reserved_until: Nanos,
}

/// All ranks of the world.
#[derive(Debug)]
pub(super) struct Ranks {
    states: Vec<RankState>,
    free: RankSet,
    claims: u64,
    reserved: u16,
}

impl Ranks {
    pub(super) fn new(world: u16) -> Self {
        let idle = || RankState {
            phase: RankPhase::Idle,
            inbox: SmallVec::new(),
            predicted: Nanos::ZERO,
            reserved_until: Nanos::ZERO,
        };
        Self {
            states: (0..world).map(|_| idle()).collect(),
            free: RankSet::first(world),
            claims: 0,
            reserved: 0,
        }
    }

    pub(super) fn world(&self) -> u16 {
        self.states.len() as u16
    }

    /// Ranks that a plan may hand out.
    pub(super) fn free(&self) -> &RankSet {
        &self.free
    }

    /// Sum of inbox lengths.
    pub(super) fn claims(&self) -> u64 {
        self.claims
    }

    pub(super) fn phase(&self, rank: Rank) -> RankPhase {
        self.states[rank.index()].phase
    }

    pub(super) fn queued(&self, rank: Rank) -> usize {
        self.states[rank.index()].inbox.len()
    }

    pub(super) fn predicted(&self, rank: Rank) -> Nanos {
        self.states[rank.index()].predicted
    }

    /// The slot of the request whose task is at the head of the rank's inbox.
    pub(super) fn head_slot(&self, rank: Rank) -> Option<u32> {
        self.states[rank.index()].inbox.first().map(|&(_, slot)| slot)
    }

    /// Puts a task into the rank's inbox, expected to end `duration` after the rank is free.
    pub(super) fn occupy(
        &mut self,
        rank: Rank,
        task: TaskId,
        slot: u32,
        now: Nanos,
        duration: Nanos,
    ) {
        self.change(rank, RankInput::Occupy);
        let state = &mut self.states[rank.index()];
        state.inbox.push((task, slot));
        state.predicted = state.predicted.max(now).saturating_add(duration);
        self.claims += 1;
    }

    /// Takes `task` out of the rank's inbox and returns the slot of its request.
    ///
    /// # Panics
    /// If the task is not the head: ranks execute in sequence order.
    pub(super) fn finish(&mut self, rank: Rank, task: TaskId) -> u32 {
        let state = &mut self.states[rank.index()];
        let (head, slot) = state.inbox.remove(0);
        assert_eq!(head, task, "{rank} ended {task} before {head}, which precedes it");
        self.claims -= 1;
        if state.inbox.is_empty() {
            self.change(rank, RankInput::Empty);
        }
        slot
    }

    pub(super) fn down(&mut self, rank: Rank) {
        self.change(rank, RankInput::Down);
    }

    /// Brings a lost rank back, empty.
    ///
    /// # Panics
    /// If its tasks have not all been reported.
    pub(super) fn up(&mut self, rank: Rank) {
        assert!(self.states[rank.index()].inbox.is_empty(), "{rank} is up with unreported tasks");
        self.change(rank, RankInput::Up);
    }

    /// Whether a task may be started on the rank: it is up and nothing is in its inbox.
    pub(super) fn takes_task(&self, rank: Rank) -> bool {
        matches!(self.phase(rank), RankPhase::Idle | RankPhase::Reserved)
    }

    pub(super) fn reserve(&mut self, rank: Rank, until: Nanos) -> bool {
        if rank.index() >= self.states.len() || self.phase(rank).after(RankInput::Reserve).is_none()
        {
            return false;
        }
        self.change(rank, RankInput::Reserve);
        self.states[rank.index()].reserved_until = until;
        true
    }

    pub(super) fn unreserve(&mut self, rank: Rank) -> bool {
        if rank.index() >= self.states.len()
            || self.phase(rank).after(RankInput::Unreserve).is_none()
        {
            return false;
        }
        self.change(rank, RankInput::Unreserve);
        true
    }

    /// Ends lapsed reservations and returns when the next one lapses.
    pub(super) fn expire(&mut self, now: Nanos) -> Option<Nanos> {
        if self.reserved == 0 {
            return None;
        }
        let mut next = None;
        for i in 0..self.states.len() {
            let state = &self.states[i];
            if !matches!(state.phase, RankPhase::Reserved | RankPhase::Draining) {
                continue;
            }
            let until = state.reserved_until;
            if until <= now {
                self.unreserve(Rank(i as u16));
            } else {
                next = Some(next.map_or(until, |n: Nanos| n.min(until)));
            }
        }
        next
    }

    fn change(&mut self, rank: Rank, input: RankInput) {
        let before = self.states[rank.index()].phase;
        let Some(after) = before.after(input) else {
            panic!("{rank} cannot take {input:?} while {before:?}");
        };
        if before == after {
            return;
        }
        let held = |phase| u16::from(matches!(phase, RankPhase::Reserved | RankPhase::Draining));
        self.reserved = self.reserved + held(after) - held(before);
        self.states[rank.index()].phase = after;
        if after == RankPhase::Idle {
            self.free.insert(rank);
        } else if before == RankPhase::Idle {
            self.free.remove(rank);
        }
    }
}
