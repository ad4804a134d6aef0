//! Everything that can go wrong in the kernels because of what they are given. Broken callers inside the crate panic.

use crate::exchange::ExchangeError;
use crate::tensor::{DType, Shape};
use crate::weights::{Problem, problem};
use std::path::PathBuf;

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
    /// A token that a text encoder does not know.
    #[error("token {id} is not in a vocabulary of {vocabulary}")]
    Token {
        /// The token.
        id: u32,
        /// How many tokens there are.
        vocabulary: usize,
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
    /// The same of a key whose value is no count.
    #[error("model configuration: {key} is {got}, expected {expected}")]
    Setting {
        /// The key.
        key: &'static str,
        /// Its value.
        got: String,
        /// What it must be.
        expected: &'static str,
    },
    /// A file that cannot be read or written.
    #[error("{}: {why}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// Tensors of a file that are not what a model needs.
    #[error("{}: tensors that are not as needed, {} in all:{}", path.display(), problems.len(), problem::list(problems, hint))]
    Weights {
        /// The file, or the folder of files.
        path: PathBuf,
        /// Everything that is wrong.
        problems: Vec<Problem>,
        /// What the file has instead, if all tensors are missing; else empty.
        hint: String,
    },
    /// A run that does not fit into memory.
    #[error(
        "the model needs {} MB ({} of weights, {} for each of {ranks} ranks), {} MB are available",
        needed.div_ceil(1_000_000), shared.div_ceil(1_000_000), rank.div_ceil(1_000_000),
        available / 1_000_000
    )]
    Memory {
        /// Bytes needed in all.
        needed: u64,
        /// Those of the weights.
        shared: u64,
        /// Those of one rank besides.
        rank: u64,
        /// Ranks of the process.
        ranks: usize,
        /// Bytes that there are.
        available: u64,
    },
    /// A picture that the VAE cannot make.
    #[error("the VAE makes no picture of {got} {what}: expected {expected}")]
    Picture {
        /// What is wrong with it: frames, pixel rows or pixel columns.
        what: &'static str,
        /// How many were asked for.
        got: usize,
        /// What it can make.
        expected: String,
    },
    /// A result that is not a number, or infinite.
    #[error("{0} holds a value that is not finite")]
    NotFinite(&'static str),
    /// Several errors at once, one below the other.
    #[error("{}", .0.iter().map(Self::to_string).collect::<Vec<_>>().join("\n"))]
    Several(Vec<Self>),
    /// Bytes that no solver state wrote.
    #[error("solver state: {0}")]
    State(&'static str),
    /// An exchange with other ranks failed.
    #[error("exchange with the other ranks failed: {0}")]
    Exchange(#[source] ExchangeError),
}

/// Result of the kernels.
pub type Result<T, E = KernelError> = std::result::Result<T, E>;
