//! How good any schedule of an instance could be, and how far a run is from that.
//!
//! An instance is what a run's record tells of its requests: arrival, deadline, least rank-time and
//! least latency of any layout. The proofs hold for every system that is charged those prices and
//! completes every request it is compared on; charges for migration, set-up and launch only add.
//! They do not hold with jitter that can shorten a task, or for layouts that no price describes, and
//! in a closed loop each system has its own arrivals: [`run_bounds`] gives what is left.

use crate::record::{RequestRecord, RunRecord};
use flexdit_core::cost::{CostBook, CostModel as _, CostStage};
use flexdit_core::{Nanos, Shape};
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

/// Least cost of one shape over all layouts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShapeBound {
    /// Least rank-time: each stage at the layout with the smallest degree x duration.
    pub work: Nanos,
    /// Least latency: each stage at its fastest layout.
    pub latency: Nanos,
}

/// Whether a bound can be beaten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Strength {
    /// No schedule can be better.
    Proof,
    /// A figure to compare with; some schedule might be better.
    Estimate,
}

impl Strength {
    /// The word for tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Proof => "proof",
            Self::Estimate => "estimate",
        }
    }
}

/// What is bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Quantity {
    /// Last completion, seconds: a lower bound.
    MakespanS,
    /// Mean latency when every request completes, milliseconds: a lower bound.
    LatencyMsMean,
    /// Requests that miss their deadline: a lower bound.
    Violations,
}

impl Quantity {
    /// The words and the unit for tables.
    pub const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::MakespanS => ("makespan", "s"),
            Self::LatencyMsMean => ("mean latency", "ms"),
            Self::Violations => ("violations", "requests"),
        }
    }
}

/// One lower bound of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Bound {
    /// What is bounded.
    pub quantity: Quantity,
    /// The argument in a few words.
    pub argument: &'static str,
    /// Whether it is a proof.
    pub strength: Strength,
    /// Its value.
    pub value: f64,
}

/// One request as the bounds see it.
#[derive(Clone, Copy, Debug)]
struct Job {
    arrival: u64,
    due: Option<u64>,
    work: u64,
    path: u64,
}

/// The bounds of a run's instance, as far as they hold for it.
///
/// In a closed loop a system decides by its speed when requests arrive. A bound must hold for every
/// system, so only those that need no arrivals are left: the makespan as if all arrived at 0, and each
/// request's critical path. With jitter no bound is a proof.
pub fn run_bounds(run: &RunRecord) -> Vec<Bound> {
    let mut found = match run.closed_loop {
        false => bounds(&run.requests, run.world),
        true => closed_loop_bounds(&run.requests, run.world),
    };
    if run.jittered {
        found.iter_mut().for_each(|bound| bound.strength = Strength::Estimate);
    }
    found
}

fn closed_loop_bounds(requests: &[RequestRecord], world: u16) -> Vec<Bound> {
    let at_once = requests.iter().map(|r| RequestRecord {
        arrival: Nanos::ZERO,
        deadline: None,
        ..r.clone()
    });
    let mut found = bounds(&at_once.collect::<Vec<_>>(), world);
    found.retain(|bound| match bound.quantity {
        Quantity::MakespanS => true,
        Quantity::LatencyMsMean => bound.argument == CRITICAL_PATH,
        Quantity::Violations => false,
    });
    found
}

/// The argument that needs no arrivals.
const CRITICAL_PATH: &str = "critical path";

