//! Real ranks that are processes, from the command line: the same pictures, a rank that is killed, an interrupt.

#![cfg(target_os = "linux")]

mod program;

use program::flexdit;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Prices that nobody measured: policies need some, pictures do not depend on them.
const PROFILE: &str = include_str!("data/tiny-image.yaml");

const EXPERIMENT: &str = "\
name: apart
seeds: [1]
cluster: {world: 2, gpu: cpu}
model: tiny-image
profile: profile.yaml
real: {ranks: processes}
workload:
  classes:
    S: {height: 32, width: 32, steps: 2, share: 0.7, alpha: 50}
    L: {height: 48, width: 64, steps: 3, share: 0.3, alpha: 50, guidance: true}
  arrivals: {poisson: {requests: 12}}
  target_load: 0.8
systems:
  - {name: fixed, fixed-pipeline: {degree: 2}}
  - {name: elastic, elastic: {policy: edf-best-fit}}
  - {name: on-communicators, collectives: communicators, elastic: {policy: edf-best-fit}}
";

/// Writes the experiment with some text replaced.
fn write(folder: &Path, changes: &[(&str, &str)]) {
    let mut text = EXPERIMENT.to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    fs::write(folder.join("profile.yaml"), PROFILE).unwrap();
    fs::write(folder.join("apart.yaml"), text).unwrap();
}

fn program(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flexdit"));
    command.args(args).current_dir(folder);
    command
}

/// Names of pictures with the hash of each one's pixels.
fn checksums(folder: &Path) -> Vec<(String, String)> {
    let text = fs::read_to_string(folder.join("index.csv")).unwrap();
    let mut lines = text.lines().map(|line| line.split(',').map(str::to_owned));
    let columns: Vec<String> = lines.next().unwrap().collect();
    let at = |name: &str| columns.iter().position(|column| column == name).unwrap();
    let (file, hash) = (at("file"), at("sha256"));
    let cells = lines.map(|cells| cells.collect::<Vec<String>>());
    let mut found: Vec<_> = cells.map(|cells| (cells[file].clone(), cells[hash].clone())).collect();
    found.sort();
    found
}

#[test]
fn processes_make_the_pictures_that_threads_make() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[]);
    let run = |kind: &str| {
        let (set, out) = (format!("real.ranks={kind}"), format!("out-{kind}"));
        let args = ["run", "apart.yaml", "--engine", "cpu", "--set", &set, "--out", &out];
        let images = format!("images-{kind}");
        let args = [&args[..], &["--save-images", &images]].concat();
        let (code, out, error) = flexdit(folder.path(), &args);
        assert_eq!(code, 0, "{kind}: {out}{error}");
        checksums(&folder.path().join(images))
    };
    let (threads, processes) = (run("threads"), run("processes"));
    assert_eq!((threads.len(), &threads), (3 * 12, &processes));
    let read = |name: &str| fs::read_to_string(folder.path().join("out-processes").join(name));
    let manifest: serde_json::Value =
        serde_json::from_str(&read("manifest.json").unwrap()).unwrap();
    for run in manifest["real"]["runs"].as_array().unwrap() {
        assert_eq!((&run["ranks"], &run["lost_ranks"]), (&"processes".into(), &[0; 0][..].into()));
        assert!(
            run["peak_process_bytes"].as_u64().unwrap() > run["weight_bytes"].as_u64().unwrap()
        );
    }
    let report = read("report.md").unwrap();
    for words in ["processes, driven by another one", "peak of its process (MB)"] {
        assert!(report.contains(words), "{words}: {report}");
    }
    // Every system against every other, one of them changing ranks all the time; and a mistake is found.
    let (code, out, error) = flexdit(folder.path(), &["verify", "apart.yaml"]);
    assert_eq!(code, 0, "{out}{error}");
    let (code, out, _) = flexdit(folder.path(), &["verify", "apart.yaml", "--with-flaw"]);
    assert_eq!(code, 1, "{out}");
}

