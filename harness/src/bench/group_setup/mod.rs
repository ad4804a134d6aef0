//! What forming a group costs, with and without communicators: the four numbers.
//!
//! Each sample follows a barrier of the host and is the time of the slowest member. A world is made anew again and
//! again; in each, one degree comes first (*cold*), the others after (*new degree*), and each degree meets a row of
//! tuples that nobody has used before (*new tuple*), each of which is then used (*steady*).

mod costs;
mod render;
mod results;
mod rows;
mod schedule;
mod spec;
mod tables;

pub use costs::{costs, costs_text};
pub use results::{At, Results};
pub use rows::{Collector, Key, Row};
pub use schedule::{History, Mark, Phase, schedule};
pub use spec::Spec;
pub use tables::{csv, ratio_csv};

use super::launch::{BenchError, Launch, Setting};
use super::reference;
use super::session::Session;
use super::tuples::Ranks;

/// Worlds that [`run`] makes.
pub fn worlds(spec: &Spec) -> usize {
    spec.worlds.len() * spec.lives * spec.contestants.len()
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
    let mut collector = Collector::default();
    let mut session = Session::begin(setting, launch, progress);
    for &world in &spec.worlds {
        for life in 0..spec.lives {
            let ranks = Ranks { world, cores: setting.cores.len() };
            let (plan, marks) = schedule(spec, ranks, life);
            for &contestant in &spec.contestants {
                session.world(contestant, &plan, |turns| {
                    collector.add(contestant, world, &marks, turns);
                })?;
            }
        }
    }
    let (provenance, checked) = session.end(&spec.contestants, spec.seed);
    let rows = collector.rows(setting.cores.len());
    let clock_ns = reference::clock_reading();
    Ok(Results { provenance, spec: spec.clone(), clock_ns, rows, checked })
}
