//! Charging group set-up by communication mode.

use crate::charges::GroupSetup;
use flexdit_core::{Group, Nanos, Rank, RequestId, Stage, Task};
use std::collections::{BTreeMap, BTreeSet};

/// Which groups exist, and what the next one costs.
#[derive(Debug)]
pub(crate) struct Setups {
    mode: GroupSetup,
    prebuilt: BTreeSet<Group>,
    /// Ranks of each live request's last denoise task; only kept in the mode that needs it.
    last: BTreeMap<RequestId, Group>,
    /// Communicators by rank set, with the tick of their last use.
    cache: BTreeMap<Group, u64>,
    tick: u64,
}

impl Setups {
    pub(crate) fn new(mode: GroupSetup, prebuilt: Vec<Group>) -> Self {
        let prebuilt = prebuilt.iter().map(|group| sorted(group)).collect();
        Self { mode, prebuilt, last: BTreeMap::new(), cache: BTreeMap::new(), tick: 0 }
    }

    /// What it costs to run `task` on its ranks now; `None` when nothing is formed.
    pub(crate) fn charge(&mut self, task: &Task) -> Option<Nanos> {
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
        let mut setups = Setups::new(mode, Vec::new());
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
    fn prebuilt_groups_cost_nothing_in_any_mode() {
        let prebuilt = vec![Group::consecutive(Rank(0), 2)];
        for mode in [
            GroupSetup::PerUse(COST),
            GroupSetup::Fixed(COST),
            GroupSetup::FirstUse { cost: COST, capacity: 0 },
        ] {
            let mut setups = Setups::new(mode, prebuilt.clone());
            assert_eq!(setups.charge(&task(&[1, 0])), None);
            assert_eq!(setups.charge(&task(&[1, 2])), Some(COST));
        }
    }
}
