//! How the world is cut into groups at start-up, and which classes each group serves.

use crate::offer::{ClassOffer, best_degrees, pools_by_work};
use flexdit_core::{ClassId, Group, Rank};
use std::collections::BTreeMap;

/// A static layout that cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// There is no rank to cut into groups.
    #[error("the world has no rank")]
    EmptyWorld,
    /// A group needs at least one rank.
    #[error("degree 0 is not a degree: a group has at least one rank")]
    ZeroDegree,
    /// Groups are larger than the world.
    #[error("degree {degree} is above the world of {world} ranks")]
    AboveWorld {
        /// Ranks a group would need.
        degree: u16,
        /// Ranks there are.
        world: u16,
    },
    /// Some ranks would serve nothing, which would flatter every comparison with this layout.
    #[error("degree {degree} does not divide the world of {world} ranks: {left} would stay unused")]
    NotDivisible {
        /// Ranks a group would need.
        degree: u16,
        /// Ranks there are.
        world: u16,
        /// Ranks left over.
        left: u16,
    },
    /// Pools ask for more ranks than there are.
    #[error("the pools need {needed} ranks, the world has {world}")]
    PoolsAboveWorld {
        /// Ranks asked for.
        needed: u64,
        /// Ranks there are.
        world: u16,
    },
    /// A class is in two pools.
    #[error("{0} is mapped to two pools")]
    ClassTwice(ClassId),
    /// A class can run at no degree that this world has room for.
    #[error("{0} is feasible at no degree that fits the world")]
    Infeasible(ClassId),
}

/// Equal groups reserved for some classes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Ranks of each group.
    pub degree: u16,
    /// Number of groups.
    pub groups: u16,
    /// Classes that may run here; empty means every class that no pool names.
    pub classes: Vec<ClassId>,
}

/// Disjoint groups of consecutive ranks, with the classes they serve.
///
/// ```
/// use flexdit_baselines::Layout;
/// let layout = Layout::uniform(8, 4).unwrap();
/// assert_eq!(layout.groups()[1].to_string(), "{4,5,6,7}");
/// assert!(Layout::uniform(8, 3).unwrap_err().to_string().starts_with("degree 3 does not divide"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    world: u16,
    groups: Vec<Group>,
    /// Groups of each class that is mapped, ascending.
    mapped: BTreeMap<ClassId, Vec<usize>>,
    /// Groups of every other class, ascending.
    others: Vec<usize>,
}

impl Layout {
    /// The world cut into `world / degree` groups of `degree` consecutive ranks.
    ///
    /// # Errors
    /// An empty world, degree 0, a degree above the world or one that does not divide it.
    pub fn uniform(world: u16, degree: u16) -> Result<Self, LayoutError> {
        check(world, degree)?;
        let left = world % degree;
        if left != 0 {
            return Err(LayoutError::NotDivisible { degree, world, left });
        }
        let groups: Vec<Group> = (0..world / degree)
            .map(|i| Group::consecutive(Rank(i * degree), usize::from(degree)))
            .collect();
        let others = (0..groups.len()).collect();
        Ok(Self { world, groups, mapped: BTreeMap::new(), others })
    }

    /// Pools side by side, the widest groups first so that they stay aligned. Ranks past the last
    /// pool stay unused ([`Layout::unused`]).
    ///
    /// # Errors
    /// As [`Layout::uniform`] but for divisibility; pools above the world; a class in two pools.
    pub fn pools(world: u16, pools: &[Pool]) -> Result<Self, LayoutError> {
        let needed = pools.iter().map(|p| u64::from(p.degree) * u64::from(p.groups)).sum();
        for pool in pools {
            check(world, pool.degree)?;
        }
        if needed > u64::from(world) {
            return Err(LayoutError::PoolsAboveWorld { needed, world });
        }
        let mut order: Vec<&Pool> = pools.iter().collect();
        order.sort_by_key(|pool| std::cmp::Reverse(pool.degree));
        let mut layout =
            Self { world, groups: Vec::new(), mapped: BTreeMap::new(), others: Vec::new() };
        let mut first = 0;
        for pool in order {
            let from = layout.groups.len();
            for _ in 0..pool.groups {
                layout.groups.push(Group::consecutive(Rank(first), usize::from(pool.degree)));
                first += pool.degree;
            }
            let range = from..layout.groups.len();
            for &class in &pool.classes {
                if layout.mapped.insert(class, range.clone().collect()).is_some() {
                    return Err(LayoutError::ClassTwice(class));
                }
            }
            if pool.classes.is_empty() {
                layout.others.extend(range);
            }
        }
        Ok(layout)
    }

