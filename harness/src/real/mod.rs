//! An experiment on real ranks: everything between an [`Experiment`](crate::experiment::Experiment) and
//! [`Driver`](flexdit_ranks::Driver).
//!
//! Owns which arithmetic and which collectives a system gets, whether a run fits this machine, one run with its record,
//! and what is measured beside the log. Systems, workloads, recorder and log are those of virtual time. Invariant: every
//! real run's log is replayed into a fresh system and held against the checks of simulated runs before anything is said of it.

mod arithmetic;
mod available;
mod communicators;
mod configs;
mod figures;
mod fits;
mod interrupt;
mod others;
#[cfg(target_os = "linux")]
mod processes;
mod ranks;
mod run;

pub use arithmetic::{Arithmetic, check, without_tokenizer};
pub use available::available;
pub use communicators::{Communicators, StoreWorld};
pub use configs::config as model_config;
#[cfg(test)]
pub(crate) use figures::tests::run as sample_run;
pub use figures::{FailedRun, OverheadRow, RankRow, RealRun, RealRuns, Spread, Struck};
pub use fits::{Needs, needs, needs_of};
pub use interrupt::Interrupt;
pub use others::{NOISY, Taken, Watch};
#[cfg(target_os = "linux")]
pub use processes::rank;
pub use ranks::Ranks;
pub use run::{Fault, Run, run};

use crate::campaign::RunKey;
use crate::experiment::{CollectiveKind, SystemKind};
use crate::input::InputError;
use crate::picture::Placements;
use flexdit_ranks::{Fabric, GroupFree, Sink};

/// Takes the results of runs.
pub trait Results: Sync {
    /// Starts taking those of one run, before it begins.
    ///
    /// # Errors
    /// If they have nowhere to go.
    fn open<'a>(&'a self, run: &Run<'_>) -> Result<Box<dyn Taker + 'a>, InputError>;
}

/// Takes the results of one run while it goes on.
pub trait Taker: Sink {
    /// The run is over; these are the places where its requests ran.
    ///
    /// # Errors
    /// If a result could not be kept.
    fn finish(self: Box<Self>, placements: &Placements) -> Result<(), InputError>;
}

/// How a campaign runs on real ranks.
pub struct RealOptions<'a> {
    /// Stops it.
    pub interrupt: &'a Interrupt,
    /// Called when a run begins.
    pub begun: &'a (dyn Fn(&RunKey<'_>) + Sync),
    /// Takes the results, if they are wanted.
    pub results: Option<&'a dyn Results>,
}

/// The way between ranks that these collectives take.
pub fn fabric(kind: CollectiveKind) -> Box<dyn Fabric> {
    match kind {
        CollectiveKind::GroupFree => Box::new(GroupFree::default()),
        CollectiveKind::Communicators => Box::new(Communicators::default()),
    }
}

/// The collectives that a kind of system uses on real ranks unless it says otherwise: what it would use in production.
/// A search runs fixed pipelines and lanes; each gets its own.
pub fn collectives_of(kind: &SystemKind, is_lanes: bool) -> CollectiveKind {
    match kind {
        SystemKind::Lanes(_) | SystemKind::Elastic(_) => CollectiveKind::GroupFree,
        SystemKind::BestStatic(_) if is_lanes => CollectiveKind::GroupFree,
        SystemKind::FixedPipeline(_)
        | SystemKind::Legacy(_)
        | SystemKind::Rssp(_)
        | SystemKind::ClassMap(_)
        | SystemKind::BestStatic(_) => CollectiveKind::Communicators,
    }
}
