//! The log is the run: for every kind of system, a fresh one built from the log's header gives the
//! logged commands, the tables follow from the logs alone, and nothing depends on the number of
//! threads.

use assert_cmd::Command as Program;
use flexdit::campaign::{self, RunOptions, peak_memory, rebuild, verify};
use flexdit::experiment::Loaded;
use flexdit::log::{Header, LogReader, LogWriter, Step, record};
use flexdit::metrics::bounds::book_bounds;
use flexdit::metrics::summarise;
use flexdit::metrics::{Recorder, RecorderOptions, RunInfo};
use flexdit::publish::FolderLog;
use flexdit::record::{Campaign, RunRecord, SweepPoint};
use flexdit::results::{classes_table, summary_table};
use flexdit_core::Command;
use flexdit_core::policy::POLICIES;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const PROFILES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../workloads/profiles");

const HEAD: &str = "\
name: conformance
seeds: [5, 9]
cluster: {world: 4, gpu: h20}
model: qwen-image
profile: PROFILES/qwen-image-h20.yaml
workload:
  classes:
    S: {height: 512, width: 512, steps: 9, share: 0.6, alpha: 1.5}
    M: {height: 1024, width: 1024, steps: 6, chunk_steps: 2, share: 0.3, alpha: 2, priority: 50}
    L: {height: 1536, width: 1536, steps: 5, share: 0.1, alpha: 6, preemptible: true}
  arrivals: {poisson: {requests: 40}}
  target_load: 1.1
systems:
  - {name: least-work, fixed-pipeline: {degree: 2}}
  - {name: round-robin, fixed-pipeline: {degree: 2, routing: round-robin}}
  - {name: mapped, fixed-pipeline: {degree: 1, routing: {class-map: {S: [0, 1], M: [2], L: [3]}}}}
  - {name: replicated, fixed-pipeline: {degree: 4, replicated: true}}
  - {name: legacy, legacy: {}}
  - {name: rssp, rssp: {}}
  - {name: pools, class-map: {pools: [{degree: 1, groups: 2, classes: [S]}, {degree: 2, groups: 1, classes: [M, L]}]}}
  - {name: lanes-fcfs, lanes: {policy: fcfs, degree: 2}}
  - {name: lanes-fcfs-plain, lanes: {policy: fcfs, degree: 2, run_ahead: false}}
  - {name: lanes-sjf, lanes: {policy: sjf, degree: 1}}
  - {name: lanes-srtf, lanes: {policy: srtf, degree: 4}}
  - {name: best-static, best-static: {metric: slo_attainment}}
  - {name: hopeless-last, elastic: {policy: edf-best-fit, hopeless-last: true}}
";

const FAULTY: &str = "\
costs:
  jitter: {cv: 0.1}
  stragglers: {probability: 0.05, factor: 3, slow_ranks: [{rank: 1, factor: 1.5}]}
  faults: {mtbf: 40s, repair: 3s, outages: [{rank: 0, down: 5s, up: 9s}, {rank: 2, down: 5s, up: 6s}]}
";

const SWEEP: &str = "\
sweep: {costs.group_setup: [free, {first_use: {time: 50ms, capacity: 2}}]}
";

/// Writes an experiment with every kind of system and every registered policy.
fn experiment(folder: &Path, tail: &str) -> PathBuf {
    let mut text = HEAD.replace("PROFILES", PROFILES);
    for policy in POLICIES {
        text += &format!("  - {{name: {0}, elastic: {{policy: {0}}}}}\n", policy.name);
    }
    let path = folder.join("conformance.yaml");
    fs::write(&path, text + tail).expect("a temporary file");
    path
}

/// Runs the experiment on so many threads; writes tables and logs as `flexdit run --log` does.
fn run(experiment: &Path, out: &Path, threads: usize) {
    fs::create_dir(out).expect("a temporary folder");
    let loaded = Loaded::read(experiment, &[]).unwrap_or_else(|error| panic!("{error}"));
    let log = FolderLog::new(out, &loaded);
    let recorder = RecorderOptions::default();
    let options = RunOptions { recorder, progress: &|_| {}, log: Some(&log) };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
    let finished = pool.install(|| campaign::run(&loaded, &options));
    let campaign = finished.unwrap_or_else(|error| panic!("{error}")).campaign;
    let (overall, classes) = summarise(&campaign);
    let write = |name: &str, text: String| fs::write(out.join(name), text).expect("writable");
    write("summary.csv", summary_table(&overall, &campaign.points).to_csv());
    write("classes.csv", classes_table(&classes, &campaign.points).to_csv());
}

fn logs(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the results folder");
    let mut logs: Vec<PathBuf> = entries.map(|entry| entry.expect("readable").path()).collect();
    logs.retain(|path| path.to_string_lossy().ends_with(".jsonl.zst"));
    logs.sort();
    logs
}

