//! Whole runs of the shipped experiments under checkers: every system's log is replayed, every
//! nanosecond of every rank is accounted for, no request does less or more than was asked, and no
//! bound is beaten.

use flexdit::campaign::{Builder, Finished, Log, RunKey, RunLog, RunOptions, run};
use flexdit::experiment::{Loaded, SystemKind};
use flexdit::log::{self, LogReader, Step};
use flexdit::metrics::bounds::{Quantity, best_proof, run_bounds};
use flexdit::metrics::summary::overall;
use flexdit::metrics::{Recorder, RecorderOptions, RunInfo};
use flexdit::record::{Outcome, RunRecord};
use flexdit_core::{Command, Event, Nanos, Stage};
use flexdit_sim::Observer;
use rstest::rstest;
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

type Steps = Arc<Mutex<Vec<Step>>>;

/// Keeps the log of every run in memory.
#[derive(Default)]
struct Logs(Mutex<BTreeMap<(usize, String, u64), Steps>>);

struct Keep(Steps);

impl Observer for Keep {
    fn step(&mut self, t: Nanos, events: &[Event], commands: &[Command]) {
        let step = Step { t, events: events.to_vec(), commands: commands.to_vec() };
        self.0.lock().unwrap().push(step);
    }
}

impl RunLog for Keep {
    fn finish(self: Box<Self>) -> io::Result<()> {
        Ok(())
    }
}

impl Log for Logs {
    fn open(&self, key: &RunKey<'_>) -> io::Result<Box<dyn RunLog>> {
        let steps = Steps::default();
        let name = (key.point, key.system.to_owned(), key.seed);
        self.0.lock().unwrap().insert(name, Arc::clone(&steps));
        Ok(Box::new(Keep(steps)))
    }
}

#[rstest]
fn shipped_experiments_run_by_the_book(
    #[files("../workloads/quickstart.yaml")]
    #[files("../workloads/stress/*.yaml")]
    #[files("../workloads/traces/*.yaml")]
    path: PathBuf,
) {
    let seeds = ["seeds=[1]".to_owned()];
    let loaded = Loaded::read(&path, &seeds).unwrap_or_else(|error| panic!("{error}"));
    let logs = Logs::default();
    let recorder = RecorderOptions { merge: false, ..RecorderOptions::default() };
    let options = RunOptions { recorder, progress: &|_| {}, log: Some(&logs) };
    let finished = run(&loaded, &options).unwrap_or_else(|error| panic!("{error}"));
    let logs = logs.0.into_inner().unwrap();
    for run in &finished.campaign.runs {
        let name = (run.point, run.system.clone(), run.seed);
        let steps = std::mem::take(&mut *logs[&name].lock().unwrap());
        println!("{}: {}, seed {}, point {}", loaded.first().name, run.system, run.seed, run.point);
        check_accounts(run);
        check_work(run, &finished);
        check_bounds(run);
        check_record(run, &steps, recorder);
        check_replay(run, steps, &finished);
    }
}

fn check_accounts(run: &RunRecord) {
    assert_eq!(run.rank_time.total(), run.makespan * u64::from(run.world), "{:?}", run.rank_time);
    assert_eq!((run.counters.live, run.counters.claims), (0, 0), "{:?}", run.counters);
}

/// Every request of the workload arrived and ended; completed ones did all their steps, in order.
fn check_work(run: &RunRecord, finished: &Finished) {
    let workload = &finished.workloads[run.point][0];
    assert_eq!(run.requests.len(), workload.requests.len());
    let mut steps = vec![0; run.requests.len()];
    let mut decoded = vec![false; run.requests.len()];
    for span in run.spans.iter().filter(|span| !span.failed) {
        let request = span.request.index();
        match span.stage {
            // After a loss a request may repeat steps, never skip them.
            Stage::Denoise => {
                assert!(
                    span.first_step <= steps[request],
                    "{span:?} after step {}",
                    steps[request]
                );
                steps[request] = span.first_step + span.steps;
            }
            Stage::VaeDecode => decoded[request] = true,
            Stage::TextEncode => {}
        }
    }
    for (record, request) in run.requests.iter().zip(&workload.requests) {
        let index = request.id.index();
        match record.outcome {
            Outcome::Completed(at) => {
                assert_eq!(
                    (steps[index], decoded[index]),
                    (request.shape.steps, true),
                    "{record:?}"
                );
                assert!(at >= record.arrival && at <= run.makespan);
            }
            Outcome::Rejected(at, _) => assert!(at <= run.makespan),
            Outcome::Unfinished => panic!("unfinished: {record:?}"),
        }
    }
}

