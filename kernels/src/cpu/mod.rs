//! The operations on f32, single-threaded, on vectors of any width.
//!
//! Owns the arithmetic of single operations; knows no model. Invariant: a row of the result depends on the same row of
//! the input alone, down to the last bit, however many rows are computed together.

pub mod activation;
pub mod attention;
pub mod backend;
pub mod embed;
pub mod linear;
pub mod matmul;
pub mod norm;
pub mod patch;
pub mod rope;
pub mod scratch;
pub mod simd;
pub mod strips;
mod tile;

pub use attention::{Heads, Online, attention};
pub use backend::Cpu;
pub use linear::Linear;
pub use matmul::{Start, matmul};
pub use scratch::Scratch;
pub use strips::Strips;