/// All bounds of an open-loop instance without jitter; empty if there is no request or one is not
/// priced.
///
/// Cost: O(n log n), and at most a few million steps for the windows.
pub fn bounds(requests: &[RequestRecord], world: u16) -> Vec<Bound> {
    let jobs: Option<Vec<Job>> = requests.iter().map(job).collect();
    let Some(mut jobs) = jobs.filter(|jobs| !jobs.is_empty()) else { return vec![] };
    jobs.sort_by_key(|job| job.arrival);
    let world = u64::from(world.max(1));
    let (srpt, floored) = srpt_relaxation(&jobs, world);
    let path: u128 = jobs.iter().map(|job| u128::from(job.path)).sum();
    let mean_ms = |total: f64| total / jobs.len() as f64 / 1e6;
    use Quantity::{LatencyMsMean, MakespanS, Violations};
    use Strength::{Estimate, Proof};
    let bound = |quantity, argument, strength, value| Bound { quantity, argument, strength, value };
    vec![
        bound(MakespanS, "work over world", Proof, work_bound(&jobs, world) as f64 / 1e9),
        bound(MakespanS, CRITICAL_PATH, Proof, critical_path(&jobs) as f64 / 1e9),
        bound(LatencyMsMean, CRITICAL_PATH, Proof, mean_ms(path as f64)),
        bound(LatencyMsMean, "SRPT on one machine of world speed", Proof, mean_ms(srpt)),
        bound(
            LatencyMsMean,
            "SRPT with every request at its critical path",
            Estimate,
            mean_ms(floored),
        ),
        bound(Violations, "critical path past the deadline", Proof, hopeless(&jobs) as f64),
        bound(Violations, "work due inside windows", Proof, window_bound(&jobs, world) as f64),
    ]
}

/// The largest proof for one quantity.
pub fn best_proof(bounds: &[Bound], quantity: Quantity) -> Option<Bound> {
    bounds
        .iter()
        .filter(|bound| bound.quantity == quantity && bound.strength == Strength::Proof)
        .max_by(|a, b| a.value.total_cmp(&b.value))
        .copied()
}

fn job(request: &RequestRecord) -> Option<Job> {
    Some(Job {
        arrival: request.arrival.0,
        due: request.deadline.map(|due| due.0),
        work: request.least_work?.0,
        path: request.least_latency?.0,
    })
}

/// No schedule ends before all work that arrives from some instant on is done by all ranks at once.
fn work_bound(jobs: &[Job], world: u64) -> u64 {
    let mut rest = 0u128;
    let latest = jobs.iter().rev().map(|job| {
        rest += u128::from(job.work);
        u128::from(job.arrival) + rest / u128::from(world)
    });
    latest.max().unwrap_or(0).min(u128::from(u64::MAX)) as u64
}

/// No schedule ends before the last request could if it were alone.
fn critical_path(jobs: &[Job]) -> u64 {
    jobs.iter().map(|job| job.arrival + job.path).max().unwrap_or(0)
}

/// Sums of latency under preemptive SRPT on one machine that does a request's least work `world`
/// times as fast: as it is (no schedule is better), and with each request floored at its path.
fn srpt_relaxation(jobs: &[Job], world: u64) -> (f64, f64) {
    let (mut total, mut floored) = (0f64, 0f64);
    let mut queue: BinaryHeap<Reverse<(u64, usize)>> = BinaryHeap::new();
    let mut clock = 0f64;
    let mut next = 0;
    while next < jobs.len() || !queue.is_empty() {
        if queue.is_empty() {
            clock = clock.max(jobs[next].arrival as f64);
        }
        while next < jobs.len() && jobs[next].arrival as f64 <= clock {
            queue.push(Reverse((jobs[next].work, next)));
            next += 1;
        }
        let Some(Reverse((work, index))) = queue.pop() else { continue };
        let end = clock + work as f64 / world as f64;
        let arrival = jobs.get(next).map_or(f64::INFINITY, |job| job.arrival as f64);
        if end <= arrival {
            clock = end;
            let latency = end - jobs[index].arrival as f64;
            total += latency;
            floored += latency.max(jobs[index].path as f64);
        } else {
            let done = libm::ceil((arrival - clock) * world as f64) as u64;
            queue.push(Reverse((work.saturating_sub(done), index)));
            clock = arrival;
        }
    }
    (total, floored)
}

/// Requests that cannot meet their deadline even alone.
fn hopeless(jobs: &[Job]) -> usize {
    jobs.iter().filter(|job| job.due.is_some_and(|due| job.arrival + job.path > due)).count()
}

/// Most work, in requests times windows, that the search for windows may look at.
const WINDOW_BUDGET: usize = 4_000_000;

