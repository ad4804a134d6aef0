//! A rank's place in a group: what forming a group costs here is making this value.

use crate::error::CommError;
use flexdit_core::{Group, Rank};

/// An ordered group as one of its members sees it: ranks, own index, key of the ordered tuple.
///
/// A plain value. Making it contacts nobody and allocates nothing for up to eight ranks.
///
/// ```
/// use flexdit_comm::Membership;
/// use flexdit_core::{Group, Rank};
///
/// let group: Group = [Rank(3), Rank(1), Rank(0)].into_iter().collect();
/// let member = Membership::new(&group, Rank(1), 4)?;
/// assert_eq!(member.index(), 1);
/// let other: Group = [Rank(0), Rank(1), Rank(3)].into_iter().collect();
/// assert_ne!(member.key(), Membership::new(&other, Rank(1), 4)?.key(), "order matters");
/// # Ok::<(), flexdit_comm::CommError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    group: Group,
    index: usize,
    key: u64,
    mask: u64,
}

impl Membership {
    /// `rank`'s place in `group`, in a world of `world` ranks.
    ///
    /// # Errors
    ///
    /// [`CommError::BadGroup`] if the group is empty, has a rank twice, a rank outside the world, or not `rank`.
    pub fn new(group: &Group, rank: Rank, world: usize) -> Result<Self, CommError> {
        let bad = |why| CommError::BadGroup { rank, group: group.clone(), why };
        if group.is_empty() || group.len() > Group::MAX {
            return Err(bad("has no rank, or more than 64"));
        }
        let (mut mask, mut index, mut key) = (0_u64, None, group.len() as u64);
        for (at, member) in group.iter().enumerate() {
            if member.index() >= world.min(Group::MAX) {
                return Err(bad("has a rank outside the world"));
            }
            if mask & bit(*member) != 0 {
                return Err(bad("has a rank twice"));
            }
            mask |= bit(*member);
            if *member == rank {
                index = Some(at);
            }
            key = mix(key ^ u64::from(member.0));
        }
        let index = index.ok_or_else(|| bad("does not have the rank that calls"))?;
        Ok(Self { group: group.clone(), index, key, mask })
    }

    /// The ordered ranks.
    pub fn group(&self) -> &Group {
        &self.group
    }

    /// Own position in the group.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Number of members.
    pub fn degree(&self) -> usize {
        self.group.len()
    }

    /// 64-bit key of the ordered tuple. Different tuples have different keys but for a chance of 2^-64.
    pub fn key(&self) -> u64 {
        self.key
    }

    /// The members as a set of bits.
    pub fn mask(&self) -> u64 {
        self.mask
    }

    /// The rank at a position of the group.
    pub fn rank_at(&self, index: usize) -> Rank {
        self.group[index]
    }
}

/// A rank as a bit of a set.
pub(crate) fn bit(rank: Rank) -> u64 {
    1 << rank.0
}

/// The finaliser of splitmix64: a bijection in which every input bit changes about half of the output.
pub(crate) fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None,
            rng_seed: RngSeed::Fixed(3),
            ..ProptestConfig::with_cases(1000)
        })]
        #[test]
        fn a_group_is_accepted_exactly_if_its_ranks_are_distinct_of_the_world_and_have_the_caller(
            ranks in prop::collection::vec(0_u16..9, 0..8), caller in 0_u16..9, world in 1_usize..9,
        ) {
            let group: Group = ranks.iter().copied().map(Rank).collect();
            let distinct = (1..ranks.len()).all(|at| !ranks[..at].contains(&ranks[at]));
            let inside = ranks.iter().all(|rank| usize::from(*rank) < world);
            let good = distinct && inside && ranks.contains(&caller);
            match Membership::new(&group, Rank(caller), world) {
                Ok(member) => {
                    prop_assert!(good);
                    prop_assert_eq!(member.rank_at(member.index()), Rank(caller));
                    prop_assert_eq!(member.degree(), ranks.len());
                    let mask = ranks.iter().fold(0, |mask, rank| mask | 1 << rank);
                    prop_assert_eq!(member.mask(), mask);
                }
                Err(error) => {
                    prop_assert!(!good);
                    let is_typed = matches!(error, CommError::BadGroup { .. });
                    prop_assert!(is_typed);
                }
            }
        }
    }

    /// All ordered groups of the ranks 0 to 5, up to all six.
    fn ordered_groups(prefix: &mut Vec<u16>, keys: &mut Vec<u64>) {
        if let Some(first) = prefix.first() {
            let group: Group = prefix.iter().copied().map(Rank).collect();
            keys.push(Membership::new(&group, Rank(*first), 6).expect("a group").key());
        }
        for rank in 0..6 {
            if !prefix.contains(&rank) {
                prefix.push(rank);
                ordered_groups(prefix, keys);
                prefix.pop();
            }
        }
    }

    #[test]
    fn all_ordered_groups_of_six_ranks_have_keys_of_their_own() {
        let mut keys = Vec::new();
        ordered_groups(&mut Vec::new(), &mut keys);
        assert_eq!(keys.len(), 6 + 30 + 120 + 360 + 720 + 720);
        let count = keys.len();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), count);
        // A reset compares the lower halves.
        let mut halves: Vec<u32> = keys.iter().map(|key| *key as u32).collect();
        halves.sort_unstable();
        halves.dedup();
        assert_eq!(halves.len(), count);
    }
}
