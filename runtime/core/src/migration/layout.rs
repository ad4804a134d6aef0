//! How a request's latents are split: boxes of tokens.

use smallvec::{SmallVec, smallvec};

/// A box of latent tokens: frames `frames.0..frames.1`, and of each the tokens `tokens.0..tokens.1`
/// in row-major order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenBox {
    /// First frame and the one past the last.
    pub frames: (u32, u32),
    /// First token within a frame and the one past the last.
    pub tokens: (u32, u32),
}

impl TokenBox {
    /// Tokens inside.
    pub const fn volume(&self) -> u64 {
        let frames = self.frames.1.saturating_sub(self.frames.0) as u64;
        frames * self.tokens.1.saturating_sub(self.tokens.0) as u64
    }

    /// The tokens in both boxes; of volume 0 if there are none.
    pub fn intersect(&self, other: &Self) -> Self {
        Self {
            frames: (self.frames.0.max(other.frames.0), self.frames.1.min(other.frames.1)),
            tokens: (self.tokens.0.max(other.tokens.0), self.tokens.1.min(other.tokens.1)),
        }
    }
}

/// Disjoint boxes of one shard: at most three.
pub type Boxes = SmallVec<[TokenBox; 3]>;

/// How latents are laid out over the ranks of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Every rank holds everything.
    Replicated,
    /// Split along the token sequence (frame by frame, row by row).
    Tokens {
        /// Shards.
        parts: u32,
    },
    /// Split along the rows of every frame.
    Rows {
        /// Shards.
        parts: u32,
    },
}

/// The `index`-th of `parts` ragged pieces of `length`, the longer ones first: 5 over 2 is 3 + 2.
///
/// ```
/// use flexdit_core::migration::layout::ragged;
/// assert_eq!([ragged(5, 2, 0), ragged(5, 2, 1)], [(0, 3), (3, 5)]);
/// ```
pub const fn ragged(length: u64, parts: u32, index: u32) -> (u64, u64) {
    let (parts, index) = (parts as u64, index as u64);
    let (short, longer) = (length / parts, length % parts);
    let start = index * short + if index < longer { index } else { longer };
    (start, start + short + (index < longer) as u64)
}

impl Layout {
    /// Shards of the layout.
    pub const fn parts(self) -> u32 {
        match self {
            Self::Replicated => 1,
            Self::Tokens { parts } | Self::Rows { parts } => parts,
        }
    }

    /// The boxes of shard `index` of latents with `[frames, rows, columns]` tokens. `parts` must
    /// not be zero.
    pub fn shard(self, grid: [u32; 3], index: u32) -> Boxes {
        let [frames, rows, columns] = grid;
        let area = rows * columns;
        match self {
            Self::Replicated => smallvec![TokenBox { frames: (0, frames), tokens: (0, area) }],
            Self::Rows { parts } => {
                let (first, last) = ragged(u64::from(rows), parts, index);
                let tokens = (first as u32 * columns, last as u32 * columns);
                smallvec![TokenBox { frames: (0, frames), tokens }]
            }
            Self::Tokens { parts } => {
                let total = u64::from(frames) * u64::from(area);
                let (start, end) = ragged(total, parts, index);
                flat(area, start, end)
            }
        }
    }
}

/// The flat token range `start..end` as boxes: a partial first frame, whole frames, a partial last
/// one.
fn flat(area: u32, start: u64, end: u64) -> Boxes {
    let mut boxes = Boxes::new();
    if start >= end || area == 0 {
        return boxes;
    }
    let width = u64::from(area);
    let (first, last) = ((start / width) as u32, (end / width) as u32);
    let (head, tail) = ((start % width) as u32, (end % width) as u32);
    if first == last {
        boxes.push(TokenBox { frames: (first, first + 1), tokens: (head, tail) });
        return boxes;
    }
    let whole = if head > 0 {
        boxes.push(TokenBox { frames: (first, first + 1), tokens: (head, area) });
        first + 1
    } else {
        first
    };
    if whole < last {
        boxes.push(TokenBox { frames: (whole, last), tokens: (0, area) });
    }
    if tail > 0 {
        boxes.push(TokenBox { frames: (last, last + 1), tokens: (0, tail) });
    }
    boxes
}

/// Tokens that are in both shards.
pub fn overlap(a: &Boxes, b: &Boxes) -> u64 {
    a.iter().flat_map(|left| b.iter().map(|right| left.intersect(right).volume())).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    #[test]
    fn ragged_pieces_are_longer_first() {
        let pieces = |length, parts| -> Vec<u64> {
            (0..parts).map(|i| ragged(length, parts, i)).map(|(a, b)| b - a).collect()
        };
        assert_eq!(pieces(5, 2), [3, 2]);
        assert_eq!(pieces(5, 4), [2, 1, 1, 1]);
        assert_eq!(pieces(3, 5), [1, 1, 1, 0, 0]);
    }

    #[test]
    fn a_flat_range_is_a_head_whole_frames_and_a_tail() {
        let boxes = flat(10, 7, 34);
        let expected = [((0, 1), (7, 10)), ((1, 3), (0, 10)), ((3, 4), (0, 4))];
        let found: Vec<_> = boxes.iter().map(|b| (b.frames, b.tokens)).collect();
        assert_eq!(found, expected);
        assert_eq!(flat(10, 10, 20)[0].frames, (1, 2));
    }

    proptest! {
        #[test]
        fn shards_cover_everything_once(
            grid in prop::array::uniform3(1_u32..6), parts in 1_u32..9, rows in any::<bool>(),
        ) {
            let layout = if rows { Layout::Rows { parts } } else { Layout::Tokens { parts } };
            let shards: Vec<Boxes> = (0..parts).map(|i| layout.shard(grid, i)).collect();
            let total: u64 = shards.iter().flatten().map(TokenBox::volume).sum();
            prop_assert_eq!(total, grid.iter().map(|n| u64::from(*n)).product::<u64>());
            for (i, a) in shards.iter().enumerate() {
                for b in &shards[..i] {
                    prop_assert_eq!(overlap(a, b), 0);
                }
            }
        }
    }
}