/// Requests that must miss because too much work both arrives and is due inside some window.
///
/// Windows are disjoint, so their misses add up. Inside one, all ranks work from its start on and
/// requests are dropped as Moore and Hodgson do, which no schedule beats. Ends of windows come from
/// a grid of arrivals and deadlines: any grid gives a bound, a finer one a better bound.
fn window_bound(jobs: &[Job], world: u64) -> usize {
    let lone = |job: &&Job| job.due.is_some_and(|due| job.arrival + job.path <= due);
    let impossible = hopeless(jobs);
    let mut due: Vec<(u64, u64, u64)> = jobs
        .iter()
        .filter(lone)
        .map(|job| (job.due.unwrap_or(u64::MAX), job.arrival, job.work))
        .collect();
    if due.is_empty() {
        return impossible;
    }
    due.sort_unstable();
    let mut ends: Vec<u64> = due.iter().flat_map(|job| [job.0, job.1]).collect();
    ends.sort_unstable();
    ends.dedup();
    let cells = (2 * WINDOW_BUDGET / due.len()).isqrt().clamp(2, 128);
    let step = ends.len().div_ceil(cells).max(1);
    let last = ends[ends.len() - 1];
    let mut grid: Vec<u64> = ends.into_iter().step_by(step).collect();
    if grid.last() != Some(&last) {
        grid.push(last);
    }
    let mut best = vec![0usize; grid.len()];
    for to in 1..grid.len() {
        best[to] = best[to - 1];
        for from in 0..to {
            let missed = moore_hodgson(&due, grid[from], grid[to], world);
            best[to] = best[to].max(best[from] + missed);
        }
    }
    impossible + best[grid.len() - 1]
}

/// Fewest misses among requests that arrive at `from` or later and are due by `to`, if all were
/// there at `from`. `due` is ordered by deadline.
fn moore_hodgson(due: &[(u64, u64, u64)], from: u64, to: u64, world: u64) -> usize {
    let mut kept: BinaryHeap<u64> = BinaryHeap::new();
    let (mut load, mut missed) = (0u128, 0);
    let first = due.partition_point(|job| job.0 < from);
    for &(deadline, arrival, work) in due[first..].iter().take_while(|job| job.0 <= to) {
        if arrival < from {
            continue;
        }
        kept.push(work);
        load += u128::from(work);
        if load > u128::from(deadline - from) * u128::from(world) {
            load -= u128::from(kept.pop().unwrap_or(0));
            missed += 1;
        }
    }
    missed
}

/// Least work and latency of a shape over every layout of its table on at most `world` ranks.
/// `None` if a stage is not priced at all.
pub fn shape_bound(book: &CostBook, world: u16, shape: &Shape) -> Option<ShapeBound> {
    let table = book.table(shape)?;
    let encode = table.encode(shape)?.time;
    let layouts = [true, false].map(|guidance| table.layouts(CostStage::Step { guidance }));
    let steps = layouts.into_iter().flatten().filter(|layout| layout.degree() <= world);
    let step =
        least(steps.filter_map(|layout| Some((layout.degree(), table.step(shape, layout)?.time))))?;
    let patches = 1..=u8::try_from(world).unwrap_or(u8::MAX);
    let decode = least(
        patches.filter_map(|patch| Some((u16::from(patch), table.decode(shape, patch)?.time))),
    )?;
    let steps = u64::from(shape.steps);
    Some(ShapeBound {
        work: encode + step.0 * steps + decode.0,
        latency: encode + step.1 * steps + decode.1,
    })
}

/// The least rank-time and the least duration over layouts `(degree, duration)`.
fn least(layouts: impl Iterator<Item = (u16, Nanos)>) -> Option<(Nanos, Nanos)> {
    layouts
        .map(|(degree, time)| (time * u64::from(degree), time))
        .reduce(|a, b| (a.0.min(b.0), a.1.min(b.1)))
}

/// Bounds of every shape that occurs and is priced by `book`; for
/// [`Recorder::with_bounds`](super::Recorder::with_bounds).
pub fn book_bounds<'a>(
    book: &CostBook,
    world: u16,
    shapes: impl IntoIterator<Item = &'a Shape>,
) -> BTreeMap<Shape, ShapeBound> {
    let mut bounds = BTreeMap::new();
    for shape in shapes {
        if !bounds.contains_key(shape)
            && let Some(bound) = shape_bound(book, world, shape)
        {
            bounds.insert(*shape, bound);
        }
    }
    bounds
}

#[cfg(test)]
#[path = "bounds_test.rs"]
mod tests;
