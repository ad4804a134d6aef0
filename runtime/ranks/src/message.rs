//! What dispatcher and workers say to each other.

use crate::clock::Clock;
use crate::flow::{Flow, LiveTask};
use crate::rendezvous::Rendezvous;
use flexdit_core::migration::Pull;
use flexdit_core::{FailReason, Nanos, Rank, RequestId, Span, Transfer};
use std::sync::Arc;

/// What lies in a rank's inbox. Each rank executes in order.
#[derive(Debug)]
pub(crate) enum Item {
    /// The run begins.
    Begin(Clock),
    /// A task, put there at the given time.
    Task(Arc<LiveTask>, Nanos),
    /// A transfer of which this rank is a destination.
    Pull(Arc<LiveTransfer>, Nanos),
    /// Collectives among some ranks begin anew.
    Reset(Arc<Rendezvous>),
    /// The rank is to be lost.
    Lose,
    /// Nothing more comes.
    Stop,
}

/// A transfer that was issued, shared by its destinations.
#[derive(Debug)]
pub(crate) struct LiveTransfer {
    pub transfer: Transfer,
    pub flow: Arc<Flow>,
    /// Which part of the state every copy is.
    pub pulls: Vec<Pull>,
}

/// What comes to the dispatcher.
#[derive(Debug)]
pub(crate) enum Message {
    /// A rank is ready to begin: its core, or why it is not pinned; or why it has no world.
    Ready { rank: Rank, pinned: Result<usize, String>, world: Result<(), String> },
    /// A rank ended its part of a task.
    Finished { rank: Rank, sequence: u64, span: Span },
    /// A rank has no result for a task; `late` if that is since another one did not come in time.
    Failed { rank: Rank, sequence: u64, why: FailReason, what: Option<String>, late: bool },
    /// A rank has its part of a transfer, or has not.
    Pulled { rank: Rank, sequence: u64, started: Nanos, complete: bool },
    /// A rank has left a reset; whether its collectives work again.
    Reset { rank: Rank, id: u64, done: bool },
    /// A rank's thread ended.
    Lost { rank: Rank },
    /// A client gives up.
    Cancel(RequestId),
    /// A rank is to be lost.
    Lose(Rank),
    /// The run is to end soon.
    Stop,
}
