//! The two directed edges between a rank and one peer, on one lane.
//!
//! Counters belong to the pair: the only order that two ranks know without talking is that of their own common operations.
//! Message n of an edge lies in slot n mod K, labelled n by its last store; the reader waits for exactly n. The
//! writer reuses a slot when the reader has acknowledged what it held. So a slot is one line with one writer, and a poll
//! that succeeds has fetched the tag as well.
//!
//! Invariants: FIFO and exactly once per edge; at most K messages unacknowledged; counters do not move on a failed check.

use crate::memory::{Memory, SLOT_WORDS, Signal, Word};
use crate::message::Message;
use crate::rules::Rules;
use flexdit_core::Rank;
use std::marker::PhantomData;
use std::sync::atomic::Ordering;

/// This rank's end of both edges to a peer.
#[derive(Debug)]
pub(crate) struct Edge<R> {
    me: Rank,
    peer: Rank,
    lane: usize,
    depth: u64,
    /// Messages published to the peer.
    sent: u64,
    /// Of these, known to be acknowledged.
    acknowledged: u64,
    /// The last of them whose bytes were lent.
    lent: u64,
    /// Messages of the peer that were consumed.
    received: u64,
    rules: PhantomData<R>,
}

impl<R: Rules> Edge<R> {
    pub(crate) fn new(me: Rank, peer: Rank, lane: usize, depth: usize, base: u64) -> Self {
        let rules = PhantomData;
        let depth = depth as u64;
        let [sent, acknowledged, lent, received] = [base; 4];
        Self { me, peer, lane, depth, sent, acknowledged, lent, received, rules }
    }

    /// Count of the last message that was published.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    pub(crate) fn peer(&self) -> Rank {
        self.peer
    }

    /// The highest count on either side of what this rank knows.
    pub(crate) fn highest(&self) -> u64 {
        if ahead(self.sent, self.received) { self.sent } else { self.received }
    }

    /// Begins both edges anew after `base`.
    pub(crate) fn rebase(&mut self, base: u64) {
        [self.sent, self.acknowledged, self.lent, self.received] = [base; 4];
    }

    /// Whether the peer has acknowledged message `count`.
    #[inline]
    pub(crate) fn is_acknowledged<M: Memory>(&mut self, memory: &M, count: u64) -> bool {
        if ahead(count, self.acknowledged) {
            let head = Signal::Head { destination: self.peer };
            let now = memory.signal(self.me, self.lane, head).load(R::ACKNOWLEDGED);
            // After a reset the old count stands in memory until the peer's next acknowledgement.
            if ahead(now, self.acknowledged) {
                self.acknowledged = now;
            }
        }
        !ahead(count, self.acknowledged)
    }

    /// Whether the peer may still read memory that was lent to it.
    pub(crate) fn is_owed<M: Memory>(&mut self, memory: &M) -> bool {
        !self.is_acknowledged(memory, self.lent)
    }

    /// Whether one more message may be published.
    #[inline]
    pub(crate) fn has_credit<M: Memory>(&mut self, memory: &M) -> bool {
        let oldest = self.sent.wrapping_add(1).wrapping_sub(self.depth);
        !R::CREDIT || self.is_acknowledged(memory, oldest)
    }

    /// Publishes a message for which there is credit, and returns its count.
    #[inline]
    pub(crate) fn publish<M: Memory>(&mut self, memory: &M, message: &Message) -> u64 {
        let count = self.sent.wrapping_add(1);
        let k = (count % self.depth) as usize;
        let slot = |word| {
            let signal = Signal::Slot { source: self.me, k, word };
            memory.signal(self.peer, self.lane, signal)
        };
        for (at, value) in message.encode().into_iter().enumerate() {
            slot(at + 1).store(value, Ordering::Relaxed);
        }
        slot(0).store(count, R::PUBLISH);
        self.sent = count;
        if message.lent {
            self.lent = count;
        }
        count
    }

    /// The peer's next message, if it is there. `Err` if what is there is none.
    #[inline]
    pub(crate) fn poll<M: Memory>(&self, memory: &M) -> Option<Message> {
        let count = self.received.wrapping_add(1);
        let k = (count % self.depth) as usize;
        let slot = |word| {
            let signal = Signal::Slot { source: self.peer, k, word };
            memory.signal(self.me, self.lane, signal)
        };
        let found = slot(0).load(R::OBSERVE);
        let is_next = if R::COUNTS { found == count } else { found != 0 };
        if !is_next {
            return None;
        }
        let mut words = [0; SLOT_WORDS - 1];
        for (at, word) in words.iter_mut().enumerate() {
            *word = slot(at + 1).load(Ordering::Relaxed);
        }
        Some(Message::decode(words).expect("a published slot holds a message"))
    }

    /// Acknowledges the message that [`poll`](Self::poll) returned: its slot and bytes are the peer's again.
    #[inline]
    pub(crate) fn acknowledge<M: Memory>(&mut self, memory: &M) {
        self.received = self.received.wrapping_add(1);
        let head = Signal::Head { destination: self.me };
        memory.signal(self.peer, self.lane, head).store(self.received, R::ACKNOWLEDGE);
    }

    /// Says to the peer that this rank begins, or has ended, to read memory that the peer lent.
    pub(crate) fn set_reading<M: Memory>(&self, memory: &M, reading: bool) {
        let signal = Signal::Reading { destination: self.me };
        let word = memory.signal(self.peer, self.lane, signal);
        word.store(u64::from(reading), R::ACKNOWLEDGE);
    }

    /// Whether the peer reads memory that this rank lent.
    pub(crate) fn is_read<M: Memory>(&self, memory: &M) -> bool {
        let signal = Signal::Reading { destination: self.peer };
        memory.signal(self.me, self.lane, signal).load(R::ACKNOWLEDGED) != 0
    }
}

/// Whether count `a` comes after count `b`, across the wrap.
#[inline]
pub(crate) fn ahead(a: u64, b: u64) -> bool {
    (a.wrapping_sub(b) as i64) > 0
}