/// The record of a logged run, from its log and what its header describes.
fn from_log(path: &Path, points: &mut Vec<SweepPoint>) -> RunRecord {
    let mut log = LogReader::open(path).expect("a log");
    let header = log.header().clone();
    let mut run = rebuild(&header).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let point = SweepPoint(header.point);
    let at = points.iter().position(|known| *known == point).unwrap_or_else(|| {
        points.push(point);
        points.len() - 1
    });
    let shapes = run.workload.requests.iter().map(|request| &request.shape);
    let bounds = book_bounds(&run.setting.book, header.world, shapes);
    let mut recorder = Recorder::new(header.world, RecorderOptions::default()).with_bounds(bounds);
    let mut said = Vec::new();
    let mut layouts = BTreeSet::new();
    for step in &mut log {
        let Step { t, events, commands } = step.expect("a step");
        said.clear();
        run.system.step(t, &events, &mut said);
        assert_eq!(said, commands, "{} at {t}", path.display());
        recorder.record(t, &events, &commands);
        for command in &commands {
            if let Command::Launch(task) = command {
                let shape = run.workload.requests[task.request.index()].shape;
                layouts.insert((shape, task.stage, task.parallelism));
            }
        }
    }
    let layouts: Vec<_> = layouts.into_iter().collect();
    assert_eq!(recorder.overlaps(), 0, "{}", path.display());
    recorder.finish(RunInfo {
        system: header.system,
        seed: header.seed,
        point: at,
        counters: run.system.counters(),
        peak_rank_memory: peak_memory(&run.setting, &layouts),
        offered_load_realised: run.workload.offered_load_realised,
        closed_loop: run.workload.closed_loop.is_some(),
        jittered: run.setting.charges.jitter > 0.0,
        ..RunInfo::default()
    })
}

/// Runs on one and on two threads, and makes the tables again from the logs.
fn check(tail: &str) {
    let base = tempfile::tempdir().expect("a temporary folder");
    let experiment = experiment(base.path(), tail);
    let out = base.path().join("one");
    run(&experiment, &out, 1);
    let mut points = Vec::new();
    let mut runs: BTreeMap<(usize, String, u64), RunRecord> = BTreeMap::new();
    for log in logs(&out) {
        let record = from_log(&log, &mut points);
        runs.insert((record.point, record.system.clone(), record.seed), record);
    }
    let read = |folder: &Path, name: &str| fs::read_to_string(folder.join(name)).expect(name);
    let summary = read(&out, "summary.csv");
    let order: Vec<(String, u64)> = systems(&experiment);
    assert_eq!(runs.len(), order.len() * points.len());
    let campaign = Campaign {
        classes: ["S", "M", "L"].map(str::to_owned).to_vec(),
        runs: (0..points.len())
            .flat_map(|point| order.iter().map(move |(name, seed)| (point, name.clone(), *seed)))
            .map(|key| runs.remove(&key).expect("a log for every run"))
            .collect(),
        ..Campaign::default()
    };
    let (overall, classes) = summarise(&campaign);
    same(&summary, &summary_table(&overall, &points).to_csv());
    same(&read(&out, "classes.csv"), &classes_table(&classes, &points).to_csv());
    let two = base.path().join("two");
    run(&experiment, &two, 2);
    same(&summary, &read(&two, "summary.csv"));
    same(&read(&out, "classes.csv"), &read(&two, "classes.csv"));
    let pairs = logs(&out).into_iter().zip(logs(&two));
    for (one, two) in pairs {
        assert_eq!(one.file_name(), two.file_name());
        let bytes = |path: &Path| fs::read(path).expect("a log");
        assert!(bytes(&one) == bytes(&two), "{} depends on the threads", one.display());
    }
}

/// Systems and seeds in the order of the tables.
fn systems(experiment: &Path) -> Vec<(String, u64)> {
    let loaded = Loaded::read(experiment, &[]).expect("it was run");
    let first = loaded.first();
    let of = |name: &String| first.seeds.iter().map(|seed| (name.clone(), *seed)).collect();
    first.systems.iter().flat_map(|system| -> Vec<_> { of(&system.name) }).collect()
}

fn same(left: &str, right: &str) {
    for (left, right) in left.lines().zip(right.lines()) {
        assert_eq!(left, right);
    }
    assert_eq!(left.lines().count(), right.lines().count());
}

#[test]
fn every_system_replays_and_its_tables_follow_from_its_log() {
    check("");
}

#[test]
fn faults_jitter_and_stragglers_replay_too() {
    check(FAULTY);
}

#[test]
fn every_point_of_a_sweep_replays() {
    check(SWEEP);
}

#[test]
fn a_changed_log_is_caught_at_the_step_that_changed() {
    let base = tempfile::tempdir().expect("a temporary folder");
    let experiment = experiment(base.path(), "");
    let out = base.path().join("out");
    run(&experiment, &out, 2);
    let log = out.join("log-edf-best-fit-5.jsonl.zst");
    let (header, found) = verify(&log).expect("a log");
    assert_eq!((header.system.as_str(), found.divergence), ("edf-best-fit", None));
    let reader = LogReader::open(&log).expect("a log");
    let mut steps: Vec<Step> = reader.collect::<Result<_, _>>().expect("steps");
    let info = RunInfo::default();
    let options = RecorderOptions::default();
    let again = record(steps.iter().cloned().map(Ok), 4, options, info).expect("steps in memory");
    assert_eq!(again.requests.len(), 40);
    let changed = steps.iter().position(|step| step.commands.len() > 1).expect("a busy step");
    steps[changed].commands.pop();
    let damaged = base.path().join("damaged.jsonl.zst");
    write(&damaged, &header, &steps);
    let output = Program::new(env!("CARGO_BIN_EXE_flexdit"))
        .arg("replay")
        .arg(&damaged)
        .arg(&log)
        .output()
        .expect("the program starts");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let expected = format!("edf-best-fit, seed 5: DIFFERS: step {changed} at ");
    assert!(text.contains(&expected), "{text}");
    assert!(text.lines().nth(1).expect("the sound log").contains(": same: "), "{text}");
    assert_eq!(output.status.code(), Some(1));
}

fn write(path: &Path, header: &Header, steps: &[Step]) {
    let file = fs::File::create(path).expect("a temporary file");
    let mut log = LogWriter::new(file, header).expect("writable");
    for step in steps {
        log.step(step.t, &step.events, &step.commands).expect("writable");
    }
    log.finish().expect("writable");
}
