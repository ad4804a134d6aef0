//! Memory that decoding needs besides the weights, so that a run that cannot fit is refused before it starts.

use super::COLOURS;
use super::config::Config;
use crate::cpu::attention::{KEYS, QUERIES};

/// Frames that a causal convolution keeps.
const REMEMBERED: usize = 2;

impl Config {
    /// Most bytes of frames and buffers that a rank holds while it decodes `rows` of the `total` rows of latents of
    /// `frames` frames and `columns` columns, the picture included.
    ///
    /// # Source
    /// Derived: every causal convolution keeps two frames if there are several; each level holds, summed over levels
    /// since buffers are kept for later use, the four frames of a residual block, those of its enlargement, and one more for
    /// buffers that are longer than what they are used for; attention holds projections of its pixels and keys and
    /// values of all.
    pub fn decode_bytes(&self, frames: usize, rows: usize, total: usize, columns: usize) -> u64 {
        let frame = |scale: usize| (rows * scale + 2) * (columns * scale + 2);
        let remembered = if frames > 1 { REMEMBERED } else { 0 };
        let widest = self.widest();
        let inner = 4 * widest + 2 * self.latent_channels;
        let mut values = frame(1) * (remembered * inner + 4 * widest);
        let pixels = total * columns;
        let split = if rows < total { 2 } else { 0 };
        values += rows * columns * (5 + split) * widest;
        values += pixels.next_multiple_of(KEYS) * (2 + split) * widest + QUERIES * KEYS;
        let mut last = widest;
        for (level, [inputs, outputs]) in self.levels().into_iter().enumerate() {
            let here = frame(1 << level);
            let convs = inputs + outputs + 2 * self.residual_blocks * outputs;
            values += here * (remembered * convs + 5 * inputs.max(outputs));
            if let Some(doubles) = self.temporal.get(level) {
                let next = if self.shortcut { outputs } else { outputs / 2 };
                values += frame(2 << level) * (outputs + next);
                values += here * if self.shortcut { inputs } else { 0 };
                if *doubles && frames > 1 {
                    values += here * (remembered + 4) * outputs;
                }
            }
            last = outputs;
        }
        let finest = frame(1 << self.temporal.len());
        values += finest * (remembered * last + last + COLOURS * self.patch * self.patch);
        let [frames, height, columns] = self.picture([frames.max(1), rows, columns]);
        values += frames * height * columns * COLOURS;
        (values * size_of::<f32>()) as u64
    }
}
