//! The results of the benchmark of collectives as data, and what is looked up in them.

use super::spec::Spec;
use crate::bench::goal::{Goal, crowding};
use crate::bench::launch::Contestant;
use crate::bench::plan::Operation;
use crate::bench::provenance::Provenance;
use crate::bench::reference::Copying;
use crate::bench::samples::Checked;
use crate::bench::statistics::{Statistics, size};
use crate::report;
use serde::{Deserialize, Serialize};

/// A barrier of two ranks should take no more round trips of a cache line.
const BARRIER_TRIPS: f64 = 3.0;
/// An all-to-all of two ranks at 4 MiB should reach this share of memory copy's bandwidth.
const OF_COPY: f64 = 0.8;
const OF_COPY_BYTES: u64 = 4 << 20;
/// Sizes at which MPI is to be beaten.
const AHEAD_UP_TO: u64 = 4 << 20;

/// Everything that the benchmark found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// What produced it.
    pub provenance: Provenance,
    /// What was asked for.
    pub spec: Spec,
    /// A cache line there and back between two cores; `None` with one core.
    pub round_trip_ns: Option<f64>,
    /// Copying memory, by one thread and by as many as there are ranks.
    pub copies: Vec<Copying>,
    /// What was timed.
    pub rows: Vec<Row>,
    /// Data that was checked.
    pub checked: Checked,
}

/// One operation of one contestant at one size.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Which operation.
    pub op: Operation,
    /// The size asked for.
    pub bytes: u64,
    /// The size that was used: the members share it evenly.
    pub used_bytes: u64,
    /// Who.
    pub contestant: Contestant,
    /// How often it was done between two readings of the clock; times are of one.
    pub count: u32,
    /// The times.
    pub time: Statistics,
    /// Share of samples of which a member started late.
    pub late: f64,
    /// Data that was checked.
    pub checked: Checked,
}

impl Row {
    /// Bytes over median time, in GB/s; `None` for a barrier.
    pub fn algbw(&self) -> Option<f64> {
        (self.used_bytes > 0).then(|| self.used_bytes as f64 / self.time.p50_ns)
    }

    /// algbw corrected for the operation, in GB/s.
    pub fn busbw(&self, degree: usize) -> Option<f64> {
        self.algbw().map(|algbw| algbw * self.op.bus_factor(degree))
    }
}

impl Results {
    /// The row of a contestant at a size; of a barrier at any.
    pub fn row(&self, op: Operation, bytes: u64, contestant: Contestant) -> Option<&Row> {
        self.rows.iter().find(|row| {
            let any = op == Operation::Barrier;
            (row.op, row.contestant) == (op, contestant) && (any || row.bytes == bytes)
        })
    }

    /// Memory copy's bandwidth at a size by so many threads at once, each, in GB/s.
    pub fn copy(&self, bytes: u64, threads: usize) -> Option<f64> {
        let same = |copy: &&Copying| (copy.bytes, copy.threads) == (bytes, threads);
        self.copies.iter().find(same).map(Copying::bandwidth)
    }

    /// Those that took part, in order.
    pub fn contestants(&self) -> Vec<Contestant> {
        let took = |one: &Contestant| self.rows.iter().any(|row| row.contestant == *one);
        Contestant::ALL.into_iter().filter(took).collect()
    }

    /// The goals; those that need what this run has not are left out.
    pub fn goals(&self) -> Vec<Goal> {
        let mut goals = Vec::new();
        if self.spec.ranks != 2 {
            return goals;
        }
        for one in self.contestants().into_iter().filter(|one| one.is_group_free()) {
            goals.extend(self.barrier_goal(one));
            goals.extend(self.copy_goal(one));
            goals.extend(self.ahead_goal(one));
        }
        goals
    }

    fn goal(&self, goal: &str, at: String, (limit, at_least): (f64, bool), found: f64) -> Goal {
        let cores = self.provenance.machine.cores as f64;
        Goal {
            goal: goal.to_owned(),
            at,
            limit,
            at_least,
            found: Some(found),
            shown: report::times(found),
            remark: crowding(self.spec.ranks as f64 / cores),
        }
    }

    fn barrier_goal(&self, one: Contestant) -> Option<Goal> {
        let time = self.row(Operation::Barrier, 0, one)?.time.p50_ns;
        let trips = time / self.round_trip_ns?;
        let goal = "a barrier of 2 ranks takes 3 round trips of a cache line or less";
        let shown = format!("{} round trips", report::number(trips));
        let limit = (BARRIER_TRIPS, false);
        Some(Goal { shown, ..self.goal(goal, one.words().to_owned(), limit, trips) })
    }

    fn copy_goal(&self, one: Contestant) -> Option<Goal> {
        let row = self.row(Operation::AllToAll, OF_COPY_BYTES, one)?;
        let share = row.algbw()? / self.copy(OF_COPY_BYTES, 2)?;
        let goal = "all_to_all of 2 ranks at 4 MiB reaches 0.8x of the bandwidth at which both ranks copy \
                    memory";
        Some(self.goal(goal, one.words().to_owned(), (OF_COPY, true), share))
    }

    /// The operation and size at which MPI is least behind.
    fn ahead_goal(&self, one: Contestant) -> Option<Goal> {
        let mine = self.rows.iter().filter(|row| row.contestant == one && row.bytes <= AHEAD_UP_TO);
        let gains = mine.filter_map(|row| {
            let mpi = self.row(row.op, row.bytes, Contestant::Mpi)?;
            Some((row, mpi.time.p50_ns / row.time.p50_ns))
        });
        let (row, gain) = gains.min_by(|a, b| a.1.total_cmp(&b.1))?;
        let at = match row.op {
            Operation::Barrier => format!("{}; barrier", one.words()),
            op => format!("{}; {} at {}", one.words(), op.name(), size(row.bytes)),
        };
        let goal = "as fast as MPI or faster, 2 ranks, 64 B to 4 MiB, every operation";
        Some(self.goal(goal, at, (1.0, true), gain))
    }
}
