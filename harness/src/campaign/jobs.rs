//! The runs of an experiment as a list of jobs, and running them.

use super::search::Search;
use super::setting::Setting;
use super::simulate::{Charged, RunKey, simulate};
use super::systems::{BoxedSystem, Builder};
use super::{Finished, RunError};
use crate::bench::machine::Machine;
use crate::experiment::{Loaded, SystemKind, check_workload};
use crate::input::InputError;
use crate::metrics::summary::overall;
use crate::metrics::{RecorderOptions, Summary};
use crate::picture::Placements;
use crate::real::{self, Arithmetic, FailedRun, Fault, RealOptions, RealRun, RealRuns};
use crate::record::{Campaign, RunRecord};
use crate::workload::Workload;
use flexdit_baselines::StaticLayout;
use flexdit_core::{Command, Event, Nanos};
use flexdit_ranks::Sink;
use flexdit_sim::Observer;
use rayon::prelude::*;
use std::io;
use std::sync::Arc;

/// Logs one run.
pub trait RunLog: Observer {
    /// Completes the log.
    ///
    /// # Errors
    /// It could not be written.
    fn finish(self: Box<Self>) -> io::Result<()>;
}

/// Makes the logs of runs.
pub trait Log: Sync {
    /// Starts the log of a run.
    ///
    /// # Errors
    /// It cannot be created.
    fn open(&self, key: &RunKey<'_>) -> io::Result<Box<dyn RunLog>>;
}

/// How to run.
pub struct RunOptions<'a> {
    /// What recorders keep.
    pub recorder: RecorderOptions,
    /// Called after every run; the argument is how many runs there are in all.
    pub progress: &'a (dyn Fn(usize) + Sync),
    /// Makes the logs of runs, if they are to be logged.
    pub log: Option<&'a dyn Log>,
}

/// One run of the experiment.
#[derive(Clone, Copy)]
struct Job<'a> {
    point: usize,
    /// Index of the system in the experiment.
    system: usize,
    /// Index of the seed.
    seed: usize,
    /// The static layout to run, where the system is a search.
    layout: Option<&'a StaticLayout>,
}

/// A search for the best static layout that has to be made.
struct Pending {
    point: usize,
    system: usize,
    layouts: Vec<StaticLayout>,
}

/// Real ranks, and the models of each sweep point.
struct OnRanks<'a> {
    options: &'a RealOptions<'a>,
    models: Vec<Arc<Arithmetic>>,
}

/// What is kept of a run.
#[derive(Clone, Copy)]
struct Kept<'a> {
    recorder: RecorderOptions,
    log: Option<&'a dyn Log>,
    /// Whether results are handed on, where somebody wants them.
    results: bool,
}

/// What a job left.
type Done = (RunRecord, Option<RealRun>);

/// What became of a job; `None` if an interrupt left it out. A run of real ranks may fail for itself.
type Fate = Option<Result<Done, RunError>>;

/// Fates by kind, in the order of the jobs.
struct Sorted {
    done: Vec<Done>,
    failed: Vec<FailedRun>,
    /// The first failure.
    first: Option<RunError>,
}

impl Sorted {
    fn of(jobs: &[Job<'_>], fates: Vec<Fate>) -> Self {
        let mut sorted = Self { done: Vec::new(), failed: Vec::new(), first: None };
        for (job, fate) in jobs.iter().zip(fates) {
            match fate {
                None => {}
                Some(Ok(done)) => sorted.done.push(done),
                Some(Err(error)) => {
                    if let RunError::Real { system, seed, fault } = &error {
                        let (system, seed, why) = (system.clone(), *seed, fault.to_string());
                        sorted.failed.push(FailedRun { point: job.point, system, seed, why });
                    }
                    sorted.first.get_or_insert(error);
                }
            }
        }
        sorted
    }
}

/// The log of a run and the places of its requests, where somebody wants them.
struct Both<'a>(Option<&'a mut (dyn RunLog + 'static)>, Option<&'a mut Placements>);

impl Observer for Both<'_> {
    fn step(&mut self, now: Nanos, events: &[Event], commands: &[Command]) {
        if let Some(log) = &mut self.0 {
            log.step(now, events, commands);
        }
        if let Some(placements) = &mut self.1 {
            placements.step(now, events, commands);
        }
    }
}

struct Runner<'a> {
    settings: &'a [Setting],
    workloads: &'a [Vec<Workload>],
    options: &'a RunOptions<'a>,
    ranks: Option<OnRanks<'a>>,
    total: usize,
}

