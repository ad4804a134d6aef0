//! How well virtual time predicts real ranks: the same experiment under both, side by side.
//!
//! Owns which runs are made and what is compared. Prices and charges are those of the experiment, measured before and
//! for all systems alike: nothing is fitted to a run. Invariant: a pair of runs that is compared had the same requests at
//! the same times.

mod render;
mod rows;

pub use render::{csv, document, text};
pub use rows::{COMPARED, Row, rows};

use crate::campaign::{self, Finished, RunError, RunOptions};
use crate::experiment::{Loaded, SystemKind};
use crate::input::InputError;
use crate::metrics::{RecorderOptions, Summary, summarise};
use crate::real::{OverheadRow, RealOptions};
use crate::report::Charge;
use serde::{Deserialize, Serialize};

/// A comparison of virtual time with real ranks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Validation {
    /// The experiment's name.
    pub name: String,
    /// Machine, cores and day.
    pub machine: String,
    /// Times that every real run was made.
    pub repeats: usize,
    /// Errors by system, class and metric.
    pub rows: Vec<Row>,
    /// What virtual time charged.
    pub charges: Vec<Charge>,
    /// What the real runs measured of the same, one row a system.
    pub overheads: Vec<OverheadRow>,
    /// What a reader must know.
    pub warnings: Vec<String>,
    /// Metrics of every simulated run.
    pub simulated: Vec<Summary>,
    /// Metrics of every real run, one list a repeat.
    pub real: Vec<Vec<Summary>>,
}

/// Refuses an experiment whose runs under both engines cannot be paired.
///
/// # Errors
/// A sweep, a search, a single repeat.
pub fn check(loaded: &Loaded, repeats: usize) -> Result<(), InputError> {
    let document = &loaded.document;
    if loaded.points.len() > 1 {
        return Err(document.error("sweep", "expected no sweep: one point is compared at a time"));
    }
    for (index, system) in loaded.first().systems.iter().enumerate() {
        if matches!(system.kind, SystemKind::BestStatic(_)) {
            let message = "each engine would choose a layout of its own: name one instead";
            return Err(document.error(&format!("systems[{index}].best-static"), message));
        }
    }
    if repeats < 2 {
        let message = "expected at least 2: the noise floor is the difference of two real runs";
        return Err(InputError::new("--repeats", message));
    }
    Ok(())
}

/// Runs everything in virtual time once, and on real ranks `repeats` times.
///
/// # Errors
/// As [`check`], [`campaign::run`] and [`campaign::run_real`].
pub fn validate(
    loaded: &Loaded,
    repeats: usize,
    real: &RealOptions<'_>,
    progress: &(dyn Fn(usize) + Sync),
) -> Result<Validation, RunError> {
    check(loaded, repeats)?;
    let recorder = RecorderOptions { timeline: 0, merge: true };
    let quiet = RunOptions { recorder, progress: &|_| {}, log: None };
    let simulated = campaign::run(loaded, &quiet)?;
    let total = |runs: usize| progress(runs * repeats);
    let options = RunOptions { recorder, progress: &total, log: None };
    let mut done = Vec::new();
    for _ in 0..repeats {
        let finished = campaign::run_real(loaded, &options, real)?;
        if real.interrupt.is_stopped() {
            return Err(RunError::Interrupted);
        }
        done.push(finished);
    }
    Ok(compare(loaded, &simulated, &done))
}

fn compare(loaded: &Loaded, simulated: &Finished, real: &[Finished]) -> Validation {
    let all = |finished: &Finished| {
        let (mut overall, classes) = summarise(&finished.campaign);
        overall.extend(classes);
        overall
    };
    let (ours, theirs) = (all(simulated), real.iter().map(all).collect::<Vec<_>>());
    let campaign = &simulated.campaign;
    let machine = real.iter().flat_map(|finished| &finished.real).next();
    let machine = machine.map(|real| real.machine.words()).unwrap_or_default();
    let setting = &simulated.settings[0];
    let pin = loaded.first().real.pin;
    let mut warnings: Vec<String> = Vec::new();
    for (at, finished) in real.iter().enumerate() {
        let found = finished.real.iter().flat_map(|real| real.warnings(0, pin));
        for warning in found {
            let known = warnings.iter().any(|other| other.ends_with(&warning));
            if !known {
                let repeat = if at == 0 { String::new() } else { format!("Repeat {}: ", at + 1) };
                warnings.push(repeat + &warning);
            }
        }
    }
    let overheads = real[0].real.as_ref().map(|real| real.overheads(0)).unwrap_or_default();
    Validation {
        name: campaign.name.clone(),
        machine,
        repeats: real.len(),
        rows: rows(&campaign.systems, &campaign.classes, &ours, &theirs),
        charges: crate::publish::charges(setting),
        overheads,
        warnings,
        simulated: ours,
        real: theirs,
    }
}

impl Validation {
    /// The rows beyond a tolerance: mean or p95 latency of a whole run is off by more than this share of the real one.
    pub fn beyond(&self, tolerance: f64) -> Vec<&Row> {
        let counts = |row: &&Row| {
            row.class.is_none() && matches!(&*row.metric, "latency_ms_mean" | "latency_ms_p95")
        };
        let off = |row: &&Row| row.error.is_none_or(|error| error.abs() > tolerance);
        self.rows.iter().filter(counts).filter(off).collect()
    }
}
