//! The table of metrics by name, for `expect:`, searches, `explain` and the gate.

use super::summary::Summary;

/// Which direction is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// Larger values are better.
    Higher,
    /// Smaller values are better.
    Lower,
    /// Neither: a count or a circumstance.
    Neither,
}

impl Better {
    /// Whether `to` is better than `from`; `None` if equal or undirected.
    pub fn improves(self, from: f64, to: f64) -> Option<bool> {
        match self {
            _ if from == to => None,
            Self::Higher => Some(to > from),
            Self::Lower => Some(to < from),
            Self::Neither => None,
        }
    }
}

/// One metric: a name, what it means, and a function of a row.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// The name, also the column of `summary.csv` and `classes.csv`.
    pub name: &'static str,
    /// The unit; empty for ratios and counts.
    pub unit: &'static str,
    /// Which direction is good.
    pub better: Better,
    /// One sentence.
    pub doc: &'static str,
    /// Its value in a row; `None` where not defined.
    pub get: fn(&Summary) -> Option<f64>,
}

impl Metric {
    /// Its mean over rows, usually one row a seed; `None` if it is not defined in one of them.
    pub fn mean<'a>(&self, rows: impl IntoIterator<Item = &'a Summary>) -> Option<f64> {
        let values = self.values(rows)?;
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    }

    /// Its value in each row; `None` if it is not defined in one of them.
    pub fn values<'a>(&self, rows: impl IntoIterator<Item = &'a Summary>) -> Option<Vec<f64>> {
        rows.into_iter().map(self.get).collect()
    }
}

/// The metric of that name.
///
/// ```
/// use flexdit::metrics::{Better, metric};
/// assert_eq!(metric("slo_attainment").unwrap().better, Better::Higher);
/// assert!(metric("speed").is_none());
/// ```
pub fn metric(name: &str) -> Option<&'static Metric> {
    METRICS.iter().find(|metric| metric.name == name)
}

macro_rules! metrics {
    ($($name:literal, $unit:literal, $better:ident, $doc:literal, $get:expr;)*) => {
        /// Every metric, in the order of the columns.
        pub static METRICS: &[Metric] = &[$(Metric {
            name: $name, unit: $unit, better: Better::$better, doc: $doc, get: $get,
        },)*];
    };
}

/// A part of rank-time as a share of all of it.
fn part(row: &Summary, name: &str) -> Option<f64> {
    let time = row.rank_time?;
    let (_, part) = time.parts().into_iter().find(|(part, _)| *part == name)?;
    let total = time.total().0;
    (total > 0).then(|| part.0 as f64 / total as f64)
}

