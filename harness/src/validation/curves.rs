//! Distributions of latency of a system's requests: real, simulated, and simulated in hindsight.

use super::pairs::Full;
use super::session::Ran;
use crate::plot::Cdf;
use crate::record::RunRecord;
use serde::{Deserialize, Serialize};

/// The distributions of one system, all pairs pooled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// The system.
    pub system: String,
    /// *Measured*.
    pub real: Cdf,
    /// *Simulated*.
    pub simulated: Cdf,
    /// *Derived*: simulated at the times that the real runs' own tasks took.
    pub hindsight: Cdf,
}

/// The curves of the systems that have a pair.
pub(super) fn of(systems: &[String], runs: &[(Ran, Full)]) -> Vec<Curve> {
    let mut curves = Vec::new();
    for (at, system) in systems.iter().enumerate() {
        let mine: Vec<&(Ran, Full)> = runs.iter().filter(|(run, _)| run.system == at).collect();
        if mine.is_empty() {
            continue;
        }
        let cdf = |record: fn(&(Ran, Full)) -> &RunRecord| {
            let records: Vec<&RunRecord> = mine.iter().map(|run| record(run)).collect();
            Cdf::of(system, &records)
        };
        curves.push(Curve {
            system: system.clone(),
            real: cdf(|(run, _)| &run.record),
            simulated: cdf(|(_, full)| &full.simulated),
            hindsight: cdf(|(_, full)| &full.hindsight),
        });
    }
    curves
}
