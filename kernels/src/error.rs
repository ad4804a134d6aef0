//! Everything that can go wrong in the kernels because of what they are given. Broken callers inside the crate panic.

use crate::exchange::ExchangeError;
use crate::tensor::{DType, Shape};

/// Why a model could not be built or run.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// A tensor has another shape than its use asks for.
    #[error("{what} has shape {got}, expected {expected}")]
    Shape {
        /// Name of the tensor.
        what: String,
        /// The shape it has.
        got: Shape,
        /// The shape it must have.
        expected: Shape,
    },
    /// A buffer does not hold as many elements as its shape says.
    #[error("{what} of shape {shape} needs {} elements, got {got}", shape.elements())]
    Length {
        /// Name of the tensor.
        what: String,
        /// Its shape.
        shape: Shape,
        /// Elements in the buffer.
        got: usize,
    },
    /// A tensor holds another type of element.
    #[error("{what} holds {got}, expected {expected}")]
    Type {
        /// Name of the tensor.
        what: String,
        /// The type it has.
        got: DType,
        /// The type it must have.
        expected: DType,
    },
    /// A weight is not there.
    #[error("tensor `{name}` is missing")]
    Missing {
        /// Its name, as in diffusers.
        name: String,
    },
    /// Heads cannot be shared out.
    #[error("an Ulysses degree of {degree} does not divide {heads} heads")]
    Heads {
        /// Attention heads of the model.
        heads: usize,
        /// The Ulysses degree.
        degree: usize,
    },
    /// A sequence of no tokens, or more tokens than the model takes.
    #[error("{got} {what} tokens, expected {least} to {most}")]
    Tokens {
        /// Which tokens.
        what: &'static str,
        /// How many there are.
        got: usize,
        /// Fewest.
        least: usize,
        /// Most.
        most: usize,
    },
    /// A model configuration that makes no sense.
    #[error("model configuration: {key} is {got}, expected {expected}")]
    Config {
        /// The key.
        key: &'static str,
        /// Its value.
        got: usize,
        /// What it must be.
        expected: String,
    },
    /// Bytes that no solver state wrote.
    #[error("solver state: {0}")]
    State(&'static str),
    /// An exchange with other ranks failed.
    #[error("exchange with the other ranks failed: {0}")]
    Exchange(#[source] ExchangeError),
}

/// Result of the kernels.
pub type Result<T, E = KernelError> = std::result::Result<T, E>;
