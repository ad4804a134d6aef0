//! Exact accounting of rank-time by cause: every nanosecond of every rank goes to one part.
//!
//! A rank with nothing in its inbox idles for a cause that is a property of the whole system and
//! changes only at steps, so one running total per cause serves all ranks. A rank with something in
//! its inbox is accounted when that ends; what lies between its tasks is migration where a transfer
//! touched it and control plane elsewhere.

use crate::record::{IdleCause, RankTime};
use flexdit_core::{Nanos, Span};
use smallvec::SmallVec;

/// Total idle time by cause since the start of the run, as seen by a rank that was always free.
#[derive(Clone, Copy, Debug, Default)]
struct IdleTotals([Nanos; 3]);

/// One rank's position in the accounting.
#[derive(Clone, Debug, Default)]
struct RankState {
    /// Everything before this instant is accounted.
    edge: Nanos,
    /// Idle totals at `edge`, valid while the rank is free.
    totals: IdleTotals,
    /// Tasks and transfers in its inbox.
    inbox: u32,
    /// Transfers that touched the rank since `edge` and have ended.
    transfers: SmallVec<[(Nanos, Nanos); 2]>,
    /// A task failed since `edge` while more was in the inbox.
    failed: bool,
    down: bool,
}

/// The accounts of all ranks.
#[derive(Clone, Debug)]
pub(super) struct RankClocks {
    now: Nanos,
    cause: IdleCause,
    totals: IdleTotals,
    ranks: Vec<RankState>,
    time: RankTime,
    /// Tasks that began before the rank's previous one had ended. 0 for a correct driver.
    pub(super) overlaps: u64,
}

impl RankClocks {
    pub(super) fn new(world: u16) -> Self {
        Self {
            now: Nanos::ZERO,
            cause: IdleCause::NoWork,
            totals: IdleTotals::default(),
            ranks: vec![RankState::default(); usize::from(world)],
            time: RankTime::default(),
            overlaps: 0,
        }
    }

    /// Moves to `now`; free ranks idled for the current cause until then.
    pub(super) fn advance(&mut self, now: Nanos) {
        self.totals.0[self.cause as usize] += now.saturating_sub(self.now);
        self.now = self.now.max(now);
    }

    /// From now on free ranks idle for `cause`.
    pub(super) fn set_cause(&mut self, cause: IdleCause) {
        self.cause = cause;
    }

    /// A task or transfer entered the rank's inbox.
    pub(super) fn enqueue(&mut self, rank: usize) {
        if self.ranks[rank].inbox == 0 {
            self.settle_free(rank);
        }
        self.ranks[rank].inbox += 1;
    }

    /// A task ended on the rank now, or at its span's measured end; `computing` tells a computing rank from a held one.
    ///
    /// What lies between a measured end and now is the control plane's, unless the rank had more in its inbox.
    /// Returns how long the task occupied the rank.
    pub(super) fn finish(&mut self, rank: usize, span: &Span, computing: bool) -> Nanos {
        if span.started < self.ranks[rank].edge {
            self.overlaps += 1;
        }
        let started = span.started.max(self.ranks[rank].edge).min(self.now);
        self.settle_gap(rank, started);
        let ended = span.ended.unwrap_or(self.now).clamp(started, self.now);
        let occupied = ended - started;
        let setup = span.setup.min(occupied);
        let launch = span.launch.min(occupied - setup);
        let rest = occupied - setup - launch;
        self.time.group_setup += setup;
        self.time.control_plane += launch;
        if computing {
            self.time.busy += rest;
        } else {
            self.time.held += rest;
        }
        self.ranks[rank].edge = ended;
        self.dequeue(rank);
        if self.ranks[rank].inbox == 0 {
            self.settle_gap(rank, self.now);
        }
        occupied
    }

    /// A task failed on the rank now: what it had occupied was lost.
    ///
    /// When the rank has more in its inbox it is not known whether the failed task was the running
    /// one; the gap before the next that ends tells.
    pub(super) fn fail(&mut self, rank: usize) {
        if self.ranks[rank].inbox <= 1 {
            self.settle_lost(rank);
        } else {
            self.ranks[rank].failed = true;
        }
        self.dequeue(rank);
    }

    /// A transfer that touches the rank ended now.
    pub(super) fn transferred(&mut self, rank: usize, started: Nanos) {
        let now = self.now;
        let state = &mut self.ranks[rank];
        state.transfers.push((started.max(state.edge).min(now), now));
        state.inbox = state.inbox.saturating_sub(1);
        if state.inbox == 0 {
            self.settle_gap(rank, now);
            self.ranks[rank].totals = self.totals;
        }
    }

    /// The rank went down or came back now.
    pub(super) fn set_down(&mut self, rank: usize, down: bool) {
        if self.ranks[rank].down {
            let edge = self.ranks[rank].edge;
            self.time.down += self.now.saturating_sub(edge);
            self.move_edge(rank);
        } else if self.ranks[rank].inbox > 0 {
            self.settle_lost(rank);
        } else {
            self.settle_free(rank);
        }
        self.ranks[rank].down = down;
    }

    /// Accounts every rank up to now and returns the sum: world x now exactly.
    pub(super) fn close(mut self) -> RankTime {
        for rank in 0..self.ranks.len() {
            let down = self.ranks[rank].down;
            self.set_down(rank, down);
        }
        self.time
    }

    fn dequeue(&mut self, rank: usize) {
        let state = &mut self.ranks[rank];
        state.inbox = state.inbox.saturating_sub(1);
        if state.inbox == 0 {
            state.totals = self.totals;
        }
    }

    /// Accounts a free rank up to now.
    fn settle_free(&mut self, rank: usize) {
        if self.ranks[rank].down {
            self.time.down += self.now.saturating_sub(self.ranks[rank].edge);
        } else {
            let before = self.ranks[rank].totals.0;
            let [no_work, waiting, drain] = self.totals.0;
            self.time.no_work += no_work - before[0];
            self.time.waiting += waiting - before[1];
            self.time.drain += drain - before[2];
        }
        self.move_edge(rank);
    }

    /// Accounts an occupied rank up to now as lost.
    fn settle_lost(&mut self, rank: usize) {
        let span = self.now.saturating_sub(self.ranks[rank].edge);
        if self.ranks[rank].down {
            self.time.down += span;
        } else {
            self.time.lost += span;
        }
        self.move_edge(rank);
    }

    /// Accounts the time before `until`, in which the rank waited with something in its inbox.
    fn settle_gap(&mut self, rank: usize, until: Nanos) {
        let state = &mut self.ranks[rank];
        let gap = until.saturating_sub(state.edge);
        let mut moved = Nanos::ZERO;
        if !state.transfers.is_empty() {
            state.transfers.sort_unstable();
            let mut covered = state.edge;
            for &(from, to) in &state.transfers {
                let (from, to) = (from.max(covered), to.min(until));
                moved += to.saturating_sub(from);
                covered = covered.max(to);
            }
            state.transfers.clear();
        }
        if state.down {
            self.time.down += gap;
        } else if state.failed {
            self.time.lost += gap;
        } else {
            self.time.migration += moved;
            self.time.control_plane += gap - moved;
        }
        state.failed = false;
        state.edge = state.edge.max(until);
    }

    fn move_edge(&mut self, rank: usize) {
        let state = &mut self.ranks[rank];
        state.edge = self.now;
        state.totals = self.totals;
        state.transfers.clear();
        state.failed = false;
    }
}
