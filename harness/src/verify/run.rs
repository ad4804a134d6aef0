//! The runs: each contestant makes the pictures of the same requests.

use super::{Flawed, Restless};
use crate::campaign::{BoxedSystem, Builder, Guard, Setting};
use crate::experiment::{CollectiveKind, SystemKind};
use crate::input::{InputError, suggestion};
use crate::picture::{Placements, Shots, Spool};
use crate::real::{Ranks, collectives_of};
use crate::workload::Workload;
use flexdit_core::Nanos;
use flexdit_core::scheduler::{Scheduler, SchedulerConfig};
use flexdit_ranks::dit::Dit;
use flexdit_ranks::{Completed, Driver, Options, RunError};
use std::sync::Arc;

/// Who makes pictures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Contestant {
    /// A system of the experiment, by its place in the list.
    Listed(usize),
    /// The elastic system under [`Restless`].
    Restless,
}

impl Contestant {
    /// What the command line calls it.
    pub const RESTLESS: &'static str = "restless";

    /// The contestants of these names; with none, every system of the experiment but searches, and `restless`.
    ///
    /// # Errors
    /// A name that is not there, a search, fewer than two in all.
    pub fn named(setting: &Setting, names: &[String]) -> Result<Vec<Self>, InputError> {
        let refused = |message: String| InputError::new("--systems", message);
        let systems = &setting.experiment.systems;
        let is_search = |at: &usize| matches!(systems[*at].kind, SystemKind::BestStatic(_));
        if names.is_empty() {
            let listed = (0..systems.len()).filter(|at| !is_search(at)).map(Self::Listed);
            let restless = systems.iter().all(|system| system.name != Self::RESTLESS);
            return Ok(listed.chain(restless.then_some(Self::Restless)).collect());
        }
        let find = |name: &String| match systems.iter().position(|system| system.name == *name) {
            Some(at) if is_search(&at) => {
                Err(refused(format!("`{name}` is a search, not a system: name what it may find")))
            }
            Some(at) => Ok(Self::Listed(at)),
            None if name == Self::RESTLESS => Ok(Self::Restless),
            None => {
                let mut known: Vec<&str> =
                    systems.iter().map(|system| system.name.as_str()).collect();
                known.push(Self::RESTLESS);
                let (message, hint) = suggestion("system", name, &known);
                Err(InputError { hint, ..refused(message) })
            }
        };
        let found = names.iter().map(find).collect::<Result<Vec<_>, _>>()?;
        if found.len() < 2 {
            return Err(refused("expected two systems or more, to compare their pictures".into()));
        }
        Ok(found)
    }

    /// Its name.
    pub fn name<'a>(&self, setting: &'a Setting) -> &'a str {
        match self {
            Self::Listed(at) => &setting.experiment.systems[*at].name,
            Self::Restless => Self::RESTLESS,
        }
    }

    fn system(
        &self,
        setting: &Setting,
        workload: &Workload,
        seed: u64,
    ) -> Result<BoxedSystem, InputError> {
        match self {
            Self::Listed(at) => {
                let builder = Builder::new(setting, std::slice::from_ref(workload), *at);
                builder.kind(&setting.experiment.systems[*at].kind)
            }
            Self::Restless => {
                let policy = Guard::new(Box::new(Restless::new(seed)));
                let config = SchedulerConfig::new(setting.world());
                let estimator = Box::new((*setting.estimator).clone());
                Ok(Box::new(Scheduler::new(config, Box::new(policy), estimator)))
            }
        }
    }

    fn collectives(&self, setting: &Setting) -> CollectiveKind {
        match self {
            Self::Listed(at) => {
                let spec = &setting.experiment.systems[*at];
                spec.collectives.unwrap_or_else(|| collectives_of(&spec.kind, false))
            }
            Self::Restless => CollectiveKind::GroupFree,
        }
    }
}

/// What all contestants have in common.
pub struct Contest<'a> {
    /// The sweep point.
    pub setting: &'a Setting,
    /// The requests.
    pub workload: &'a Workload,
    /// The arithmetic, for the seed of the run.
    pub dit: Arc<Dit>,
    /// The seed of the run.
    pub seed: u64,
    /// Whether degrees change the result: [`Flawed`].
    pub flawed: bool,
}

/// The pictures of one contestant.
#[derive(Debug)]
pub struct Gallery {
    /// Its name.
    pub system: String,
    /// What it made.
    pub shots: Shots,
    /// Where.
    pub placements: Placements,
    /// What failed on the way.
    pub failures: Vec<String>,
}

/// Why there is nothing to compare.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The system cannot be built.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The driver gave up.
    #[error("{system}: {error}")]
    Driver {
        /// Under which system.
        system: String,
        /// What happened.
        error: RunError,
    },
    /// Pictures could not be kept until they are compared.
    #[error("pictures could not be kept in the folder for temporary files: {0}")]
    Disk(#[from] std::io::Error),
}

impl Contest<'_> {
    /// The first `count` requests of a workload, all at once, without a deadline, and nobody gives up.
    pub fn requests(mut workload: Workload, count: usize) -> Workload {
        workload.requests.truncate(count);
        for request in &mut workload.requests {
            (request.arrival, request.deadline) = (Nanos::ZERO, None);
        }
        (workload.closed_loop, workload.cancellations) = (None, Vec::new());
        workload
    }

    /// Lets a contestant make the pictures.
    ///
    /// # Errors
    /// [`VerifyError`].
    pub fn pictures(&self, contestant: &Contestant) -> Result<Gallery, VerifyError> {
        let (setting, name) = (self.setting, contestant.name(self.setting));
        let failed = |error| VerifyError::Driver { system: name.to_owned(), error };
        let mut system = contestant.system(setting, self.workload, self.seed)?;
        let ranks = Ranks::start(setting, contestant.collectives(setting), &self.dit, self.seed);
        let ranks = ranks.map_err(failed)?;
        let compute = Arc::clone(&ranks.compute);
        let compute = if self.flawed { Arc::new(Flawed(compute)) } else { compute };
        let options = Options { pin: setting.experiment.real.pin, ..Options::new(setting.world()) };
        let driver = Driver::new(options, compute, ranks.fabric());
        let dit = Arc::clone(&self.dit);
        let develop = move |done: Completed| (done.request.id, dit.picture(&done).into());
        let mut spool = Spool::start(&tempfile::env::temp_dir(), develop)?;
        let requests = flexdit_core::Workload {
            requests: self.workload.requests.clone(),
            ..flexdit_core::Workload::default()
        };
        let mut placements = Placements::default();
        let mut sink = |completed| spool.take(completed);
        let outcome =
            driver.run(&mut *system, requests, &mut placements, &mut sink).map_err(failed)?;
        let shots = spool.finish()?;
        let system = name.to_owned();
        Ok(Gallery { system, shots, placements, failures: outcome.failures })
    }
}
