//! Samples of the group-setup benchmark as rows: one per contestant, world, degree, phase and history.

use super::schedule::{History, Mark, Phase};
use crate::bench::launch::Contestant;
use crate::bench::samples::TurnResult;
use crate::bench::statistics::Statistics;
use crate::report::Label;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Key {
    /// Ranks of the world.
    pub world: usize,
    /// Ranks of the group.
    pub degree: usize,
    /// Who.
    pub contestant: Contestant,
    /// What was timed.
    pub phase: Phase,
    /// What was in use before.
    pub history: History,
}

/// One row.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// What it is about.
    pub key: Key,
    /// Ranks of the world per core.
    pub ranks_per_core: f64,
    /// Members of the group per core.
    pub members_per_core: f64,
    /// How often it was done between two readings of the clock; times are of one.
    pub count: u32,
    /// The times.
    pub time: Statistics,
    /// Share of samples of which a member started late.
    pub late: f64,
}

impl Row {
    /// Measured, or derived where two timings are added.
    pub fn label(&self) -> Label {
        if self.key.phase == Phase::FormAndFirst { Label::Derived } else { Label::Measured }
    }
}

#[derive(Debug, Default)]
struct Cell {
    times: Vec<f64>,
    late: usize,
    count: u32,
}

/// Samples as they come in.
#[derive(Debug, Default)]
pub struct Collector(BTreeMap<Key, Cell>);

impl Collector {
    /// Adds the turns of one world.
    pub fn add(
        &mut self,
        contestant: Contestant,
        world: usize,
        marks: &[Option<Mark>],
        turns: &[TurnResult],
    ) {
        let mut formed = None;
        for (mark, turn) in marks.iter().zip(turns) {
            let Some(mark) = mark else { continue };
            let time = turn.nanos as f64 / f64::from(mark.count);
            match mark.phase {
                // A contestant that cannot form many at once has nothing to tell.
                Phase::FormMany if turn.nanos == 0 => continue,
                Phase::Form => formed = Some((time, turn.late)),
                Phase::First => {
                    if let Some((form, late)) = formed.take() {
                        let both = Mark { phase: Phase::FormAndFirst, ..*mark };
                        self.push(contestant, world, &both, form + time, late || turn.late);
                    }
                }
                _ => {}
            }
            self.push(contestant, world, mark, time, turn.late);
        }
    }

    fn push(&mut self, contestant: Contestant, world: usize, mark: &Mark, time: f64, late: bool) {
        let Mark { degree, phase, history, count } = *mark;
        let key = Key { world, degree, contestant, phase, history };
        let cell = self.0.entry(key).or_default();
        cell.times.push(time);
        cell.late += usize::from(late);
        cell.count = count;
    }

    /// The rows, in order of their keys.
    pub fn rows(self, cores: usize) -> Vec<Row> {
        let row = |(key, cell): (Key, Cell)| {
            let samples = cell.times.len();
            Some(Row {
                key,
                ranks_per_core: key.world as f64 / cores as f64,
                members_per_core: key.degree as f64 / cores as f64,
                count: cell.count,
                time: Statistics::of(cell.times)?,
                late: cell.late as f64 / samples as f64,
            })
        };
        self.0.into_iter().filter_map(row).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::group_setup::{Spec, schedule};
    use crate::bench::tuples::Ranks;

    #[test]
    fn turns_become_rows_by_what_they_stand_for() {
        let spec = Spec { degrees: vec![2], tuples: 2, steady: 3, many: 10, ..Spec::quick() };
        let (_, marks) = schedule(&spec, Ranks { world: 4, cores: 2 }, 0);
        // Each turn takes its ordinal in microseconds; forming many at once is not for this one.
        let turns: Vec<TurnResult> = (0..marks.len() as u64)
            .map(|at| TurnResult { nanos: at * 1_000, late: at == 8, ..TurnResult::default() })
            .enumerate()
            .map(|(at, turn)| match marks[at] {
                Some(Mark { phase: Phase::FormMany, .. }) => TurnResult::default(),
                _ => turn,
            })
            .collect();
        let mut collector = Collector::default();
        collector.add(Contestant::CommunicatorTcp, 4, &marks, &turns);
        let rows = collector.rows(2);
        let told: Vec<String> = rows
            .iter()
            .map(|row| {
                let Row { key, time, late, .. } = row;
                let (phase, history) = (key.phase.name(), key.history.name());
                format!("{phase} {history} {}x {} late {late}", time.samples, time.p50_ns)
            })
            .collect();
        let expected = [
            "form cold 1x 0 late 0",
            "form new-tuple 1x 7000 late 0",
            "first cold 1x 1000 late 0",
            "first new-tuple 1x 8000 late 1",
            "form-and-first cold 1x 1000 late 0",
            "form-and-first new-tuple 1x 15000 late 1",
            "steady used 6x 5000 late 0",
        ];
        assert_eq!(told, expected);
        assert_eq!((rows[0].ranks_per_core, rows[0].members_per_core), (2.0, 1.0));
    }
}
