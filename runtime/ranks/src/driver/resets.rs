//! Collectives that begin anew after a failure: who takes part, and what the system hears when they work again.
//!
//! A reset is an item in the inboxes of the failed task's ranks, so it has its place in the global order. Until it is done,
//! reports of the ranks that failed are withheld: the system could give them a task with a rank that has not reset.
//! If a reset cannot be (a rank left out may still read, or a member was lost), the next one takes all living ranks. Those that were
//! called off for a lost rank are no attempts: there are only so many ranks.

use super::RunError;
use super::dispatch::{Dispatcher, Phase};
use super::hung::Late;
use crate::message::Item;
use crate::rendezvous::Rendezvous;
use flexdit_core::{Group, Rank, RequestId};
use std::sync::Arc;

/// Resets of all living ranks that may fail before the run is given up.
const ATTEMPTS: u32 = 4;

/// A reset under way.
struct Reset {
    meeting: Arc<Rendezvous>,
    request: RequestId,
    /// Members that have yet to report.
    left: Group,
    done: bool,
    /// Whether a member was lost meanwhile.
    lost: bool,
    attempt: u32,
    /// Ranks that were held back for it.
    held_back: Group,
}

/// All resets.
#[derive(Default)]
pub(super) struct Resets {
    next: u64,
    open: Vec<Reset>,
    /// Resets that were done.
    pub done: u64,
}

impl Resets {
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Whether a reset waits for this rank.
    pub(super) fn wait_for(&self, rank: Rank) -> bool {
        self.open.iter().any(|reset| reset.left.contains(&rank))
    }

    /// Ranks that have met for this reset and have not left it.
    pub(super) fn awaited(&self, id: u64) -> Group {
        let met = self.open.iter().find(|reset| reset.meeting.id == id && reset.meeting.has_met());
        met.map(|reset| reset.left.clone()).unwrap_or_default()
    }

    /// Calls everything off; nobody waits any more.
    pub(super) fn void(&self) {
        for reset in &self.open {
            reset.meeting.void();
        }
    }
}

impl Dispatcher<'_> {
    /// Lets the living members begin anew, for the sake of a request whose task failed.
    pub(super) fn reset(
        &mut self,
        request: RequestId,
        members: Group,
        held_back: Group,
        attempt: u32,
    ) -> Result<(), RunError> {
        let lost = |rank: &Rank| self.fleet.ranks[rank.index()].lost;
        let mut members: Vec<Rank> = members.iter().copied().filter(|rank| !lost(rank)).collect();
        members.sort_unstable();
        let members: Group = members.into_iter().collect();
        if members.is_empty() || self.stopped || matches!(self.phase, Phase::Over) {
            self.free(request, &held_back);
            return Ok(());
        }
        self.resets.next += 1;
        let meeting = Arc::new(Rendezvous::new(self.resets.next, members.clone()));
        let (left, told) = (members.clone(), Arc::clone(&meeting));
        let (done, lost) = (true, false);
        // First: if somebody cannot be told, those who were are not to wait for ever.
        self.resets.open.push(Reset { meeting, request, left, done, lost, attempt, held_back });
        for (at, rank) in members.iter().enumerate() {
            if !self.fleet.push(*rank, Item::Reset(Arc::clone(&told))) {
                let items = self.inbox;
                let reset = self.resets.open.last_mut().expect("just pushed");
                reset.left = members[..at].into();
                return Err(RunError::InboxFull { rank: *rank, items });
            }
        }
        Ok(())
    }

    /// A rank has left a reset.
    pub(super) fn on_reset(&mut self, rank: Rank, id: u64, done: bool) -> Result<(), RunError> {
        let at = self.resets.open.iter().position(|reset| reset.meeting.id == id);
        let at = at.expect("a reset stays open until all its members have reported");
        let reset = &mut self.resets.open[at];
        reset.left = reset.left.iter().copied().filter(|member| *member != rank).collect();
        reset.done &= done;
        if !done {
            self.suspect(Late::Reset(id));
        }
        self.settle_reset(at)
    }

    /// A rank is lost: resets that wait for it are called off, and what was withheld of it has been told.
    pub(super) fn resets_without(&mut self, rank: Rank) -> Result<(), RunError> {
        for at in (0..self.resets.open.len()).rev() {
            let reset = &mut self.resets.open[at];
            if reset.held_back.contains(&rank) {
                let others = reset.held_back.iter().copied().filter(|other| *other != rank);
                reset.held_back = others.collect();
                if reset.held_back.is_empty()
                    && let Some(live) = self.live.get_mut(&reset.request)
                {
                    live.repairs -= 1;
                }
            }
            if reset.left.contains(&rank) {
                reset.meeting.void();
                reset.left = reset.left.iter().copied().filter(|member| *member != rank).collect();
                (reset.done, reset.lost) = (false, true);
                self.settle_reset(at)?;
            }
        }
        Ok(())
    }

    fn settle_reset(&mut self, at: usize) -> Result<(), RunError> {
        if !self.resets.open[at].left.is_empty() {
            return Ok(());
        }
        let reset = self.resets.open.swap_remove(at);
        if reset.done {
            self.resets.done += 1;
            self.free(reset.request, &reset.held_back);
            return Ok(());
        }
        let attempt = reset.attempt + u32::from(!reset.lost);
        if attempt > ATTEMPTS {
            return Err(RunError::Collectives { attempts: reset.attempt });
        }
        self.reset(reset.request, self.fleet.living(), reset.held_back, attempt)
    }

    /// The system hears what was withheld of these ranks, unless another reset holds them back still.
    fn free(&mut self, request: RequestId, ranks: &Group) {
        if let Some(live) = self.live.get_mut(&request) {
            live.repairs -= u32::from(!ranks.is_empty());
        }
        for rank in ranks.iter() {
            let book = self.fleet.get(*rank);
            if book.lost {
                continue;
            }
            book.held_back -= 1;
            if book.held_back == 0 {
                self.events.append(&mut book.withheld);
            }
        }
    }
}
