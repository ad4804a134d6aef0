//! How well virtual time predicts real ranks: the same experiment under both, side by side.
//!
//! Owns which runs are made, what they are charged in virtual time, what is compared, and where errors come from. Prices and
//! charges are those of tours around each run, or of the experiment's profile: nothing is fitted to a run. Invariant: a pair of
//! runs that is compared had the same requests at the same times, and its policy the same beliefs.

mod csv;
mod curves;
mod noise;
mod origin;
mod origin_tables;
mod own;
mod pairs;
mod pictures;
mod prices;
mod render;
mod rows;
mod session;
mod tours;

pub use csv::csv;
pub use curves::Curve;
pub use origin::{Level, StageRow, WorkRow};
pub use pairs::Pair;
pub use prices::{Origin, Origins};
pub use render::{document, text};
pub use rows::{COMPARED, Row, rows};
pub use tours::{CREWS, NEIGHBOURS};

use crate::bench::machine::Machine;
use crate::campaign::RunError;
use crate::experiment::{Loaded, RankKind, SystemKind};
use crate::input::InputError;
use crate::real::{Interrupt, OverheadRow, RealRuns};
use crate::report::Charge;
use pairs::Full;
use serde::{Deserialize, Serialize};
use session::{Ran, Session};
use tours::Tours;

/// A comparison of virtual time with real ranks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Validation {
    /// The experiment's name.
    pub name: String,
    /// Machine, cores and day.
    pub machine: String,
    /// Times that every real run was to be made.
    pub repeats: usize,
    /// Whether it was stopped: pairs are missing.
    pub interrupted: bool,
    /// Where prices and charges come from.
    pub priced: Priced,
    /// Errors by system, class and metric.
    pub rows: Vec<Row>,
    /// What stages took in the real runs, against their prices.
    pub stages: Vec<StageRow>,
    /// The same, summed over each system.
    pub works: Vec<WorkRow>,
    /// How the machine's speed moved; empty without tours.
    pub levels: Vec<Level>,
    /// Distributions of latency.
    pub curves: Vec<Curve>,
    /// What virtual time charged beside stages, where that is the same for all runs.
    pub charges: Vec<Charge>,
    /// What the real runs measured of the same, one row a system.
    pub overheads: Vec<OverheadRow>,
    /// What a reader must know.
    pub warnings: Vec<String>,
    /// Runs that ended before their requests did, though nobody stopped them; they are in no figure.
    pub stuck: Vec<String>,
    /// What other programs, and the host, took of the machine meanwhile.
    pub others: Others,
    /// Metrics of every pair of runs, in the order in which they were made.
    pub pairs: Vec<Pair>,
}

/// Shares of the machine's capacity that others took; `None` where the system does not tell, or too little was run to tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Others {
    /// During the real runs.
    pub runs: Option<f64>,
    /// During the tours; `None` without any.
    pub tours: Option<f64>,
}

/// Where prices and charges of a validation come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Priced {
    /// The experiment's own profile, measured beforehand.
    Profile,
    /// Tours between the real runs.
    Tours {
        /// Rounds that were made.
        rounds: usize,
        /// Crews of every tour and decode layout.
        crews: u32,
        /// Fewest samples that a price rests on.
        fewest: usize,
    },
}

/// What virtual time is to charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prices {
    /// What the experiment says.
    Profile,
    /// What tours before and after every real run measure, with so many crews for every decode layout.
    Tours {
        /// At least 1.
        crews: u32,
    },
}

/// How to validate.
pub struct Options<'a> {
    /// Times that every real run is made; at least 2.
    pub repeats: usize,
    /// Where prices come from.
    pub prices: Prices,
    /// Stops it.
    pub interrupt: &'a Interrupt,
    /// Called before a run or a round of tours: how many are done, of how many, and what comes.
    pub progress: &'a dyn Fn(usize, usize, &str),
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
    if loaded.first().real.ranks == RankKind::Processes {
        let message = "expected `threads`: prices come from tasks on threads";
        return Err(document.error("real.ranks", message));
    }
    if repeats < 2 {
        let message = "expected at least 2: how far real runs scatter comes from their repeats";
        return Err(InputError::new("--repeats", message));
    }
    Ok(())
}

