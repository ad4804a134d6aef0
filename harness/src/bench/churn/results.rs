//! The results of the churn benchmark as data, its tables and its goal.

use super::schedule::Mode;
use super::spec::Spec;
use crate::bench::goal::{Goal, crowding};
use crate::bench::launch::Contestant;
use crate::bench::provenance::Provenance;
use crate::bench::samples::Checked;
use crate::bench::statistics::{Statistics, time};
use crate::report::{self, Cell, Table};
use crate::results;
use serde::{Deserialize, Serialize};

/// Churn should take no more than this of a fixed group's time.
const OVER_FIXED: f64 = 1.1;

/// Everything that the benchmark found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// What produced it.
    pub provenance: Provenance,
    /// What was asked for.
    pub spec: Spec,
    /// What was timed.
    pub rows: Vec<Row>,
    /// Data that was checked.
    pub checked: Checked,
}

/// What a row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Key {
    /// Ranks of the world.
    pub world: usize,
    /// Ranks of the groups.
    pub degree: usize,
    /// Who.
    pub contestant: Contestant,
    /// On which groups.
    pub mode: Mode,
}

/// One row.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// What it is about.
    pub key: Key,
    /// Operations of a sample.
    pub ops: usize,
    /// Time of an operation: a sample's time, of the slowest rank, over its operations.
    pub time: Statistics,
}

/// World, degree, contestant.
type Case = (usize, usize, Contestant);

impl Results {
    /// Every case in order.
    fn cases(&self) -> Vec<Case> {
        let mut cases: Vec<Case> = self
            .rows
            .iter()
            .map(|row| (row.key.world, row.key.degree, row.key.contestant))
            .collect();
        cases.sort_unstable();
        cases.dedup();
        cases
    }

    fn row(&self, (world, degree, contestant): Case, mode: Mode) -> Option<&Row> {
        let key = Key { world, degree, contestant, mode };
        self.rows.iter().find(|row| row.key == key)
    }

    /// Churn over another mode, medians; derived.
    fn over(&self, case: Case, mode: Mode) -> Option<f64> {
        let churn = self.row(case, Mode::Churn)?.time.p50_ns;
        Some(churn / self.row(case, mode)?.time.p50_ns)
    }

    /// The goal for each group-free contestant, at its worst case with a core for every rank, and at its worst case
    /// without.
    pub fn goals(&self) -> Vec<Goal> {
        let cores = self.provenance.machine.cores;
        let mut goals = Vec::new();
        for one in Contestant::ALL.into_iter().filter(|one| one.is_group_free()) {
            let cases = self.cases().into_iter().filter(|case| case.2 == one);
            let (own, shared): (Vec<Case>, Vec<Case>) = cases.partition(|case| case.0 <= cores);
            for cases in [own, shared] {
                let figures = cases.iter().filter_map(|c| Some((*c, self.over(*c, Mode::Fixed)?)));
                let Some((case, found)) = figures.max_by(|a, b| a.1.total_cmp(&b.1)) else {
                    continue;
                };
                let (world, degree, _) = case;
                let remark = match crowding(world as f64 / cores as f64) {
                    text if text.is_empty() => text,
                    text => text.replace("members", "ranks"),
                };
                goals.push(Goal {
                    goal: "a new group at every operation within 1.1x of a fixed group".to_owned(),
                    at: format!("{}; world {world}, degree {degree}", one.words()),
                    limit: OVER_FIXED,
                    at_least: false,
                    found: Some(found),
                    shown: report::times(found),
                    remark,
                });
            }
        }
        goals
    }

    /// Every case in a row.
    pub fn table(&self) -> Table {
        let Spec { op, bytes, .. } = self.spec;
        let caption = format!(
            "Time of an operation, {} of {bytes} bytes: medians ({}); ratios derived",
            op.name(),
            self.provenance.measured_on()
        );
        let columns = [
            "contestant",
            "#world",
            "#degree",
            "#ranks per core",
            "#operations a sample",
            "#a new group each",
            "#one fixed group",
            "#churn / fixed",
            "#disjoint fixed groups",
            "#churn / disjoint",
        ];
        let cores = self.provenance.machine.cores as f64;
        let mut table = Table::new(caption, &columns);
        for case in self.cases() {
            let (world, degree, contestant) = case;
            let cell = |mode| -> Cell {
                let Some(row) = self.row(case, mode) else { return "n/a".into() };
                let p99 = row.time.p99_ns.map(|p99| format!("[{}]", time(p99)));
                (time(row.time.p50_ns), p99).into()
            };
            let ratio = |mode| -> Cell {
                self.over(case, mode).map_or("n/a".into(), |ratio| report::times(ratio).into())
            };
            let ops = self.row(case, Mode::Churn).map_or(0, |row| row.ops);
            table.row(vec![
                contestant.words().into(),
                world.to_string().into(),
                degree.to_string().into(),
                report::number(world as f64 / cores).into(),
                ops.to_string().into(),
                cell(Mode::Churn),
                cell(Mode::Fixed),
                ratio(Mode::Fixed),
                cell(Mode::Disjoint),
                ratio(Mode::Disjoint),
            ]);
        }
        table
    }

    /// `churn.csv`.
    pub fn csv(&self) -> results::Table {
        let columns = [
            "contestant",
            "world",
            "degree",
            "ranks_per_core",
            "mode",
            "operations",
            "samples",
            "time_ns_min",
            "time_ns_p50",
            "time_ns_p99",
            "time_ns_max",
            "label",
        ];
        let cores = self.provenance.machine.cores as f64;
        let cells = |row: &Row| {
            let Row { key, ops, time } = row;
            vec![
                key.contestant.name().to_owned(),
                key.world.to_string(),
                key.degree.to_string(),
                (key.world as f64 / cores).to_string(),
                key.mode.name().to_owned(),
                ops.to_string(),
                time.samples.to_string(),
                time.min_ns.to_string(),
                time.p50_ns.to_string(),
                time.p99_ns.map_or_else(String::new, |p99| p99.to_string()),
                time.max_ns.to_string(),
                "measured".to_owned(),
            ]
        };
        results::Table {
            columns: columns.map(str::to_owned).into(),
            rows: self.rows.iter().map(cells).collect(),
        }
    }
}
