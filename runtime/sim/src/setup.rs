//! Charging group set-up by communication mode.

use crate::charges::GroupSetup;
use flexdit_core::{Group, Nanos, Rank, RequestId};
use std::collections::{BTreeMap, BTreeSet};

/// Which groups exist, and what the next one costs.
#[derive(Debug)]
pub(crate) struct Setups {
    mode: GroupSetup,
    prebuilt: BTreeSet<Group>,
    /// Last multi-rank set of each live request; only kept in the mode that needs it.
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

    /// What it costs `request` to use a group of these ranks now; `None` when nothing is formed.
    pub(crate) fn charge(&mut self, request: RequestId, active: &[Rank]) -> Option<Nanos> {
        if active.len() < 2 || self.mode == GroupSetup::Free {
            return None;
        }
        if self.prebuilt.is_empty() && matches!(self.mode, GroupSetup::PerUse(_)) {
            return self.price();
        }
        let set = sorted(active);
        if self.prebuilt.contains(&set) {
            return None;
        }
        match self.mode {
            GroupSetup::Free => None,
            GroupSetup::PerUse(_) => self.price(),
            GroupSetup::Fixed(cost) => {
                let same = self.last.get(&request) == Some(&set);
                self.last.insert(request, set);
                (!same).then_some(cost)
            }
            GroupSetup::FirstUse { cost, capacity } => self.first_use(set, cost, capacity),
        }
    }

    fn price(&self) -> Option<Nanos> {
        match self.mode {
            GroupSetup::PerUse(cost) => Some(cost),
            _ => None,
        }
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

    const COST: Nanos = Nanos(7);
    const R: RequestId = RequestId(0);

    fn ranks(list: &[u16]) -> Vec<Rank> {
        list.iter().map(|&rank| Rank(rank)).collect()
    }

    #[test]
    fn a_communicator_is_paid_once_until_it_falls_out_of_the_cache() {
        let mode = GroupSetup::FirstUse { cost: COST, capacity: 1 };
        let mut setups = Setups::new(mode, Vec::new());
        let charges: Vec<_> =
            [&[0, 1], &[1, 0], &[1, 2], &[0, 1]].map(|set| setups.charge(R, &ranks(set))).to_vec();
        assert_eq!(charges, [Some(COST), None, Some(COST), Some(COST)]);
    }

    #[test]
    fn a_fixed_price_is_paid_when_the_rank_set_changes() {
        let mut setups = Setups::new(GroupSetup::Fixed(COST), Vec::new());
        assert_eq!(setups.charge(R, &ranks(&[0, 1])), Some(COST));
        assert_eq!(setups.charge(R, &ranks(&[0, 1])), None);
        assert_eq!(setups.charge(R, &ranks(&[0])), None);
        assert_eq!(setups.charge(R, &ranks(&[2, 1])), Some(COST));
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
            assert_eq!(setups.charge(R, &ranks(&[1, 0])), None);
            assert_eq!(setups.charge(R, &ranks(&[1, 2])), Some(COST));
        }
    }
}
