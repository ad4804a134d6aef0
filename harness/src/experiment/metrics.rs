//! Columns of summary.csv that checks, best-static and sweeps may name.

/// A metric's name, unit and definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetricInfo {
    /// The column.
    pub name: &'static str,
    /// Whether more is better; `None` where it depends.
    pub more_is_better: Option<bool>,
    /// What it is, in one sentence.
    pub doc: &'static str,
}

macro_rules! metrics {
    ($($name:literal $better:expr, $doc:literal;)*) => {
        /// Every metric, in the order of summary.csv.
        pub const METRICS: &[MetricInfo] =
            &[$(MetricInfo { name: $name, more_is_better: $better, doc: $doc },)*];
    };
}

metrics! {
    "requests" None, "Requests of the workload.";
    "completed" Some(true), "Requests whose result went out.";
    "throughput_rps" Some(true),
        "Completed requests / (last completion - first arrival), a second.";
    "goodput_rps" Some(true),
        "Requests completed by their deadline over the same span as throughput, a second.";
    "latency_ms_mean" Some(false), "Mean of completion - arrival over completed requests.";
    "latency_ms_p50" Some(false), "Median latency, nearest rank on exact samples.";
    "latency_ms_p95" Some(false), "95th percentile of latency, nearest rank on exact samples.";
    "latency_ms_p99" Some(false),
        "99th percentile of latency, nearest rank; n/a below 100 samples.";
    "slo_attainment" Some(true),
        "Requests finished by their deadline / all requests that carry one; unfinished, failed and \
         rejected ones count as violations.";
    "violation_rate" Some(false), "1 - slo_attainment.";
    "utilisation" Some(true), "Busy rank-time / (world x makespan).";
    "gpu_time_s" Some(false), "Sum over tasks of duration x computing ranks, in seconds.";
    "makespan_s" Some(false), "End of the last event, in seconds.";
    "migrations" None, "Transfers of request state between ranks.";
    "reconfigurations" None, "Changes of a request's rank set between consecutive denoise tasks.";
    "group_setups" None, "Times that forming a group was charged.";
}

/// The metric called `name`.
pub fn metric(name: &str) -> Option<&'static MetricInfo> {
    METRICS.iter().find(|metric| metric.name == name)
}
