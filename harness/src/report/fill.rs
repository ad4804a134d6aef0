//! The part of a report's input that the records give by themselves.

use super::input::{BoundRow, ReportInput};
use crate::metrics::bounds::{self, Bound, Quantity, Strength};
use crate::metrics::{Summary, summarise};
use crate::plot::Figures;
use crate::record::{Campaign, RunRecord};

impl ReportInput {
    /// Names, metrics, bounds, warnings and pictures of a campaign, whose runs of sweep point
    /// `headline_point` the pictures show. The rest is the caller's: roles of systems, setup,
    /// charges, profiles, ranking, provenance.
    pub fn from_campaign(campaign: &Campaign, headline_point: usize) -> Self {
        let (mut metrics, classes) = summarise(campaign);
        metrics.extend(classes);
        let bounds = bound_rows(campaign, headline_point, &metrics);
        Self {
            name: campaign.name.clone(),
            classes: campaign.classes.clone(),
            seeds: campaign.seeds.clone(),
            points: campaign.points.iter().map(|point| point.0.clone()).collect(),
            headline_point,
            metrics,
            bounds,
            warnings: run_warnings(campaign),
            figures: Figures::of(campaign, headline_point),
            ..Self::default()
        }
    }
}

/// Every system against every bound, means over seeds. Latency and makespan are left out for systems
/// that did not complete every request: the bounds hold for complete runs.
fn bound_rows(campaign: &Campaign, point: usize, metrics: &[Summary]) -> Vec<BoundRow> {
    let mut per_seed: Vec<(u64, Vec<Bound>)> = Vec::new();
    let mut rows = Vec::new();
    for system in &campaign.systems {
        let mut sums: Vec<(Bound, f64, f64, usize)> = Vec::new();
        let runs: Vec<&RunRecord> = campaign.runs_of(point, system).collect();
        for run in &runs {
            // In an open loop all systems of a seed share its requests, so one search does.
            let shared = |(seed, _): &(u64, _)| *seed == run.seed && !run.closed_loop;
            let known = per_seed.iter().position(shared);
            let index = known.unwrap_or_else(|| {
                per_seed.push((run.seed, bounds::run_bounds(run)));
                per_seed.len() - 1
            });
            let summary = metrics.iter().find(|row| {
                row.class.is_none()
                    && (row.point, row.seed) == (point, run.seed)
                    && row.system == *system
            });
            for bound in &per_seed[index].1 {
                let Some(value) = summary.and_then(|row| reached(row, bound.quantity)) else {
                    continue;
                };
                let same = |sum: &&mut (Bound, f64, f64, usize)| {
                    (sum.0.quantity, sum.0.argument) == (bound.quantity, bound.argument)
                };
                match sums.iter_mut().find(same) {
                    Some(sum) => {
                        (sum.1, sum.2, sum.3) = (sum.1 + value, sum.2 + bound.value, sum.3 + 1)
                    }
                    None => sums.push((*bound, value, bound.value, 1)),
                }
            }
        }
        let complete = sums.into_iter().filter(|sum| sum.3 == runs.len());
        rows.extend(complete.map(|(bound, value, limit, count)| {
            let (quantity, unit) = bound.quantity.words();
            let factor = if unit == "ms" { 1e-3 } else { 1.0 };
            let mean = |sum: f64| sum / count as f64 * factor;
            BoundRow {
                point,
                system: system.clone(),
                quantity: quantity.to_owned(),
                unit: if unit == "ms" { "s" } else { unit }.to_owned(),
                value: mean(value),
                bound: mean(limit),
                argument: bound.argument.to_owned(),
                proof: bound.strength == Strength::Proof,
            }
        }));
    }
    rows
}

fn reached(row: &Summary, quantity: Quantity) -> Option<f64> {
    let complete = row.completed == row.requests;
    match quantity {
        Quantity::MakespanS => complete.then_some(row.makespan_s),
        Quantity::LatencyMsMean => row.latency_ms_mean.filter(|_| complete),
        Quantity::Violations => Some(row.violation_rate? * row.with_deadline as f64),
    }
}

/// Fallbacks, refused decisions and extrapolated prices, one line a system.
fn run_warnings(campaign: &Campaign) -> Vec<String> {
    let mut warnings = Vec::new();
    for system in &campaign.systems {
        let runs: Vec<&RunRecord> =
            campaign.runs.iter().filter(|run| run.system == *system).collect();
        let fallbacks: Vec<&str> =
            runs.iter().filter_map(|run| run.counters.fallback.as_deref()).collect();
        if let Some(why) = fallbacks.first() {
            warnings.push(format!(
                "{system}: the policy was replaced by FCFS in {} of {} runs: {why}",
                fallbacks.len(),
                runs.len()
            ));
        }
        let illegal: u64 = runs.iter().map(|run| run.counters.illegal).sum();
        if illegal > 0 {
            warnings
                .push(format!("{system}: {illegal} illegal decisions of the policy were refused."));
        }
        let extrapolated = runs.iter().filter(|run| run.extrapolated).count();
        if extrapolated > 0 {
            warnings.push(format!(
                "{system}: {extrapolated} of {} runs were charged prices outside the range of their \
                 source.",
                runs.len()
            ));
        }
    }
    warnings
}
