//! What the simulator charges beside computing; every part has a default and can be switched off.

use flexdit_core::{Bytes, Nanos, Rank};
use serde::{Deserialize, Serialize};

/// Who is occupied while state moves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Occupies {
    /// The pulling rank and the rank pulled from: neither starts a task until the copy is done. A source that
    /// is computing goes on computing meanwhile.
    #[default]
    Both,
    /// Only the pulling rank.
    Destination,
}

/// Price of moving state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MigrationCharge {
    /// Fixed time of each copy.
    pub latency: Nanos,
    /// Bytes a second of each copy; 0 means free of charge by size.
    pub bytes_per_second: u64,
    /// Bytes a second of a copy between ranks of different nodes.
    pub inter_node_bytes_per_second: u64,
    /// Who is occupied.
    pub occupies: Occupies,
}

impl MigrationCharge {
    /// Moving state takes no time.
    pub const FREE: Self = Self {
        latency: Nanos::ZERO,
        bytes_per_second: 0,
        inter_node_bytes_per_second: 0,
        occupies: Occupies::Both,
    };

    /// Time of one copy of `bytes`, within a node or between two.
    pub fn copy(&self, bytes: Bytes, one_node: bool) -> Nanos {
        let rate = if one_node { self.bytes_per_second } else { self.inter_node_bytes_per_second };
        if rate == 0 {
            return self.latency;
        }
        let ns = u128::from(bytes.0) * 1_000_000_000 / u128::from(rate);
        self.latency + Nanos(ns as u64)
    }
}

impl Default for MigrationCharge {
    /// 100 us a copy and 200 GB/s; 50 GB/s between nodes, one 400 Gbit/s adapter a GPU.
    fn default() -> Self {
        Self {
            latency: Nanos::from_micros(100),
            bytes_per_second: 200_000_000_000,
            inter_node_bytes_per_second: 50_000_000_000,
            occupies: Occupies::Both,
        }
    }
}

/// Price of making ranks able to talk as a group. Prebuilt groups are free in every mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GroupSetup {
    /// Nothing.
    Free,
    /// Group-free collectives: every task on several ranks pays.
    PerUse(Nanos),
    /// A reconfiguration pays: a denoise task whose rank set is not that of the request's last one, of
    /// whatever width. The first one pays if it has several ranks.
    Fixed(Nanos),
    /// Communicators: the first use of a rank set pays; the least recently used falls out of the cache.
    FirstUse {
        /// Cost of creating a communicator.
        cost: Nanos,
        /// Communicators kept; 0 means without bound.
        capacity: u32,
    },
}

impl Default for GroupSetup {
    /// 60 us a use, the published cost of group-free set-up.
    fn default() -> Self {
        Self::PerUse(Nanos::from_micros(60))
    }
}

/// Work that takes longer than it should.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Stragglers {
    /// Chance that a step (or a single-rank stage) is slow, 0 to 1.
    pub probability: f64,
    /// How many times longer a slow step takes, at least 1.
    pub factor: f64,
    /// Ranks that are always slow: `(rank, factor)`; the slowest rank of a group sets its pace.
    pub slow_ranks: Vec<(u16, f64)>,
}

/// Everything charged beside the stage times of the profile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Charges {
    /// Moving state between ranks.
    pub migration: MigrationCharge,
    /// Forming groups.
    pub group_setup: GroupSetup,
    /// What it costs by the number of ranks, ascending, linear in between; empty for the one price of the mode.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub group_setup_by_degree: Vec<(u16, Nanos)>,
    /// Launch overhead of every task, on its ranks.
    pub launch: Nanos,
    /// From when a task could begin on all its ranks until it does; queueing ahead does not hide it.
    pub start_delay: Nanos,
    /// Ranks of one node, consecutive; 0 means that all ranks are on one.
    pub ranks_per_node: u16,
    /// From a decision to the arrival of its commands at the ranks.
    pub control_plane: Nanos,
    /// Planning time of every decision, added to the control plane.
    pub planning: Nanos,
    /// Relative standard deviation of task times (log-normal, mean 1).
    pub jitter: f64,
    /// Slow tasks and ranks.
    pub stragglers: Stragglers,
}

impl Charges {
    /// Whether these ranks are all on one node.
    pub fn one_node(&self, ranks: &[Rank]) -> bool {
        let node = |rank: &Rank| rank.0.checked_div(self.ranks_per_node).unwrap_or(0);
        ranks.windows(2).all(|pair| node(&pair[0]) == node(&pair[1]))
    }

    /// Nothing but the stage times.
    pub fn free() -> Self {
        Self {
            migration: MigrationCharge::FREE,
            group_setup: GroupSetup::Free,
            group_setup_by_degree: Vec::new(),
            launch: Nanos::ZERO,
            start_delay: Nanos::ZERO,
            ranks_per_node: 0,
            control_plane: Nanos::ZERO,
            planning: Nanos::ZERO,
            jitter: 0.0,
            stragglers: Stragglers::default(),
        }
    }
}

impl Default for Charges {
    /// Migration, group set-up as in their types; launch 5 us, control plane 10 us; the rest off.
    fn default() -> Self {
        Self {
            migration: MigrationCharge::default(),
            group_setup: GroupSetup::default(),
            launch: Nanos::from_micros(5),
            control_plane: Nanos::from_micros(10),
            ..Self::free()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_between_nodes_take_the_slower_link() {
        let charges = Charges { ranks_per_node: 2, ..Charges::default() };
        let megabytes = Bytes(10_000_000);
        let copy = |src, dst| {
            let near = charges.one_node(&[Rank(src), Rank(dst)]);
            charges.migration.copy(megabytes, near)
        };
        assert_eq!(copy(0, 1), Nanos::from_micros(150));
        assert_eq!(copy(1, 2), Nanos::from_micros(300));
        assert_eq!(MigrationCharge::FREE.copy(megabytes, false), Nanos::ZERO);
    }
}
