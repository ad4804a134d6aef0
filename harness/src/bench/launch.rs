//! Starting a fresh world of a contestant and running a plan on it.

use super::group_free::GroupFreeRank;
use super::measure::RankSamples;
use super::plan::Plan;
use super::{gate, machine, threads};
use crate::input::InputError;
use clap::ValueEnum;
use flexdit_comm::WorldConfig;
use flexdit_comm::transport::thread;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Who takes part.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Contestant {
    /// Group-free collectives between threads
    #[value(name = "thread")]
    GroupFreeThread,
    /// Group-free collectives between processes
    #[value(name = "process")]
    GroupFreeProcess,
    /// A communicator for every group, over TCP, ranks are threads
    #[value(name = "communicator")]
    CommunicatorTcp,
    /// The same between processes; only when it is asked for
    #[value(name = "communicator-process")]
    CommunicatorTcpProcess,
    /// MPI: a communicator for every group
    #[value(name = "mpi")]
    Mpi,
}

impl Contestant {
    /// Every contestant.
    pub const ALL: [Self; 5] = [
        Self::GroupFreeThread,
        Self::GroupFreeProcess,
        Self::CommunicatorTcp,
        Self::CommunicatorTcpProcess,
        Self::Mpi,
    ];

    /// As in files: `group-free-thread`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::GroupFreeThread => "group-free-thread",
            Self::GroupFreeProcess => "group-free-process",
            Self::CommunicatorTcp => "communicator-tcp",
            Self::CommunicatorTcpProcess => "communicator-tcp-process",
            Self::Mpi => "mpi",
        }
    }

    /// As in tables: `group-free, threads`.
    pub const fn words(self) -> &'static str {
        match self {
            Self::GroupFreeThread => "group-free, threads",
            Self::GroupFreeProcess => "group-free, processes",
            Self::CommunicatorTcp => "communicator over TCP",
            Self::CommunicatorTcpProcess => "communicator over TCP, processes",
            Self::Mpi => "MPI communicator",
        }
    }

    /// Whether it forms groups without contacting anybody.
    pub const fn is_group_free(self) -> bool {
        matches!(self, Self::GroupFreeThread | Self::GroupFreeProcess)
    }

    /// Those that take part when none is named: all that this program can run here, but for
    /// communicators between processes, which differ little from those between threads.
    pub fn available() -> Vec<Self> {
        let usual = |one: &Self| *one != Self::CommunicatorTcpProcess && one.missing().is_none();
        Self::ALL.into_iter().filter(usual).collect()
    }

    /// Why it cannot run here; `None` if it can.
    pub fn missing(self) -> Option<&'static str> {
        let linux = cfg!(target_os = "linux");
        match self {
            Self::GroupFreeThread => None,
            _ if !linux => Some("it needs Linux"),
            Self::GroupFreeProcess | Self::CommunicatorTcp | Self::CommunicatorTcpProcess => None,
            Self::Mpi if cfg!(feature = "mpi") => None,
            Self::Mpi => Some("it needs a build with `--features mpi`"),
        }
    }
}

/// A measurement that did not come about.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BenchError {
    /// What was asked for cannot be measured.
    #[error(transparent)]
    Input(#[from] InputError),
    /// A world did not start.
    #[error("{0}")]
    Setup(String),
    /// A rank failed.
    #[error("rank {rank}: {message}")]
    Rank {
        /// Which.
        rank: usize,
        /// What it said.
        message: String,
    },
}

/// How worlds are run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Cores that ranks are put on, round robin.
    pub cores: Vec<usize>,
    /// Whether ranks are pinned.
    pub pin: bool,
    /// See [`gate::LEAD_NS`].
    pub lead_ns: u64,
    /// The program flexdit, which rank processes run; `None` for the one that runs.
    pub program: Option<PathBuf>,
}

impl Default for Setting {
    fn default() -> Self {
        Self { cores: machine::cores(), pin: true, lead_ns: gate::LEAD_NS, program: None }
    }
}

impl Setting {
    /// The core of a rank, if ranks are pinned.
    pub fn core_of(&self, rank: usize) -> Option<usize> {
        self.pin.then(|| self.cores[rank % self.cores.len()])
    }

    /// Ranks per core of so many ranks; above 1 they share cores.
    pub fn ranks_per_core(&self, ranks: usize) -> f64 {
        ranks as f64 / self.cores.len() as f64
    }
}

/// How a plan is run in a fresh world: [`run`], or something else in tests.
pub type Launch<'a> =
    dyn Fn(Contestant, &Plan, &Setting) -> Result<Vec<RankSamples>, BenchError> + 'a;

/// Runs `plan` in a fresh world of `contestant`; all ranks' samples, in rank order.
///
/// # Errors
/// If the world does not start or a rank fails.
pub fn run(
    contestant: Contestant,
    plan: &Plan,
    setting: &Setting,
) -> Result<Vec<RankSamples>, BenchError> {
    let failed = |error: &dyn std::fmt::Display| {
        BenchError::Setup(format!("{}: {error}", contestant.words()))
    };
    match contestant {
        Contestant::GroupFreeThread => {
            let config = WorldConfig::new(plan.world);
            let ends = thread::world(&config).map_err(|error| failed(&error))?;
            threads::run(plan, setting, ends.into_iter().map(GroupFreeRank::new).collect())
        }
        #[cfg(target_os = "linux")]
        Contestant::CommunicatorTcp => super::communicator::run(plan, setting),
        #[cfg(target_os = "linux")]
        one if one.missing().is_none() => super::processes::run(one, plan, setting),
        one => Err(failed(&one.missing().unwrap_or_default())),
    }
}
