//! The same operations once more: in f64, element by element, slow and obviously right, with a bound for each element.
//!
//! Owns what "correct" means. Every number carries how far f32 arithmetic may be from it ([`Bounded`]), so tolerances are
//! derived from the very computation they judge. Invariant: bounds hold for any order of summation, with or without
//! fused multiply-adds, for any cut of the keys of an attention into blocks.

pub mod dual_stream;
mod model;
mod number;
pub mod ops;
pub mod pipeline;
pub mod solver;
pub mod text;
pub mod vae;
pub mod video;
pub mod volume;

pub use model::Given;
pub use number::Bounded;
pub use ops::Matrix;
