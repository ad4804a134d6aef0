//! T5's positions: a learnt number per head and distance between query and key, distances in buckets that widen.
//!
//! # Source
//! Raffel et al., Exploring the Limits of Transfer Learning (T5), section 2.1: 32 buckets, half for keys behind
//! the query; distances below 8 have one each, farther ones share them logarithmically up to 128.

/// Buckets of distances, both directions together.
pub const BUCKETS: usize = 32;

/// Distance from which on all share a bucket.
const FARTHEST: f64 = 128.0;

/// The bucket of a key `distance` tokens after the query.
pub fn bucket(distance: isize) -> usize {
    let half = BUCKETS / 2;
    let exact = half / 2;
    let side = if distance > 0 { half } else { 0 };
    let steps = distance.unsigned_abs();
    if steps < exact {
        return side + steps;
    }
    let ratio = libm::log(steps as f64 / exact as f64) / libm::log(FARTHEST / exact as f64);
    side + (half - 1).min(exact + (ratio * (half - exact) as f64) as usize)
}

/// What is added to the scores of one layer.
#[derive(Debug)]
pub(super) struct DistanceBias {
    /// `[heads, 2 tokens - 1]`, for keys from as far before the query as possible to as far after it.
    lines: Vec<Vec<f32>>,
    tokens: usize,
}

impl DistanceBias {
    /// The numbers of `table` `[buckets, heads]` for a text of `tokens`.
    pub(super) fn new(table: &[f32], heads: usize, tokens: usize) -> Self {
        let line = |head: usize| {
            let distances = 1 - tokens as isize..tokens as isize;
            distances.map(|distance| table[bucket(distance) * heads + head]).collect()
        };
        Self { lines: (0..heads).map(line).collect(), tokens }
    }

    /// Adds to the scores of `query` for the keys from `first` on.
    pub(super) fn add(&self, head: usize, query: usize, first: usize, scores: &mut [f32]) {
        let begin = first + self.tokens - 1 - query;
        let line = &self.lines[head][begin..begin + scores.len()];
        scores.iter_mut().zip(line).for_each(|(score, bias)| *score += bias);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_keys_have_buckets_of_their_own_and_far_ones_share() {
        let buckets = [0, -1, -7, -8, -11, -12, -127, -128, -5000, 1, 7, 8, 5000].map(bucket);
        assert_eq!(buckets, [0, 1, 7, 8, 8, 9, 15, 15, 15, 17, 23, 24, 31]);
    }

    #[test]
    fn scores_get_the_number_of_their_distance() {
        let table: Vec<f32> = (0..2 * BUCKETS).map(|i| i as f32).collect();
        let bias = DistanceBias::new(&table, 2, 4);
        let mut scores = [0.0; 3];
        bias.add(1, 2, 1, &mut scores);
        // Keys 1, 2, 3 lie 1 before, at, and 1 after query 2.
        assert_eq!(scores, [3.0, 1.0, 35.0]);
    }
}
