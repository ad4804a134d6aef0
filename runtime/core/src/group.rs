//! An ordered list of ranks: a plain value, formed locally, contacting nobody.

use crate::ids::Rank;
use core::fmt;
use core::ops::Deref;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

/// The ordered ranks of a task or collective; up to eight are stored inline.
///
/// Order matters: position in the group is the shard index.
#[derive(Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Group(SmallVec<[Rank; 8]>);

impl Group {
    /// The largest group that collectives support.
    pub const MAX: usize = 64;

    /// A group of one rank.
    pub fn single(rank: Rank) -> Self {
        Self(SmallVec::from_slice(&[rank]))
    }

    /// `count` consecutive ranks from `first`.
    pub fn consecutive(first: Rank, count: usize) -> Self {
        (0..count).map(|i| Rank(first.0 + i as u16)).collect()
    }

    /// Appends `rank`; the caller keeps ranks distinct.
    pub fn push(&mut self, rank: Rank) {
        self.0.push(rank);
    }

    /// Whether both groups hold the same ranks, in any order.
    pub fn same_ranks(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().all(|rank| other.contains(rank))
    }
}

impl Clone for Group {
    /// A copy of memory; the derived one would go rank by rank, several times per task.
    fn clone(&self) -> Self {
        Self(SmallVec::from_slice(&self.0))
    }
}

impl Deref for Group {
    type Target = [Rank];
    fn deref(&self) -> &[Rank] {
        &self.0
    }
}

impl FromIterator<Rank> for Group {
    fn from_iter<I: IntoIterator<Item = Rank>>(ranks: I) -> Self {
        Self(ranks.into_iter().collect())
    }
}

impl From<&[Rank]> for Group {
    fn from(ranks: &[Rank]) -> Self {
        Self(SmallVec::from_slice(ranks))
    }
}

impl fmt::Display for Group {
    /// `{0,1,3}`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (i, rank) in self.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            write!(f, "{comma}{}", rank.0)?;
        }
        f.write_str("}")
    }
}