/// Processes that the run has started, with the processor time each has used, in ticks of the system.
fn ranks(run: &Child) -> Vec<(u32, u64)> {
    let number = |entry: fs::DirEntry| entry.file_name().to_str()?.parse::<u32>().ok();
    let numbers = fs::read_dir("/proc").unwrap().flatten().filter_map(number);
    let rank = |process: u32| {
        let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        // The name, in brackets, may have anything in it.
        let (_, rest) = text.rsplit_once(") ")?;
        let words: Vec<&str> = rest.split(' ').collect();
        let time = words[11].parse::<u64>().ok()? + words[12].parse::<u64>().ok()?;
        (words[1].parse() == Ok(run.id())).then_some((process, time))
    };
    let mut found: Vec<(u32, u64)> = numbers.filter_map(rank).collect();
    found.sort_unstable();
    found
}

/// Looks at the ranks of a run until each has worked for so many ticks, at most a bounded number of times.
fn at_work(run: &Child, count: usize, ticks: u64) -> Vec<u32> {
    let mut found = Vec::new();
    let all = (0..20_000).any(|_| {
        std::thread::yield_now();
        found = ranks(run);
        found.len() == count && found.iter().all(|(_, time)| *time >= ticks)
    });
    assert!(all, "ranks at work: {found:?}");
    found.into_iter().map(|(process, _)| process).collect()
}

fn signal(name: &str, process: u32) {
    let status = Command::new("kill").args([name, &process.to_string()]).status().unwrap();
    assert!(status.success());
}

/// A rank is killed while all work; the others complete every request, with the pictures that threads make.
fn kill_one(world: usize, system: &str) {
    let folder = tempfile::tempdir().unwrap();
    let from = EXPERIMENT.find("systems:").unwrap();
    let systems = format!("systems:\n  - {system}\n");
    let changes = [
        (&EXPERIMENT[from..], &*systems),
        ("requests: 12", "requests: 250"),
        ("world: 2", &*format!("world: {world}")),
    ];
    write(folder.path(), &changes);
    let args = ["run", "apart.yaml", "--engine", "cpu", "--save-images", "apart", "--out", "out"];
    let mut command = program(folder.path(), &args);
    let run = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let ranks = at_work(&run, world, 20);
    signal("-KILL", ranks[1]);
    let output = run.wait_with_output().unwrap();
    let (out, error) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{system}: {out}{error}");
    assert!(out.contains(" was lost at "), "{out}");
    let read = |name: &str| fs::read_to_string(folder.path().join("out").join(name)).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&read("manifest.json")).unwrap();
    let run = &manifest["real"]["runs"][0];
    let [lost] = &run["lost_ranks"].as_array().unwrap()[..] else { panic!("{run}") };
    assert!(lost["at_ns"].as_u64().unwrap() < run["end_ns"].as_u64().unwrap());
    let struck = &run["requests_of_lost_ranks"];
    assert_eq!(struck["requests"], struck["completed"], "{run}");
    assert_eq!(run["unfinished_requests"], 0, "{run}");
    let words = format!("rank {} was lost at ", lost["rank"]);
    assert!(read("report.md").contains(&words), "{words}");
    let summary = read("summary.csv");
    let mut lines = summary.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let (columns, cells) = (lines.next().unwrap(), lines.next().unwrap());
    let cell = |name: &str| cells[columns.iter().position(|column| *column == name).unwrap()];
    assert_eq!((cell("requests"), cell("completed")), ("250", "250"), "{summary}");
    let args = ["run", "apart.yaml", "--engine", "cpu", "--set", "real.ranks=threads"];
    let args = [&args[..], &["--save-images", "threads", "--out", "out-threads"]].concat();
    let (code, out, error) = flexdit(folder.path(), &args);
    assert_eq!(code, 0, "{out}{error}");
    let [apart, threads] = ["apart", "threads"].map(|name| checksums(&folder.path().join(name)));
    assert!(apart.len() == 250 && apart == threads, "{system}: pictures differ");
}