/// No run is better than a bound that is called a proof.
fn check_bounds(run: &RunRecord) {
    let all = run_bounds(run);
    assert!(!all.is_empty(), "every request is priced");
    let row = overall(run);
    for ratio in [row.latency_over_bound, row.makespan_over_bound].into_iter().flatten() {
        assert!(ratio >= 1.0 - 1e-9, "{ratio} of a lower bound");
    }
    let missed = run.requests.iter().filter(|request| request.attained() == Some(false)).count();
    let least = best_proof(&all, Quantity::Violations).map_or(0.0, |bound| bound.value);
    assert!(missed as f64 >= least, "{missed} misses, at least {least} are certain");
}

/// The record follows from the log alone, and no rank ever did two tasks at once.
fn check_record(run: &RunRecord, steps: &[Step], options: RecorderOptions) {
    let mut recorder = Recorder::new(run.world, options);
    for step in steps {
        recorder.record(step.t, &step.events, &step.commands);
    }
    assert_eq!(recorder.overlaps(), 0, "tasks overlap on a rank");
    let again = recorder.finish(RunInfo::default());
    assert_eq!(again.rank_time, run.rank_time);
    assert_eq!(again.spans, run.spans);
}

/// A fresh system gives the same commands.
fn check_replay(run: &RunRecord, steps: Vec<Step>, finished: &Finished) {
    let setting = &finished.settings[run.point];
    let systems = &setting.experiment.systems;
    let index = systems.iter().position(|system| system.name == run.system).expect("a system");
    if matches!(systems[index].kind, SystemKind::BestStatic(_)) {
        return;
    }
    let builder = Builder::new(setting, &finished.workloads[run.point], index);
    let mut system = builder.kind(&systems[index].kind).expect("it was built before");
    let found = log::replay(steps.into_iter().map(Ok), &mut *system).expect("steps in memory");
    assert!(found.divergence.is_none(), "{}", found.divergence.expect("just seen"));
}

#[test]
fn logs_and_traces_of_the_program_open() {
    let base = tempfile::tempdir().unwrap();
    let out = base.path().join("out");
    let yaml = concat!(env!("CARGO_MANIFEST_DIR"), "/../workloads/stress/wave-stress.yaml");
    let mut program = assert_cmd::Command::new(env!("CARGO_BIN_EXE_flexdit"));
    program.args(["run", yaml, "--seeds", "1", "--log", "--trace", "--out"]).arg(&out);
    program.assert().success();
    let named = |start: &str| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().path());
        let starts =
            |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with(start);
        entries.filter(starts).collect()
    };
    let (logs, traces) = (named("log-"), named("trace-"));
    assert!(!logs.is_empty() && logs.len() == traces.len());
    for path in logs {
        let log = LogReader::open(&path).unwrap();
        let world = log.header().world;
        let options = RecorderOptions::default();
        let run = log::record(log, world, options, RunInfo::default()).unwrap();
        check_accounts(&run);
        assert!(run.makespan > Nanos::ZERO);
    }
    for path in traces {
        let unzipped = flate2::read::GzDecoder::new(std::fs::File::open(&path).unwrap());
        let trace: serde_json::Value = serde_json::from_reader(unzipped).unwrap();
        assert!(trace["traceEvents"].as_array().unwrap().len() > 100, "{}", path.display());
    }
    assert_eq!(std::fs::read_dir(base.path()).unwrap().count(), 1, "nothing beside the folder");
}
