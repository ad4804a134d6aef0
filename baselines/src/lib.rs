//! What elastic scheduling is compared with: engines whose degree of parallelism is set once, at start-up, and
//! collectives that need a communicator.
//!
//! This crate owns the fixed-pipeline [`System`](flexdit_core::System) with its layouts (uniform
//! degree, one pool of groups per class), its routings, and the list of every static layout that a
//! best-static search tries. It also owns the [`communicator`]: collectives as other
//! libraries make them, behind the seam of the group-free ones. It does not run simulations and does not rank results.
//!
//! Invariant: a request never changes its group while it runs, and a group runs one request at a time.

pub mod candidates;
#[cfg(target_os = "linux")]
pub mod communicator;
pub mod fixed_pipeline;
pub mod layout;
pub mod offer;
pub mod routing;
#[cfg(test)]
mod tables;

pub use candidates::{LanePolicy, StaticLayout, static_candidates};
pub use fixed_pipeline::{FixedPipeline, Options};
pub use layout::{Layout, LayoutError, Pool};
pub use offer::{ClassOffer, best_degrees, pools_by_work};
pub use routing::Routing;
