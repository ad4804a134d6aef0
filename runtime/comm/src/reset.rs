//! The collective reset of a failed lane: every pair of members agrees on a count that neither has used.
//!
//! Each member writes a record to every other: its attempt, the highest count it knows, and the other's attempt as it saw it. A pair is
//! done when each has seen the other's attempt; the new count is above both. An attempt names its group: whoever resets another
//! one is not answered, since that may fail for the sake of a rank that this one leaves out. A member that
//! failed half-way begins another attempt, and its record replaces the old one. Members end at different times; until the
//! record says that one has ended, its old poison means nothing to those that have.
//!
//! Messages between members that nobody has read are dropped: what came before the reset in the global order is over.

use crate::dtype::DType;
use crate::edge::ahead;
use crate::error::CommError;
use crate::graph;
use crate::lane::{Call, LaneOf};
use crate::membership::{Membership, bit};
use crate::memory::{Memory, RankState, Signal, Word};
use crate::rules::Rules;
use crate::tag::Op;
use crate::wait::wake;
use flexdit_core::{Group, Rank};
use std::sync::atomic::Ordering;

/// Words of the record: its writer's attempt, the reader's attempt as last seen, the count proposed, the last attempt that
/// ended.
const ATTEMPT: usize = 0;
const SEEN: usize = 1;
const COUNT: usize = 2;
const ENDED: usize = 3;

/// An attempt is its number and, above it, the lower half of its group's key.
const NUMBER_BITS: u32 = 32;

fn number(attempt: u64) -> u64 {
    attempt & ((1 << NUMBER_BITS) - 1)
}

impl<M: Memory, R: Rules> LaneOf<M, R> {
    /// See [`Lane::reset`](crate::Lane::reset).
    pub(crate) fn reset(&mut self, member: &Membership) -> Result<(), CommError> {
        self.check_world()?;
        self.check_readers(member)?;
        let call = Call { member, op: Op::Reset, dtype: DType::Bytes, index: 0 };
        let others = member.mask() & !bit(self.me);
        let mine = self.propose(member, others);
        let agreed = self.agree(call, others, mine);
        graph::withdraw(&*self.memory, self.me, self.lane);
        match &agreed {
            Ok(()) => self.begin_anew(others),
            // Members that did agree have begun anew: this lane's counts are no longer theirs.
            Err(error) => self.fail(call, error),
        }
        for peer in graph::ranks(others).iter() {
            self.record(*peer, self.me, ENDED).store(mine, Ordering::Release);
        }
        wake::<M, R>(&self.memory, self.lane, others);
        agreed
    }

    /// Goes on after the counts that were agreed.
    fn begin_anew(&mut self, others: u64) {
        for peer in graph::ranks(others).iter() {
            let theirs = self.record(self.me, *peer, COUNT).load(Ordering::Acquire);
            let ours = self.edges[peer.index()].highest();
            let base = if ahead(theirs, ours) { theirs } else { ours };
            self.edges[peer.index()].rebase(base.wrapping_add(self.config.depth as u64));
        }
        self.window.clear();
        self.heal(others | self.gone());
    }

    /// Whether `peer` is still in a reset that this rank has seen it begin.
    pub(crate) fn is_resetting(&self, peer: Rank) -> bool {
        let ended = self.record(self.me, peer, ENDED).load(Ordering::Acquire);
        number(ended) < number(self.record(peer, self.me, SEEN).load(Ordering::Relaxed))
    }

    /// Fails if a living rank outside the group may still read the window, or what was lent to it: it would not learn that
    /// the bytes have changed.
    pub(crate) fn check_readers(&mut self, member: &Membership) -> Result<(), CommError> {
        let mut readers = self.window.waiting_for(&*self.memory, &mut self.edges);
        for edge in &mut self.edges {
            if edge.is_owed(&*self.memory) {
                readers |= bit(edge.peer());
            }
        }
        let left_out = readers & !member.mask() & !self.gone();
        if left_out == 0 {
            return Ok(());
        }
        let group: Group = member.group().clone();
        let why = "leaves out a rank that may still read what this one sent";
        Err(CommError::BadGroup { rank: self.me, group, why })
    }

    /// Ranks that have left the world, as bits.
    pub(crate) fn gone(&self) -> u64 {
        let ranks = (0..self.config.ranks as u16).map(Rank);
        let gone = |state| matches!(state, RankState::Closed | RankState::Lost);
        ranks.filter(|rank| gone(self.memory.state(*rank))).fold(0, |mask, rank| mask | bit(rank))
    }

    /// The record that `from` keeps at `at`.
    fn record(&self, at: Rank, from: Rank, word: usize) -> &M::Word {
        self.memory.signal(at, self.lane, Signal::Reset { source: from, word })
    }

    /// Writes this rank's proposal to every peer and returns the attempt.
    fn propose(&mut self, member: &Membership, others: u64) -> u64 {
        self.attempts += 1;
        let attempt = member.key() << NUMBER_BITS | number(self.attempts);
        for peer in graph::ranks(others).iter() {
            let highest = self.edges[peer.index()].highest();
            self.record(*peer, self.me, COUNT).store(highest, Ordering::Relaxed);
            self.record(*peer, self.me, ATTEMPT).store(attempt, Ordering::Release);
        }
        wake::<M, R>(&self.memory, self.lane, others);
        attempt
    }

    /// Waits until each pair has seen each other's attempt.
    fn agree(&mut self, call: Call<'_>, others: u64, mine: u64) -> Result<(), CommError> {
        let mut waiter = self.waiter();
        let mut last_look = None;
        let mut missing = others;
        loop {
            let before = missing;
            let mut told = 0;
            // Also those that have agreed: one that failed meanwhile may have begun another attempt.
            for peer in graph::ranks(others).iter() {
                // In this order: a peer that has seen this attempt wrote its own before, so that is the one seen here.
                let seen = self.record(self.me, *peer, SEEN).load(Ordering::Acquire);
                let theirs = self.record(self.me, *peer, ATTEMPT).load(Ordering::Acquire);
                let echo = self.record(*peer, self.me, SEEN);
                let is_same_group = theirs >> NUMBER_BITS == mine >> NUMBER_BITS;
                if is_same_group && theirs != echo.load(Ordering::Relaxed) {
                    echo.store(theirs, Ordering::Release);
                    told |= bit(*peer);
                }
                if seen == mine {
                    missing &= !bit(*peer);
                }
            }
            wake::<M, R>(&self.memory, self.lane, told);
            if missing != before {
                waiter.progressed(&*self.memory);
                last_look = None;
            }
            if missing == 0 {
                return Ok(());
            }
            if missing == before {
                self.pause(call, &mut waiter, |_| missing, &mut last_look)?;
            }
        }
    }
}
