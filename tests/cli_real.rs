//! `flexdit run --engine cpu`: real ranks from the command line, and what is refused before any rank starts.

mod program;

use flexdit::log::{LogReader, record};
use flexdit::metrics::summary::overall;
use flexdit::metrics::{METRICS, RecorderOptions, RunInfo, metric};
use flexdit_core::Command::{Complete, Reject};
use flexdit_core::{Event, RejectReason};
use program::flexdit;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// Prices that nobody measured: policies need some, real runs do not depend on them.
const PROFILE: &str = include_str!("data/tiny-image.yaml");

const EXPERIMENT: &str = "\
name: tiny
seeds: [1]
cluster: {world: 2, gpu: cpu}
model: tiny-image
profile: profile.yaml
workload:
  classes:
    S: {height: 32, width: 32, steps: 2, share: 0.7, alpha: 50}
    L: {height: 48, width: 64, steps: 3, share: 0.3, alpha: 50, guidance: true}
  arrivals: {poisson: {requests: 12}}
  target_load: 0.8
systems:
  - {name: fixed, fixed-pipeline: {degree: 2}}
  - {name: lanes, lanes: {policy: fcfs, degree: 1, run_ahead: true}}
  - {name: elastic, elastic: {policy: edf-best-fit}}
  - {name: on-communicators, collectives: communicators, elastic: {policy: edf-best-fit}}
";

/// Open files that suffice for a run of threads on lanes, and not for the sockets of communicators beside them.
#[cfg(target_os = "linux")]
const FILES: u32 = 14;

/// Writes the experiment with some text replaced.
fn write(folder: &Path, changes: &[(&str, &str)]) -> String {
    let (mut text, mut profile) = (EXPERIMENT.to_owned(), PROFILE.to_owned());
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
        if from.starts_with("gpu: ") {
            profile = profile.replace(from, to);
        }
    }
    fs::write(folder.join("profile.yaml"), profile).unwrap();
    let path = folder.join("tiny.yaml");
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[test]
fn a_run_on_real_ranks_is_reported_as_measured_and_its_logs_replay() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), &[]);
    let args = ["run", &path, "--engine", "cpu", "--log", "--trace", "--out", "out"];
    let (code, out, error) = flexdit(folder.path(), &args);
    assert_eq!(code, 0, "{out}{error}");
    assert!(out.contains("compared on real ranks") && out.contains("measured, mean over"), "{out}");
    let results = folder.path().join("out");
    let read = |name: &str| fs::read_to_string(results.join(name)).unwrap();
    let report = read("report.md");
    for words in ["## What the ranks measured", "Control plane (measured", "communicators over TCP"]
    {
        assert!(report.contains(words), "{words}: {report}");
    }
    assert!(!report.contains("simulated"), "{report}");
    let manifest: serde_json::Value = serde_json::from_str(&read("manifest.json")).unwrap();
    assert_eq!(manifest["label"], "measured");
    assert_eq!(manifest["real"]["runs"][3]["collectives"], "communicators");
    let summary = read("summary.csv");
    assert_eq!(summary.lines().count(), 5, "{summary}");
    for system in ["fixed", "lanes", "elastic", "on-communicators"] {
        let log = results.join(format!("log-{system}-1.jsonl.zst")).display().to_string();
        let (code, out, error) = flexdit(folder.path(), &["replay", &log]);
        assert_eq!(code, 0, "{out}{error}");
        assert!(out.contains(&format!("{system}, seed 1: same: ")), "{out}");
        same_metrics(Path::new(&log), &summary);
    }
}

/// Metrics that rest on more than the log: prices, the workload's file, counters of the system and the driver.
const BESIDE_THE_LOG: [&str; 9] = [
    "gpu_time_over_optimum",
    "latency_over_bound",
    "makespan_over_bound",
    "violations_bound",
    "offered_load",
    "peak_rank_memory_gb",
    "decisions",
    "illegal",
    "extrapolated",
];

