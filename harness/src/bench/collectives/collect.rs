//! Plans of the benchmark of collectives, and their samples as rows.

use super::results::Row;
use super::spec::Spec;
use crate::bench::launch::Contestant;
use crate::bench::plan::{Act, Operation, Plan};
use crate::bench::reference::batch;
use crate::bench::samples::{Checked, TurnResult};
use crate::bench::statistics::Statistics;
use flexdit_core::{Group, Rank};
use std::collections::BTreeMap;

/// What a turn stands for: size asked for, size used, how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The size asked for.
    pub bytes: u64,
    /// The size used.
    pub used_bytes: u64,
    /// Repetitions of the turn.
    pub count: u32,
}

/// One operation over all sizes in a fresh world, and the mark of each turn; `None` for turns that are not sampled.
pub fn schedule(spec: &Spec, op: Operation, round: usize) -> (Plan, Vec<Option<Mark>>) {
    let seed = spec.seed ^ (round as u64 + 1) << 32 ^ (op as u64) << 56;
    let mut plan = Plan::new(spec.ranks, seed);
    let group = plan.group(Group::consecutive(Rank(0), spec.ranks));
    plan.turn(group, Act::Form);
    let mut marks = vec![None];
    let sizes = if op == Operation::Barrier { &[0][..] } else { &spec.sizes };
    for &bytes in sizes {
        let used_bytes = op.rounded(bytes, spec.ranks);
        let count = batch(used_bytes);
        let mark = Mark { bytes, used_bytes, count };
        for _ in 0..spec.batches_of(bytes) {
            plan.turn(group, Act::Run { op, bytes: used_bytes, count, warm: true });
            marks.push(Some(mark));
        }
    }
    plan.turn(group, Act::Release);
    marks.push(None);
    (plan, marks)
}

#[derive(Debug, Default)]
struct Cell {
    times: Vec<f64>,
    late: usize,
    used_bytes: u64,
    count: u32,
    checked: Checked,
}

/// Samples as they come in.
#[derive(Debug, Default)]
pub struct Collector(BTreeMap<(Operation, u64, Contestant), Cell>);

impl Collector {
    /// Adds the turns of one world.
    pub fn add(
        &mut self,
        contestant: Contestant,
        op: Operation,
        marks: &[Option<Mark>],
        turns: &[TurnResult],
    ) {
        for (mark, turn) in marks.iter().zip(turns) {
            let Some(mark) = mark else { continue };
            let cell = self.0.entry((op, mark.bytes, contestant)).or_default();
            cell.times.push(turn.nanos as f64 / f64::from(mark.count));
            cell.late += usize::from(turn.late);
            (cell.used_bytes, cell.count) = (mark.used_bytes, mark.count);
            cell.checked.add(std::slice::from_ref(turn));
        }
    }

    /// The rows: operations in their order, sizes ascending, contestants in order.
    pub fn rows(self) -> Vec<Row> {
        let row = |((op, bytes, contestant), cell): ((Operation, u64, Contestant), Cell)| {
            let Cell { times, late, used_bytes, count, checked } = cell;
            let late = late as f64 / times.len() as f64;
            let time = Statistics::of(times)?;
            Some(Row { op, bytes, used_bytes, contestant, count, time, late, checked })
        };
        self.0.into_iter().filter_map(row).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::plan::Turn;

    #[test]
    fn every_size_is_sampled_warm_and_as_often_as_asked() {
        let spec = Spec { sizes: vec![64, 8 << 20], batches: 8, ranks: 3, ..Spec::quick() };
        let (plan, marks) = schedule(&spec, Operation::AllToAll, 0);
        assert_eq!(plan.turns.len(), marks.len());
        let told: Vec<(u64, u64, u32)> =
            marks.iter().flatten().map(|mark| (mark.bytes, mark.used_bytes, mark.count)).collect();
        let mut expected = vec![(64, 60, 256); 8];
        expected.extend([(8 << 20, (8 << 20) / 12 * 12, 1); 2]);
        assert_eq!(told, expected);
        let is_cold = |turn: &Turn| matches!(turn.act, Act::Run { warm: false, .. });
        assert!(!plan.turns.iter().any(is_cold));
        let (_, barrier) = schedule(&spec, Operation::Barrier, 0);
        assert_eq!(barrier.iter().flatten().count(), 8, "a barrier has no size");
    }

    #[test]
    fn times_are_of_one_repetition_and_wrong_bytes_are_counted() {
        let spec = Spec { sizes: vec![4_096], batches: 3, ..Spec::quick() };
        let (_, marks) = schedule(&spec, Operation::Broadcast, 0);
        let turn = TurnResult { nanos: 6_400, late: false, checked: 10, wrong: 1 };
        let mut collector = Collector::default();
        let turns = vec![turn; marks.len()];
        collector.add(Contestant::Mpi, Operation::Broadcast, &marks, &turns);
        let rows = collector.rows();
        assert_eq!((rows.len(), rows[0].time.samples, rows[0].time.p50_ns), (1, 3, 100.0));
        assert_eq!(rows[0].checked, Checked { bytes: 30, wrong: 3 });
        assert_eq!((rows[0].algbw(), rows[0].busbw(2)), (Some(40.96), Some(40.96)));
    }
}
