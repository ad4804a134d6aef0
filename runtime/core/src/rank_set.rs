//! An unordered set of ranks: what the scheduler reserves.

use crate::ids::Rank;
use core::fmt;

/// Most ranks a world may have.
pub const MAX_WORLD: usize = 1024;
const WORDS: usize = MAX_WORLD / 64;

/// A set of ranks of one world, as a bit set of fixed size.
///
/// ```
/// use flexdit_core::{Rank, RankSet};
/// let mut free = RankSet::first(4);
/// free.remove(Rank(1));
/// assert_eq!(free.iter().map(|r| r.0).collect::<Vec<_>>(), [0, 2, 3]);
/// assert_eq!(free.len(), 3);
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct RankSet {
    words: [u64; WORDS],
    len: u16,
}

impl RankSet {
    /// The empty set.
    pub const EMPTY: Self = Self { words: [0; WORDS], len: 0 };

    /// Ranks 0 to `count - 1`; `count` at most [`MAX_WORLD`].
    pub fn first(count: u16) -> Self {
        let mut set = Self::EMPTY;
        for rank in 0..count {
            set.insert(Rank(rank));
        }
        set
    }

    /// Number of ranks in the set.
    pub const fn len(&self) -> u16 {
        self.len
    }

    /// Whether no rank is in the set.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether `rank` is in the set.
    pub fn contains(&self, rank: Rank) -> bool {
        self.words[rank.index() / 64] >> (rank.index() % 64) & 1 == 1
    }

    /// Adds `rank`; returns whether it was absent.
    pub fn insert(&mut self, rank: Rank) -> bool {
        let absent = !self.contains(rank);
        self.words[rank.index() / 64] |= 1 << (rank.index() % 64);
        self.len += u16::from(absent);
        absent
    }

    /// Removes `rank`; returns whether it was present.
    pub fn remove(&mut self, rank: Rank) -> bool {
        let present = self.contains(rank);
        self.words[rank.index() / 64] &= !(1 << (rank.index() % 64));
        self.len -= u16::from(present);
        present
    }

    /// The ranks in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = Rank> + '_ {
        self.words.iter().enumerate().flat_map(|(i, &word)| {
            let mut rest = word;
            core::iter::from_fn(move || {
                (rest != 0).then(|| {
                    let bit = rest.trailing_zeros();
                    rest &= rest - 1;
                    Rank((i * 64) as u16 + bit as u16)
                })
            })
        })
    }
}

impl fmt::Debug for RankSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(|rank| rank.0)).finish()
    }
}
