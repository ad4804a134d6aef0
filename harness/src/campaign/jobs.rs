//! The runs of an experiment as a list of jobs, and running them.

use super::search::Search;
use super::setting::Setting;
use super::simulate::{RunKey, simulate};
use super::systems::Builder;
use super::{Finished, RunError};
use crate::experiment::{Loaded, SystemKind, check_workload};
use crate::metrics::summary::overall;
use crate::metrics::{RecorderOptions, Summary};
use crate::record::{Campaign, RunRecord};
use crate::workload::Workload;
use flexdit_baselines::StaticLayout;
use flexdit_sim::Observer;
use rayon::prelude::*;
use std::io;

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

struct Runner<'a> {
    settings: &'a [Setting],
    workloads: &'a [Vec<Workload>],
    options: &'a RunOptions<'a>,
    total: usize,
}

/// Runs every system on every seed at every point of the sweep, on all threads of the current pool.
///
/// # Errors
/// The first thing wrong with the experiment, before anything runs; or a run that cannot go on.
pub fn run(loaded: &Loaded, options: &RunOptions<'_>) -> Result<Finished, RunError> {
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
    let pending = searches(&settings, &workloads);
    let seeds = loaded.first().seeds.len();
    let systems = loaded.first().systems.len();
    let tried: usize = pending.iter().map(|search| search.layouts.len() * seeds).sum();
    let total = tried + settings.len() * systems * seeds;
    let runner = Runner { settings: &settings, workloads: &workloads, options, total };
    let (searches, winners) = runner.search(&pending, seeds)?;
    let mut jobs = Vec::new();
    for point in 0..settings.len() {
        for system in 0..systems {
            let found = pending.iter().position(|s| (s.point, s.system) == (point, system));
            let layout = found.map(|at| &pending[at].layouts[winners[at]]);
            jobs.extend((0..seeds).map(|seed| Job { point, system, seed, layout }));
        }
    }
    let runs: Result<Vec<RunRecord>, RunError> =
        jobs.par_iter().map(|job| runner.run(job, options.recorder, options.log)).collect();
    let runs = runs?;
    let campaign = campaign(loaded, &workloads, runs);
    Ok(Finished { campaign, searches, settings, workloads })
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
        let slim = RecorderOptions { timeline: 0, merge: true };
        let rows: Result<Vec<Summary>, RunError> =
            jobs.par_iter().map(|job| Ok(overall(&self.run(job, slim, None)?))).collect();
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

    fn run(
        &self,
        job: &Job<'_>,
        recorder: RecorderOptions,
        log: Option<&dyn Log>,
    ) -> Result<RunRecord, RunError> {
        let setting = &self.settings[job.point];
        let workload = &self.workloads[job.point][job.seed];
        let spec = &setting.experiment.systems[job.system];
        let seed = setting.experiment.seeds[job.seed];
        let builder = Builder::new(setting, &self.workloads[job.point], job.system);
        let system = match job.layout {
            Some(layout) => builder.candidate(layout)?,
            None => builder.kind(&spec.kind)?,
        };
        let layout = job.layout.map(StaticLayout::name);
        let key = RunKey { point: job.point, system: &spec.name, seed, layout };
        let mut logger = log.map(|log| log.open(&key)).transpose()?;
        let mut nothing = ();
        let also: &mut dyn Observer = match &mut logger {
            Some(logger) => &mut **logger,
            None => &mut nothing,
        };
        let run = simulate(setting, workload, system, &key, recorder, also);
        logger.map(RunLog::finish).transpose()?;
        (self.options.progress)(self.total);
        run.map_err(|error| RunError::Sim { system: spec.name.clone(), seed, error })
    }
}
