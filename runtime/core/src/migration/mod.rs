//! Layout-aware migration: which bytes go where when a request changes ranks or layout.
//!
//! Owns layouts of request state, intersections of boxes and the resulting copies. It moves nothing
//! and knows no request. Invariant: a rank that holds a replica is sent nothing, and every byte
//! that a rank lacks is sent exactly once.

pub mod layout;
#[cfg(test)]
mod oracle;
pub mod plan;
pub mod state;

pub use layout::{Layout, TokenBox};
pub use plan::{Piece, Pull, migration, pulls};
pub use state::{Located, StateSpec, layout_of};
