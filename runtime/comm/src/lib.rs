//! Group-free collectives: memory, peer pointers and signals belong to the *world* and are made once; a group is a
//! plain value, an ordered list of ranks, formed locally, contacting nobody.
//!
//! This crate owns the world, its lanes, the operations and the transports. It also owns [`Collectives`], the seam behind
//! which kernels cannot tell group-free collectives from a communicator. It does not schedule: the caller
//! gives every operation its place in one global order.
//!
//! Invariant: a wrong, missing or reordered collective is a typed error in bounded time, never silent corruption.

pub mod check;
pub mod collectives;
pub mod config;
pub mod dtype;
mod edge;
pub mod endpoint;
pub mod error;
mod exchange;
mod graph;
mod group_free;
mod heap;
mod intake;
mod lane;
mod layout;
mod mapped;
pub mod membership;
mod memory;
mod message;
#[cfg(test)]
mod models;
mod ops;
pub mod oracle;
mod park;
pub mod reduce;
mod reset;
mod rules;
pub mod tag;
pub mod transport;
mod wait;
mod window;

pub use collectives::{Collectives, TypedCollectives};
pub use config::{Patience, WorldConfig};
pub use dtype::{DType, Element};
pub use endpoint::{Aborter, Endpoint, Lane};
pub use error::{Cause, CommError, JoinFault, Place};
pub use group_free::GroupFree;
pub use heap::HeapBuffer;
pub use membership::Membership;
pub use tag::{Op, Tag};