#[test]
fn a_run_outlives_a_rank_that_is_killed_and_says_so() {
    kill_one(3, "{name: elastic, elastic: {policy: edf-best-fit}}");
}

#[test]
fn communicators_and_fixed_groups_outlive_a_rank_that_is_killed() {
    kill_one(3, "{name: one, collectives: communicators, elastic: {policy: edf-best-fit}}");
    kill_one(4, "{name: fixed, fixed-pipeline: {degree: 2}}");
}

#[test]
fn a_fixed_group_that_loses_a_rank_ends_its_run_and_the_next_system_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let from = EXPERIMENT.find("systems:").unwrap();
    let systems = "systems:\n  - {name: fixed, fixed-pipeline: {degree: 2}}\n  - {name: elastic, elastic: {policy: edf-best-fit}}\n";
    let changes = [(&EXPERIMENT[from..], systems), ("requests: 12", "requests: 250")];
    write(folder.path(), &changes);
    let mut command =
        program(folder.path(), &["run", "apart.yaml", "--engine", "cpu", "--out", "out"]);
    let run = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let ranks = at_work(&run, 2, 20);
    signal("-KILL", ranks[1]);
    let output = run.wait_with_output().unwrap();
    let out = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{out}");
    let note = "note: fixed, seed 1: no rank was left that could take ";
    assert!(out.contains(note), "{out}");
    let manifest = fs::read_to_string(folder.path().join("out/manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    let [fixed, elastic] = &manifest["real"]["runs"].as_array().unwrap()[..] else {
        panic!("{manifest}")
    };
    assert!(fixed["stranded"] == true && fixed["unfinished_requests"].as_u64() > Some(0));
    assert!(elastic["stranded"] == false && elastic["unfinished_requests"] == 0, "{elastic}");
}

#[test]
fn nobody_is_a_rank_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let output = program(folder.path(), &["rank"]).stdin(Stdio::null()).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("standard input is no connection to a driver"), "{error}");
}

#[test]
fn every_process_has_weights_of_its_own_to_fit() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[("model: tiny-image", "model: qwen-image"), ("world: 2", "world: 4")]);
    fs::write(folder.path().join("profile.yaml"), PROFILE.replace("tiny-image", "qwen-image"))
        .unwrap();
    let needs = |kind: &str| {
        let set = format!("real.ranks={kind}");
        let args = ["run", "apart.yaml", "--engine", "cpu", "--set", &set];
        let (code, _, error) = flexdit(folder.path(), &args);
        assert_eq!(code, 2, "{error}");
        let (_, rest) = error.split_once("4 ranks need ").unwrap_or_else(|| panic!("{error}"));
        rest.split(' ').next().unwrap().parse::<f64>().unwrap()
    };
    let (threads, processes) = (needs("threads"), needs("processes"));
    assert!(processes > 4.0 * threads && processes < 5.0 * threads, "{threads} {processes}");
}

#[test]
fn prices_of_threads_are_not_held_against_processes() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[("systems:", "costs: {migration: {bandwidth: 5GB/s}}\nsystems:")]);
    let (code, _, error) = flexdit(folder.path(), &["validate", "apart.yaml"]);
    assert_eq!(code, 2, "{error}");
    assert!(error.contains("apart.yaml:6:15: real.ranks: expected `threads`: "), "{error}");
}

#[test]
fn an_interrupt_ends_every_process() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[("requests: 12", "requests: 100000")]);
    let args = ["run", "apart.yaml", "--engine", "cpu", "--out", "out"];
    let mut command = program(folder.path(), &args);
    let mut run = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let ranks = at_work(&run, 2, 10);
    signal("-INT", run.id());
    assert_eq!(run.wait().unwrap().code(), Some(130));
    for rank in ranks {
        // The run has waited for it.
        assert!(!Path::new(&format!("/proc/{rank}")).exists(), "{rank} is left");
    }
    let report = fs::read_to_string(folder.path().join("out/report.md")).unwrap();
    assert!(report.contains("The campaign was interrupted"), "{report}");
    assert!(!report.contains("was lost"), "{report}");
}
