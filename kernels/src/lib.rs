//! Diffusion transformer maths on the CPU: tensors, kernels, two model families, solvers, and their f64 oracle.
//!
//! Knows no ranks, no clock and no thread: whoever runs a model passes an [`Exchange`] for what
//! has to be said to other ranks. Every kernel is single-threaded and keeps one invariant, on which bit-identical
//! pictures rest: **the result for a token (or a head) does not depend on which other tokens (or heads) are
//! computed with it**.

pub mod conformance;
pub mod cpu;
pub mod error;
pub mod exchange;
pub mod guidance;
pub mod model;
pub mod oracle;
pub mod pipeline;
pub mod random;
pub mod solver;
pub mod split;
pub mod tensor;
pub mod text;
pub mod vae;
pub mod view;
pub mod weights;

pub use error::KernelError;
pub use exchange::{Alone, Exchange};
pub use tensor::{DType, Shape, Tensor};
pub use view::{View, ViewMut};
