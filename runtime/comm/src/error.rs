//! Everything that can go wrong with a collective, on either side of the comparison.

use crate::tag::{Op, Tag};
use flexdit_core::{Group, Rank};
use std::fmt;
use std::time::Duration;

/// Where an error happened: one operation as one rank sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The rank that reports.
    pub rank: Rank,
    /// Its lane.
    pub lane: usize,
    /// The operation.
    pub op: Op,
    /// The task's global sequence number.
    pub sequence: u64,
    /// The operation's ordinal within the task.
    pub index: u32,
    /// The ordered group.
    pub group: Group,
}

impl fmt::Display for Place {
    /// `rank 2, lane 0, all_to_all 17.3 of {0,2}`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rank, lane, op, sequence, index, group } = self;
        write!(f, "{rank}, lane {lane}, {} {sequence}.{index} of {group}", op.name())
    }
}

/// Why a lane was aborted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Cause {
    /// Somebody called `abort`.
    Asked = 1,
    /// Two ranks were in different operations.
    Mismatch = 2,
    /// A rank waited longer than its time-out.
    Timeout = 3,
    /// A rank of the group is gone.
    PeerLost = 4,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Asked => "it was asked to",
            Self::Mismatch => "its operation was not its peer's",
            Self::Timeout => "it timed out",
            Self::PeerLost => "it lost a peer",
        })
    }
}

/// Why a collective did not happen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommError {
    /// A group that is none, or not the caller's. Nothing was sent.
    #[error("{rank}: group {group} {why}")]
    BadGroup {
        /// The rank that called.
        rank: Rank,
        /// The group as given.
        group: Group,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A buffer or argument that does not fit the operation. Nothing was sent.
    #[error("{op}: {what} is {got}, expected {expected}", op = op.name())]
    BadArgument {
        /// The operation.
        op: Op,
        /// The argument.
        what: &'static str,
        /// What was given.
        got: u64,
        /// What the operation needs.
        expected: u64,
    },
    /// A settings value that cannot be. Nothing was made.
    #[error("{0}")]
    BadWorld(String),
    /// Two ranks met in different operations; the lane is poisoned.
    #[error("{place}: {peer} is in another operation: here {mine}; there {theirs}")]
    Mismatch {
        /// The operation here.
        place: Box<Place>,
        /// The rank whose message came.
        peer: Rank,
        /// The message that this rank expected.
        mine: Tag,
        /// The message that came.
        theirs: Tag,
    },
    /// Peers did not come in time; the lane is poisoned.
    #[error("{place}: waited {waited:?} for {missing}\n{graph}")]
    Timeout {
        /// The operation here.
        place: Box<Place>,
        /// The ranks that are missing.
        missing: Group,
        /// How long this rank waited.
        waited: Duration,
        /// Who waits for whom, as published by every rank that waits; one per line.
        graph: String,
    },
    /// Another rank gave up; the lane is poisoned.
    #[error("{place}: {by} gave up: {cause}")]
    Aborted {
        /// The operation here.
        place: Box<Place>,
        /// The rank that gave up first, as far as is known here.
        by: Rank,
        /// Why.
        cause: Cause,
    },
    /// A member is gone (its process died, its thread panicked, or it left the world); the lane is poisoned.
    #[error("{place}: {peer} is gone")]
    PeerLost {
        /// The operation here.
        place: Box<Place>,
        /// The rank that is gone.
        peer: Rank,
    },
    /// The lane failed before and was not reset since. Nothing was sent.
    #[error("{rank}: lane {lane} failed before; it needs a reset")]
    Poisoned {
        /// The rank that called.
        rank: Rank,
        /// Its lane.
        lane: usize,
    },
    /// A task's sequence number does not increase: condition C3 is broken. Nothing was sent.
    #[error(
        "{rank}: lane {lane}: task {sequence} after task {last}, but one order must hold for all"
    )]
    OutOfOrder {
        /// The rank that called.
        rank: Rank,
        /// Its lane.
        lane: usize,
        /// The number given.
        sequence: u64,
        /// The number of the task before.
        last: u64,
    },
    /// The operating system or the network refused something.
    #[error("{rank}: {doing}: {message}")]
    System {
        /// The rank that called.
        rank: Rank,
        /// What was tried.
        doing: String,
        /// What it said.
        message: String,
    },
}
