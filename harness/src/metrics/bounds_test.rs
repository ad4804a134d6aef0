//! Tests of the lower bounds on instances small enough to solve by hand.

use super::*;
use crate::metrics::recorder::blank_request;
use crate::metrics::summary::overall;
use crate::metrics::{Recorder, RecorderOptions, RunInfo};
use crate::record::Outcome;

/// (arrival, deadline, [duration at 1 rank, at 2 ranks]).
type Tiny = (u64, Option<u64>, [u64; 2]);

fn record(index: usize, tiny: &Tiny) -> RequestRecord {
    let (arrival, deadline, [one, two]) = *tiny;
    let mut request = blank_request(index as u32);
    request.arrival = Nanos(arrival);
    request.deadline = deadline.map(Nanos);
    request.least_work = Some(Nanos(one.min(two * 2)));
    request.least_latency = Some(Nanos(one.min(two)));
    request
}

/// Best (makespan, sum of latencies, deadlines missed) over every schedule on two ranks in which a
/// request runs once, uninterrupted, on one rank or on both.
fn brute_force(jobs: &[Tiny]) -> (u64, u64, usize) {
    fn go(
        jobs: &[Tiny],
        left: u32,
        free: [u64; 2],
        sums: (u64, u64, usize),
        best: &mut (u64, u64, usize),
    ) {
        if left == 0 {
            *best = (best.0.min(sums.0), best.1.min(sums.1), best.2.min(sums.2));
            return;
        }
        for (index, &(arrival, deadline, [one, two])) in jobs.iter().enumerate() {
            if left & (1 << index) == 0 {
                continue;
            }
            for layout in 0..3 {
                let mut ranks = free;
                let end = if layout < 2 {
                    ranks[layout] = ranks[layout].max(arrival) + one;
                    ranks[layout]
                } else {
                    ranks = [ranks[0].max(ranks[1]).max(arrival) + two; 2];
                    ranks[0]
                };
                let missed = usize::from(deadline.is_some_and(|due| end > due));
                let sums = (sums.0.max(end), sums.1 + end - arrival, sums.2 + missed);
                go(jobs, left & !(1 << index), ranks, sums, best);
            }
        }
    }
    let mut best = (u64::MAX, u64::MAX, usize::MAX);
    go(jobs, (1 << jobs.len()) - 1, [0, 0], (0, 0, 0), &mut best);
    best
}

#[test]
fn no_proof_exceeds_the_best_schedule_of_a_tiny_instance() {
    let mut draw = 12345u64;
    let mut next = |below: u64| {
        draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (draw >> 33) % below
    };
    for _ in 0..300 {
        let count = 2 + next(3) as usize;
        let jobs: Vec<Tiny> = (0..count)
            .map(|_| {
                let one = 2 + next(12);
                let arrival = next(10);
                let due = (next(3) > 0).then(|| arrival + 1 + next(20));
                (arrival, due, [one, one / 2 + next(4)])
            })
            .collect();
        let (makespan, latency, missed) = brute_force(&jobs);
        let requests: Vec<_> = jobs.iter().enumerate().map(|(i, job)| record(i, job)).collect();
        let all = bounds(&requests, 2);
        let best = |quantity| best_proof(&all, quantity).unwrap().value;
        assert!(best(Quantity::MakespanS) * 1e9 <= makespan as f64 + 1e-6, "{jobs:?}");
        let mean = latency as f64 / count as f64;
        assert!(best(Quantity::LatencyMsMean) * 1e6 <= mean + 1e-6, "{jobs:?}");
        assert!(best(Quantity::Violations) <= missed as f64, "{jobs:?}");
    }
}

#[test]
fn bounds_are_tight_where_the_optimum_is_plain() {
    // Two ranks, perfect scaling: four equal requests at once.
    let jobs: Vec<Tiny> = (0..4).map(|_| (0, Some(10), [10, 5])).collect();
    let requests: Vec<_> = jobs.iter().enumerate().map(|(i, job)| record(i, job)).collect();
    let all = bounds(&requests, 2);
    let best = |quantity| best_proof(&all, quantity).unwrap().value;
    assert_eq!(best(Quantity::MakespanS), 20e-9);
    assert_eq!(best(Quantity::LatencyMsMean), 12.5e-6);
    assert_eq!(best(Quantity::Violations), 2.0);
    assert_eq!(brute_force(&jobs), (20, 50, 2));
}