/// A run without room for the sockets of its communicators fails; those that need none are reported.
#[cfg(target_os = "linux")]
#[test]
fn a_run_that_fails_costs_no_other_its_results() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), &[]);
    // Nothing that the test inherited takes room.
    let closed: String = (3..10).map(|file| format!(" {file}>&-")).collect();
    let limited = format!("exec{closed}; ulimit -n {FILES} && exec \"$0\" \"$@\"");
    let mut command = Command::new("sh");
    command.args(["-c", &limited, env!("CARGO_BIN_EXE_flexdit")]);
    command.args(["run", &path, "--engine", "cpu", "--log", "--out", "out"]);
    let output = command.current_dir(folder.path()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, error) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{out}{error}");
    let said =
        "fixed, seed 1: the run failed, and no figure here is of it: the world cannot be made";
    assert!(out.replace("\n      ", " ").contains(said), "{out}{error}");
    let results = folder.path().join("out");
    let read = |name: &str| fs::read_to_string(results.join(name)).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&read("manifest.json")).unwrap();
    let failed = manifest["real"]["failed_runs"].as_array().unwrap();
    let systems: Vec<_> = failed.iter().map(|run| run["system"].as_str().unwrap()).collect();
    assert_eq!(systems, ["fixed", "on-communicators"]);
    assert!(read("report.md").contains("fixed, seed 1: the run failed"));
    let summary = read("summary.csv");
    for system in ["lanes", "elastic"] {
        same_metrics(&results.join(format!("log-{system}-1.jsonl.zst")), &summary);
    }
}

/// All metrics that follow from a log are those of the table.
fn same_metrics(log: &Path, summary: &str) {
    let reader = LogReader::open(log).unwrap();
    let header = reader.header().clone();
    assert!(header.measured_on.is_some());
    let options = RecorderOptions::default();
    let row = overall(&record(reader, header.world, options, RunInfo::default()).unwrap());
    let columns: Vec<&str> = summary.lines().next().unwrap().split(',').collect();
    let cells = summary.lines().find(|line| line.starts_with(&format!("{},", header.system)));
    let cells: Vec<&str> = cells.unwrap().split(',').collect();
    assert_eq!(cells.len(), columns.len());
    for metric in METRICS.iter().filter(|metric| !BESIDE_THE_LOG.contains(&metric.name)) {
        let found = (metric.get)(&row).map_or(String::new(), |value| value.to_string());
        let at = columns.iter().position(|column| *column == metric.name).unwrap();
        assert_eq!(found, cells[at], "{} of {}", metric.name, header.system);
    }
    assert!(BESIDE_THE_LOG.iter().all(|name| metric(name).is_some()));
}

/// Small requests, cancelled ones and completed ones of a system's log.
fn ends(log: &Path) -> [usize; 3] {
    let (mut small, mut cancelled, mut completed) = (0, 0, 0);
    for step in LogReader::open(log).unwrap().map(Result::unwrap) {
        for event in &step.events {
            small += usize::from(matches!(event, Event::Arrived(r) if r.class.0 == 0));
        }
        for command in &step.commands {
            let why = RejectReason::Cancelled;
            cancelled += usize::from(matches!(command, Reject { why: got, .. } if *got == why));
            completed += usize::from(matches!(command, Complete(_)));
        }
    }
    [small, cancelled, completed]
}

#[test]
fn requests_whose_clients_gave_up_stop_and_have_no_result() {
    let folder = tempfile::tempdir().unwrap();
    // Small ones are due at once and take long; large ones are due in a day.
    let changes = [
        ("steps: 2, share: 0.7, alpha: 50", "steps: 1000, share: 0.7, alpha: 0.0001"),
        ("alpha: 50", "alpha: 1e7"),
        ("  target_load: 0.8", "  target_load: 0.8\n  client_timeout: deadline"),
    ];
    let path = write(folder.path(), &changes);
    let args = ["run", &path, "--engine", "cpu", "--log", "--out", "out"];
    let (code, out, error) = flexdit(folder.path(), &args);
    assert_eq!(code, 0, "{out}{error}");
    for system in ["fixed", "lanes", "elastic", "on-communicators"] {
        let log = folder.path().join(format!("out/log-{system}-1.jsonl.zst"));
        let [small, cancelled, completed] = ends(&log);
        assert!(small > 0 && completed > 0, "{system}: {small} {completed}");
        assert_eq!((cancelled, completed), (small, 12 - small), "{system}");
    }
}

#[test]
fn searches_and_sweeps_run_on_real_ranks() {
    let folder = tempfile::tempdir().unwrap();
    let from = EXPERIMENT.find("systems:").unwrap();
    let systems = "systems:\n  - {name: best, best-static: {}}\nsweep: {real.pin: [true, false]}\n";
    let changes = [(&EXPERIMENT[from..], systems), ("requests: 12", "requests: 4")];
    let path = write(folder.path(), &changes);
    let (code, out, error) =
        flexdit(folder.path(), &["run", &path, "--engine", "cpu", "--out", "o"]);
    assert_eq!(code, 0, "{out}{error}");
    let summary = fs::read_to_string(folder.path().join("o/summary.csv")).unwrap();
    assert_eq!(summary.lines().count(), 3, "{summary}");
}

