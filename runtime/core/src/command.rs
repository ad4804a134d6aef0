//! What a system tells a driver.

use crate::group::Group;
use crate::ids::{ArtifactId, RequestId};
use crate::task::{Task, Transfer};
use serde::{Deserialize, Serialize};

/// Why a request is turned away or given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RejectReason {
    /// Admission is bounded and full.
    QueueFull,
    /// No feasible layout on this world.
    Infeasible,
    /// The policy gave it up.
    Shed,
    /// The client cancelled it.
    Cancelled,
    /// It failed more often than retries allow.
    Failed,
}

/// An instruction. A driver executes commands in order; each rank in order of sequence number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Command {
    /// Put a task into the inbox of every rank of its group.
    Launch(Task),
    /// Move an artifact; destinations pull in inbox order.
    Migrate(Transfer),
    /// Free an artifact's copies on these ranks.
    Release {
        /// What to free.
        artifact: ArtifactId,
        /// Where.
        ranks: Group,
    },
    /// The request is done; its result may go out.
    Complete(RequestId),
    /// The request ends without a result.
    Reject {
        /// Which.
        request: RequestId,
        /// Why.
        why: RejectReason,
    },
}
