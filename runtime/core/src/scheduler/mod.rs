//! The elastic system: trajectories of tasks, re-placed at every boundary by a [`Policy`].
//!
//! Owns all bookkeeping: request and rank phases, claims, artifact versions and where they are, run-ahead
//! credits, retries, admission. The policy only chooses among what is legal. Keeps the
//! invariants: every task and transfer has a sequence number from one counter; each rank executes in that
//! order; claims are zero when no request lives; an old copy is released only after the new one is
//! acknowledged.

mod apply;
mod cursor;
mod events;
pub mod phase;
pub mod plan;
pub mod policy;
mod ranks;
mod state;
pub mod view;

#[cfg(test)]
mod tests;

pub use plan::{Grant, Plan};
pub use policy::{Key, Policy};
pub use view::{RequestView, View};

use crate::command::Command;
use crate::cost::Estimator;
use crate::event::Event;
use crate::group::Group;
use crate::ids::{Rank, RequestId, TransferId};
use crate::system::{Counters, System};
use crate::units::Nanos;
use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use state::State;

/// Bounds of a [`Scheduler`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SchedulerConfig {
    /// Ranks, 1 to [`crate::rank_set::MAX_WORLD`].
    pub world: u16,
    /// Most live requests; later arrivals are rejected.
    pub admission: u64,
    /// Tasks a rank may have queued behind the one it runs.
    pub credits: u8,
    /// Times a request may fail and be tried again.
    pub retries: u8,
}

impl SchedulerConfig {
    /// Defaults for a world: a million live requests, one task of run-ahead, three retries.
    pub const fn new(world: u16) -> Self {
        Self { world, admission: 1 << 20, credits: 1, retries: 3 }
    }
}

/// What a policy is told after the events of an instant.
#[derive(Clone, Copy, Debug)]
enum Notice {
    Admitted(RequestId),
    Boundary(RequestId),
    Ended(RequestId),
    World,
}

/// The elastic runtime's state machine.
pub struct Scheduler {
    config: SchedulerConfig,
    policy: Box<dyn Policy>,
    estimator: Box<dyn Estimator + Send>,
    state: State,
    notices: Vec<Notice>,
    /// Slots of requests whose state is on its way.
    moving: BTreeMap<TransferId, u32>,
    scratch: Vec<plan::Decision>,
    sequence: u64,
    wake: Option<Nanos>,
    illegal: u64,
}

impl Scheduler {
    /// A scheduler over an idle world.
    ///
    /// # Panics
    /// If the world is empty or larger than [`crate::rank_set::MAX_WORLD`].
    pub fn new(
        config: SchedulerConfig,
        policy: Box<dyn Policy>,
        estimator: Box<dyn Estimator + Send>,
    ) -> Self {
        let world = usize::from(config.world);
        assert!((1..=crate::rank_set::MAX_WORLD).contains(&world), "a world of {world} ranks");
        Self {
            config,
            policy,
            estimator,
            state: State::new(config.world, config.credits),
            notices: Vec::new(),
            moving: BTreeMap::new(),
            scratch: Vec::new(),
            sequence: 0,
            wake: None,
            illegal: 0,
        }
    }

    fn next_sequence(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }

    fn notify(&mut self, now: Nanos) {
        if self.notices.is_empty() {
            return;
        }
        let mut notices = core::mem::take(&mut self.notices);
        let view = View { state: &self.state, now };
        for notice in notices.drain(..) {
            match notice {
                Notice::Admitted(id) => self.policy.admitted(&view, id),
                Notice::Boundary(id) => self.policy.boundary(&view, id),
                Notice::Ended(id) => self.policy.ended(&view, id),
                Notice::World => self.policy.world_changed(&view),
            }
        }
        self.notices = notices;
    }

    fn decide(&mut self, now: Nanos, out: &mut Vec<Command>) {
        self.state.decision += 1;
        let mut plan = Plan {
            state: &self.state,
            free: self.state.ranks.free().clone(),
            decisions: core::mem::take(&mut self.scratch),
            illegal: 0,
            wake: None,
        };
        self.policy.decide(&View { state: &self.state, now }, &mut plan);
        let Plan { mut decisions, illegal, wake, .. } = plan;
        self.illegal += illegal;
        self.wake = wake.filter(|&at| at > now);
        for decision in decisions.drain(..) {
            self.apply(now, decision, out);
        }
        self.scratch = decisions;
    }
}

/// A release may have been issued before the event that tells of its rank's loss at the same instant.
fn keep_releases_off_lost_ranks(events: &[Event], begin: usize, out: &mut Vec<Command>) {
    // Failures come first, so one look tells whether there is any.
    if !matches!(events.first(), Some(Event::RankDown(_))) {
        return;
    }
    let lost = |rank: &Rank| events.contains(&Event::RankDown(*rank));
    let mut at = begin;
    while at < out.len() {
        if let Command::Release { ranks, .. } = &mut out[at] {
            *ranks = ranks.iter().copied().filter(|rank| !lost(rank)).collect();
            if ranks.is_empty() {
                out.remove(at);
                continue;
            }
        }
        at += 1;
    }
}

impl System for Scheduler {
    fn step(&mut self, now: Nanos, events: &[Event], out: &mut Vec<Command>) -> Option<Nanos> {
        self.state.ranks.expire(now);
        let begin = out.len();
        for event in events {
            self.on_event(now, event, out);
        }
        keep_releases_off_lost_ranks(events, begin, out);
        self.notify(now);
        self.decide(now, out);
        // Decisions can end requests; their policies hear of it before the next decision.
        self.notify(now);
        let lapse = self.state.ranks.expire(now);
        [self.wake, lapse].into_iter().flatten().min()
    }

    fn prebuilt(&self) -> Vec<Group> {
        self.policy.prebuilt()
    }

    fn counters(&self) -> Counters {
        Counters {
            live: self.state.live,
            claims: self.state.ranks.claims(),
            decisions: self.state.decision,
            illegal: self.illegal,
            fallback: self.policy.fallback().map(ToOwned::to_owned),
        }
    }
}
