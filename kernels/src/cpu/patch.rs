//! Latents as tokens: a token is a patch, its elements ordered (channel, frame, row, column) inside it; tokens go frame by
//! frame, row by row.

use crate::error::Result;
use crate::split::ragged;
use crate::tensor::Tensor;
use std::ops::Range;

/// Sizes of latents `[channels, frames, rows, columns]` and of the patches that they are cut into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patching {
    /// Channels of the latents.
    pub channels: usize,
    /// Patches along frames, rows and columns.
    pub grid: [usize; 3],
    /// Frames, rows and columns of a patch.
    pub patch: [usize; 3],
}

impl Patching {
    /// Tokens of the whole.
    pub fn tokens(&self) -> usize {
        self.grid.iter().product()
    }

    /// Elements of a token.
    pub fn width(&self) -> usize {
        self.channels * self.patch.iter().product::<usize>()
    }

    /// Shape of the latents.
    pub fn latents(&self) -> [usize; 4] {
        let [t, h, w] = [0, 1, 2].map(|axis| self.grid[axis] * self.patch[axis]);
        [self.channels, t, h, w]
    }

    /// The tokens that shard `index` of `parts` holds.
    pub fn shard(&self, parts: usize, index: usize) -> Range<usize> {
        ragged(self.tokens(), parts, index)
    }

    /// Latents as tokens `[tokens, width]`.
    ///
    /// # Errors
    /// [`crate::KernelError::Shape`] if the latents have another shape.
    pub fn patchify(&self, latents: &Tensor) -> Result<Tensor> {
        latents.expect("latents", self.latents())?;
        let mut tokens = Tensor::zeros([self.tokens(), self.width()]);
        let data = tokens.data_mut();
        self.each(|latent, token| data[token] = latents.data()[latent]);
        Ok(tokens)
    }

    /// Tokens as latents `[channels, frames, rows, columns]`.
    ///
    /// # Errors
    /// [`crate::KernelError::Shape`] if the tokens have another shape.
    pub fn unpatchify(&self, tokens: &Tensor) -> Result<Tensor> {
        tokens.expect("tokens", [self.tokens(), self.width()])?;
        let mut latents = Tensor::zeros(self.latents());
        let data = latents.data_mut();
        self.each(|latent, token| data[latent] = tokens.data()[token]);
        Ok(latents)
    }

    /// Calls `f` with the place of every element in latents and in tokens.
    fn each(&self, mut f: impl FnMut(usize, usize)) {
        let [channels, frames, rows, columns] = self.latents();
        let [pt, ph, pw] = self.patch;
        let mut latent = 0;
        for c in 0..channels {
            for t in 0..frames {
                for h in 0..rows {
                    for w in 0..columns {
                        let token = (t / pt * self.grid[1] + h / ph) * self.grid[2] + w / pw;
                        let inside = ((c * pt + t % pt) * ph + h % ph) * pw + w % pw;
                        f(latent, token * self.width() + inside);
                        latent += 1;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    #[test]
    fn tokens_go_row_by_row_and_channels_first_inside() {
        let patching = Patching { channels: 2, grid: [1, 1, 2], patch: [1, 2, 2] };
        let latents = (0..16_u8).map(f32::from).collect();
        let latents = Tensor::new("latents", [2, 1, 2, 4], latents).expect("16 elements");
        let tokens = patching.patchify(&latents).expect("that shape");
        assert_eq!(tokens.entry(0), [0.0, 1.0, 4.0, 5.0, 8.0, 9.0, 12.0, 13.0]);
        assert_eq!(tokens.entry(1), [2.0, 3.0, 6.0, 7.0, 10.0, 11.0, 14.0, 15.0]);
    }

    #[test]
    fn there_and_back_is_the_same() {
        let patching = Patching { channels: 3, grid: [2, 3, 5], patch: [1, 2, 2] };
        let data = Stream::new(1, "patch").uniform(3 * 2 * 6 * 10, 1.0);
        let latents = Tensor::new("latents", patching.latents(), data).expect("fits");
        let tokens = patching.patchify(&latents).expect("fits");
        assert_eq!(patching.unpatchify(&tokens).expect("fits"), latents);
        assert!(patching.patchify(&tokens).is_err());
    }
}
