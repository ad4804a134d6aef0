//! The search for the best static layout of a workload: every candidate is run on every seed.

use crate::metrics::{Better, Metric, Summary, metric};
use flexdit_baselines::StaticLayout;
use serde::{Deserialize, Serialize};

/// One candidate with its summaries, one a seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// Name of the layout.
    pub layout: String,
    /// Mean of the metric over the seeds; `None` where it is not defined.
    pub value: Option<f64>,
    /// One row a seed.
    pub rows: Vec<Summary>,
}

/// The outcome of one search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Search {
    /// Index of the sweep point.
    pub point: usize,
    /// The system's name in the experiment.
    pub system: String,
    /// The metric that decided.
    pub metric: String,
    /// Whether a smaller value is better.
    pub smaller_is_better: bool,
    /// Every layout tried, best first.
    pub ranking: Vec<Candidate>,
}

impl Search {
    /// Ranks candidates by the mean of `by` over the seeds, ties by mean latency; returns the ranking and
    /// the index of the winner in `layouts`.
    ///
    /// The winner is chosen on the seeds it is reported on: that favours it, and so works against the
    /// elastic systems it is compared with.
    ///
    /// # Panics
    /// If `by` is not a metric, or there is no candidate.
    pub fn rank(
        point: usize,
        system: &str,
        by: &str,
        layouts: &[StaticLayout],
        rows: Vec<Vec<Summary>>,
    ) -> (Self, usize) {
        let decider = metric(by).expect("validated with the experiment");
        let tie = metric("latency_ms_mean").expect("listed");
        let mut ranked: Vec<(usize, Candidate)> = layouts
            .iter()
            .zip(rows)
            .map(|(layout, rows)| {
                let value = decider.mean(&rows);
                Candidate { layout: layout.name(), value, rows }
            })
            .enumerate()
            .collect();
        ranked.sort_by(|(_, a), (_, b)| {
            let order = cost(decider, &a.rows).total_cmp(&cost(decider, &b.rows));
            order.then(cost(tie, &a.rows).total_cmp(&cost(tie, &b.rows)))
        });
        let winner = ranked[0].0;
        let search = Self {
            point,
            system: system.to_owned(),
            metric: by.to_owned(),
            smaller_is_better: decider.better == Better::Lower,
            ranking: ranked.into_iter().map(|(_, candidate)| candidate).collect(),
        };
        (search, winner)
    }
}

/// The metric's mean turned so that less is better; undefined is worst.
fn cost(metric: &Metric, rows: &[Summary]) -> f64 {
    match (metric.mean(rows), metric.better) {
        (None, _) => f64::INFINITY,
        (Some(value), Better::Higher) => -value,
        (Some(value), _) => value,
    }
}