/// Runs every system on every seed at every point of the sweep, on all threads of the current pool.
///
/// # Errors
/// The first thing wrong with the experiment, before anything runs; or a run that cannot go on.
pub fn run(loaded: &Loaded, options: &RunOptions<'_>) -> Result<Finished, RunError> {
    execute(loaded, options, None)
}

/// Runs the same on real ranks of this machine: one run after the other, systems taking turns seed by seed. Stopped
/// by its interrupt, it returns what has run until then. A run that cannot go on or broke its contract is left out and named; the
/// others are not worse for it.
///
/// # Errors
/// As [`run`]; what cannot run on this machine's cores; the first run that failed, if no run did better or one of a search is
/// among them.
pub fn run_real(
    loaded: &Loaded,
    options: &RunOptions<'_>,
    real: &RealOptions<'_>,
) -> Result<Finished, RunError> {
    execute(loaded, options, Some(real))
}

fn execute(
    loaded: &Loaded,
    options: &RunOptions<'_>,
    real: Option<&RealOptions<'_>>,
) -> Result<Finished, RunError> {
    let (settings, workloads) = prepare(loaded)?;
    let ranks = match real {
        Some(options) => Some(OnRanks { options, models: models_of(&settings, &workloads)? }),
        None => {
            for setting in &settings {
                (0..setting.experiment.systems.len())
                    .try_for_each(|system| setting.charges_of(system).map(drop))?;
            }
            None
        }
    };
    let pending = searches(&settings, &workloads);
    let seeds = loaded.first().seeds.len();
    let systems = loaded.first().systems.len();
    let tried: usize = pending.iter().map(|search| search.layouts.len() * seeds).sum();
    let total = tried + settings.len() * systems * seeds;
    let runner = Runner { settings: &settings, workloads: &workloads, options, ranks, total };
    let (searches, winners) = runner.search(&pending, seeds)?;
    let mut jobs = Vec::new();
    for point in 0..settings.len() {
        for system in 0..systems {
            let found = pending.iter().position(|s| (s.point, s.system) == (point, system));
            let layout = found.map(|at| &pending[at].layouts[winners[at]]);
            jobs.extend((0..seeds).map(|seed| Job { point, system, seed, layout }));
        }
    }
    let kept = Kept { recorder: options.recorder, log: options.log, results: true };
    let Sorted { done, failed, first } = Sorted::of(&jobs, runner.all(&jobs, kept)?);
    let (runs, measured): (Vec<RunRecord>, Vec<_>) = done.into_iter().unzip();
    let real = real.map(|real| RealRuns {
        machine: Machine::here(),
        interrupted: real.interrupt.is_stopped(),
        runs: measured.into_iter().flatten().collect(),
        failed,
    });
    if runs.is_empty() {
        return Err(first.unwrap_or(RunError::Interrupted));
    }
    let campaign = campaign(loaded, &workloads, runs);
    Ok(Finished { campaign, searches, settings, workloads, real })
}

/// The settings of all sweep points, and their workloads by point, then seed. Every system can be built.
///
/// # Errors
/// The first thing wrong with the experiment.
pub fn prepare(loaded: &Loaded) -> Result<(Vec<Setting>, Vec<Vec<Workload>>), RunError> {
    let mut settings = Vec::new();
    let mut workloads: Vec<Vec<Workload>> = Vec::new();
    for point in 0..loaded.points.len() {
        let setting = Setting::new(loaded, point)?;
        let built: Result<_, _> =
            setting.experiment.seeds.iter().map(|&seed| setting.workload(seed)).collect();
        workloads.push(built?);
        settings.push(setting);
    }
    check(&settings, &workloads)?;
    Ok((settings, workloads))
}

/// The models of every sweep point, loaded once where points share them.
fn models_of(
    settings: &[Setting],
    workloads: &[Vec<Workload>],
) -> Result<Vec<Arc<Arithmetic>>, RunError> {
    for (setting, workloads) in settings.iter().zip(workloads) {
        real::check(setting, workloads)?;
    }
    let mut models: Vec<Arc<Arithmetic>> = Vec::new();
    for (at, (setting, workloads)) in settings.iter().zip(workloads).enumerate() {
        let same = |other: &&Setting| {
            let names = |setting: &Setting| -> Vec<&str> {
                setting.models.iter().map(|model| model.name).collect()
            };
            let (one, two) = (&setting.experiment.real, &other.experiment.real);
            names(other) == names(setting) && one.computes_as(two)
        };
        let known = settings[..at].iter().position(|other| same(&other));
        models.push(match known {
            Some(known) => {
                models[known].check(setting, workloads)?;
                Arc::clone(&models[known])
            }
            None => Arc::new(Arithmetic::load(setting, workloads)?),
        });
    }
    Ok(models)
}

