//! What a driver tells a system.

use crate::ids::{Rank, RequestId, TaskId, TransferId};
use crate::request::Request;
use crate::units::Nanos;
use serde::{Deserialize, Serialize};

/// When and how a task ran on one rank, as the driver charged (simulated) or measured it.
///
/// The rank was occupied from `started`; it spent `setup + launch` on overhead first, then computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// When the rank began the task.
    pub started: Nanos,
    /// Time spent forming the task's group.
    pub setup: Nanos,
    /// Time spent on launch overhead: when it and the set-up are over the task is enqueued as a whole. A rank whose kernels
    /// run by themselves goes on from there; it is done at `ended`.
    pub launch: Nanos,
    /// When the rank was done with it, if that is not the instant of the event: a measured end comes before the
    /// control plane hears of it, and the rank's next task may have begun by then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Nanos>,
}

/// Why a task failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailReason {
    /// A rank of the group went down.
    RankDown,
    /// The placement does not fit into a rank's memory.
    OutOfMemory,
    /// The kernel reported an error.
    Kernel,
    /// The state it needed did not come: the task or transfer before it failed.
    Input,
    /// Its request was cancelled, and it stopped at a step boundary.
    Cancelled,
}

/// What happened. At one instant events are ordered: failures, completions, arrivals; then ids.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// A rank is gone, with all it held. `Failed` events for its tasks come with it.
    RankDown(Rank),
    /// A task ended on one rank without a result. Every rank of its group reports.
    Failed {
        /// The task.
        task: TaskId,
        /// The rank that reports.
        rank: Rank,
        /// What went wrong.
        why: FailReason,
    },
    /// A rank is back, empty.
    RankUp(Rank),
    /// A task ended on one rank. Every rank of its group reports, computing or held.
    Finished {
        /// The task.
        task: TaskId,
        /// The rank that reports.
        rank: Rank,
        /// When and how it ran there.
        span: Span,
    },
    /// Every copy of a transfer is in place.
    Migrated {
        /// The transfer.
        transfer: TransferId,
        /// When its first copy began.
        started: Nanos,
    },
    /// The client gave up.
    Cancelled(RequestId),
    /// A request came.
    Arrived(Request),
}
