//! Why a model cannot be loaded, or a request not be made.

use flexdit_core::ModelId;
use flexdit_kernels::KernelError;

/// What is wrong with models or shapes.
#[derive(Debug, thiserror::Error)]
pub enum DitError {
    /// A name without a preset.
    #[error("the kernels have no model `{0}`")]
    Name(String),
    /// A model that cannot be built.
    #[error("{model}: {source}")]
    Load {
        /// Its name.
        model: String,
        /// What the kernels say.
        source: Box<KernelError>,
    },
    /// A request names a model that is not loaded.
    #[error("{0} is not among the models")]
    Unknown(ModelId),
    /// More text than the transformer takes, or none.
    #[error("{got} text tokens, expected 1 to {most}")]
    Text {
        /// Asked for.
        got: u32,
        /// What the transformer takes.
        most: usize,
    },
    /// A prompt of which nothing is left as tokens.
    #[error("{model}: the prompt `{text}` has no token")]
    Prompt {
        /// The model's name.
        model: String,
        /// The prompt.
        text: String,
    },
    /// Numbers that overflowed or never were any; weights in files are checked when they are read.
    #[error("{what} are not finite after {after}")]
    NotFinite {
        /// Which.
        what: &'static str,
        /// The stage, and the last of its steps.
        after: String,
    },
    /// A request without denoising steps.
    #[error("no denoising steps")]
    Steps,
    /// There are one or two guidance branches.
    #[error("cfg degree {0} is not the number of guidance branches")]
    Cfg(u8),
    /// The kernels refused.
    #[error(transparent)]
    Kernels(Box<KernelError>),
}

impl From<KernelError> for DitError {
    fn from(error: KernelError) -> Self {
        Self::Kernels(Box::new(error))
    }
}
