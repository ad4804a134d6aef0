//! The seam to the arithmetic: what a rank is asked to compute, and what it answers.
//!
//! Owns no arithmetic. Invariant a [`Compute`] keeps: the result for a request depends on the request alone, not on
//! degree, placement, chunking or reconfiguration.

use crate::artifact::State;
use crate::dit::DitError;
use crate::gate::Steps;
use crate::memory::{Buffer, OutOfMemory, RankMemory};
use crate::peers::Peers;
use crate::tokens::Tokens;
use bytemuck::Pod;
use flexdit_comm::{Cause, CommError};
use flexdit_core::{Bytes, Rank, Request, Shape, Task};
use flexdit_kernels::KernelError;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Why a rank's part of a task has no result.
#[derive(Debug, thiserror::Error)]
pub enum ComputeError {
    /// The request was cancelled; made by [`Job::step`], to be passed on.
    #[error("the request was cancelled")]
    Cancelled,
    /// The other ranks of the task did not come through.
    #[error(transparent)]
    Peers(#[from] CommError),
    /// The same, as a rank that is a process says it.
    #[error("{what}")]
    PeersApart {
        /// What is with them.
        absence: Absence,
        /// The error in words.
        what: String,
    },
    /// A buffer does not fit into the rank's memory.
    #[error(transparent)]
    OutOfMemory(#[from] OutOfMemory),
    /// The models refused.
    #[error(transparent)]
    Model(#[from] DitError),
    /// The arithmetic refused.
    #[error("{0}")]
    Kernel(String),
}

/// What an error of the collectives says of the other ranks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Absence {
    /// One is gone.
    Lost,
    /// One did not come in time.
    Late,
    /// All are there, as far as is known.
    None,
}

impl Absence {
    pub(crate) fn of(error: &CommError) -> Self {
        match error {
            CommError::PeerLost { .. } => Self::Lost,
            CommError::Timeout { .. } => Self::Late,
            CommError::Aborted { cause: Cause::PeerLost, .. } => Self::Lost,
            CommError::Aborted { cause: Cause::Timeout, .. } => Self::Late,
            _ => Self::None,
        }
    }
}

impl From<KernelError> for ComputeError {
    /// An error of the exchange becomes again what the peers said.
    fn from(error: KernelError) -> Self {
        let error = match error {
            KernelError::Exchange(source) => match source.downcast::<CommError>() {
                Ok(error) => return Self::Peers(*error),
                Err(source) => KernelError::Exchange(source),
            },
            error => error,
        };
        Self::Model(error.into())
    }
}

/// Unwinding with this loses the rank that computes, as if its thread had died: for tests of failures. Any other panic
/// fails the task, and the rank goes on.
#[derive(Clone, Copy, Debug)]
pub struct LoseRank;

/// Arithmetic of every stage, one shared object for all ranks: weights are its own business, and read-only.
///
/// Called by several ranks at once. A panic in [`run`](Compute::run) fails the task and nothing else.
pub trait Compute: Send + Sync {
    /// What the state of a request of this shape consists of.
    ///
    /// # Errors
    /// A shape that it cannot compute.
    fn state(&self, shape: &Shape) -> Result<State, ComputeError>;

    /// Runs one rank's part of a task. All computing ranks of the task are called with the same task; they may talk
    /// to each other through `peers`, and to nobody else.
    ///
    /// Must call [`Job::step`] before every denoising step.
    ///
    /// # Errors
    /// Whatever went wrong; the task fails on all its ranks then.
    fn run(&self, job: &Job<'_>, peers: &mut Peers<'_>) -> Result<Output, ComputeError>;

    /// The rows of these tokens as text encoding leaves them, from the request alone: noise of its seed. A request
    /// that lost its latents and kept its embeddings goes on from here.
    ///
    /// # Errors
    /// If memory does not suffice.
    fn initial(
        &self,
        request: &Request,
        tokens: &Tokens,
        memory: &Arc<RankMemory>,
    ) -> Result<Vec<Buffer>, ComputeError>;

    /// Makes ready what this rank's tasks of these shapes need, as far as it can alone: buffers, and the pages behind them.
    /// Called by every rank at once, on its own thread, before the clock starts. By default nothing.
    ///
    /// # Errors
    /// Whatever went wrong; there is no run then.
    fn warm_up(&self, _rank: Rank, _shapes: &[Shape]) -> Result<(), ComputeError> {
        Ok(())
    }

    /// Bytes of buffers that it keeps for a rank's next task.
    fn kept(&self, _rank: Rank) -> Bytes {
        Bytes::ZERO
    }
}

/// What one rank's part of a task leaves.
#[derive(Debug, Default)]
pub struct Output {
    /// One buffer for each row tensor: the rows of [`Job::tokens`]. Empty for a VAE decode.
    pub rows: Vec<Buffer>,
    /// Text encoding: one buffer for each whole tensor. VAE decode: this rank's part of the result, in any form.
    /// Empty for denoising.
    pub whole: Vec<Buffer>,
}

/// Input rows of one tensor: all or part of a shard's buffer.
#[derive(Debug)]
pub(crate) enum Input {
    /// Bytes `1` to `2` of buffer `3` of a shard.
    Part(Arc<crate::artifact::Shard>, usize, usize, usize),
    /// Gathered for this task.
    Own(Buffer),
}

impl Input {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Part(shard, start, end, tensor) => {
                &shard.tensors[*tensor].as_bytes()[*start..*end]
            }
            Self::Own(buffer) => buffer.as_bytes(),
        }
    }
}

