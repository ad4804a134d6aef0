//! One run of one system on real ranks: driven, recorded, replayed, checked.

use super::figures::{RealRun, Struck};
use super::interrupt::Interrupt;
use super::others::Watch;
use super::ranks::Ranks;
use crate::campaign::{BoxedSystem, RunKey, Setting, shapes};
use crate::check::Checker;
use crate::experiment::CollectiveKind;
use crate::input::InputError;
use crate::log::{Step, replay};
use crate::metrics::bounds::book_bounds;
use crate::metrics::{Recorder, RecorderOptions, RunInfo};
use crate::record::RunRecord;
use crate::workload::Workload;
use flexdit_core::{Bytes, Command, Event, Nanos, Observer};
use flexdit_ranks::dit::Dit;
use flexdit_ranks::{Driver, Options, Outcome, Sink};
use std::sync::Arc;

/// Which run, and on what.
pub struct Run<'a> {
    /// The sweep point.
    pub setting: &'a Setting,
    /// What arrives; its times are real times.
    pub workload: &'a Workload,
    /// Which run it is.
    pub key: &'a RunKey<'a>,
    /// How its ranks talk to each other.
    pub collectives: CollectiveKind,
    /// Whether the system decides task by task, and so says what becomes of every copy.
    pub is_task_level: bool,
    /// The arithmetic.
    pub dit: Arc<Dit>,
    /// Whether whoever takes the results keeps them beyond the run.
    pub results_kept: bool,
    /// What the record keeps.
    pub recorder: RecorderOptions,
    /// Stops it.
    pub interrupt: &'a Interrupt,
}

/// Why a run has no result.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The system cannot be built.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The driver gave up.
    #[error(transparent)]
    Driver(#[from] flexdit_ranks::RunError),
    /// The run is not what the log's contract promises.
    #[error("the run broke its contract: {0}")]
    Broken(String),
}

/// Keeps every step; what is made of them is made after the run, when no rank waits for it.
#[derive(Default)]
struct Steps(Vec<Step>);

impl Observer for Steps {
    fn step(&mut self, t: Nanos, events: &[Event], commands: &[Command]) {
        self.0.push(Step { t, events: events.to_vec(), commands: commands.to_vec() });
    }
}

/// Runs the system that `fresh` makes and records it. `also` sees every step, once the run is over; `sink` gets every result
/// while it goes on, and the dispatcher waits for it.
///
/// # Errors
/// [`Fault`]; `also` has seen what happened until then. An interrupted run is no error: its record says what happened until then.
pub fn run(
    run: &Run<'_>,
    fresh: &dyn Fn() -> Result<BoxedSystem, InputError>,
    also: &mut dyn Observer,
    sink: &mut dyn Sink,
) -> Result<(RunRecord, RealRun), Fault> {
    let (setting, workload) = (run.setting, run.workload);
    // Those that are computed with, not the zoo's transformers in bf16.
    let weights = run.dit.weight_bytes();
    let options = Options {
        pin: setting.experiment.real.pin,
        rank_memory: setting.memory.map(|memory| Bytes(memory.0.saturating_sub(weights.0))),
        ..Options::new(setting.world())
    };
    let ranks = Ranks::start(setting, run.collectives, &run.dit, run.key.seed)?;
    let driver = Driver::new(options, Arc::clone(&ranks.compute), ranks.fabric());
    run.interrupt.watch(driver.control());
    let input = flexdit_core::Workload {
        requests: workload.requests.clone(),
        concurrency: workload.closed_loop,
        cancellations: workload.cancellations.clone(),
    };
    let mut system = fresh()?;
    let mut steps = Steps::default();
    let watch = Watch::begin();
    let outcome = driver.run(&mut *system, input, &mut steps, sink);
    let others = watch.end();
    let Steps(steps) = steps;
    // Of a run that failed, too: they show why.
    for step in &steps {
        also.step(step.t, &step.events, &step.commands);
    }
    let outcome = outcome?;
    let record = record(run, &outcome, &steps)?;
    again(&steps, fresh)?;
    let real = RealRun::new(run, &ranks, Struck::of(&steps), others, outcome);
    Ok((record, real))
}

/// The record of the steps; everything that must not happen is looked for.
fn record(run: &Run<'_>, outcome: &Outcome, steps: &[Step]) -> Result<RunRecord, Fault> {
    let (setting, workload) = (run.setting, run.workload);
    let world = setting.world();
    let bounds = book_bounds(&setting.book, world, &shapes(workload));
    let mut recorder = Recorder::new(world, run.recorder).with_bounds(bounds);
    let mut checker = Checker::measured(world, run.is_task_level);
    for Step { t, events, commands } in steps {
        recorder.record(*t, events, commands);
        checker.step(*t, events, commands);
    }
    let overlaps = recorder.overlaps();
    let peak = outcome.ranks.iter().map(|rank| rank.peak).max().unwrap_or_default();
    let record = recorder.finish(RunInfo {
        system: run.key.system.to_owned(),
        seed: run.key.seed,
        point: run.key.point,
        counters: outcome.counters.clone(),
        peak_rank_memory: run.dit.weight_bytes() + peak,
        extrapolated: false,
        offered_load_realised: workload.offered_load_realised,
        closed_loop: workload.closed_loop.is_some(),
        // Measured times spread around the prices that bounds are made of.
        jittered: true,
    });
    let mut wrong = Vec::new();
    let span = record.makespan * u64::from(world);
    if record.rank_time.total() != span {
        wrong.push(format!("rank-time adds up to {}, not {span}", record.rank_time.total()));
    }
    if overlaps > 0 {
        wrong.push(format!("{overlaps} tasks began before their rank's last one had ended"));
    }
    if outcome.interrupted {
        wrong.extend(checker.stop());
    } else {
        wrong.extend(checker.finish(workload.requests.len()).0);
        let held: Bytes = outcome.ranks.iter().map(|rank| rank.held).sum();
        let counters = &outcome.counters;
        if (counters.live, counters.claims) != (0, 0) {
            let (live, claims) = (counters.live, counters.claims);
            wrong.push(format!("{live} live requests and {claims} claims at the end"));
        }
        if held > Bytes::ZERO && !run.results_kept {
            wrong.push(format!("{held} of artifacts at the end"));
        }
    }
    if wrong.is_empty() { Ok(record) } else { Err(Fault::Broken(wrong.join("; "))) }
}

/// Replays the steps into a fresh system.
fn again(steps: &[Step], fresh: &dyn Fn() -> Result<BoxedSystem, InputError>) -> Result<(), Fault> {
    let found = replay(steps.iter().cloned().map(Ok), &mut *fresh()?)?;
    match found.divergence {
        None => Ok(()),
        Some(divergence) => Err(Fault::Broken(format!("replayed, it differs: {divergence}"))),
    }
}
