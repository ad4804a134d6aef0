//! Runs of the experiments that claims need, each made once and kept as rows of figures.

use crate::campaign::{self, RunError, RunOptions, Search};
use crate::experiment::Loaded;
use crate::metrics::stats::{self, Interval};
use crate::metrics::summary::overall;
use crate::metrics::{Better, RecorderOptions, Summary, metric};
use crate::record::SweepPoint;
use std::path::Path;

/// One experiment, run.
pub struct Ran {
    /// The experiment's name.
    pub name: String,
    /// Where it ran: "8 x a100".
    pub machine: String,
    /// Seeds of every system.
    pub seeds: usize,
    /// The points of its sweep.
    pub points: Vec<SweepPoint>,
    rows: Vec<Summary>,
    searches: Vec<Search>,
}

/// The elastic policy on single ranks only.
pub const ONE_RANK: &str = "edf-sp1";

/// Reads `DIR/NAME.yaml` with the seeds asked for: a list as YAML, or the file's first `most`.
///
/// # Errors
/// As [`Loaded::read`].
pub fn load(path: &Path, seeds: Option<&str>, most: usize) -> Result<Loaded, RunError> {
    let overrides: Vec<String> = seeds.map(|list| format!("seeds={list}")).into_iter().collect();
    let loaded = Loaded::read(path, &overrides)?;
    let all = &loaded.first().seeds;
    if seeds.is_some() || all.len() <= most {
        return Ok(loaded);
    }
    Ok(Loaded::read(path, &[format!("seeds={:?}", &all[..most])])?)
}

/// The same experiment with one system: the elastic policy that may use single ranks only, so that it keeps
/// its order and its right to change rank at every step, but not its degrees.
///
/// # Errors
/// As [`Loaded::read`].
pub fn load_one_rank(path: &Path, like: &Loaded) -> Result<Loaded, RunError> {
    let overrides = [
        format!("seeds={:?}", like.first().seeds),
        format!("systems=[{{name: {ONE_RANK}, elastic: {{policy: edf-best-fit, degrees: [1]}}}}]"),
        "expect=[]".to_owned(),
    ];
    Ok(Loaded::read(path, &overrides)?)
}

impl Ran {
    /// Runs every system on every seed at every point.
    ///
    /// # Errors
    /// As [`campaign::run`].
    pub fn new(loaded: &Loaded, progress: &(dyn Fn() + Sync)) -> Result<Self, RunError> {
        let advance = |_: usize| progress();
        let recorder = RecorderOptions { timeline: 0, merge: true };
        let options = RunOptions { recorder, progress: &advance, log: None };
        let finished = campaign::run(loaded, &options)?;
        let experiment = loaded.first();
        Ok(Self {
            name: experiment.name.clone(),
            machine: format!("{} x {}", experiment.cluster.world, experiment.cluster.gpu),
            seeds: experiment.seeds.len(),
            points: finished.campaign.points.clone(),
            rows: finished.campaign.runs.iter().map(overall).collect(),
            searches: finished.searches,
        })
    }

    /// Adds the systems of another run of the same workload.
    pub fn add(&mut self, other: Self) {
        self.rows.extend(other.rows);
    }

    /// The index of the point that sets some key to `value`, as written in the file.
    pub fn point(&self, value: &str) -> Option<usize> {
        let sets = |point: &SweepPoint| point.0.iter().any(|(_, given)| given == value);
        self.points.iter().position(sets)
    }

    /// A metric of a system at a point, one value a seed; `None` if it is not defined in one of them.
    pub fn values(&self, point: usize, system: &str, name: &str) -> Option<Vec<f64>> {
        let mine = |row: &&Summary| row.point == point && row.system == system;
        let values = metric(name)?.values(self.rows.iter().filter(mine))?;
        (!values.is_empty()).then_some(values)
    }

    /// Its mean over the seeds.
    pub fn mean(&self, point: usize, system: &str, name: &str) -> Option<f64> {
        Some(stats::mean(&self.values(point, system, name)?)?.estimate)
    }

    /// A system's metric over another's, paired by seed.
    pub fn ratio(&self, point: usize, a: &str, b: &str, name: &str) -> Option<Interval> {
        stats::ratio(&self.values(point, a, name)?, &self.values(point, b, name)?)
    }

    /// The static layout that is best by this very metric, of all that the search tried at the point, with
    /// the metric's value for each seed.
    pub fn best_static(&self, point: usize, name: &str) -> Option<(String, Vec<f64>)> {
        self.best_layout(point, name, |_| true)
    }

    /// The same among the layouts whose name `keep` accepts.
    pub fn best_layout(
        &self,
        point: usize,
        name: &str,
        keep: impl Fn(&str) -> bool,
    ) -> Option<(String, Vec<f64>)> {
        let by = metric(name)?;
        let sign = if by.better == Better::Higher { -1.0 } else { 1.0 };
        let search = self.searches.iter().find(|search| search.point == point)?;
        let mut best: Option<(f64, String, Vec<f64>)> = None;
        for candidate in search.ranking.iter().filter(|candidate| keep(&candidate.layout)) {
            let Some(values) = by.values(&candidate.rows) else { continue };
            let cost = sign * values.iter().sum::<f64>();
            if best.as_ref().is_none_or(|(least, ..)| cost < *least) {
                best = Some((cost, candidate.layout.clone(), values));
            }
        }
        best.map(|(_, layout, values)| (layout, values))
    }

    /// A system's metric over that of the best static layout by the metric.
    pub fn over_best_static(&self, point: usize, system: &str, name: &str) -> Option<Interval> {
        stats::ratio(&self.values(point, system, name)?, &self.best_static(point, name)?.1)
    }
}
