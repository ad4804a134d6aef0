//! One row of figures per run, over all requests and per class.
//!
//! Definitions: *latency* is completion minus arrival, of completed requests only, so the
//! completion ratio stands beside it; *SLO attainment* is requests finished by their deadline over all that
//! carry one, so unfinished, failed and rejected ones are violations; *throughput* and *goodput*
//! count completions, all and on time, over the span from the run's first arrival to its last
//! completion, also for a class; *utilisation* is busy rank-time over world x makespan, for a class
//! its part of it. Percentiles are nearest rank on exact samples; p99 needs 100 of them.

use super::bounds::{Bound, Quantity, best_proof, run_bounds};
use crate::record::{Campaign, Outcome, RankTime, RequestRecord, RunRecord};
use flexdit_core::{ClassId, Nanos};
use serde::{Deserialize, Serialize};

/// Samples that a 99th percentile needs.
pub const P99_SAMPLES: usize = 100;

/// The figures of one run, over all requests or one class. `None` is "not defined", never zero.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Index of the sweep point.
    pub point: usize,
    /// The system's name.
    pub system: String,
    /// The seed.
    pub seed: u64,
    /// The class; `None` for all requests.
    pub class: Option<String>,
    /// Requests that arrived.
    pub requests: u64,
    /// Of these, completed.
    pub completed: u64,
    /// Of these, rejected: infeasible, shed, cancelled or failed.
    pub rejected: u64,
    /// Completed over arrived.
    pub completion_ratio: Option<f64>,
    /// Completed per second.
    pub throughput_rps: Option<f64>,
    /// Completed by their deadline per second; those without a deadline count as on time.
    pub goodput_rps: Option<f64>,
    /// Mean latency, milliseconds.
    pub latency_ms_mean: Option<f64>,
    /// Median latency, milliseconds.
    pub latency_ms_p50: Option<f64>,
    /// 95th percentile of latency, milliseconds.
    pub latency_ms_p95: Option<f64>,
    /// 99th percentile of latency, milliseconds.
    pub latency_ms_p99: Option<f64>,
    /// Largest latency, milliseconds.
    pub latency_ms_max: Option<f64>,
    /// Mean of first task start minus arrival, of requests that started, milliseconds.
    pub queueing_ms_mean: Option<f64>,
    /// 95th percentile of the same.
    pub queueing_ms_p95: Option<f64>,
    /// Mean of completion minus first start, milliseconds.
    pub service_ms_mean: Option<f64>,
    /// Mean of latency over latency alone on one rank.
    pub slowdown_mean: Option<f64>,
    /// 95th percentile of the same.
    pub slowdown_p95: Option<f64>,
    /// Requests that carry a deadline.
    pub with_deadline: u64,
    /// Requests finished by their deadline over those that carry one.
    pub slo_attainment: Option<f64>,
    /// 1 - attainment.
    pub violation_rate: Option<f64>,
    /// Completed late by at most 10 % of the budget (deadline minus arrival).
    pub late_marginal: u64,
    /// Completed late by more, at most 50 % of the budget.
    pub late_moderate: u64,
    /// Completed later than that.
    pub late_severe: u64,
    /// Mean of completion minus deadline, signed, milliseconds.
    pub lateness_ms_mean: Option<f64>,
    /// Busy rank-time over world x makespan.
    pub utilisation: Option<f64>,
    /// Sum of duration x ranks occupied, seconds.
    pub gpu_time_s: f64,
    /// That of completed requests over their least work.
    pub gpu_time_over_optimum: Option<f64>,
    /// Instant of the last event, seconds.
    pub makespan_s: f64,
    /// Transfers.
    pub migrations: u64,
    /// Bytes moved, decimal gigabytes; of the whole run only.
    pub migrated_gb: Option<f64>,
    /// Sum of the durations of transfers, seconds; of the whole run only.
    pub migration_s: Option<f64>,
    /// Changes of rank set between denoise tasks.
    pub reconfigurations: u64,
    /// Tasks that ended and paid for forming a group; failed ones do not count.
    pub group_setups: u64,
    /// Where rank-time went; of the whole run only.
    pub rank_time: Option<RankTime>,
    /// Mean latency over its best proven lower bound; if every request completed.
    pub latency_over_bound: Option<f64>,
    /// Makespan over its best proven lower bound; if every request completed.
    pub makespan_over_bound: Option<f64>,
    /// Violations that no schedule could have avoided; `None` without a proof.
    pub violations_bound: Option<f64>,
    /// Load that the workload offered, realised; `None` in a closed loop or if all arrives at once.
    pub offered_load: Option<f64>,
    /// Weights of all models plus the largest need of a single task, decimal gigabytes.
    pub peak_rank_memory_gb: Option<f64>,
    /// Policy decisions.
    pub decisions: Option<u64>,
    /// Policy decisions refused.
    pub illegal: Option<u64>,
    /// Whether any charged price was extrapolated.
    pub extrapolated: Option<bool>,
}

