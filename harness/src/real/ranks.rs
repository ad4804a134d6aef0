//! The ranks of one run: threads of this program, or processes that it starts; over group-free collectives or communicators.
//!
//! Owns which they are, and nothing of either. Invariant: threads and processes compute with the same models, weights and seed.

use super::fabric;
use crate::campaign::Setting;
use crate::experiment::{CollectiveKind, RankKind};
use flexdit_core::Bytes;
use flexdit_ranks::dit::Dit;
#[cfg(target_os = "linux")]
use flexdit_ranks::process::Processes;
use flexdit_ranks::{Compute, Fabric, RunError};
use std::sync::Arc;

/// What a run computes with, and how its ranks talk to each other.
pub struct Ranks {
    /// The arithmetic.
    pub compute: Arc<dyn Compute>,
    fabric: Ways,
}

enum Ways {
    Threads(Box<dyn Fabric>),
    #[cfg(target_os = "linux")]
    Processes(Arc<Processes>),
}

impl Ranks {
    /// The ranks that the experiment asks for. Processes have loaded their models and found each other when this returns.
    ///
    /// # Errors
    /// [`RunError::World`] if a process cannot begin; none is left then.
    pub fn start(
        setting: &Setting,
        collectives: CollectiveKind,
        dit: &Arc<Dit>,
        seed: u64,
    ) -> Result<Self, RunError> {
        let local = Arc::clone(dit) as Arc<dyn Compute>;
        match setting.experiment.real.ranks {
            RankKind::Threads => {
                Ok(Self { compute: local, fabric: Ways::Threads(fabric(collectives)) })
            }
            RankKind::Processes => Self::processes(setting, collectives, local, seed),
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn processes(
        _: &Setting,
        _: CollectiveKind,
        _: Arc<dyn Compute>,
        _: u64,
    ) -> Result<Self, RunError> {
        Err(RunError::World("ranks that are processes need Linux".into()))
    }

    #[cfg(target_os = "linux")]
    fn processes(
        setting: &Setting,
        collectives: CollectiveKind,
        local: Arc<dyn Compute>,
        seed: u64,
    ) -> Result<Self, RunError> {
        let processes = super::processes::start(setting, collectives, local, seed)?;
        let processes = Arc::new(processes);
        let compute = Arc::clone(&processes) as Arc<dyn Compute>;
        Ok(Self { compute, fabric: Ways::Processes(processes) })
    }

    /// How the ranks talk to each other.
    pub fn fabric(&self) -> &dyn Fabric {
        match &self.fabric {
            Ways::Threads(fabric) => &**fabric,
            #[cfg(target_os = "linux")]
            Ways::Processes(processes) => &**processes,
        }
    }

    /// Once the run is over, the most memory of each rank's process, unless that was lost; empty for threads.
    pub fn peaks(&self) -> Vec<Option<Bytes>> {
        match &self.fabric {
            Ways::Threads(_) => Vec::new(),
            #[cfg(target_os = "linux")]
            Ways::Processes(processes) => processes.peaks(),
        }
    }
}
