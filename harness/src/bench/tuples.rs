//! Distinct ordered tuples of ranks in a seeded order: groups that nobody has used before.
//!
//! Ranks sit on cores round robin. Tuples are drawn among those whose members are spread over the cores as evenly as
//! can be, so that members share a core only where they outnumber the cores, and groups of one degree compare.

use crate::workload::stream::Stream;
use flexdit_core::{Group, Rank};
use std::collections::BTreeSet;

/// Tuples are counted and shuffled up to this many; of more, distinct ones are drawn.
const LISTED: u64 = 50_000;

/// How many ordered tuples of `degree` ranks a world of `world` ranks has; saturates.
pub fn count(world: usize, degree: usize) -> u64 {
    (0..degree).fold(1, |count: u64, i| count.saturating_mul(world.saturating_sub(i) as u64))
}

/// Ranks that tuples are drawn from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ranks {
    /// How many there are.
    pub world: usize,
    /// The cores that they sit on, round robin.
    pub cores: usize,
}

impl Ranks {
    /// Whether no core has more members than it must.
    pub fn spread(&self, group: &Group) -> bool {
        let most = group.len().div_ceil(self.cores);
        let on = |core: usize| group.iter().filter(|r| r.index() % self.cores == core).count();
        (0..self.cores.min(self.world)).all(|core| on(core) <= most)
    }
}

/// At most `most` distinct ordered tuples of `degree` ranks, in the order of the seed and `name`.
///
/// Fewer only if there are no more. None if the degree is 0 or larger than the world.
pub fn distinct(ranks: Ranks, degree: usize, most: usize, seed: u64, name: &str) -> Vec<Group> {
    let Ranks { world, .. } = ranks;
    if degree == 0 || degree > world {
        return Vec::new();
    }
    let mut stream = Stream::new(seed, &format!("{name}/{world}/{degree}"));
    let all = count(world, degree);
    if all <= LISTED {
        let mut groups: Vec<Group> = (0..all)
            .map(|index| tuple(world, degree, index))
            .filter(|group| ranks.spread(group))
            .collect();
        let wanted = most.min(groups.len());
        for place in 0..wanted {
            let other = place + below(&mut stream, (groups.len() - place) as u64) as usize;
            groups.swap(place, other);
        }
        groups.truncate(wanted);
        return groups;
    }
    let mut seen = BTreeSet::new();
    let mut groups = Vec::with_capacity(most);
    while groups.len() < most {
        let group = random(world, degree, &mut stream);
        if ranks.spread(&group) && seen.insert(group.clone()) {
            groups.push(group);
        }
    }
    groups
}

/// `count` random ordered tuples, each different from the one before where the world allows it.
pub fn churn(ranks: Ranks, degree: usize, count: usize, seed: u64) -> Vec<Group> {
    let Ranks { world, .. } = ranks;
    let mut stream = Stream::new(seed, &format!("churn/{world}/{degree}"));
    let mut groups: Vec<Group> = Vec::with_capacity(count);
    let several = self::count(world, degree) > 1;
    while groups.len() < count {
        let group = random(world, degree, &mut stream);
        if ranks.spread(&group) && (!several || groups.last() != Some(&group)) {
            groups.push(group);
        }
    }
    groups
}

/// The tuple at a position of the lexicographic order.
fn tuple(world: usize, degree: usize, mut index: u64) -> Group {
    let mut free: Vec<u16> = (0..world as u16).collect();
    let mut group = Group::default();
    for place in 0..degree {
        let rest = count(world - place - 1, degree - place - 1);
        group.push(Rank(free.remove((index / rest) as usize)));
        index %= rest;
    }
    group
}

/// The first `degree` ranks of a shuffled world.
fn random(world: usize, degree: usize, stream: &mut Stream) -> Group {
    let mut ranks: Vec<u16> = (0..world as u16).collect();
    for place in 0..degree {
        let other = place + below(stream, (world - place) as u64) as usize;
        ranks.swap(place, other);
    }
    ranks[..degree].iter().map(|&rank| Rank(rank)).collect()
}

/// Uniform on 0..limit.
fn below(stream: &mut Stream, limit: u64) -> u64 {
    ((stream.unit() * limit as f64) as u64).min(limit - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranks(world: usize) -> Ranks {
        Ranks { world, cores: world }
    }

    #[test]
    fn members_share_a_core_only_where_they_must() {
        let shared = Ranks { world: 4, cores: 2 };
        let pairs = distinct(shared, 2, 100, 7, "x");
        assert_eq!(pairs.len(), 8, "an even and an odd rank, in both orders");
        assert!(pairs.iter().all(|pair| (pair[0].0 + pair[1].0) % 2 == 1));
        assert_eq!(distinct(shared, 4, 100, 7, "x").len(), 24);
        let wide = distinct(Ranks { world: 16, cores: 2 }, 8, 20, 7, "x");
        let even = |group: &Group| group.iter().filter(|rank| rank.0 % 2 == 0).count();
        assert!(wide.iter().all(|group| even(group) == 4), "{wide:?}");
        assert_eq!(distinct(Ranks { world: 4, cores: 3 }, 3, 100, 7, "x").len(), 12);
        assert!(churn(shared, 2, 50, 1).iter().all(|pair| shared.spread(pair)));
    }

    #[test]
    fn all_tuples_of_a_small_world_come_once_each() {
        let groups = distinct(ranks(4), 2, 100, 7, "x");
        assert_eq!(groups.len() as u64, count(4, 2));
        let set: BTreeSet<Group> = groups.iter().cloned().collect();
        assert_eq!(set.len(), 12);
        for group in &groups {
            assert!(group.len() == 2 && group[0] != group[1] && group.iter().all(|r| r.0 < 4));
        }
    }

    #[test]
    fn tuples_of_a_large_world_are_distinct_and_of_distinct_ranks() {
        assert_eq!(count(16, 8), 518_918_400);
        let groups = distinct(ranks(16), 8, 200, 7, "x");
        assert_eq!(groups.iter().collect::<BTreeSet<_>>().len(), 200);
        for group in &groups {
            assert_eq!(group.iter().collect::<BTreeSet<_>>().len(), 8, "{group}");
        }
    }

    #[test]
    fn the_order_is_that_of_the_seed() {
        assert_eq!(distinct(ranks(8), 4, 9, 1, "x"), distinct(ranks(8), 4, 9, 1, "x"));
        assert_ne!(distinct(ranks(8), 4, 9, 1, "x"), distinct(ranks(8), 4, 9, 2, "x"));
        assert_ne!(distinct(ranks(8), 4, 9, 1, "x"), distinct(ranks(8), 4, 9, 1, "y"));
        assert!(distinct(ranks(4), 8, 9, 1, "x").is_empty());
    }

    #[test]
    fn churn_never_repeats_a_group_at_once_where_there_are_several() {
        let groups = churn(ranks(3), 2, 500, 11);
        assert_eq!(groups.len(), 500);
        assert!(groups.windows(2).all(|pair| pair[0] != pair[1]));
        assert_eq!(churn(ranks(1), 1, 3, 0).len(), 3);
    }
}
