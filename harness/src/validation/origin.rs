//! Where errors come from: what stages took in the real runs against what they were priced at, and how prices moved.
//!
//! Everything here is derived from measured times. Invariant: both sides of a comparison are over the same tasks.

use super::pairs::Full;
use super::prices::{Key, key, price_of, units};
use super::session::{Ran, Session};
use super::tours::Tours;
use crate::experiment::CollectiveKind;
use crate::profile::measure::plan::size;
use flexdit_core::cost::CostModel;
use flexdit_core::{Parallelism, Stage};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What one stage of one shape at one layout took in the real runs of a system.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageRow {
    /// The system.
    pub system: String,
    /// The shape: `256x256`.
    pub shape: String,
    /// The stage.
    pub stage: Stage,
    /// How it was split.
    pub layout: Parallelism,
    /// Steps, or tasks of other stages.
    pub units: u64,
    /// Mean time of one, milliseconds, *measured*.
    pub measured_ms: f64,
    /// Its price, mean over the same units, milliseconds; `None` if it has none.
    pub price_ms: Option<f64>,
}

/// All tasks of a system's real runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkRow {
    /// The system.
    pub system: String,
    /// How its ranks talked to each other.
    pub collectives: CollectiveKind,
    /// Sum of the times of tasks that have a price, seconds, *measured*.
    pub measured_s: f64,
    /// The same tasks at their prices, seconds.
    pub priced_s: f64,
}

impl WorkRow {
    /// How much less or more prices say than the tasks took, as a share; `None` without tasks.
    pub fn error(&self) -> Option<f64> {
        (self.measured_s > 0.0).then(|| self.priced_s / self.measured_s - 1.0)
    }
}

/// What the tasks of all real runs on one kind of collectives cost at the prices of one round of tours alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Level {
    /// The collectives.
    pub collectives: CollectiveKind,
    /// When: rounds count from 0, and a run comes half behind its round.
    pub at: f64,
    /// The run's system; `None` for a round of tours.
    pub system: Option<String>,
    /// Relative to the prices of all rounds.
    pub level: f64,
}

#[derive(Clone, Copy, Default)]
struct Sum {
    units: u64,
    measured: f64,
    /// Of units that have a price.
    priced: f64,
    /// What those took.
    measured_priced: f64,
}

/// Sums of a run by key.
fn sums(session: &Session<'_>, run: &Ran, prices: &dyn CostModel) -> BTreeMap<Key, Sum> {
    let requests = &session.workloads[run.seed].requests;
    let mut sums: BTreeMap<Key, Sum> = BTreeMap::new();
    for task in &run.tasks {
        let shape = requests[task.request.index()].shape;
        let key = key(&shape, task.stage, task.layout);
        let sum = sums.entry(key).or_default();
        let (count, time) = (units(task), task.time.0 as f64);
        sum.units += u64::from(count);
        sum.measured += time;
        if let Some(price) = price_of(prices, &(shape, key.1, key.2)) {
            sum.priced += price.0 as f64 * f64::from(count);
            sum.measured_priced += time;
        }
    }
    sums
}

/// The rows of every system, in the order of the experiment.
pub(super) fn stages(session: &Session<'_>, runs: &[(Ran, Full)]) -> (Vec<StageRow>, Vec<WorkRow>) {
    let (mut stages, mut works) = (Vec::new(), Vec::new());
    let models = &session.setting.models;
    for (system, collectives) in session.kinds().into_iter().enumerate() {
        let name = &session.setting.experiment.systems[system].name;
        let mut all: BTreeMap<Key, Sum> = BTreeMap::new();
        for (run, full) in runs.iter().filter(|(run, _)| run.system == system) {
            for (key, sum) in sums(session, run, &*full.prices) {
                let into = all.entry(key).or_default();
                into.units += sum.units;
                into.measured += sum.measured;
                into.priced += sum.priced;
                into.measured_priced += sum.measured_priced;
            }
        }
        for ((shape, stage, layout), sum) in &all {
            let several = models.len() > 1;
            let model = several.then(|| format!("{} ", models[shape.model.index()].name));
            let guided = if shape.guidance { ", guided" } else { "" };
            let of_one = |nanos: f64| nanos / sum.units as f64 / 1e6;
            stages.push(StageRow {
                system: name.clone(),
                shape: format!("{}{}{guided}", model.unwrap_or_default(), size(shape)),
                stage: *stage,
                layout: *layout,
                units: sum.units,
                measured_ms: of_one(sum.measured),
                price_ms: (sum.priced > 0.0).then(|| of_one(sum.priced)),
            });
        }
        if !all.is_empty() {
            works.push(WorkRow {
                system: name.clone(),
                collectives,
                measured_s: all.values().map(|sum| sum.measured_priced).sum::<f64>() / 1e9,
                priced_s: all.values().map(|sum| sum.priced).sum::<f64>() / 1e9,
            });
        }
    }
    (stages, works)
}