/// The rows of a campaign: overall ones in the order of the runs, and those of the classes.
pub fn summarise(campaign: &Campaign) -> (Vec<Summary>, Vec<Summary>) {
    let classes = |run| per_class(run, &campaign.classes);
    (campaign.runs.iter().map(overall).collect(), campaign.runs.iter().flat_map(classes).collect())
}

/// The row of a run over all requests.
pub fn overall(run: &RunRecord) -> Summary {
    let mut row = row(run, None);
    row.migrated_gb = Some(run.migrated.as_gb_f64());
    row.migration_s = Some(run.migration_time.as_secs_f64());
    row.group_setups = run.group_setups;
    row.utilisation = share(run.rank_time.busy, run.rank_time.total());
    row.rank_time = Some(run.rank_time);
    row.offered_load = run.offered_load_realised;
    row.peak_rank_memory_gb =
        (run.peak_rank_memory.0 > 0).then(|| run.peak_rank_memory.as_gb_f64());
    row.decisions = Some(run.counters.decisions);
    row.illegal = Some(run.counters.illegal);
    row.extrapolated = Some(run.extrapolated);
    gaps(&mut row, &run_bounds(run));
    row
}

/// The rows of a run by class, in the order of the class table; classes without requests too.
pub fn per_class(run: &RunRecord, classes: &[String]) -> Vec<Summary> {
    let row_of = |(index, name): (usize, &String)| {
        let mut row = row(run, Some(ClassId(index as u16)));
        row.class = Some(name.clone());
        row
    };
    classes.iter().enumerate().map(row_of).collect()
}

/// The sample at nearest rank: the smallest with at least `share` of the samples at or below it.
/// `sorted` is ascending; `None` if empty.
pub fn nearest_rank(sorted: &[f64], share: f64) -> Option<f64> {
    let rank = libm::ceil(share * sorted.len() as f64 - 1e-9) as usize;
    sorted.get(rank.max(1) - 1).or(sorted.last()).copied()
}

/// Sums and samples of the requests of one row.
#[derive(Default)]
struct Samples {
    latency: Vec<f64>,
    queueing: Vec<f64>,
    service: Vec<f64>,
    slowdown: Vec<f64>,
    lateness: Vec<f64>,
    on_time: u64,
    attained: u64,
    busy: Nanos,
    gpu_time: Nanos,
    optimum: (f64, f64),
}

fn row(run: &RunRecord, class: Option<ClassId>) -> Summary {
    let mut samples = Samples::default();
    let mut row = Summary {
        point: run.point,
        system: run.system.clone(),
        seed: run.seed,
        makespan_s: run.makespan.as_secs_f64(),
        ..Summary::default()
    };
    for request in &run.requests {
        if class.is_none_or(|class| class == request.class) {
            samples.add(request, &mut row);
        }
    }
    row.gpu_time_s = samples.gpu_time.as_secs_f64();
    row.utilisation = share(samples.busy, run.rank_time.total());
    row.completion_ratio = per(row.completed as f64, row.requests as f64);
    row.slo_attainment = per(samples.attained as f64, row.with_deadline as f64);
    row.violation_rate = row.slo_attainment.map(|attained| 1.0 - attained);
    row.gpu_time_over_optimum = per(samples.optimum.0, samples.optimum.1);
    if let Some(span) = serving_span(&run.requests) {
        row.throughput_rps = per(row.completed as f64, span);
        row.goodput_rps = per(samples.on_time as f64, span);
    }
    samples.percentiles(&mut row);
    row
}

