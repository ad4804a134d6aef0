//! Random overlapping groups, another at every operation, without the host's synchronisation, against fixed groups.

mod render;
mod results;
mod schedule;
mod spec;

pub use results::{Key, Results, Row};
pub use schedule::{Mode, schedule};
pub use spec::Spec;

use super::launch::{BenchError, Launch, Setting};
use super::session::Session;
use super::statistics::Statistics;
use super::tuples::Ranks;
use std::collections::BTreeMap;

/// Worlds that [`run`] makes.
pub fn worlds(spec: &Spec) -> usize {
    spec.cases().len() * spec.rounds * spec.contestants.len()
}

/// Measures. `progress` is called after each world.
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
    let mut times: BTreeMap<Key, Vec<f64>> = BTreeMap::new();
    let mut session = Session::begin(setting, launch, progress);
    for round in 0..spec.rounds {
        for (world, degree) in spec.cases() {
            let ranks = Ranks { world, cores: setting.cores.len() };
            for &contestant in &spec.contestants {
                let (plan, marks) = schedule(spec, ranks, degree, contestant, round);
                let ops = spec.ops_of(contestant) as f64;
                session.world(contestant, &plan, |turns| {
                    for (mark, turn) in marks.iter().zip(turns) {
                        let Some(mode) = *mark else { continue };
                        let key = Key { world, degree, contestant, mode };
                        times.entry(key).or_default().push(turn.nanos as f64 / ops);
                    }
                })?;
            }
        }
    }
    let (provenance, checked) = session.end(&spec.contestants, spec.seed);
    let row = |(key, times): (Key, Vec<f64>)| {
        let ops = spec.ops_of(key.contestant);
        Some(Row { key, ops, time: Statistics::of(times)? })
    };
    let rows = times.into_iter().filter_map(row).collect();
    Ok(Results { provenance, spec: spec.clone(), rows, checked })
}