    /// RSSP: each class at its best static degree (or the one that `map` gives it), changed until one
    /// group of every degree fits the world, which is cut in proportion to the work offered at each
    /// degree ([`pools_by_work`]).
    ///
    /// # Errors
    /// As [`Layout::pools`]; a class that is feasible nowhere.
    pub fn rssp(
        world: u16,
        offers: &[ClassOffer],
        map: Option<&BTreeMap<ClassId, u16>>,
    ) -> Result<Self, LayoutError> {
        let mut degrees = best_degrees(world, offers)?;
        for (class, &degree) in map.into_iter().flatten() {
            check(world, degree)?;
            degrees.insert(*class, degree);
        }
        Self::pools(world, &pools_by_work(world, offers, &degrees)?)
    }

    /// The same groups, each class restricted to the ones `map` lists; classes that it does not
    /// name may use every group.
    ///
    /// # Panics
    /// If the map names a group that does not exist.
    #[must_use]
    pub fn with_class_map(mut self, map: BTreeMap<ClassId, Vec<usize>>) -> Self {
        assert!(map.values().flatten().all(|&group| group < self.groups.len()), "no such group");
        self.mapped = map;
        self
    }

    /// Ranks of the world.
    pub fn world(&self) -> u16 {
        self.world
    }

    /// The groups, by first rank.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// Indices of the groups that serve `class`, ascending; empty if none does.
    pub fn groups_of(&self, class: ClassId) -> &[usize] {
        self.mapped.get(&class).unwrap_or(&self.others)
    }

    /// Ranks in no group.
    pub fn unused(&self) -> u16 {
        self.world - self.groups.iter().map(|group| group.len() as u16).sum::<u16>()
    }

    /// The cut in short: `2xsp4`, or `1xsp4+4xsp1` for pools.
    pub fn name(&self) -> String {
        let mut parts: Vec<(usize, usize)> = Vec::new();
        for group in &self.groups {
            match parts.last_mut() {
                Some((count, degree)) if *degree == group.len() => *count += 1,
                _ => parts.push((1, group.len())),
            }
        }
        let parts: Vec<String> =
            parts.iter().map(|(n, degree)| format!("{n}xsp{degree}")).collect();
        parts.join("+")
    }
}

/// Refuses a degree that no group of this world can have.
fn check(world: u16, degree: u16) -> Result<(), LayoutError> {
    match (world, degree) {
        (0, _) => Err(LayoutError::EmptyWorld),
        (_, 0) => Err(LayoutError::ZeroDegree),
        _ if degree > world => Err(LayoutError::AboveWorld { degree, world }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_degree_that_leaves_ranks_over_is_refused_with_their_number() {
        let error = Layout::uniform(8, 3).unwrap_err();
        assert_eq!(
            error.to_string(),
            "degree 3 does not divide the world of 8 ranks: 2 would stay unused"
        );
        assert_eq!(
            Layout::uniform(4, 8).unwrap_err().to_string(),
            "degree 8 is above the world of 4 ranks"
        );
        assert_eq!(Layout::uniform(0, 1).unwrap_err(), LayoutError::EmptyWorld);
        assert_eq!(Layout::uniform(4, 0).unwrap_err(), LayoutError::ZeroDegree);
    }

    #[test]
    fn pools_are_disjoint_and_the_widest_come_first() {
        let pools = [
            Pool { degree: 1, groups: 3, classes: vec![ClassId(0)] },
            Pool { degree: 4, groups: 1, classes: vec![ClassId(1)] },
        ];
        let layout = Layout::pools(8, &pools).unwrap();
        assert_eq!(layout.name(), "1xsp4+3xsp1");
        assert_eq!(layout.unused(), 1);
        assert_eq!(layout.groups_of(ClassId(0)), [1, 2, 3]);
        assert_eq!(layout.groups_of(ClassId(1)), [0]);
        assert!(layout.groups_of(ClassId(2)).is_empty(), "an unmapped class has no group");
    }

    #[test]
    fn pools_above_the_world_and_double_classes_are_refused() {
        let pool = |degree, groups| Pool { degree, groups, classes: vec![ClassId(0)] };
        assert_eq!(
            Layout::pools(4, &[pool(2, 3)]).unwrap_err(),
            LayoutError::PoolsAboveWorld { needed: 6, world: 4 }
        );
        assert_eq!(
            Layout::pools(4, &[pool(2, 1), pool(1, 1)]).unwrap_err(),
            LayoutError::ClassTwice(ClassId(0))
        );
    }
}
