//! Group-free collectives: memory, peer pointers and signals belong to the *world* and are made once; a group is a
//! plain value, an ordered list of ranks, formed locally, contacting nobody.
//!
//! This crate owns the world, its lanes, the operations and the transports. It also owns [`Collectives`], the seam behind
//! which kernels cannot tell group-free collectives from a communicator. It does not schedule: the caller
//! gives every operation its place in one global order.
//!
//! Invariant: a wrong, missing or reordered collective is a typed error in bounded time, never silent corruption.

pub mod collectives;
pub mod dtype;
pub mod error;
pub mod membership;
pub mod reduce;
pub mod tag;

pub use collectives::{Collectives, TypedCollectives};
pub use dtype::{DType, Element};
pub use error::{Cause, CommError, Place};
pub use membership::Membership;
pub use tag::{Op, Tag};