fn campaign(loaded: &Loaded, workloads: &[Vec<Workload>], runs: Vec<RunRecord>) -> Campaign {
    let experiment = loaded.first();
    let classes = &workloads[0][0].classes;
    Campaign {
        name: experiment.name.clone(),
        classes: classes.iter().map(|class| class.name.clone()).collect(),
        systems: experiment.systems.iter().map(|system| system.name.clone()).collect(),
        seeds: experiment.seeds.clone(),
        points: loaded.points.iter().map(|point| point.sweep.clone()).collect(),
        runs,
    }
}

/// The searches of an experiment with their candidates.
fn searches(settings: &[Setting], workloads: &[Vec<Workload>]) -> Vec<Pending> {
    let mut all = Vec::new();
    for (point, setting) in settings.iter().enumerate() {
        for (system, spec) in setting.experiment.systems.iter().enumerate() {
            if !matches!(spec.kind, SystemKind::BestStatic(_)) {
                continue;
            }
            let builder = Builder::new(setting, &workloads[point], system);
            let layouts = builder.static_layouts(&builder.offers());
            all.push(Pending { point, system, layouts });
        }
    }
    all
}

/// Builds every system once, so that what cannot be built is refused before anything runs.
fn check(settings: &[Setting], workloads: &[Vec<Workload>]) -> Result<(), RunError> {
    for (setting, workloads) in settings.iter().zip(workloads) {
        let Setting { experiment, document, book, .. } = setting;
        check_workload(experiment, document, &workloads[0].classes, book)?;
        for (index, system) in setting.experiment.systems.iter().enumerate() {
            let builder = Builder::new(setting, workloads, index);
            match &system.kind {
                SystemKind::BestStatic(_) => builder.any_static()?,
                kind => drop(builder.kind(kind)?),
            }
        }
    }
    Ok(())
}

