//! The real driver: runs any [`System`](flexdit_core::System) on ranks that are threads of this process, or processes that
//! such threads speak for, with real collectives, real migration and a real clock.
//!
//! Owns the dispatcher (one; stepped by the rank that has news, or on tokio for arrivals, wake-ups and cancellation), the workers (one
//! pinned thread per rank with an inbox in sequence order), the copies of every request's state, and what is measured. The arithmetic is behind
//! [`Compute`], the collectives behind [`Groups`]. It decides nothing: the same system makes the same
//! commands here, in virtual time and from a log.
//!
//! Invariant: the events and commands that an observer sees, replayed into a fresh system, give the same commands; and the
//! result of a request depends on neither ranks nor their number.

mod artifact;
mod bare;
mod clock;
mod compute;
pub mod dit;
mod driver;
mod flow;
mod gate;
mod histogram;
mod memory;
mod message;
mod peers;
mod pin;
#[cfg(target_os = "linux")]
pub mod process;
mod rendezvous;
mod stats;
pub mod synthetic;
mod tokens;
mod worker;

pub use artifact::{RowTensor, Shard, State, WholeTensor};
pub use bare::bare;
pub use clock::Clock;
pub use compute::{Absence, Compute, ComputeError, Job, LoseRank, Output};
pub use driver::{Completed, Control, Driver, Options, Outcome, RankReport, RunError, Sink};
pub use histogram::Histogram;
pub use memory::{Buffer, Builder, OutOfMemory, RankMemory};
pub use peers::{Ender, Fabric, GroupFree, Groups, Peers};
pub use pin::to_core as pin_to_core;
pub use stats::Measured;
pub use tokens::{Run, Tokens};
