//! Memory that a step needs besides the weights, so that a run that cannot fit is refused before it starts.

use crate::cpu::attention::{KEYS, QUERIES};
use crate::model::block::ROWS;
use crate::model::config::{Config, Family};

/// How a sequence is split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Split {
    /// Ulysses degree.
    pub ulysses: usize,
    /// Ring degree.
    pub ring: usize,
}

impl Split {
    /// A whole sequence on one rank.
    pub const ALONE: Self = Self { ulysses: 1, ring: 1 };
}

impl Config {
    /// Most bytes of activations and buffers that a rank holds during a step over `tokens` latent and `text` text tokens.
    ///
    /// # Source
    /// Derived: the sum of all buffers that live at once in a block, all in f32.
    pub fn step_bytes(&self, tokens: usize, text: usize, split: Split) -> u64 {
        let (d, degree) = (self.hidden(), split.ulysses * split.ring);
        let mut rows = tokens.div_ceil(degree);
        // Text, its embedding, and its keys and values where every rank has them whole.
        let mut text_values = text * self.text_dim;
        match self.family {
            Family::DualStream => rows += text.div_ceil(degree),
            Family::Video => text_values += 4 * text * d,
        }
        // The stream, queries, keys, values, the attended, the normed and the projected rows; tables of angles.
        let streams = 7 * rows * d + 2 * rows * self.head_dim;
        let feed_forward = ROWS.min(rows) * (d + self.ffn);
        let group = (rows * split.ulysses).max(text).next_multiple_of(KEYS);
        let attention = 2 * group * self.head_dim + QUERIES * KEYS + 2 * rows * self.heads;
        let swap = if split.ulysses > 1 { 12 * rows * d } else { 0 };
        let shift = if split.ring > 1 { 4 * rows * d } else { 0 };
        let values = streams + feed_forward + attention + swap + shift + text_values;
        (values * size_of::<f32>()) as u64
    }
}
