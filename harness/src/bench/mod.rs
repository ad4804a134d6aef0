//! Benchmarks of collectives, measured on this machine: what forming a group costs with and without communicators,
//! latency and bandwidth of every operation, and a new group at every operation.
//!
//! Owns plans, the ranks' part, references, tables and reports. Does not own collectives: contestants stand behind
//! [`contender::Contender`]. Every number is measured, published or derived, and says which.
//!
//! One flow: a benchmark makes a [`plan::Plan`] (plain data), [`launch`] runs it on a fresh world of a contestant,
//! [`measure`] is each rank's part, [`samples`] joins the ranks' samples, and the benchmark makes rows of them.

pub mod chart;
pub mod churn;
pub mod clock;
pub mod collectives;
#[cfg(target_os = "linux")]
pub mod communicator;
pub mod contender;
#[cfg(test)]
mod fake;
pub mod gate;
pub mod goal;
pub mod group_free;
pub mod group_setup;
pub mod launch;
pub mod machine;
pub mod measure;
#[cfg(feature = "mpi")]
pub mod mpi;
pub mod pattern;
pub mod plan;
#[cfg(target_os = "linux")]
pub mod processes;
pub mod provenance;
pub mod publish;
pub mod published;
#[cfg(target_os = "linux")]
pub mod rank_process;
pub mod reference;
pub mod results;
pub mod samples;
mod session;
pub mod statistics;
pub mod threads;
pub mod tuples;
#[cfg(unix)]
pub mod wire;
