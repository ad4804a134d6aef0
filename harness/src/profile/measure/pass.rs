//! One pass: a tour on real ranks.

use super::follow;
use super::sample::{Sampler, Samples};
use super::tour::Tour;
use crate::real::{Interrupt, Taken, Watch};
use flexdit_core::model::ModelSpec;
use flexdit_core::{Nanos, Workload};
use flexdit_ranks::{Compute, Driver, Fabric, Options, RunError};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The ranks that a pass runs on.
pub struct Ranks<'a> {
    /// Their arithmetic.
    pub compute: Arc<dyn Compute>,
    /// How they talk.
    pub fabric: &'a dyn Fabric,
    /// How many they are.
    pub world: u16,
    /// Whether each keeps to a core.
    pub pin: bool,
    /// Stops a pass, which then fails.
    pub interrupt: Option<&'a Interrupt>,
}

/// What a pass leaves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passed {
    /// The samples.
    pub samples: Samples,
    /// Bytes that were pulled from other ranks.
    pub pulled: u64,
    /// Time of copying them.
    pub copying: Nanos,
    /// Why ranks are not pinned, one line for each.
    pub unpinned: Vec<String>,
    /// What others took of the cores meanwhile; none known of tours that were kept by an earlier version.
    #[serde(default)]
    pub others: Taken,
}

/// Why a pass has no samples.
#[derive(Debug, thiserror::Error)]
pub enum PassError {
    /// The run could not go on.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A task failed, or the tour did not end.
    #[error("a tour did not end: {0}")]
    Failed(String),
}

/// Runs a tour of shapes of these models.
///
/// # Errors
/// The driver cannot run it, or a task fails.
pub fn run(
    ranks: &Ranks<'_>,
    tour: &Tour,
    models: &[&'static ModelSpec],
) -> Result<Passed, PassError> {
    let options = Options { pin: ranks.pin, ..Options::new(ranks.world) };
    let driver = Driver::new(options, Arc::clone(&ranks.compute), ranks.fabric);
    if let Some(interrupt) = ranks.interrupt {
        interrupt.watch(driver.control());
    }
    let mut system = follow::system(tour, models, ranks.world);
    let mut sampler = Sampler::new(tour);
    let workload = Workload { requests: tour.requests.clone(), ..Workload::default() };
    let watch = Watch::begin();
    let outcome = driver.run(&mut system, workload, &mut sampler, &mut ())?;
    let others = watch.end();
    let why = outcome.failures.first().cloned();
    let samples = sampler.finish().filter(|_| outcome.failed_tasks == 0);
    let unpinned = outcome.ranks.iter().filter_map(|report| {
        let why = report.pinned.as_ref().err()?;
        Some(format!("{}: {why}", report.rank))
    });
    Ok(Passed {
        samples: samples
            .ok_or_else(|| PassError::Failed(why.unwrap_or_else(|| "it was stopped".to_owned())))?,
        pulled: outcome.measured.pulled.0,
        copying: outcome.measured.copy.sum(),
        unpinned: unpinned.filter(|_| ranks.pin).collect(),
        others,
    })
}
