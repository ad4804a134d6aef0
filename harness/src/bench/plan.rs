//! What the ranks of a world do, turn by turn, as plain data: the same for threads, processes and launched ranks.
//!
//! A plan lists groups and turns. In a turn the members of one group do one thing, all at once, after a barrier of the
//! host; nobody else does anything meanwhile. Which turn means what is known to whoever made the plan.

use clap::ValueEnum;
use flexdit_comm::Op;
use flexdit_core::Group;
use serde::{Deserialize, Serialize};

/// A collective operation under test.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ValueEnum,
)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum Operation {
    /// Nobody leaves before all have come
    Barrier,
    /// Every member gets the shares of all
    AllGather,
    /// Every member gets its share from all
    AllToAll,
    /// All get the first member's data
    Broadcast,
    /// The first member's data goes to the second
    PutGet,
    /// Data moves one place round the group
    RingShift,
    /// Every member gets its share of the sum (f32)
    ReduceScatter,
    /// Every member gets the sum (f32)
    AllReduce,
}

impl Operation {
    /// Every operation.
    pub const ALL: [Self; 8] = [
        Self::Barrier,
        Self::AllGather,
        Self::AllToAll,
        Self::Broadcast,
        Self::PutGet,
        Self::RingShift,
        Self::ReduceScatter,
        Self::AllReduce,
    ];

    /// As in tables: `all_to_all`.
    pub const fn name(self) -> &'static str {
        self.op().name()
    }

    /// The same in the terms of the collectives.
    pub const fn op(self) -> Op {
        match self {
            Self::Barrier => Op::Barrier,
            Self::AllGather => Op::AllGather,
            Self::AllToAll => Op::AllToAll,
            Self::Broadcast => Op::Broadcast,
            Self::PutGet => Op::PutGet,
            Self::RingShift => Op::RingShift,
            Self::ReduceScatter => Op::ReduceScatter,
            Self::AllReduce => Op::AllReduce,
        }
    }

    /// The largest number of bytes up to `bytes` that `degree` members can share evenly in f32; 0 for a barrier.
    pub fn rounded(self, bytes: u64, degree: usize) -> u64 {
        let step = 4 * degree as u64;
        if self == Self::Barrier { 0 } else { (bytes / step * step).max(step) }
    }

    /// busbw over algbw: what a perfect algorithm has to move over the slowest link, per byte.
    ///
    /// # Source
    /// The definitions of nccl-tests.
    pub fn bus_factor(self, degree: usize) -> f64 {
        let n = degree as f64;
        match self {
            Self::AllGather | Self::AllToAll | Self::ReduceScatter => (n - 1.0) / n,
            Self::AllReduce => 2.0 * (n - 1.0) / n,
            Self::Barrier | Self::Broadcast | Self::PutGet | Self::RingShift => 1.0,
        }
    }

    /// What "bytes" means, and busbw's factor, in words.
    pub const fn formula(self) -> &'static str {
        match self {
            Self::Barrier => "no bytes: latency only",
            Self::AllGather => "S = bytes received, own share included; busbw = S/t x (n-1)/n",
            Self::AllToAll => "S = bytes sent, own share included; busbw = S/t x (n-1)/n",
            Self::Broadcast => "S = bytes of the root; busbw = S/t",
            Self::PutGet => "S = bytes put; busbw = S/t",
            Self::RingShift => "S = bytes each member sends; busbw = S/t",
            Self::ReduceScatter => "S = bytes each member gives; busbw = S/t x (n-1)/n",
            Self::AllReduce => "S = bytes each member gives; busbw = S/t x 2(n-1)/n",
        }
    }
}

/// What the members of a group do in a turn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// Form the group and keep it.
    Form,
    /// Form the group so many times and forget it, where forming contacts nobody; else nothing.
    FormMany(u32),
    /// Run an operation on the group, which was formed, back to back; each time on data of its own.
    Run {
        /// Which.
        op: Operation,
        /// Its size; see [`Operation::formula`].
        bytes: u64,
        /// How often.
        count: u32,
        /// Whether all of it is done once before, untimed and on the same buffers, so that what is timed is warm.
        warm: bool,
    },
    /// Run an operation on one group after another without waiting for anybody in between; members of the turn's
    /// group that are not in a group pass over it.
    Stream {
        /// Which.
        op: Operation,
        /// Its size.
        bytes: u64,
        /// The groups, as positions in the plan's list.
        groups: Vec<u32>,
        /// Whether each is formed when its turn comes and released after; else all were formed before.
        form: bool,
    },
    /// Give the group up.
    Release,
}

/// The members of one group do one thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    /// The group, as a position in the plan's list.
    pub group: u32,
    /// What they do.
    pub act: Act,
}

/// Everything the ranks of one world do, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Ranks.
    pub world: usize,
    /// Seed of the data.
    pub seed: u64,
    /// The groups.
    pub groups: Vec<Group>,
    /// What they do.
    pub turns: Vec<Turn>,
}

impl Plan {
    /// An empty plan.
    pub fn new(world: usize, seed: u64) -> Self {
        Self { world, seed, ..Self::default() }
    }

    /// Adds a group; returns its position.
    pub fn group(&mut self, group: Group) -> u32 {
        self.groups.push(group);
        self.groups.len() as u32 - 1
    }

    /// Adds a turn; returns its position.
    pub fn turn(&mut self, group: u32, act: Act) -> usize {
        self.turns.push(Turn { group, act });
        self.turns.len() - 1
    }

    /// The members of a turn.
    pub fn members(&self, turn: usize) -> &Group {
        &self.groups[self.turns[turn].group as usize]
    }

    /// Adds: form the group, run an operation on it `warm_up` times, in one turn each.
    pub fn prepare(&mut self, group: u32, op: Operation, bytes: u64, warm_up: u32) {
        self.turn(group, Act::Form);
        self.turn(group, Act::Run { op, bytes, count: warm_up, warm: false });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_shared_evenly_and_bandwidths_are_those_of_nccl_tests() {
        assert_eq!(Operation::AllToAll.rounded(64, 3), 60);
        assert_eq!(Operation::AllToAll.rounded(4, 8), 32);
        assert_eq!(Operation::Barrier.rounded(64, 2), 0);
        assert_eq!(Operation::AllReduce.bus_factor(4), 1.5);
        assert_eq!(Operation::AllToAll.bus_factor(2), 0.5);
        assert_eq!(Operation::RingShift.bus_factor(2), 1.0);
    }

    #[test]
    fn an_operation_has_one_name_in_files_options_and_tables() {
        for op in Operation::ALL {
            assert_eq!(serde_json::to_string(&op).unwrap(), format!("\"{}\"", op.name()));
            assert_eq!(op.to_possible_value().unwrap().get_name(), op.name());
        }
    }

    #[test]
    fn a_plan_survives_being_sent() {
        let mut plan = Plan::new(4, 9);
        let group = plan.group(Group::consecutive(flexdit_core::Rank(1), 2));
        plan.prepare(group, Operation::AllToAll, 64, 3);
        let stream = Act::Stream { op: Operation::Barrier, bytes: 0, groups: vec![0], form: true };
        assert_eq!(plan.turn(group, stream), 2);
        let text = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
        assert_eq!(plan.members(2).len(), 2);
    }
}
