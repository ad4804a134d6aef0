//! Memory that a run needs, stage by stage, and the refusal of one that does not fit.

use super::Config;
use crate::error::{KernelError, Result};
use crate::model::Split;

/// Bytes that a run needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Weights, once for all ranks of a process.
    pub shared: u64,
    /// Activations and buffers of the hungriest stage, for each rank.
    pub rank: u64,
}

impl Memory {
    /// Bytes of `ranks` ranks of one process.
    pub fn total(&self, ranks: usize) -> u64 {
        self.shared + self.rank * ranks as u64
    }

    /// Checks that `ranks` ranks of one process fit into `available` bytes.
    ///
    /// # Errors
    /// [`KernelError::Memory`] with both numbers.
    ///
    /// ```
    /// use flexdit_kernels::model::Split;
    /// use flexdit_kernels::pipeline::Config;
    /// let config = Config::preset("qwen-image").expect("listed");
    /// let needs = config.memory([1, 1024, 1024], 512, Split::ALONE, 1)?;
    /// let error = needs.check(1, 16_000_000_000).unwrap_err();
    /// assert!(error.to_string().ends_with("16000 MB are available"));
    /// # Ok::<(), flexdit_kernels::KernelError>(())
    /// ```
    pub fn check(&self, ranks: usize, available: u64) -> Result<()> {
        let needed = self.total(ranks);
        if needed <= available {
            return Ok(());
        }
        let (shared, rank) = (self.shared, self.rank);
        Err(KernelError::Memory { needed, shared, rank, ranks, available })
    }
}

impl Config {
    /// What a request for a picture of (frames, pixel rows, pixel columns) with `text` text tokens needs at the given
    /// degrees: `split` of the sequence, `decoders` ranks of the VAE.
    ///
    /// # Errors
    /// As [`Config::grid`].
    ///
    /// # Panics
    /// If a degree is 0.
    pub fn memory(
        &self,
        picture: [usize; 3],
        text: usize,
        split: Split,
        decoders: usize,
    ) -> Result<Memory> {
        let grid = self.grid(picture)?;
        let patch = self.transformer.patch;
        let [frames, rows, columns] = [0, 1, 2].map(|axis| grid[axis] * patch[axis]);
        let tokens: usize = grid.iter().product();
        let shard = tokens.div_ceil(split.ulysses * split.ring) * self.transformer.width();
        // The tokens, both predictions, and up to three buffers of the solver.
        let state = (6 * shard * size_of::<f32>()) as u64;
        let seen = if self.text.pad { self.transformer.text_tokens } else { text };
        let step = self.transformer.step_bytes(tokens, seen, split) + state;
        let mine = grid[1].div_ceil(decoders) * patch[1];
        let decode = self.vae.decode_bytes(frames, mine, rows, columns);
        let encode = self.text.encode_bytes(text + self.text.skip);
        Ok(Memory { shared: self.weight_bytes(), rank: encode.max(step).max(decode) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_ranks_need_less_each_and_a_larger_picture_more() {
        let config = Config::preset("wan2.2-ti2v-5b").expect("listed");
        let needs = |picture, split, decoders| {
            config.memory(picture, 512, split, decoders).expect("a picture")
        };
        let small = needs([49, 480, 832], Split::ALONE, 1);
        let large = needs([81, 704, 1280], Split::ALONE, 1);
        let split = needs([81, 704, 1280], Split { ulysses: 4, ring: 2 }, 8);
        assert!(small.rank < large.rank && split.rank < large.rank / 4, "{large:?} {split:?}");
        assert_eq!(large.shared, split.shared);
        assert!(large.check(1, large.total(1)).is_ok());
        let error = large.check(2, large.total(2) - 1).unwrap_err().to_string();
        assert!(error.contains("for each of 2 ranks"), "{error}");
    }
}