/// Runs everything on real ranks, `repeats` times, and each of these runs in virtual time. Stopped by its interrupt, it
/// compares what is complete.
///
/// # Errors
/// As [`check`] and [`campaign::run_real`](crate::campaign::run_real); a tour that fails; [`RunError::Interrupted`] if it was
/// stopped before a pair was complete. Runs that are stuck are no error: [`Validation::stuck`] names them.
pub fn validate(loaded: &Loaded, options: &Options<'_>) -> Result<Validation, RunError> {
    check(loaded, options.repeats)?;
    let (setting, workloads, models) = session::prepare(loaded)?;
    let session = Session {
        loaded,
        setting: &setting,
        workloads: &workloads,
        models: &models,
        repeats: options.repeats,
        interrupt: options.interrupt,
        progress: options.progress,
    };
    let mut tours = match options.prices {
        Prices::Profile => None,
        Prices::Tours { crews } => {
            let (kinds, compute) = (session.kinds(), models.for_seed(1));
            Some(Tours::new(&setting, &workloads, &kinds, compute, crews, options.interrupt))
        }
    };
    for system in 0..setting.experiment.systems.len() {
        match &tours {
            None => setting.charges_of(system)?,
            Some(_) => setting.charges_but_links(system)?,
        };
    }
    let (ran, stuck) = session.run(tours.as_mut())?;
    if ran.is_empty() && stuck.is_empty() {
        return Err(RunError::Interrupted);
    }
    let mut runs: Vec<(Ran, Full)> = Vec::new();
    for run in ran {
        let full = pairs::simulated(&session, tours.as_ref(), &run)?;
        runs.push((run, full));
    }
    let mut found = compare(&session, tours.as_ref(), options.prices, &runs);
    found.warnings.splice(0..0, stuck.iter().cloned());
    Ok(Validation { stuck, ..found })
}

fn compare(
    session: &Session<'_>,
    tours: Option<&Tours<'_>>,
    prices: Prices,
    runs: &[(Ran, Full)],
) -> Validation {
    let experiment = &session.setting.experiment;
    let systems: Vec<String> = experiment.systems.iter().map(|spec| spec.name.clone()).collect();
    let names = session.workloads[0].classes.iter().map(|class| class.name.clone());
    let classes: Vec<String> = names.collect();
    let pairs: Vec<Pair> = runs.iter().map(|(_, full)| full.pair.clone()).collect();
    let interrupted = session.interrupt.is_stopped();
    let mut real =
        RealRuns { machine: Machine::here(), interrupted, runs: Vec::new(), failed: Vec::new() };
    for at in 0..systems.len() {
        let mine = runs.iter().filter(|(run, _)| run.system == at);
        real.runs.extend(mine.map(|(run, _)| run.real.clone()));
    }
    let mut warnings: Vec<String> = Vec::new();
    for warning in real.warnings(0, experiment.real.pin) {
        if !warnings.contains(&warning) {
            warnings.push(warning);
        }
    }
    let taken = tours.map(Tours::taken);
    warnings.extend(taken.and_then(|taken| taken.warning("the tours")));
    let others =
        Others { runs: real.taken(0).share(), tours: taken.and_then(|taken| taken.share()) };
    let (stages, works) = origin::stages(session, runs);
    let fewest = runs.iter().filter_map(|(_, full)| full.fewest).min().unwrap_or(0);
    Validation {
        name: experiment.name.clone(),
        machine: real.machine.words(),
        repeats: session.repeats,
        interrupted,
        priced: match (prices, tours) {
            (Prices::Tours { crews }, Some(tours)) => {
                Priced::Tours { rounds: tours.rounds(), crews, fewest }
            }
            _ => Priced::Profile,
        },
        rows: rows(&systems, &classes, &pairs),
        stages,
        works,
        levels: tours.map_or(Vec::new(), |tours| origin::levels(session, tours, runs)),
        curves: curves::of(&systems, runs),
        charges: match tours {
            Some(_) => Vec::new(),
            None => crate::publish::charges(session.setting),
        },
        overheads: real.overheads(0),
        warnings,
        stuck: Vec::new(),
        others,
        pairs,
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
