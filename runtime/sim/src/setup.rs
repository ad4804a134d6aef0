//! Charging group set-up by communication mode.

use crate::charges::GroupSetup;
use flexdit_core::{Group, Nanos, Rank, RequestId, Stage, Task};
use std::collections::{BTreeMap, BTreeSet};

/// Which groups exist, and what the next one costs.
#[derive(Debug)]
pub(crate) struct Setups {
    mode: GroupSetup,
    /// Prices by degree; empty for the one of the mode.
    prices: Vec<(u16, Nanos)>,
    prebuilt: BTreeSet<Group>,
    /// Ranks of each live request's last denoise task; only kept in the mode that needs it.
    last: BTreeMap<RequestId, Group>,
    /// Communicators by rank set, with the tick of their last use.
    cache: BTreeMap<Group, u64>,
    tick: u64,
}

impl Setups {
    pub(crate) fn new(mode: GroupSetup, prices: Vec<(u16, Nanos)>, prebuilt: Vec<Group>) -> Self {
        let prebuilt = prebuilt.iter().map(|group| sorted(group)).collect();
        Self { mode, prices, prebuilt, last: BTreeMap::new(), cache: BTreeMap::new(), tick: 0 }
    }

    /// What it costs to run `task` on its ranks now; `None` when nothing is formed.
    pub(crate) fn charge(&mut self, task: &Task) -> Option<Nanos> {
        let cost = self.due(task)?;
        Some(by_degree(&self.prices, task.active().len() as u16).unwrap_or(cost))
    }

    /// What the mode asks for, whatever the degree.
    fn due(&mut self, task: &Task) -> Option<Nanos> {
        let active = task.active();
        let several = active.len() > 1;
        match self.mode {
            GroupSetup::Free => None,
            GroupSetup::PerUse(cost) => {
                (several && (self.prebuilt.is_empty() || !self.is_prebuilt(active))).then_some(cost)
            }
            GroupSetup::Fixed(cost) => {
                let set = sorted(active);
                let free = self.prebuilt.contains(&set);
                let last = self.last.get(&task.request);
                let pays = last.map_or(several, |last| *last != set) && !free;
                if task.stage == Stage::Denoise {
                    self.last.insert(task.request, set);
                    return pays.then_some(cost);
                }
                // Other stages come and go on their own ranks; only a group of several is formed.
                (several && pays).then_some(cost)
            }
            GroupSetup::FirstUse { cost, capacity } => {
                let set = sorted(active);
                let formed = several && !self.prebuilt.contains(&set);
                if formed { self.first_use(set, cost, capacity) } else { None }
            }
        }
    }

    fn is_prebuilt(&self, active: &[Rank]) -> bool {
        self.prebuilt.contains(&sorted(active))
    }

    fn first_use(&mut self, set: Group, cost: Nanos, capacity: u32) -> Option<Nanos> {
        self.tick += 1;
        if let Some(last_use) = self.cache.get_mut(&set) {
            *last_use = self.tick;
            return None;
        }
        if capacity > 0 && self.cache.len() >= capacity as usize {
            let oldest =
                self.cache.iter().min_by_key(|(_, tick)| **tick).map(|(set, _)| set.clone());
            if let Some(oldest) = oldest {
                self.cache.remove(&oldest);
            }
        }
        self.cache.insert(set, self.tick);
        Some(cost)
    }

    /// The request ended; nothing of it is remembered.
    pub(crate) fn forget(&mut self, request: RequestId) {
        self.last.remove(&request);
    }
}

/// The price of a degree, linear between two that are listed, that of the nearest outside of them.
fn by_degree(prices: &[(u16, Nanos)], degree: u16) -> Option<Nanos> {
    let above = prices.partition_point(|(listed, _)| *listed < degree);
    let Some(&(high, dear)) = prices.get(above) else { return prices.last().map(|last| last.1) };
    if above == 0 || high == degree {
        return Some(dear);
    }
    let (low, cheap) = prices[above - 1];
    let (part, whole) = (i128::from(degree - low), i128::from(high - low));
    let rise = (i128::from(dear.0) - i128::from(cheap.0)) * part / whole;
    Some(Nanos((i128::from(cheap.0) + rise) as u64))
}

fn sorted(ranks: &[Rank]) -> Group {
    let mut ranks = ranks.to_vec();
    ranks.sort_unstable();
    ranks.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use flexdit_core::{ArtifactId, Parallelism, TaskId};

    const COST: Nanos = Nanos(7);

    /// A denoise task of one request on these ranks.
    fn task(ranks: &[u16]) -> Task {
        Task {
            id: TaskId(0),
            request: RequestId(0),
            stage: Stage::Denoise,
            first_step: 0,
            steps: 1,
            parallelism: Parallelism::ulysses(ranks.len() as u8),
            group: ranks.iter().map(|&rank| Rank(rank)).collect(),
            input: 0,
            output: ArtifactId::default(),
        }
    }

    fn charges(mode: GroupSetup, tasks: &[&[u16]]) -> Vec<bool> {
        let mut setups = Setups::new(mode, Vec::new(), Vec::new());
        tasks.iter().map(|ranks| setups.charge(&task(ranks)).is_some()).collect()
    }

    #[test]
    fn a_communicator_is_paid_once_until_it_falls_out_of_the_cache() {
        let mode = GroupSetup::FirstUse { cost: COST, capacity: 1 };
        let tasks: [&[u16]; 5] = [&[0, 1], &[1, 0], &[1, 2], &[0, 1], &[3]];
        assert_eq!(charges(mode, &tasks), [true, false, true, true, false]);
    }

    #[test]
    fn a_fixed_price_is_paid_whenever_the_rank_set_changes() {
        let tasks: [&[u16]; 6] = [&[0, 1], &[1, 0], &[0], &[2], &[2], &[2, 1]];
        let paid = charges(GroupSetup::Fixed(COST), &tasks);
        assert_eq!(paid, [true, false, true, true, false, true]);
        assert_eq!(charges(GroupSetup::Fixed(COST), &[&[3], &[3]]), [false, false]);
    }

    #[test]
    fn a_price_by_degree_stands_in_for_that_of_the_mode() {
        let prices = vec![(2, Nanos(10)), (4, Nanos(30))];
        let priced = |degree| by_degree(&prices, degree).map(|price| price.0);
        assert_eq!([1, 2, 3, 4, 9].map(priced), [10, 10, 20, 30, 30].map(Some));
        assert_eq!(by_degree(&[(2, Nanos(30)), (6, Nanos(10))], 5), Some(Nanos(15)));
        assert_eq!(by_degree(&[], 2), None);
        let mut setups = Setups::new(GroupSetup::PerUse(COST), prices, Vec::new());
        assert_eq!(setups.charge(&task(&[0, 1, 2])), Some(Nanos(20)));
        assert_eq!(setups.charge(&task(&[0])), None);
    }

    #[test]
    fn prebuilt_groups_cost_nothing_in_any_mode() {
        let prebuilt = vec![Group::consecutive(Rank(0), 2)];
        for mode in [
            GroupSetup::PerUse(COST),
            GroupSetup::Fixed(COST),
            GroupSetup::FirstUse { cost: COST, capacity: 0 },
        ] {
            let mut setups = Setups::new(mode, Vec::new(), prebuilt.clone());
            assert_eq!(setups.charge(&task(&[1, 0])), None);
            assert_eq!(setups.charge(&task(&[1, 2])), Some(COST));
        }
    }
}
