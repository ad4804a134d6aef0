//! Why a layout cannot run: one enum, each variant a sentence fragment with its figures.

use crate::parallelism::Parallelism;
use alloc::string::String;

/// The reason a shape cannot be made, or a layout cannot make it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Infeasible {
    /// A degree of zero.
    #[error("a degree of 0 in layout {0}")]
    ZeroDegree(Parallelism),
    /// Ulysses splits attention by heads.
    #[error("ulysses degree {degree} does not divide the {heads} heads of {model}")]
    Heads {
        /// The degree asked for.
        degree: u8,
        /// Attention heads of the model.
        heads: u32,
        /// The model's name.
        model: &'static str,
    },
    /// There are two guidance branches.
    #[error("cfg degree {0} is neither 1 nor 2")]
    CfgDegree(u8),
    /// Only guided requests have a second branch.
    #[error("cfg degree 2 needs a guided request; this one runs one forward a step")]
    CfgUnguided,
    /// The model folds guidance into one forward.
    #[error("{0} is guidance-distilled and has no second guidance branch")]
    Distilled(&'static str),
    /// More shards than tokens.
    #[error("sequence degree {degree} exceeds the {tokens} latent tokens")]
    Tokens {
        /// The degree asked for.
        degree: u16,
        /// Latent tokens of the shape.
        tokens: u64,
    },
    /// More patches than rows.
    #[error("vae-patch degree {degree} exceeds the {rows} latent rows")]
    Rows {
        /// The degree asked for.
        degree: u8,
        /// Rows of latent tokens.
        rows: u32,
    },
    /// An image model was asked for a video.
    #[error("{model} makes images; {frames} frames asked")]
    Frames {
        /// The model's name.
        model: &'static str,
        /// Frames asked for.
        frames: u32,
    },
    /// The picture is smaller than one latent token, or has no frame.
    #[error("{width}x{height}, {frames} frames, has no latent token in {model}")]
    Empty {
        /// The model's name.
        model: &'static str,
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// Frames asked for.
        frames: u32,
    },
    /// Weights and working set exceed a rank's memory.
    #[error(
        "{model} at layout {parallelism} needs {needed_gb} GB a rank; a rank has {available_gb} GB"
    )]
    Memory {
        /// The model's name.
        model: &'static str,
        /// The layout asked for.
        parallelism: Parallelism,
        /// Weights and working set in whole gigabytes, rounded up.
        needed_gb: u64,
        /// Memory of a rank in whole gigabytes.
        available_gb: u64,
    },
    /// The cost table does not know the layout. Unknown is infeasible, never free.
    #[error("the profile has no price for {stage} of {model} at layout {parallelism}")]
    Unpriced {
        /// The model's name.
        model: &'static str,
        /// The stage without a price.
        stage: &'static str,
        /// The layout asked for.
        parallelism: Parallelism,
    },
    /// A request names a model outside the experiment's table.
    #[error("{0}")]
    Model(String),
}