impl Samples {
    fn add(&mut self, request: &RequestRecord, row: &mut Summary) {
        row.requests += 1;
        row.migrations += u64::from(request.migrations);
        row.reconfigurations += u64::from(request.reconfigurations);
        row.group_setups += u64::from(request.group_setups);
        row.with_deadline += u64::from(request.deadline.is_some());
        self.gpu_time += request.gpu_time;
        self.busy += request.busy;
        if let Some(started) = request.first_start {
            self.queueing.push(started.saturating_sub(request.arrival).as_millis_f64());
        }
        let at = match request.outcome {
            Outcome::Completed(at) => at,
            Outcome::Rejected(..) => {
                row.rejected += 1;
                return;
            }
            Outcome::Unfinished => return,
        };
        row.completed += 1;
        let latency = at.saturating_sub(request.arrival);
        self.latency.push(latency.as_millis_f64());
        if let Some(started) = request.first_start {
            self.service.push(at.saturating_sub(started).as_millis_f64());
        }
        if let Some(single) = request.t_single.filter(|single| single.0 > 0) {
            self.slowdown.push(latency.0 as f64 / single.0 as f64);
        }
        if let Some(least) = request.least_work {
            self.optimum.0 += request.gpu_time.0 as f64;
            self.optimum.1 += least.0 as f64;
        }
        match request.deadline {
            None => self.on_time += 1,
            Some(due) => self.against(request.arrival, due, at, row),
        }
    }

    fn against(&mut self, arrival: Nanos, due: Nanos, at: Nanos, row: &mut Summary) {
        self.lateness.push(at.as_millis_f64() - due.as_millis_f64());
        if at <= due {
            self.attained += 1;
            self.on_time += 1;
            return;
        }
        let (late, budget) = (u128::from((at - due).0), u128::from(due.saturating_sub(arrival).0));
        match () {
            () if late * 10 <= budget => row.late_marginal += 1,
            () if late * 2 <= budget => row.late_moderate += 1,
            () => row.late_severe += 1,
        }
    }

    fn percentiles(&mut self, row: &mut Summary) {
        for samples in [&mut self.latency, &mut self.queueing, &mut self.slowdown] {
            samples.sort_unstable_by(f64::total_cmp);
        }
        row.latency_ms_mean = mean(&self.latency);
        row.latency_ms_p50 = nearest_rank(&self.latency, 0.50);
        row.latency_ms_p95 = nearest_rank(&self.latency, 0.95);
        row.latency_ms_p99 =
            nearest_rank(&self.latency, 0.99).filter(|_| self.latency.len() >= P99_SAMPLES);
        row.latency_ms_max = self.latency.last().copied();
        row.queueing_ms_mean = mean(&self.queueing);
        row.queueing_ms_p95 = nearest_rank(&self.queueing, 0.95);
        row.service_ms_mean = mean(&self.service);
        row.slowdown_mean = mean(&self.slowdown);
        row.slowdown_p95 = nearest_rank(&self.slowdown, 0.95);
        row.lateness_ms_mean = mean(&self.lateness);
    }
}

fn gaps(row: &mut Summary, bounds: &[Bound]) {
    row.violations_bound = best_proof(bounds, Quantity::Violations).map(|bound| bound.value);
    if row.completed != row.requests {
        return;
    }
    let over = |value: Option<f64>, quantity| per(value?, best_proof(bounds, quantity)?.value);
    row.latency_over_bound = over(row.latency_ms_mean, Quantity::LatencyMsMean);
    row.makespan_over_bound = over(Some(row.makespan_s), Quantity::MakespanS);
}

/// Seconds from the first arrival to the last completion.
fn serving_span(requests: &[RequestRecord]) -> Option<f64> {
    let first = requests.iter().map(|request| request.arrival).min()?;
    let last = requests.iter().filter_map(|request| match request.outcome {
        Outcome::Completed(at) => Some(at),
        _ => None,
    });
    Some(last.max()?.saturating_sub(first).as_secs_f64())
}

fn share(part: Nanos, whole: Nanos) -> Option<f64> {
    per(part.0 as f64, whole.0 as f64)
}

fn per(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole)
}

fn mean(samples: &[f64]) -> Option<f64> {
    per(samples.iter().sum(), samples.len() as f64)
}

#[cfg(test)]
#[path = "summary_test.rs"]
mod tests;
