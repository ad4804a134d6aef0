//! What can be wrong with a tensor in a file.

use crate::tensor::Shape;
use safetensors::Dtype;

/// What is wrong with one tensor.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Problem {
    /// It is not there.
    #[error("tensor `{name}` is missing")]
    Missing {
        /// Its name.
        name: String,
    },
    /// It has another shape.
    #[error("tensor `{name}` has shape {got:?}, expected {expected}")]
    Shape {
        /// Its name.
        name: String,
        /// The shape in the file.
        got: Vec<usize>,
        /// The shape that the model needs.
        expected: Shape,
    },
    /// It holds another type than those that can be read.
    #[error("tensor `{name}` holds {got:?}, expected F32, BF16 or F16")]
    Type {
        /// Its name.
        name: String,
        /// The type in the file.
        got: Dtype,
    },
    /// Two files hold it.
    #[error("tensor `{name}` is in two files, {first} and {second}")]
    Twice {
        /// Its name.
        name: String,
        /// One file.
        first: String,
        /// The other.
        second: String,
    },
}

/// Problems one below the other.
pub(crate) fn list(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("\n  {problem}")).collect()
}
