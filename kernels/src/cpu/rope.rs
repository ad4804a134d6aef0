//! Rotary position embedding over any number of axes: each head is cut into one part per axis, and in each part
//! neighbouring elements are turned as pairs by position x frequency.

use crate::cpu::simd::{LANES, vectorised};
use crate::view::ViewMut;

/// Angles of a sequence: for each token the cosines and signed sines of all pairs of a head.
#[derive(Clone, Debug)]
pub struct RopeTable {
    head_dim: usize,
    /// `[tokens, head_dim]`: c0 c0 c1 c1 ..
    cosines: Vec<f32>,
    /// `[tokens, head_dim]`: -s0 s0 -s1 s1 ..
    sines: Vec<f32>,
}

/// Base of the frequencies.
pub const THETA: f64 = 10_000.0;

impl RopeTable {
    /// The table of a sequence in which each token has one position per axis. Pair i of an axis of length n turns by
    /// position x theta^(-2i/n).
    ///
    /// # Panics
    /// If an axis has an odd number of elements.
    pub fn new<const N: usize>(
        axes: [usize; N],
        positions: impl ExactSizeIterator<Item = [i32; N]>,
    ) -> Self {
        Self::with_base(THETA, axes, positions)
    }

    /// The same with `base` instead of [`THETA`].
    ///
    /// # Panics
    /// As [`Self::new`].
    pub fn with_base<const N: usize>(
        base: f64,
        axes: [usize; N],
        positions: impl ExactSizeIterator<Item = [i32; N]>,
    ) -> Self {
        assert!(axes.iter().all(|axis| axis % 2 == 0), "axes {axes:?} must be even");
        let head_dim = axes.iter().sum();
        let length = positions.len() * head_dim;
        let (mut cosines, mut sines) = (Vec::with_capacity(length), Vec::with_capacity(length));
        // Tokens of a picture share most of their angles with their predecessor.
        let mut known: [(Option<i32>, Vec<[f32; 2]>); N] = axes.map(|_| (None, Vec::new()));
        for token in positions {
            for axis in 0..N {
                let (position, angles) = &mut known[axis];
                if *position != Some(token[axis]) {
                    *position = Some(token[axis]);
                    *angles = (0..axes[axis] / 2)
                        .map(|i| turn(base, axes[axis], token[axis], i))
                        .collect();
                }
                cosines.extend(angles.iter().flat_map(|[cos, _]| [*cos; 2]));
                sines.extend(angles.iter().flat_map(|[_, sin]| [-sin, *sin]));
            }
        }
        Self { head_dim, cosines, sines }
    }

    /// Number of tokens.
    pub fn tokens(&self) -> usize {
        self.cosines.len() / self.head_dim
    }

    /// Turns all heads of rows that hold the tokens from `first` on, in place.
    ///
    /// # Panics
    /// If rows are not made of whole heads or the table ends before them.
    pub fn apply(&self, mut x: ViewMut<'_>, first: usize) {
        let dim = self.head_dim;
        assert_eq!(x.columns() % dim, 0, "rows of whole heads");
        assert!(first + x.height() <= self.tokens(), "tokens of the table");
        vectorised(
            #[inline(always)]
            || {
                for row in 0..x.height() {
                    let at = (first + row) * dim..(first + row + 1) * dim;
                    let (cosines, sines) = (&self.cosines[at.clone()], &self.sines[at]);
                    for head in x.row_mut(row).chunks_exact_mut(dim) {
                        turn_head(head, cosines, sines);
                    }
                }
            },
        );
    }
}

/// Cosine and sine of pair `pair` at a position.
fn turn(base: f64, axis: usize, position: i32, pair: usize) -> [f32; 2] {
    let frequency = libm::pow(base, -2.0 * pair as f64 / axis as f64);
    let angle = f64::from(position) * frequency;
    [libm::cos(angle) as f32, libm::sin(angle) as f32]
}

#[inline(always)]
fn turn_head(head: &mut [f32], cosines: &[f32], sines: &[f32]) {
    let (chunks, rest) = head.as_chunks_mut::<LANES>();
    let (cos_chunks, cos_rest) = cosines.as_chunks::<LANES>();
    let (sin_chunks, sin_rest) = sines.as_chunks::<LANES>();
    for ((x, cos), sin) in chunks.iter_mut().zip(cos_chunks).zip(sin_chunks) {
        let old = *x;
        for i in 0..LANES {
            x[i] = old[i].mul_add(cos[i], old[i ^ 1] * sin[i]);
        }
    }
    let pairs = rest.as_chunks_mut::<2>().0.iter_mut();
    let angles = cos_rest.as_chunks::<2>().0.iter().zip(sin_rest.as_chunks::<2>().0);
    for (x, (cos, sin)) in pairs.zip(angles) {
        let old = *x;
        for i in 0..2 {
            x[i] = old[i].mul_add(cos[i], old[i ^ 1] * sin[i]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::ViewMut;

    #[test]
    fn pairs_turn_by_position_times_frequency() {
        let table = RopeTable::new([2, 4], [[0, 0], [1, 2]].into_iter());
        let mut x = [1.0, 0.0, 0.0, 1.0, 1.0, 0.0];
        table.apply(ViewMut::new(&mut x, 6), 1);
        let expected = [
            libm::cos(1.0),
            libm::sin(1.0),
            -libm::sin(2.0),
            libm::cos(2.0),
            libm::cos(2.0 / 100.0),
            libm::sin(2.0 / 100.0),
        ];
        for (x, expected) in x.iter().zip(expected) {
            assert!((f64::from(*x) - expected).abs() < 1e-7, "{x} {expected}");
        }
    }
}
