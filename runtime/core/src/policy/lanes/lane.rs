//! One lane: its ranks, its queue, the request that holds it.

use crate::group::Group;
use crate::ids::RequestId;
use crate::units::Nanos;
use alloc::collections::BinaryHeap;
use core::cmp::Ordering;

/// A request in a lane's queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Waiting {
    pub key: u64,
    pub arrival: Nanos,
    pub id: RequestId,
}

impl Ord for Waiting {
    /// The greatest is the next to run: the smallest (key, arrival, ordinal).
    fn cmp(&self, other: &Self) -> Ordering {
        (other.key, other.arrival, other.id).cmp(&(self.key, self.arrival, self.id))
    }
}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[derive(Debug)]
pub(super) struct Lane {
    pub ranks: Group,
    /// Whether all its ranks are up.
    pub up: bool,
    /// Estimated unfinished work of all requests bound to it.
    pub work: Nanos,
    /// The request that holds the lane, between its tasks too.
    pub active: Option<RequestId>,
    /// Whether a task of the active request is in flight.
    pub running: bool,
    /// Whether the lane is listed for the next decision.
    pub dirty: bool,
    /// Waiting requests; entries that left are skipped when they come up.
    pub queue: BinaryHeap<Waiting>,
}

impl Lane {
    pub fn new(ranks: Group) -> Self {
        Self {
            ranks,
            up: true,
            work: Nanos::ZERO,
            active: None,
            running: false,
            dirty: false,
            queue: BinaryHeap::new(),
        }
    }
}