#[test]
fn what_cannot_run_is_refused_where_it_stands() {
    let faults = ("target_load: 0.8\n", "target_load: 0.8\ncosts: {faults: {outages: []}}\n");
    let cases = [
        (("gpu: cpu", "gpu: h20"), "tiny.yaml:3:26: cluster.gpu: expected `cpu` for real ranks"),
        (("height: 32", "height: 15"), "tiny.yaml:8:8: workload.classes.S"),
        (faults, "tiny.yaml:12:17: costs.faults: ranks fail in virtual time only"),
        (("world: 2", "world: 128"), "cluster.world: expected at most 64 real ranks, got 128"),
        (
            ("systems:", "real: {weights: {folder: nowhere}}\nsystems:"),
            "/nowhere/tiny-image: no such folder; expected one with the folders text_encoder, transformer and vae",
        ),
    ];
    for ((from, to), message) in cases {
        let folder = tempfile::tempdir().unwrap();
        let path = write(folder.path(), &[(from, to)]);
        let (code, out, error) = flexdit(folder.path(), &["run", &path, "--engine", "cpu"]);
        assert_eq!(code, 2, "{out}{error}");
        assert!(error.contains(message), "{error}\n{message}");
        assert!(!folder.path().join("results/tiny").exists());
    }
}

#[test]
fn virtual_time_asks_for_the_prices_that_cores_do_not_publish() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), &[]);
    let (code, _, error) = flexdit(folder.path(), &["run", &path]);
    assert_eq!(code, 2, "{error}");
    assert!(error.contains("costs.migration: cores have no published link"), "{error}");
    let priced = "costs: {migration: {bandwidth: 5GB/s}}\nsystems:";
    let path = write(folder.path(), &[("systems:", priced)]);
    let (code, _, error) = flexdit(folder.path(), &["run", &path]);
    assert_eq!(code, 2, "{error}");
    let found = "systems[3].collectives: communicators have no price";
    assert!(error.contains(found), "{error}");
    let priced =
        "costs: {migration: {bandwidth: 5GB/s}, communicator_setup: {first_use: 1ms}}\nsystems:";
    let path = write(folder.path(), &[("systems:", priced)]);
    let (code, out, error) = flexdit(folder.path(), &["run", &path, "--out", "out"]);
    assert_eq!(code, 0, "{error}");
    assert!(out.contains("simulated, mean over"), "{out}");
}

#[test]
fn a_run_that_does_not_fit_is_refused_before_it_starts() {
    let folder = tempfile::tempdir().unwrap();
    let changes = [("model: tiny-image", "model: qwen-image"), ("world: 2", "world: 64")];
    let path = write(folder.path(), &changes);
    let profile = PROFILE.replace("tiny-image", "qwen-image");
    fs::write(folder.path().join("profile.yaml"), profile).unwrap();
    let (code, _, error) = flexdit(folder.path(), &["run", &path, "--engine", "cpu"]);
    assert_eq!(code, 2, "{error}");
    assert!(error.contains("tiny.yaml:3:18: cluster.world: 64 ranks need "), "{error}");
    for part in [" of qwen-image, once", "of class L", "are available: take fewer ranks"] {
        assert!(error.contains(part), "{error}");
    }
}

/// Looks at the folder until a log is being written, at most a bounded number of times.
fn wait_for_log(folder: &Path) -> bool {
    let names = |folder: &Path| -> Vec<std::path::PathBuf> {
        fs::read_dir(folder).map_or(Vec::new(), |all| all.flatten().map(|e| e.path()).collect())
    };
    (0..5_000_000_u64).any(|_| {
        std::thread::yield_now();
        names(folder).iter().any(|inner| {
            let partial = inner.to_string_lossy().contains(".partial-");
            partial && names(inner).iter().any(|file| file.to_string_lossy().ends_with(".zst"))
        })
    })
}

#[cfg(unix)]
#[test]
fn an_interrupt_ends_the_run_and_writes_what_was_measured() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), &[("requests: 12", "requests: 100000")]);
    let mut child = Command::new(env!("CARGO_BIN_EXE_flexdit"))
        .args(["run", &path, "--engine", "cpu", "--log", "--out", "out"])
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    assert!(wait_for_log(folder.path()), "the run began");
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let report = fs::read_to_string(folder.path().join("out/report.md")).unwrap();
    assert!(report.contains("The campaign was interrupted"), "{report}");
}
