//! What driver and rank process say to each other. Bytes of tensors follow their message in the order in which it names
//! their lengths.
//!
//! The driver asks, the process answers; but while a task runs the process asks, before every step. Invariant: at any time one
//! side speaks and the other listens.

use crate::compute::{Absence, ComputeError};
use crate::memory::OutOfMemory;
use flexdit_core::{Bytes, Group, Nanos, Rank, Request, Shape, Task};
use serde::{Deserialize, Serialize};

/// From the driver.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Down {
    /// Who the process is; it loads its models.
    Setup(Setup),
    /// All have loaded their models: it joins the world at this address.
    Join(String),
    /// Groups that exist before the first request.
    Prebuild(Vec<Group>),
    /// Shapes of the requests to come: it warms up.
    WarmUp(Vec<Shape>),
    /// Its part of a task.
    Task(Box<Part>),
    /// Whether to begin the step that was asked for.
    Step(bool),
    /// It gives up the task with this number, of these ranks. Not answered.
    GiveUp(u64, Group),
    /// Whether a reset of these ranks leaves out nobody who may still read.
    CanReset(Group),
    /// Collectives among these ranks begin anew.
    Reset(Group),
    /// The run is over.
    Stop,
}

/// Who a process is.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Setup {
    pub rank: Rank,
    pub world: u16,
    pub pin: bool,
    /// What to compute with, in the words of whoever loads it.
    pub spec: String,
}

/// A rank's part of a task.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Part {
    pub task: Task,
    pub request: Request,
    pub index: usize,
    /// Bytes of the input rows of every row tensor.
    pub rows: Vec<usize>,
    /// Bytes of the whole tensors, if the task reads them.
    pub whole: Option<Vec<usize>>,
}

/// From a rank's process.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Up {
    /// Its models are there, or why not.
    Loaded(Result<(), String>),
    /// It is in the world, or why not; and its core, or why it keeps to none.
    Joined { world: Result<(), String>, pinned: Result<usize, String> },
    /// The groups are there, or why not.
    Prebuilt(Result<(), String>),
    /// It is warm, or why not.
    Warm(Result<(), String>),
    /// It asks whether to begin this step of its task.
    Step(u32),
    /// Its part of the task is done.
    Done(Made),
    /// Its part of the task has no result.
    Failed(Fault),
    /// The answer to a question.
    Answer(bool),
    /// It ends; the most memory it had, if the system tells.
    Ended(Option<Bytes>),
}

/// What a task left.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Made {
    /// Time spent on forming groups.
    pub setup: Nanos,
    /// Bytes of buffers that the process keeps for its next task.
    pub kept: Bytes,
    /// Bytes of every row tensor.
    pub rows: Vec<usize>,
    /// Bytes of every whole tensor.
    pub whole: Vec<usize>,
}

/// Why a part of a task has no result: as much of a [`ComputeError`] as the driver makes use of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Fault {
    Cancelled,
    Peers { absence: Absence, what: String },
    OutOfMemory { rank: Rank, wanted: Bytes, current: Bytes, limit: Bytes },
    Kernel(String),
}

impl From<ComputeError> for Fault {
    fn from(error: ComputeError) -> Self {
        match error {
            ComputeError::Cancelled => Self::Cancelled,
            ComputeError::Peers(error) => {
                Self::Peers { absence: Absence::of(&error), what: error.to_string() }
            }
            ComputeError::PeersApart { absence, what } => Self::Peers { absence, what },
            ComputeError::OutOfMemory(OutOfMemory { rank, wanted, current, limit }) => {
                Self::OutOfMemory { rank, wanted, current, limit }
            }
            ComputeError::Model(error) => Self::Kernel(error.to_string()),
            ComputeError::Kernel(what) => Self::Kernel(what),
        }
    }
}

impl From<Fault> for ComputeError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Cancelled => Self::Cancelled,
            Fault::Peers { absence, what } => Self::PeersApart { absence, what },
            Fault::OutOfMemory { rank, wanted, current, limit } => {
                Self::OutOfMemory(OutOfMemory { rank, wanted, current, limit })
            }
            Fault::Kernel(what) => Self::Kernel(what),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flexdit_comm::CommError;

    #[test]
    fn a_failure_keeps_its_kind_and_its_words() {
        let full =
            OutOfMemory { rank: Rank(2), wanted: Bytes(5), current: Bytes(96), limit: Bytes(100) };
        let gone = CommError::LauncherLost { rank: Rank(1) };
        let errors = [
            ComputeError::Cancelled,
            ComputeError::OutOfMemory(full),
            ComputeError::Kernel("no".into()),
            ComputeError::Peers(gone),
        ];
        for error in errors {
            let words = error.to_string();
            let text = serde_json::to_string(&Fault::from(error)).expect("plain data");
            let fault: Fault = serde_json::from_str(&text).expect("what was written");
            let back = ComputeError::from(fault.clone());
            assert_eq!((back.to_string(), Fault::from(back)), (words, fault));
        }
    }
}