metrics! {
    "requests", "", Neither, "Requests that arrived.", |row| Some(row.requests as f64);
    "completed", "", Higher, "Requests that completed.", |row| Some(row.completed as f64);
    "throughput_rps", "1/s", Higher,
        "Completions over the span from first arrival to last completion.",
        |row| row.throughput_rps;
    "goodput_rps", "1/s", Higher, "On-time completions over the same span.", |row| row.goodput_rps;
    "latency_ms_mean", "ms", Lower, "Mean of completion minus arrival.", |row| row.latency_ms_mean;
    "latency_ms_p50", "ms", Lower, "Median latency, nearest rank.", |row| row.latency_ms_p50;
    "latency_ms_p95", "ms", Lower, "95th percentile of latency, nearest rank.",
        |row| row.latency_ms_p95;
    "latency_ms_p99", "ms", Lower,
        "99th percentile of latency, nearest rank; needs 100 completions.",
        |row| row.latency_ms_p99;
    "slo_attainment", "", Higher, "Requests finished by their deadline over all that carry one.",
        |row| row.slo_attainment;
    "violation_rate", "", Lower, "1 - SLO attainment.", |row| row.violation_rate;
    "utilisation", "", Higher, "Busy rank-time over world x makespan.", |row| row.utilisation;
    "gpu_time_s", "s", Lower, "Sum of duration x ranks occupied.", |row| Some(row.gpu_time_s);
    "makespan_s", "s", Lower, "Instant of the run's last event.", |row| Some(row.makespan_s);
    "migrations", "", Neither, "Transfers of request state.", |row| Some(row.migrations as f64);
    "reconfigurations", "", Neither, "Changes of a request's rank set between denoise tasks.",
        |row| Some(row.reconfigurations as f64);
    "group_setups", "", Neither,
        "Tasks that ended and paid for forming a group; failed ones do not count.",
        |row| Some(row.group_setups as f64);
    "rejected", "", Lower, "Requests that ended without a result.", |row| Some(row.rejected as f64);
    "completion_ratio", "", Higher, "Completed over arrived.", |row| row.completion_ratio;
    "latency_ms_max", "ms", Lower, "Largest latency.", |row| row.latency_ms_max;
    "queueing_ms_mean", "ms", Lower, "Mean of first task start minus arrival.",
        |row| row.queueing_ms_mean;
    "queueing_ms_p95", "ms", Lower, "95th percentile of first task start minus arrival.",
        |row| row.queueing_ms_p95;
    "service_ms_mean", "ms", Lower, "Mean of completion minus first task start.",
        |row| row.service_ms_mean;
    "slowdown_mean", "", Lower, "Mean of latency over latency alone on one rank.",
        |row| row.slowdown_mean;
    "slowdown_p95", "", Lower, "95th percentile of slowdown.", |row| row.slowdown_p95;
    "with_deadline", "", Neither, "Requests that carry a deadline.",
        |row| Some(row.with_deadline as f64);
    "late_marginal", "", Lower, "Completed late by at most 10 % of the budget.",
        |row| Some(row.late_marginal as f64);
    "late_moderate", "", Lower, "Completed late by 10 % to 50 % of the budget.",
        |row| Some(row.late_moderate as f64);
    "late_severe", "", Lower, "Completed late by more than 50 % of the budget.",
        |row| Some(row.late_severe as f64);
    "lateness_ms_mean", "ms", Lower, "Mean of completion minus deadline, signed.",
        |row| row.lateness_ms_mean;
    "gpu_time_over_optimum", "", Lower,
        "GPU-time of completed requests over that of their cheapest layouts.",
        |row| row.gpu_time_over_optimum;
    "migrated_gb", "GB", Neither, "Bytes that transfers put on links.", |row| row.migrated_gb;
    "migration_s", "s", Lower, "Sum of the durations of transfers.", |row| row.migration_s;
    "share_no_work", "", Neither, "Rank-time idle with no request in the system.",
        |row| part(row, "no work");
    "share_waiting", "", Lower, "Rank-time idle while a request waited.",
        |row| part(row, "work waiting");
    "share_drain", "", Lower, "Rank-time idle while every live request was in flight.",
        |row| part(row, "drain");
    "share_held", "", Lower, "Rank-time held by tasks that computed on fewer ranks.",
        |row| part(row, "held");
    "share_migration", "", Lower, "Rank-time spent only on moving state.",
        |row| part(row, "migration");
    "share_group_setup", "", Lower, "Rank-time spent forming groups.",
        |row| part(row, "group set-up");
    "share_control_plane", "", Lower,
        "Rank-time of launches, control-plane latency and waiting for other ranks.",
        |row| part(row, "control plane");
    "share_lost", "", Lower, "Rank-time of tasks that failed.", |row| part(row, "lost work");
    "share_down", "", Neither, "Rank-time down.", |row| part(row, "rank down");
    "latency_over_bound", "", Lower,
        "Mean latency over its best proven lower bound, if all completed and without jitter.",
        |row| row.latency_over_bound;
    "makespan_over_bound", "", Lower,
        "Makespan over its best proven lower bound, if all completed and without jitter.",
        |row| row.makespan_over_bound;
    "violations_bound", "", Neither,
        "Violations that no schedule could have avoided; not with jitter or in a closed loop.",
        |row| row.violations_bound;
    "offered_load", "", Neither,
        "Realised load: work on one rank over world x active window (without phases, first to last \
         arrival).",
        |row| row.offered_load;
    "peak_rank_memory_gb", "GB", Lower,
        "Weights of all models plus the largest need of a single task; state of waiting requests is \
         not counted.",
        |row| row.peak_rank_memory_gb;
    "decisions", "", Neither, "Times the policy was asked.",
        |row| row.decisions.map(|count| count as f64);
    "illegal", "", Lower, "Policy decisions refused because they were illegal.",
        |row| row.illegal.map(|count| count as f64);
    "extrapolated", "", Lower, "1 if a charged price was extrapolated outside its source's range.",
        |row| row.extrapolated.map(|flag| f64::from(u8::from(flag)));
}
