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
    /// The process that launched the world is gone.
    LauncherLost = 5,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Asked => "it was asked to",
            Self::Mismatch => "its operation was not its peer's",
            Self::Timeout => "it timed out",
            Self::PeerLost => "it lost a peer",
            Self::LauncherLost => "the launcher of its world is gone",
        })
    }
}

/// Why no rank joined a world. Every rank gets the same.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JoinFault {
    /// A rank differs from the launcher in something that all must share.
    #[error("{rank} has {setting} {theirs}, but the launcher has {ours}")]
    Differs {
        /// The rank, as it says.
        rank: Rank,
        /// The setting, by its name in [`WorldConfig`](crate::WorldConfig); or `magic`, `version`, `config hash`.
        setting: &'static str,
        /// What the rank has.
        theirs: u64,
        /// What the launcher has.
        ours: u64,
    },
    /// Two processes say that they are the same rank.
    #[error("two processes are {rank}")]
    Twice {
        /// The rank.
        rank: Rank,
    },
    /// A process says that it is a rank that the world does not have.
    #[error("{rank} is outside a world of {ranks} ranks")]
    Outside {
        /// The rank.
        rank: Rank,
        /// Ranks of the world.
        ranks: usize,
    },
    /// A rank's process ended, or let go of its launcher, before all had joined.
    #[error("{rank} ended before all had joined")]
    Ended {
        /// The rank.
        rank: Rank,
    },
    /// Ranks did not come in time.
    #[error("{missing} did not come within {waited:?}")]
    Missing {
        /// These.
        missing: Group,
        /// How long the launcher waited.
        waited: Duration,
    },
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
    /// Two ranks of a broadcast name different roots; the lane is poisoned.
    #[error("{place}: {peer} names another root")]
    Roots {
        /// The operation here.
        place: Box<Place>,
        /// The rank that disagrees.
        peer: Rank,
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
    /// A rank could not join its world, and so none did.
    #[error("nobody joined: {0}")]
    Join(JoinFault),
    /// The operating system refused something to a launcher.
    #[error("launcher: {doing}: {message}")]
    Launch {
        /// What was tried.
        doing: &'static str,
        /// What it said.
        message: String,
    },
    /// The process that launched the world is gone, and with it the world.
    #[error("{rank}: the launcher of its world is gone")]
    LauncherLost {
        /// The rank that reports.
        rank: Rank,
    },
    /// This system cannot do it. Nothing was made.
    #[error("{0}")]
    Unsupported(&'static str),
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
