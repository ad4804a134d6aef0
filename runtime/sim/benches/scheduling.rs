//! Speed of scheduler and simulator together, without metrics: tasks a second on lanes, decisions a second
//! of deadline-driven placement, and growth with the number of requests.
//!
//! Run with `cargo bench -p flexdit-sim`. Quote medians from a quiet machine.

#[path = "../examples/load/mod.rs"]
mod load;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use load::{Arrivals, run};

/// Simulated tasks a second on lanes of degree 1, 8 ranks, offered load 0.95.
fn lanes(c: &mut Criterion) {
    let mut group = c.benchmark_group("lanes_tasks");
    group.sample_size(10);
    for policy in ["fcfs", "sjf", "srtf"] {
        let tasks = run(policy, 8, 2_000, Arrivals::Open(0.95)).tasks;
        group.throughput(Throughput::Elements(tasks));
        group.bench_function(policy, |b| b.iter(|| run(policy, 8, 2_000, Arrivals::Open(0.95))));
    }
    group.finish();
}

/// Decisions a second with 200 requests waiting on 8 ranks, and with 10,000 on 1,024.
fn decisions(c: &mut Criterion) {
    let mut group = c.benchmark_group("edf_decisions");
    group.sample_size(10);
    for (policy, world, waiting) in
        [("edf-best-fit", 8, 200), ("edf-greedy", 8, 200), ("edf-best-fit", 1024, 10_000)]
    {
        let live = Arrivals::Closed(u32::from(world) + waiting);
        let requests = 4 * (u32::from(world) + waiting);
        group.throughput(Throughput::Elements(run(policy, world, requests, live).decisions));
        let name = format!("{policy}, {world} ranks, {waiting} waiting");
        group.bench_function(name, |b| b.iter(|| run(policy, world, requests, live)));
    }
    group.finish();
}

/// Cost over the number of requests, all waiting at once: n log n shows as a slowly falling rate.
fn growth(c: &mut Criterion) {
    let mut group = c.benchmark_group("growth_requests");
    group.sample_size(10);
    for requests in [1_000, 4_000, 16_000] {
        group.throughput(Throughput::Elements(u64::from(requests)));
        group.bench_with_input(BenchmarkId::from_parameter(requests), &requests, |b, &requests| {
            b.iter(|| run("srtf", 8, requests, Arrivals::Closed(requests)));
        });
    }
    group.finish();
}

criterion_group!(benches, lanes, decisions, growth);
criterion_main!(benches);
