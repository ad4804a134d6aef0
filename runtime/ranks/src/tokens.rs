//! Sets of latent tokens: which rows of the state a shard holds, and where in it a row lies.
//!
//! A shard's rows are always in ascending order of their flat token number (frame by frame, row by row). So a set of
//! tokens says everything about where the bytes are. Invariant: ranges are disjoint, ascending, not empty, not adjacent.

use flexdit_core::migration::Layout;
use smallvec::SmallVec;

/// A set of flat token numbers as ascending ranges; one range for all but layouts by rows over several frames.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    ranges: SmallVec<[(u64, u64); 2]>,
}

/// Rows that lie one after the other in two sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// First row in the one set.
    pub from: u64,
    /// First row in the other.
    pub to: u64,
    /// How many.
    pub rows: u64,
}

impl Tokens {
    /// No token.
    pub fn none() -> Self {
        Self::default()
    }

    /// All tokens of a grid of `[frames, rows, columns]`.
    pub fn all(grid: [u32; 3]) -> Self {
        Self::of(Layout::Replicated, grid, 0)
    }

    /// The tokens of shard `index` of a layout.
    pub fn of(layout: Layout, grid: [u32; 3], index: u32) -> Self {
        let area = u64::from(grid[1]) * u64::from(grid[2]);
        let mut tokens = Self::none();
        for part in layout.shard(grid, index) {
            for frame in part.frames.0..part.frames.1 {
                let first = u64::from(frame) * area;
                tokens.push(first + u64::from(part.tokens.0), first + u64::from(part.tokens.1));
            }
        }
        tokens
    }

    /// Appends a range behind all others; joins what touches.
    fn push(&mut self, start: u64, end: u64) {
        if start >= end {
            return;
        }
        match self.ranges.last_mut() {
            Some(last) if last.1 == start => last.1 = end,
            _ => self.ranges.push((start, end)),
        }
    }

    /// Number of tokens.
    pub fn len(&self) -> u64 {
        self.ranges.iter().map(|(start, end)| end - start).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The ranges, ascending.
    pub fn ranges(&self) -> &[(u64, u64)] {
        &self.ranges
    }

    /// Every token, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        self.ranges.iter().flat_map(|&(start, end)| start..end)
    }

    /// The tokens in both sets.
    pub fn intersect(&self, other: &Self) -> Self {
        let mut both = Self::none();
        let (mut a, mut b) = (self.ranges.iter().peekable(), other.ranges.iter().peekable());
        while let (Some(x), Some(y)) = (a.peek(), b.peek()) {
            both.push(x.0.max(y.0), x.1.min(y.1));
            if x.1 <= y.1 {
                a.next();
            } else {
                b.next();
            }
        }
        both
    }

    /// The tokens that are not in `other`.
    pub fn without(&self, other: &Self) -> Self {
        let mut rest = Self::none();
        for &(start, end) in &self.ranges {
            let mut at = start;
            for &(skip, until) in other.ranges.iter().filter(|r| r.0 < end && r.1 > start) {
                rest.push(at, skip);
                at = until;
            }
            rest.push(at, end);
        }
        rest
    }

    /// The tokens from the `start`-th on, before the `end`-th.
    pub fn slice(&self, start: u64, end: u64) -> Self {
        let (mut part, mut passed) = (Self::none(), 0);
        for &(first, last) in &self.ranges {
            let length = last - first;
            let from = start.saturating_sub(passed).min(length);
            let to = end.saturating_sub(passed).min(length);
            part.push(first + from, first + to);
            passed += length;
        }
        part
    }

    /// Whether every token of `other` is in this set.
    pub fn contains(&self, other: &Self) -> bool {
        other.without(self).is_empty()
    }

    /// How many tokens come before `token`: its row.
    pub fn row(&self, token: u64) -> u64 {
        self.ranges.iter().map(|&(start, end)| token.clamp(start, end) - start).sum()
    }

    /// Where the tokens of `part` lie in both sets, as few runs as there are. `part` is in both.
    pub fn runs<'a>(&'a self, into: &'a Self, part: &'a Self) -> impl Iterator<Item = Run> + 'a {
        let split = self.intersect(into).intersect(part);
        split.ranges.into_iter().map(|(start, end)| Run {
            from: self.row(start),
            to: into.row(start),
            rows: end - start,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn set(tokens: &Tokens) -> BTreeSet<u64> {
        tokens.iter().collect()
    }

    fn layouts() -> impl Strategy<Value = Layout> {
        prop_oneof![
            Just(Layout::Replicated),
            (1_u32..6).prop_map(|parts| Layout::Tokens { parts }),
            (1_u32..6).prop_map(|parts| Layout::Rows { parts }),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn sets_behave_as_sets(
            grid in prop::array::uniform3(1_u32..6),
            a in (layouts(), 0_u32..6),
            b in (layouts(), 0_u32..6),
            cut in (0_u64..40, 0_u64..40),
        ) {
            let of = |(layout, index): (Layout, u32)| {
                Tokens::of(layout, grid, index % layout.parts())
            };
            let (a, b) = (of(a), of(b));
            prop_assert!(a.ranges.is_sorted() && a.ranges.windows(2).all(|w| w[0].1 < w[1].0));
            prop_assert_eq!(a.len(), set(&a).len() as u64);
            let both: BTreeSet<u64> = set(&a).intersection(&set(&b)).copied().collect();
            prop_assert_eq!(set(&a.intersect(&b)), both.clone());
            prop_assert_eq!(set(&a.without(&b)), set(&a).difference(&set(&b)).copied().collect());
            prop_assert_eq!(a.contains(&b), set(&b).is_subset(&set(&a)));
            let sorted: Vec<u64> = a.iter().collect();
            for (row, token) in sorted.iter().enumerate() {
                prop_assert_eq!(a.row(*token), row as u64);
            }
            let (start, end) = (cut.0.min(a.len()), cut.1.min(a.len()));
            let expected = sorted.get(start as usize..end as usize).unwrap_or_default();
            prop_assert_eq!(a.slice(start, end).iter().collect::<Vec<_>>(), expected);
            let moved: Vec<(u64, u64)> = a
                .runs(&b, &a.intersect(&b))
                .flat_map(|run| (0..run.rows).map(move |i| (run.from + i, run.to + i)))
                .collect();
            let rows: Vec<(u64, u64)> = both.iter().map(|t| (a.row(*t), b.row(*t))).collect();
            prop_assert_eq!(moved, rows);
        }
    }
}
