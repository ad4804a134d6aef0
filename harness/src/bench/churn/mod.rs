//! Random overlapping groups, another at every operation, without the host's synchronisation, against fixed groups.

mod render;
mod results;
mod schedule;
mod spec;

pub use results::{Key, Results, Row};
pub use schedule::{Mode, schedule};
pub use spec::Spec;

use super::launch::{BenchError, Launch, Setting};
use super::provenance::Provenance;
use super::samples::{Checked, join};
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
    let begun = super::clock::now();
    let mut times: BTreeMap<Key, Vec<f64>> = BTreeMap::new();
    let mut checked = Checked::default();
    let mut pinned = setting.pin;
    for round in 0..spec.rounds {
        for (world, degree) in spec.cases() {
            let ranks = Ranks { world, cores: setting.cores.len() };
            for &contestant in &spec.contestants {
                let (plan, marks) = schedule(spec, ranks, degree, contestant, round);
                let ranks = launch(contestant, &plan, setting)?;
                let turns = join(&plan, &ranks);
                pinned &= ranks.iter().all(|rank| rank.pinned);
                checked.add(&turns);
                let ops = spec.ops_of(contestant) as f64;
                for (mark, turn) in marks.iter().zip(&turns) {
                    let Some(mode) = *mark else { continue };
                    let key = Key { world, degree, contestant, mode };
                    times.entry(key).or_default().push(turn.nanos as f64 / ops);
                }
                progress();
            }
        }
    }
    let mut provenance = Provenance::here(setting, &spec.contestants, spec.seed);
    provenance.pinned = pinned;
    provenance.wall_s = super::clock::now().since(begun) as f64 / 1e9;
    let row = |(key, times): (Key, Vec<f64>)| {
        let ops = spec.ops_of(key.contestant);
        Some(Row { key, ops, time: Statistics::of(times)? })
    };
    let rows = times.into_iter().filter_map(row).collect();
    Ok(Results { provenance, spec: spec.clone(), rows, checked })
}