/// One rank's part of a task.
#[derive(Debug)]
pub struct Job<'a> {
    /// The task.
    pub task: &'a Task,
    /// Whose work it is.
    pub request: &'a Request,
    /// What its state consists of.
    pub state: &'a State,
    /// This rank.
    pub rank: Rank,
    /// Its place among the ranks that compute: 0 to degree - 1.
    pub index: usize,
    /// The tokens of its shard: those of its input rows, and of the rows it leaves.
    pub tokens: &'a Tokens,
    pub(crate) rows: Vec<Input>,
    pub(crate) whole: Option<Arc<[Buffer]>>,
    pub(crate) memory: &'a Arc<RankMemory>,
    pub(crate) gate: &'a dyn Steps,
}

impl Job<'_> {
    /// The input rows of a row tensor; none in text encoding.
    ///
    /// # Panics
    /// If there is no such tensor.
    pub fn rows(&self, tensor: usize) -> &[u8] {
        self.rows[tensor].bytes()
    }

    /// The input rows of a row tensor as elements.
    ///
    /// # Panics
    /// As [`Job::rows`], or if a row is not a whole number of elements.
    pub fn rows_of<T: Pod>(&self, tensor: usize) -> &[T] {
        bytemuck::cast_slice(self.rows(tensor))
    }

    /// A whole tensor; in denoising only.
    ///
    /// # Panics
    /// If there is none.
    pub fn whole(&self, tensor: usize) -> &Buffer {
        &self.whole.as_ref().expect("whole tensors are there while denoising")[tensor]
    }

    /// Begins denoising step `step` of the task, counted from 0.
    ///
    /// # Errors
    /// [`ComputeError::Cancelled`], on every rank at the same step.
    pub fn step(&self, step: u32) -> Result<(), ComputeError> {
        if self.gate.enter(step) { Ok(()) } else { Err(ComputeError::Cancelled) }
    }

    /// A buffer of zeros for the output.
    ///
    /// # Errors
    /// If it does not fit into the rank's memory.
    pub fn zeroed(&self, bytes: usize) -> Result<Buffer, ComputeError> {
        Ok(self.memory.zeroed(bytes)?)
    }

    /// The rank's memory.
    pub fn memory(&self) -> &Arc<RankMemory> {
        self.memory
    }
}
