//! Tests of the summary rows on hand-written records.

use super::*;
use crate::metrics::metric;
use crate::metrics::recorder::blank_request;
use crate::metrics::{Recorder, RecorderOptions, RunInfo};
use flexdit_core::RejectReason;

fn run(requests: Vec<RequestRecord>) -> RunRecord {
    let mut run = Recorder::new(2, RecorderOptions::default()).finish(RunInfo::default());
    run.requests = requests;
    run
}

fn completed(id: u32, arrival_s: u64, latency_s: u64, deadline_s: Option<u64>) -> RequestRecord {
    let mut request = blank_request(id);
    request.arrival = Nanos::from_secs(arrival_s);
    request.first_start = Some(Nanos::from_secs(arrival_s + 1));
    request.t_single = Some(Nanos::from_secs(2));
    request.deadline = deadline_s.map(|after| Nanos::from_secs(arrival_s + after));
    request.outcome = Outcome::Completed(Nanos::from_secs(arrival_s + latency_s));
    request
}

#[test]
fn percentiles_are_samples_at_nearest_rank() {
    let sorted: Vec<f64> = (1..=100).map(f64::from).collect();
    for (share, expect) in [(0.5, 50.0), (0.95, 95.0), (0.99, 99.0), (1.0, 100.0), (0.001, 1.0)] {
        assert_eq!(nearest_rank(&sorted, share), Some(expect));
    }
    assert_eq!(nearest_rank(&[3.0, 9.0], 0.5), Some(3.0));
    assert_eq!(nearest_rank(&[], 0.5), None);
}

#[test]
fn p99_needs_a_hundred_completions() {
    let of = |count| overall(&run((0..count).map(|id| completed(id, 0, 4, None)).collect()));
    assert_eq!(of(99).latency_ms_p99, None);
    assert_eq!(of(100).latency_ms_p99, Some(4000.0));
}

#[test]
fn whatever_does_not_finish_on_time_is_a_violation() {
    let mut shed = completed(3, 0, 1, Some(10));
    shed.outcome = Outcome::Rejected(Nanos::from_secs(1), RejectReason::Shed);
    let mut unfinished = completed(4, 0, 1, Some(10));
    unfinished.outcome = Outcome::Unfinished;
    let requests = vec![
        completed(0, 10, 10, Some(10)),
        completed(1, 0, 11, Some(10)),
        completed(2, 0, 30, None),
        shed,
        unfinished,
    ];
    let row = overall(&run(requests));
    assert_eq!((row.requests, row.completed, row.rejected), (5, 3, 1));
    assert_eq!((row.with_deadline, row.slo_attainment), (4, Some(0.25)));
    assert_eq!(row.throughput_rps, Some(3.0 / 30.0));
    assert_eq!(row.goodput_rps, Some(2.0 / 30.0));
    assert_eq!(row.late_marginal, 1);
    assert_eq!(row.slowdown_mean, Some((5.0 + 5.5 + 15.0) / 3.0));
    assert_eq!(row.service_ms_mean, Some((9.0 + 10.0 + 29.0) / 3.0 * 1e3));
    assert_eq!(row.completion_ratio, Some(0.6));
}

#[test]
fn lateness_falls_into_three_bins() {
    let late = |id, latency| completed(id, 0, latency, Some(100));
    let row = overall(&run(vec![late(0, 110), late(1, 111), late(2, 150), late(3, 151)]));
    assert_eq!((row.late_marginal, row.late_moderate, row.late_severe), (1, 2, 1));
}

#[test]
fn nothing_is_zero_that_is_not_defined() {
    let row = overall(&run(vec![]));
    for name in
        ["throughput_rps", "latency_ms_mean", "slo_attainment", "utilisation", "offered_load"]
    {
        assert_eq!((metric(name).unwrap().get)(&row), None, "{name}");
    }
}

#[test]
fn classes_add_up_to_the_whole() {
    let mut other = completed(1, 0, 4, Some(5));
    other.class = ClassId(1);
    let run = run(vec![completed(0, 0, 8, Some(5)), other]);
    let names = ["S".to_owned(), "L".to_owned(), "empty".to_owned()];
    let rows = per_class(&run, &names);
    assert_eq!(rows.iter().map(|row| row.requests).collect::<Vec<_>>(), [1, 1, 0]);
    let throughput: f64 = rows.iter().filter_map(|row| row.throughput_rps).sum();
    assert_eq!(Some(throughput), overall(&run).throughput_rps);
    assert_eq!(rows[1].slo_attainment, Some(1.0));
    assert_eq!(rows[2].slo_attainment, None);
}
