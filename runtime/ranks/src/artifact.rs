//! What a request's state consists of, and one rank's part of one version of it.

use crate::memory::Buffer;
use crate::tokens::Tokens;

/// A tensor of the state with a row for every latent token, split as the latents are: latents, the solver's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowTensor {
    /// Its name in messages.
    pub name: &'static str,
    /// Bytes of one row, a multiple of 4.
    pub row_bytes: usize,
}

/// A tensor of the state that text encoding makes once and every denoising rank holds whole: text embeddings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WholeTensor {
    /// Its name in messages.
    pub name: &'static str,
    /// Its bytes.
    pub bytes: usize,
}

/// What the state of a request of one shape consists of. How rows are split over ranks follows from stage and
/// parallelism alone ([`layout_of`](flexdit_core::migration::layout_of)).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Latent tokens as (frames, rows, columns); the same as the system under test was told.
    pub grid: [u32; 3],
    /// Tensors that are split by token.
    pub rows: Vec<RowTensor>,
    /// Tensors that are replicated.
    pub whole: Vec<WholeTensor>,
}

impl State {
    /// What is wrong with it, if anything.
    pub(crate) fn fault(&self) -> Option<String> {
        if self.grid.contains(&0) {
            return Some(format!("a grid of {:?} tokens is empty", self.grid));
        }
        let odd = self.rows.iter().find(|row| row.row_bytes == 0 || row.row_bytes % 4 != 0);
        odd.map(|row| {
            let RowTensor { name, row_bytes } = row;
            format!("a row of {name} has {row_bytes} bytes, which is no positive multiple of 4")
        })
    }
}

/// One rank's part of a version: for some tokens, the rows of every [`RowTensor`] in ascending order of tokens.
///
/// The result of a VAE decode has no tokens; its tensors are what the compute made of it.
#[derive(Debug)]
pub struct Shard {
    /// Which rows.
    pub tokens: Tokens,
    /// One buffer a tensor.
    pub tensors: Vec<Buffer>,
}