/// How dear the runs' work was from round to round, and in the runs themselves.
pub(super) fn levels(session: &Session<'_>, tours: &Tours<'_>, runs: &[(Ran, Full)]) -> Vec<Level> {
    let mut levels = Vec::new();
    let mut kinds = session.kinds();
    kinds.sort_by_key(|kind| *kind == CollectiveKind::Communicators);
    kinds.dedup();
    for collectives in kinds {
        let mine = || runs.iter().filter(|(run, _)| run.real.collectives == collectives);
        let all = tours.prices(collectives, 0..tours.rounds());
        let mut work: BTreeMap<Key, u64> = BTreeMap::new();
        for (run, _) in mine() {
            for (key, sum) in sums(session, run, &all) {
                *work.entry(key).or_default() += sum.units;
            }
        }
        for round in 0..tours.rounds() {
            let own = tours.prices(collectives, round..round + 1);
            levels.extend(level(&work, &own, &all).map(|level| Level {
                collectives,
                at: round as f64,
                system: None,
                level,
            }));
        }
        for (run, full) in mine() {
            let sums = sums(session, run, &all);
            let priced: f64 = sums.values().map(|sum| sum.priced).sum();
            let measured: f64 = sums.values().map(|sum| sum.measured_priced).sum();
            if priced > 0.0 {
                levels.push(Level {
                    collectives,
                    at: run.before as f64 - 0.5,
                    system: Some(full.pair.system.clone()),
                    level: measured / priced,
                });
            }
        }
    }
    levels
}

/// What this work costs at some prices, relative to others; `None` if nothing of it is priced by both.
fn level(work: &BTreeMap<Key, u64>, own: &dyn CostModel, all: &dyn CostModel) -> Option<f64> {
    let (mut here, mut overall) = (0.0, 0.0);
    for (key, units) in work {
        if let (Some(one), Some(mean)) = (price_of(own, key), price_of(all, key)) {
            here += one.0 as f64 * *units as f64;
            overall += mean.0 as f64 * *units as f64;
        }
    }
    (overall > 0.0).then(|| here / overall)
}

#[cfg(test)]
mod tests {
    use super::super::prices::TaskPrices;
    use super::*;
    use crate::profile::measure::TaskSample;
    use flexdit_core::{Nanos, RequestId, Shape};

    fn prices(step: u64, decode: u64) -> TaskPrices {
        let task = |stage, steps, time| TaskSample {
            request: RequestId(0),
            stage,
            layout: Parallelism::SINGLE,
            first_step: 0,
            steps,
            time: Nanos(time),
            launch: Nanos::ZERO,
            setup: Nanos::ZERO,
            control: None,
        };
        let tasks = [task(Stage::Denoise, 1, step), task(Stage::VaeDecode, 0, decode)];
        TaskPrices::of_tours(std::iter::once((&[Shape::default()][..], &tasks[..])))
    }

    #[test]
    fn a_level_weighs_prices_by_what_the_runs_had_of_each() {
        let of = |stage| key(&Shape::default(), stage, Parallelism::SINGLE);
        let work = BTreeMap::from([(of(Stage::Denoise), 6), (of(Stage::VaeDecode), 1)]);
        let (all, slow_steps) = (prices(100, 400), prices(110, 400));
        assert_eq!(level(&work, &all, &all), Some(1.0));
        assert_eq!(level(&work, &slow_steps, &all), Some(1060.0 / 1000.0));
        let unpriced = BTreeMap::from([(of(Stage::TextEncode), 3)]);
        assert_eq!(level(&unpriced, &all, &all), None);
    }
}
