//! Runs one case under every check.

use super::case::{Case, Kind};
use super::checker::Checker;
use crate::log::{Step, replay};
use crate::metrics::bounds::book_bounds;
use crate::metrics::summary::overall;
use crate::metrics::{Recorder, RecorderOptions, RunInfo};
use flexdit_core::{Command, Event, Nanos};
use flexdit_sim::Observer;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What a case did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Steps of the run.
    pub steps: usize,
    /// Tasks launched.
    pub tasks: usize,
    /// Tasks that failed on some rank.
    pub failures: usize,
    /// Transfers issued.
    pub transfers: usize,
}

struct Watch {
    checker: Checker,
    recorder: Recorder,
    steps: Vec<Step>,
}

impl Observer for Watch {
    fn step(&mut self, t: Nanos, events: &[Event], commands: &[Command]) {
        self.checker.step(t, events, commands);
        self.recorder.record(t, events, commands);
        self.steps.push(Step { t, events: events.to_vec(), commands: commands.to_vec() });
    }
}

/// Runs the case of `seed`.
///
/// # Errors
/// Everything that was wrong, with the case and the command that repeats it.
pub fn check(seed: u64) -> Result<Verdict, String> {
    let result = catch_unwind(AssertUnwindSafe(|| {
        let case = Case::draw(seed);
        judge(&case).map_err(|wrong| describe(&case, &wrong))
    }));
    let result = result.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        Err(format!("panic: {}", text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("?")))
    });
    result.map_err(|wrong| format!("{wrong}\nrepeat with: flexdit check --seed {seed}"))
}

fn describe(case: &Case, wrong: &[String]) -> String {
    let requests = case.workload.requests.len();
    let head = format!("world {}, {requests} requests, {:?}", case.world, case.kind);
    format!("{head}\n  {}", wrong.join("\n  "))
}

fn judge(case: &Case) -> Result<Verdict, Vec<String>> {
    let shapes: Vec<_> = case.workload.requests.iter().map(|request| request.shape).collect();
    let bounds = book_bounds(&case.book, case.world, &shapes);
    let options = RecorderOptions::default();
    let elastic = !matches!(case.kind, Kind::Pipeline(..));
    let mut watch = Watch {
        checker: Checker::new(case.world, elastic),
        recorder: Recorder::new(case.world, options).with_bounds(bounds),
        steps: Vec::new(),
    };
    let outcome = case.run(&mut watch);
    let (mut wrong, busy) = watch.checker.finish(shapes.len());
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(error) => {
            wrong.push(error.to_string());
            return Err(wrong);
        }
    };
    let counters = outcome.counters;
    if (counters.live, counters.claims) != (0, 0) {
        wrong.push(format!("{} live and {} claims at the end", counters.live, counters.claims));
    }
    let overlaps = watch.recorder.overlaps();
    let record = watch.recorder.finish(RunInfo {
        closed_loop: case.workload.concurrency.is_some(),
        jittered: case.charges.jitter > 0.0,
        ..RunInfo::default()
    });
    let span = record.makespan * u64::from(case.world);
    if record.rank_time.total() != span || overlaps > 0 {
        wrong.push(format!("{:?} is not {span}; {overlaps} overlaps", record.rank_time));
    }
    if elastic && case.quiet() && record.rank_time.busy != busy {
        wrong.push(format!("{} busy, counted {busy}", record.rank_time.busy));
    }
    let row = overall(&record);
    for ratio in [row.latency_over_bound, row.makespan_over_bound].into_iter().flatten() {
        if ratio < 1.0 - 1e-9 {
            wrong.push(format!("{ratio} of a lower bound"));
        }
    }
    let setups = (record.group_setups, outcome.group_setups);
    if setups.0 != setups.1 {
        wrong.push(format!("{} group set-ups recorded, {} charged", setups.0, setups.1));
    }
    let verdict = count(&watch.steps);
    let mut system = case.system();
    let replayed = replay(watch.steps.into_iter().map(Ok), &mut *system);
    match replayed.map(|found| found.divergence) {
        Ok(None) => {}
        Ok(Some(divergence)) => wrong.push(format!("replay: {divergence}")),
        Err(error) => wrong.push(error.to_string()),
    }
    if wrong.is_empty() { Ok(verdict) } else { Err(wrong) }
}

fn count(steps: &[Step]) -> Verdict {
    let mut verdict = Verdict { steps: steps.len(), ..Verdict::default() };
    for step in steps {
        for command in &step.commands {
            verdict.tasks += usize::from(matches!(command, Command::Launch(_)));
            verdict.transfers += usize::from(matches!(command, Command::Migrate(_)));
        }
        let failed = |event: &&Event| matches!(event, Event::Failed { .. });
        verdict.failures += step.events.iter().filter(failed).count();
    }
    verdict
}
