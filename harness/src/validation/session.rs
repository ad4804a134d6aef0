//! The real runs of a validation, and the tours between them.
//!
//! Owns what runs when. Invariant: a run counts only if it ended by itself, and with tours only if a round came after it.

use super::tours::Tours;
use crate::campaign::{self, Builder, RunError, RunKey, Setting};
use crate::experiment::{CollectiveKind, Loaded};
use crate::metrics::RecorderOptions;
use crate::profile::measure::{Sampler, TaskSample};
use crate::real::{self, Arithmetic, Fault, Interrupt, RealRun};
use crate::record::RunRecord;
use crate::workload::Workload;
use flexdit_core::cost::Provenance;

/// What is kept of a run, simulated or real.
pub(super) const KEPT: RecorderOptions = RecorderOptions { timeline: 0, merge: true };

/// One real run.
pub(super) struct Ran {
    pub repeat: usize,
    /// Index of the system.
    pub system: usize,
    /// Index of the seed.
    pub seed: usize,
    pub record: RunRecord,
    pub real: RealRun,
    pub tasks: Vec<TaskSample>,
    /// Rounds of tours before it.
    pub before: usize,
}

/// What runs are made of.
pub(super) struct Session<'a> {
    pub loaded: &'a Loaded,
    pub setting: &'a Setting,
    pub workloads: &'a [Workload],
    pub models: &'a Arithmetic,
    pub repeats: usize,
    pub interrupt: &'a Interrupt,
    /// Called before a run or a round: how many are done, of how many, and what comes.
    pub progress: &'a dyn Fn(usize, usize, &str),
}

impl Session<'_> {
    /// The collectives of every system.
    pub fn kinds(&self) -> Vec<CollectiveKind> {
        let systems = self.setting.experiment.systems.iter();
        systems
            .map(|spec| spec.collectives.unwrap_or_else(|| real::collectives_of(&spec.kind, false)))
            .collect()
    }

    /// Whether every stage and layout that the experiment's profiles price was measured.
    pub fn profile_is_measured(&self) -> bool {
        let mut shapes = self.workloads.iter().flat_map(|workload| &workload.requests);
        shapes.all(|request| {
            let table = self.setting.book.table(&request.shape);
            table.is_some_and(|table| {
                table.entries().all(|(_, entry)| entry.provenance == Provenance::Measured)
            })
        })
    }

    /// Makes every real run, systems in turn for each seed, with a round of tours before the first and after each, where
    /// there are tours. Stopped, it returns what is complete. The second list names runs that ended by themselves before
    /// their requests did: they compare with nothing.
    ///
    /// # Errors
    /// A run or a tour that cannot go on.
    pub fn run(
        &self,
        mut tours: Option<&mut Tours<'_>>,
    ) -> Result<(Vec<Ran>, Vec<String>), RunError> {
        let systems = self.setting.experiment.systems.len();
        let seeds = self.setting.experiment.seeds.len();
        let runs = self.repeats * seeds * systems;
        let all = if tours.is_some() { 2 * runs + 1 } else { runs };
        let mut done = 0;
        let mut ran: Vec<Ran> = Vec::new();
        let tour = |tours: &mut Option<&mut Tours<'_>>, done: &mut usize| {
            let Some(tours) = tours else { return Ok(()) };
            (self.progress)(*done, all, "a round of tours");
            *done += 1;
            tours.round()
        };
        tour(&mut tours, &mut done)?;
        for at in 0..runs {
            if self.interrupt.is_stopped() {
                break;
            }
            let (repeat, seed, system) =
                (at / (seeds * systems), at / systems % seeds, at % systems);
            let name = &self.setting.experiment.systems[system].name;
            let words = format!("{name}, seed {}", self.setting.experiment.seeds[seed]);
            (self.progress)(done, all, &words);
            done += 1;
            let mut run = self.real(system, seed)?;
            run.repeat = repeat;
            run.before = tours.as_ref().map_or(0, |tours| tours.rounds());
            ran.push(run);
            tour(&mut tours, &mut done)?;
        }
        let rounds = tours.map(|tours| tours.rounds());
        let followed = |run: &Ran| rounds.is_none_or(|rounds| rounds > run.before);
        let stuck = ran.iter().filter_map(|run| stuck(&run.real)).collect();
        ran.retain(|run| !run.real.outcome.interrupted && followed(run));
        (self.progress)(all, all, "");
        Ok((ran, stuck))
    }

    fn real(&self, system: usize, at: usize) -> Result<Ran, RunError> {
        let setting = self.setting;
        let spec = &setting.experiment.systems[system];
        let seed = setting.experiment.seeds[at];
        let key = RunKey { point: 0, system: &spec.name, seed, layout: None };
        let run = real::Run {
            setting,
            workload: &self.workloads[at],
            key: &key,
            collectives: self.kinds()[system],
            is_task_level: spec.kind.is_task_level(),
            dit: self.models.for_seed(seed),
            results_kept: false,
            recorder: KEPT,
            interrupt: self.interrupt,
        };
        let fresh = || Builder::new(setting, self.workloads, system).kind(&spec.kind);
        let mut sampler = Sampler::of_run();
        let done = real::run(&run, &fresh, &mut sampler, &mut ());
        let (record, real) = done.map_err(|fault| match fault {
            Fault::Input(error) => RunError::Input(error),
            fault => RunError::Real { system: spec.name.clone(), seed, fault: Box::new(fault) },
        })?;
        let tasks = sampler.into_samples().tasks;
        Ok(Ran { repeat: 0, system, seed: at, record, real, tasks, before: 0 })
    }
}

/// What is said of a run in which nothing could go on; `None` of one that ended as it should or was stopped.
fn stuck(run: &RealRun) -> Option<String> {
    let RealRun { system, seed, outcome, .. } = run;
    outcome.stranded.then(|| {
        format!(
            "{system}, seed {seed}: stuck with {} requests unfinished, since no rank was left that could take them; the run \
             is compared with nothing.",
            outcome.unfinished
        )
    })
}

/// The one point of an experiment, ready to run on real ranks.
///
/// # Errors
/// The first thing wrong with the experiment, or what cannot run on this machine's cores.
pub(super) fn prepare(loaded: &Loaded) -> Result<(Setting, Vec<Workload>, Arithmetic), RunError> {
    let (mut settings, mut workloads) = campaign::prepare(loaded)?;
    let (setting, workloads) = (settings.remove(0), workloads.remove(0));
    real::check(&setting, &workloads)?;
    let models = Arithmetic::load(&setting, &workloads)?;
    Ok((setting, workloads, models))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_is_stuck_is_named_and_one_that_was_stopped_is_not() {
        let mut run = real::sample_run(3, 2, Ok(0));
        assert_eq!(stuck(&run), None);
        // The driver calls every run interrupted that left a request.
        (run.outcome.interrupted, run.outcome.unfinished) = (true, 4);
        assert_eq!(stuck(&run), None);
        run.outcome.stranded = true;
        let words = stuck(&run).expect("nothing could go on");
        assert!(words.starts_with("one, seed 3: stuck with 4 requests unfinished, "), "{words}");
    }
}
