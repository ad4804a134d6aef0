//! The pure heart of flexdit: what a system under test *is*, with no clock, thread, file or randomness.
//!
//! Every system is a state machine ([`System`]): events in, commands out. Drivers (virtual time, CPU
//! ranks, CUDA ranks) run it unchanged. This crate owns units, model geometry, requests, layouts,
//! migration plans, cost tables, the elastic [`Scheduler`](scheduler::Scheduler) and its policies. It does not
//! generate workloads, measure anything, or know which driver runs it.
//!
//! Invariant: same inputs, same outputs, on every machine. `no_std` makes the compiler prove most of it.
#![no_std]

extern crate alloc;

pub mod command;
pub mod cost;
pub mod event;
pub mod group;
pub mod ids;
pub mod migration;
pub mod model;
pub mod parallelism;
pub mod policy;
pub mod rank_set;
pub mod request;
pub mod run;
pub mod scheduler;
pub mod system;
pub mod task;
pub mod units;

pub use command::{Command, RejectReason};
pub use event::{Event, FailReason, Span};
pub use group::Group;
pub use ids::{ArtifactId, ClassId, ModelId, Rank, RequestId, TaskId, TransferId};
pub use parallelism::Parallelism;
pub use rank_set::RankSet;
pub use request::{Request, Shape};
pub use run::{Arrivals, Cancellations, Observer, Workload};
pub use system::{Counters, System};
pub use task::{Edge, Route, Stage, Task, Transfer};
pub use units::{Bytes, Nanos};