#[test]
fn an_unpriced_request_leaves_no_bounds() {
    let mut request = record(0, &(0, None, [4, 2]));
    request.least_work = None;
    assert!(bounds(&[request], 2).is_empty());
}

/// A run whose requests are those of `jobs`.
fn run_of(jobs: &[Tiny]) -> RunRecord {
    let mut run = Recorder::new(2, RecorderOptions::default()).finish(RunInfo::default());
    run.requests = jobs.iter().enumerate().map(|(i, job)| record(i, job)).collect();
    run
}

#[test]
fn a_closed_loop_leaves_only_what_needs_no_arrivals() {
    let jobs: Vec<Tiny> = vec![(0, Some(5), [10, 6]), (90, Some(95), [30, 20])];
    let mut run = run_of(&jobs);
    assert_eq!(run_bounds(&run), bounds(&run.requests, 2));
    run.closed_loop = true;
    // A faster system would have sent the second request earlier.
    let found = run_bounds(&run);
    let value = |quantity| best_proof(&found, quantity).map(|bound| bound.value);
    assert_eq!(value(Quantity::MakespanS), Some(20e-9));
    assert_eq!(value(Quantity::LatencyMsMean), Some(13e-6));
    assert_eq!(value(Quantity::Violations), None);
    assert_eq!(found.len(), 3);
}

#[test]
fn with_jitter_no_bound_is_a_proof_and_no_gap_is_stated() {
    let mut run = run_of(&[(0, Some(5), [10, 6])]);
    run.requests[0].outcome = Outcome::Completed(Nanos(8));
    run.makespan = Nanos(8);
    let row = overall(&run);
    assert!(row.latency_over_bound.is_some() && row.makespan_over_bound.is_some());
    assert_eq!(row.violations_bound, Some(1.0));
    run.jittered = true;
    let found = run_bounds(&run);
    assert!(!found.is_empty() && found.iter().all(|bound| bound.strength == Strength::Estimate));
    let row = overall(&run);
    let gaps = [row.latency_over_bound, row.makespan_over_bound, row.violations_bound];
    assert_eq!(gaps, [None; 3]);
}

#[test]
fn misses_in_separate_windows_add_up() {
    let burst = |at: u64| (0..3).map(move |_| (at, Some(at + 10), [10, 10]));
    let jobs: Vec<Tiny> = burst(0).chain(burst(1000)).collect();
    let requests: Vec<_> = jobs.iter().enumerate().map(|(i, job)| record(i, job)).collect();
    assert_eq!(best_proof(&bounds(&requests, 2), Quantity::Violations).unwrap().value, 2.0);
}

#[test]
fn a_shape_is_bounded_by_its_cheapest_and_its_fastest_layouts() {
    use flexdit_core::Parallelism;
    use flexdit_core::cost::{CostEntry, CostTable, Curve, Mode, Provenance};
    let model = flexdit_core::model::model("qwen-image").unwrap();
    let gpu = flexdit_core::model::gpu("h20").unwrap();
    let mut table = CostTable::new(model, gpu, Mode::Eager);
    let mut set = |stage, layout, ms: f64| {
        let curve = Curve::constant(ms);
        let provenance = Provenance::Published;
        table.insert(stage, layout, CostEntry { curve, provenance, source: "test".into() });
    };
    for (stage, ms) in [
        (CostStage::TextEncode, 55.0),
        (CostStage::DitPrepare, 50.0),
        (CostStage::TimestepPrepare, 2.0),
        (CostStage::VaeDecode, 100.0),
        (CostStage::Finalize, 1.0),
    ] {
        set(stage, Parallelism::SINGLE, ms);
    }
    for (degree, ms) in [(1, 10.0), (2, 4.0), (4, 3.0), (8, 1.0)] {
        set(CostStage::Step { guidance: false }, Parallelism::ulysses(degree), ms);
    }
    let book = CostBook::new(vec![table]);
    let shape = Shape {
        height: 512,
        width: 512,
        frames: 1,
        text_tokens: 512,
        steps: 10,
        ..Shape::default()
    };
    let bounds = book_bounds(&book, 4, [&shape, &shape]);
    // Two ranks are the cheapest, four the fastest; eight are too many.
    let fixed = 55 + 50 + 2 + 100 + 1;
    let expect = ShapeBound {
        work: Nanos::from_millis(fixed + 10 * 8),
        latency: Nanos::from_millis(fixed + 10 * 3),
    };
    assert_eq!(bounds[&shape], expect);
}
