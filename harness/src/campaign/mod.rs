//! Running an experiment: every system on every seed at every sweep point, in parallel where time is virtual.
//!
//! Owns the expansion of an experiment into runs and the best-static search. Does not compute metrics
//! and writes no file. Simulated results do not depend on the number of threads.

mod guard;
mod jobs;
mod rebuild;
mod search;
mod setting;
mod simulate;
mod systems;

pub use guard::Guard;
pub use jobs::{Log, RunLog, RunOptions, prepare, run, run_real};
pub use rebuild::{Rebuilt, rebuild, verify};
pub use search::{Candidate, Search};
pub use setting::Setting;
pub use simulate::{Charged, RunKey, peak_memory, shapes, simulate};
pub use systems::{BoxedSystem, Builder};

use crate::input::InputError;
use crate::profile::measure::PassError;
use crate::real::{Fault, RealRuns};
use crate::record::Campaign;
use crate::workload::Workload;
use flexdit_sim::SimError;

/// Everything an experiment's runs left.
pub struct Finished {
    /// The runs.
    pub campaign: Campaign,
    /// The searches for the best static layout, one for each such system and point.
    pub searches: Vec<Search>,
    /// The sweep points' settings.
    pub settings: Vec<Setting>,
    /// Workloads by point, then seed.
    pub workloads: Vec<Vec<Workload>>,
    /// What real runs measured beside their logs; `None` in virtual time.
    pub real: Option<RealRuns>,
}

/// Why an experiment did not run to its end.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The experiment, or a file it names, is wrong.
    #[error(transparent)]
    Input(#[from] InputError),
    /// A log could not be written.
    #[error("a log cannot be written: {0}")]
    Log(#[from] std::io::Error),
    /// A run could not go on.
    #[error("{system}, seed {seed}: {error}")]
    Sim {
        /// The system.
        system: String,
        /// The seed.
        seed: u64,
        /// What happened.
        error: SimError,
    },
    /// A run on real ranks could not go on, or is not to be trusted.
    #[error("{system}, seed {seed}: {fault}")]
    Real {
        /// The system.
        system: String,
        /// The seed.
        seed: u64,
        /// What happened.
        fault: Box<Fault>,
    },
    /// A tour between real runs failed.
    #[error("between runs: {0}")]
    Tour(#[from] PassError),
    /// Stopped before there was anything to report.
    #[error("interrupted before a run had ended")]
    Interrupted,
}