impl Runner<'_> {
    /// Runs every candidate of every search; returns the rankings and the winners' indices.
    fn search(
        &self,
        pending: &[Pending],
        seeds: usize,
    ) -> Result<(Vec<Search>, Vec<usize>), RunError> {
        let mut jobs = Vec::new();
        for search in pending {
            let (point, system) = (search.point, search.system);
            for layout in &search.layouts {
                let layout = Some(layout);
                jobs.extend((0..seeds).map(|seed| Job { point, system, seed, layout }));
            }
        }
        let recorder = RecorderOptions { timeline: 0, merge: true };
        let slim = Kept { recorder, log: None, results: false };
        let done = self.all(&jobs, slim)?.into_iter();
        let row = |fate: Fate| match fate {
            Some(done) => Ok(overall(&done?.0)),
            None => Err(RunError::Interrupted),
        };
        let rows: Result<Vec<Summary>, RunError> = done.map(row).collect();
        let mut rows = rows?.into_iter();
        let mut rankings = Vec::new();
        let mut winners = Vec::new();
        for search in pending {
            let of_layout = |_: &StaticLayout| rows.by_ref().take(seeds).collect();
            let by_layout: Vec<Vec<Summary>> = search.layouts.iter().map(of_layout).collect();
            let spec = &self.settings[search.point].experiment.systems[search.system];
            let SystemKind::BestStatic(kind) = &spec.kind else { unreachable!("a search") };
            let (ranking, winner) =
                Search::rank(search.point, &spec.name, &kind.metric, &search.layouts, by_layout);
            rankings.push(ranking);
            winners.push(winner);
        }
        Ok((rankings, winners))
    }

    /// Runs jobs: all at once in virtual time, one after the other on real ranks.
    fn all(&self, jobs: &[Job<'_>], kept: Kept<'_>) -> Result<Vec<Fate>, RunError> {
        let Some(ranks) = &self.ranks else {
            let run = |job| Ok(Some(Ok((self.run(job, kept)?, None))));
            return jobs.par_iter().map(run).collect();
        };
        let mut done: Vec<Fate> = jobs.iter().map(|_| None).collect();
        let mut order: Vec<usize> = (0..jobs.len()).collect();
        // What drifts over time on this machine then hits all systems alike.
        order.sort_by_key(|at| (jobs[*at].point, jobs[*at].seed));
        for at in order {
            if ranks.options.interrupt.is_stopped() {
                break;
            }
            done[at] = match self.run_on(ranks, &jobs[at], kept) {
                Ok((record, real)) => Some(Ok((record, Some(real)))),
                Err(error @ RunError::Real { .. }) => Some(Err(error)),
                // Nothing of one run: input, or the disk.
                Err(error) => return Err(error),
            };
        }
        Ok(done)
    }

    /// The system of a job, as before its first event.
    fn system(&self, job: &Job<'_>) -> Result<BoxedSystem, InputError> {
        let setting = &self.settings[job.point];
        let builder = Builder::new(setting, &self.workloads[job.point], job.system);
        match job.layout {
            Some(layout) => builder.candidate(layout),
            None => builder.kind(&setting.experiment.systems[job.system].kind),
        }
    }

    fn run_on(
        &self,
        ranks: &OnRanks<'_>,
        job: &Job<'_>,
        kept: Kept<'_>,
    ) -> Result<(RunRecord, RealRun), RunError> {
        let setting = &self.settings[job.point];
        let spec = &setting.experiment.systems[job.system];
        let seed = setting.experiment.seeds[job.seed];
        let layout = job.layout.map(StaticLayout::name);
        let key = RunKey { point: job.point, system: &spec.name, seed, layout };
        let is_lanes = matches!(job.layout, Some(StaticLayout::Lanes { .. }));
        let dit = ranks.models[job.point].for_seed(seed);
        let results = ranks.options.results.filter(|_| kept.results);
        let run = real::Run {
            setting,
            workload: &self.workloads[job.point][job.seed],
            key: &key,
            collectives: spec
                .collectives
                .unwrap_or_else(|| real::collectives_of(&spec.kind, is_lanes)),
            is_task_level: is_lanes || spec.kind.is_task_level(),
            dit,
            results_kept: results.is_some(),
            recorder: kept.recorder,
            interrupt: ranks.options.interrupt,
        };
        let mut taker = results.map(|results| results.open(&run)).transpose()?;
        let mut logger = kept.log.map(|log| log.open(&key)).transpose()?;
        let mut placements = Placements::default();
        let mut also = Both(logger.as_deref_mut(), taker.is_some().then_some(&mut placements));
        let mut untaken = ();
        let sink: &mut dyn Sink = match &mut taker {
            Some(taker) => &mut **taker,
            None => &mut untaken,
        };
        (ranks.options.begun)(&key);
        let done = real::run(&run, &|| self.system(job), &mut also, sink);
        let logged = logger.map(RunLog::finish).transpose();
        let taken = taker.map(|taker| taker.finish(&placements)).transpose();
        (self.options.progress)(self.total);
        // What a run died of says more than that its last words could not be written.
        let done = done.map_err(|fault| match fault {
            Fault::Input(error) => RunError::Input(error),
            fault => RunError::Real { system: spec.name.clone(), seed, fault: Box::new(fault) },
        })?;
        logged?;
        taken?;
        Ok(done)
    }

    fn run(&self, job: &Job<'_>, kept: Kept<'_>) -> Result<RunRecord, RunError> {
        let setting = &self.settings[job.point];
        let workload = &self.workloads[job.point][job.seed];
        let spec = &setting.experiment.systems[job.system];
        let seed = setting.experiment.seeds[job.seed];
        let system = self.system(job)?;
        let charges = setting.charges_of(job.system)?;
        let layout = job.layout.map(StaticLayout::name);
        let key = RunKey { point: job.point, system: &spec.name, seed, layout };
        let mut logger = kept.log.map(|log| log.open(&key)).transpose()?;
        let mut nothing = ();
        let also: &mut dyn Observer = match &mut logger {
            Some(logger) => &mut **logger,
            None => &mut nothing,
        };
        let prices = setting.book.clone();
        let charged = Charged { prices, from_book: true, times: None, charges };
        let run = simulate(setting, workload, system, &key, &charged, kept.recorder, also);
        logger.map(RunLog::finish).transpose()?;
        (self.options.progress)(self.total);
        run.map_err(|error| RunError::Sim { system: spec.name.clone(), seed, error })
    }
}
