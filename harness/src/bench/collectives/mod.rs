//! Latency and bandwidth of every operation over message sizes, beside what the hardware itself takes.
//!
//! Correctness is checked in the same run that is timed, and the physical references are measured in it.

mod collect;
mod render;
mod results;
mod spec;
mod tables;

pub use collect::{Collector, Mark, schedule};
pub use results::{Results, Row};
pub use spec::{Spec, sizes};
pub use tables::{csv, reference_csv};

use super::launch::{BenchError, Launch, Setting};
use super::reference::{self, Copying};
use super::session::Session;
use super::statistics::median;
use std::collections::BTreeMap;

/// Batches of a memory copy in a round.
const COPIES: usize = 10;

/// Steps that [`run`] reports.
pub fn steps(spec: &Spec) -> usize {
    spec.rounds * (spec.ops.len() * spec.contestants.len() + 1)
}

/// Measures. `progress` is called after each step.
///
/// # Errors
/// If what is asked for cannot be measured, a world does not start or a rank fails.
pub fn run(
    spec: &Spec,
    setting: &Setting,
    launch: &Launch<'_>,
    progress: &dyn Fn(),
) -> Result<Results, BenchError> {
    spec.check()?;
    let mut collector = Collector::default();
    let mut session = Session::begin(setting, launch, progress);
    let mut references = References::default();
    for round in 0..spec.rounds {
        references.measure(spec, setting);
        progress();
        for &op in &spec.ops {
            let (plan, marks) = schedule(spec, op, round);
            for &contestant in &spec.contestants {
                session.world(contestant, &plan, |turns| {
                    collector.add(contestant, op, &marks, turns);
                })?;
            }
        }
    }
    let (provenance, checked) = session.end(&spec.contestants, spec.seed);
    let (round_trip_ns, copies) = references.medians();
    let rows = collector.rows();
    Ok(Results { provenance, spec: spec.clone(), round_trip_ns, copies, rows, checked })
}

/// Samples of the references, over all rounds.
#[derive(Debug, Default)]
struct References {
    trips: Vec<f64>,
    copies: BTreeMap<(usize, u64), Vec<f64>>,
}

impl References {
    fn measure(&mut self, spec: &Spec, setting: &Setting) {
        self.trips.extend(reference::cache_line(setting, COPIES));
        for &bytes in &spec.sizes {
            for threads in [1, spec.ranks] {
                let times = reference::copies(setting, bytes, threads, COPIES);
                self.copies.entry((threads, bytes)).or_default().extend(times);
            }
        }
    }

    fn medians(self) -> (Option<f64>, Vec<Copying>) {
        let copy = |((threads, bytes), times): ((usize, u64), Vec<f64>)| {
            Some(Copying { bytes, threads, time_ns: median(times)? })
        };
        (median(self.trips), self.copies.into_iter().filter_map(copy).collect())
    }
}
