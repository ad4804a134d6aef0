//! Memory that encoding needs besides the weights, so that a run that cannot fit is refused before it starts.

use super::config::Config;
use crate::cpu::attention::{KEYS, QUERIES};

impl Config {
    /// Most bytes of activations and buffers that a rank holds while it encodes `tokens` tokens.
    ///
    /// # Source
    /// Derived: the sum of all buffers of one layer, all in f32.
    pub fn encode_bytes(&self, tokens: usize) -> u64 {
        let (all, some) = (self.heads * self.head_dim, self.kv_heads * self.head_dim);
        // The stream, normed, attended and fed rows; queries, output, keys and values, each of these twice; angles.
        let rows = 4 * self.hidden + 4 * all + 2 * some + 2 * self.ffn + 2 * self.head_dim;
        let keys = tokens.next_multiple_of(KEYS);
        let attention = 2 * keys * self.head_dim + QUERIES * KEYS + 4 * tokens * self.heads;
        ((tokens * rows + attention) * size_of::<f32>()) as u64
    }
}
