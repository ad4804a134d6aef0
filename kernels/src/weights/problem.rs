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
    /// It holds a number that is none, or infinite.
    #[error("tensor `{name}` holds {got} at element {index}, expected finite numbers")]
    NotFinite {
        /// Its name.
        name: String,
        /// Where.
        index: usize,
        /// What stands there.
        got: f32,
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

/// Problems that are told one by one; of more only the number.
const TOLD: usize = 10;

/// Problems one below the other, then the hint.
pub(crate) fn list(problems: &[Problem], hint: &str) -> String {
    let mut lines: Vec<String> = problems.iter().take(TOLD).map(Problem::to_string).collect();
    if problems.len() > TOLD {
        lines.push(format!("and {} more", problems.len() - TOLD));
    }
    if !hint.is_empty() {
        lines.push(hint.to_owned());
    }
    lines.iter().map(|line| format!("\n  {line}")).collect()
}
