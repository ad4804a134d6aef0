//! Bad input: one line `error: file:line:column: key: ...`, exit code 2, no panic, nothing written.

use assert_cmd::Command;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// A profile that prices every stage on one rank, and steps on two.
const PROFILE: &str = "\
model: qwen-image
gpu: h20
label: derived
source: made up for tests
entries:
  - {stage: text-encode, constant: 55}
  - {stage: dit-prepare, constant: 50}
  - {stage: timestep-prepare, constant: 2}
  - {stage: step, samples: [[1024, 155], [9216, 1557]]}
  - {stage: step, degree: 2, samples: [[1024, 161], [9216, 880]]}
  - {stage: vae-decode, constant: 100}
  - {stage: finalize, constant: 0.5}
";

/// A small experiment that runs; every test spoils one thing.
const GOOD: &str = "\
name: test
seeds: [1]
cluster: {world: 2, gpu: h20}
model: qwen-image
profile: profile.yaml
workload:
  classes:
    S: {height: 512, width: 512, share: 1}
  arrivals: {poisson: {per_min: 60, requests: 3}}
systems:
  - {name: base, fixed-pipeline: {degree: 2}}
  - {name: elastic, elastic: {policy: edf-greedy}}
";

/// A folder with the profile and the experiment as `exp.yaml`.
fn folder(experiment: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join("profile.yaml"), PROFILE).expect("writes");
    fs::write(folder.path().join("exp.yaml"), experiment).expect("writes");
    folder
}

/// Runs the program in `folder`; it must refuse. Returns its one line without `error: `.
fn refused(folder: &Path, args: &[&str]) -> String {
    let before = listing(folder);
    let output = Command::new(env!("CARGO_BIN_EXE_flexdit"))
        .current_dir(folder)
        .args(args)
        .output()
        .expect("runs");
    let error = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(!error.contains("panicked"), "{error}");
    assert_eq!(error.lines().count(), 1, "one line: {error}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    assert_eq!(listing(folder), before, "nothing is written");
    error.trim_end().strip_prefix("error: ").expect("starts with `error: `").to_owned()
}

/// Names and contents of a folder.
fn listing(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries =
        fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut all: Vec<_> =
        entries.map(|path| (name(&path), fs::read(&path).unwrap_or_default())).collect();
    all.sort();
    all
}

/// What running an experiment says.
fn message(experiment: &str) -> String {
    refused(folder(experiment).path(), &["run", "exp.yaml", "--out", "out"])
}

/// What running the good experiment says with `from` replaced by `to`.
fn spoiled(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from}");
    message(&GOOD.replacen(from, to, 1))
}

/// What running the good experiment says when its workload comes from this file.
fn imported(format: &str, file: &str, content: &str) -> String {
    let (start, _) = GOOD.split_once("  classes:").expect("has classes");
    let (_, systems) = GOOD.split_once("systems:").expect("has systems");
    let text = format!("{start}  import: {{format: {format}, path: {file}}}\nsystems:{systems}");
    let folder = folder(&text);
    fs::write(folder.path().join(file), content).expect("writes");
    refused(folder.path(), &["run", "exp.yaml", "--out", "out"])
}

#[test]
fn the_experiment_that_the_tests_spoil_runs() {
    let folder = folder(GOOD);
    Command::new(env!("CARGO_BIN_EXE_flexdit"))
        .current_dir(folder.path())
        .args(["run", "exp.yaml", "--out", "out"])
        .assert()
        .success();
    assert!(folder.path().join("out/summary.csv").exists());
}

#[test]
fn unknown_keys_are_refused_with_the_nearest_valid_one() {
    assert_eq!(
        spoiled("world: 2", "wrld: 2"),
        "exp.yaml:3:11: cluster: unknown key `wrld`, expected `world`, `gpu`, `ranks_per_node`, \
         `memory`, `degrees` or `patch_degrees`; did you mean `world`?"
    );
    assert_eq!(
        spoiled("share: 1", "shar: 1"),
        "exp.yaml:8:34: workload.classes.S: unknown key `shar`, expected `model`, `height`, \
         `width`, `frames`, `steps`, `text_tokens`, `guidance`, `share`, `alpha`, `priority`, \
         `preemptible` or `chunk_steps`; did you mean `share`?"
    );
    assert_eq!(
        spoiled("elastic: {policy: edf-greedy}", "elastic: {policy: edf-gredy}"),
        "exp.yaml:12:39: systems[1].elastic.policy: unknown policy `edf-gredy`, expected `fcfs`, \
         `sjf`, `srtf`, `edf-greedy`, `edf-best-fit`, `load-adaptive` or `fallback`; did you mean \
         `edf-greedy`?"
    );
}

#[test]
fn wrong_types_are_refused_with_what_was_expected() {
    assert_eq!(
        spoiled("world: 2", "world: two"),
        "exp.yaml:3:18: cluster.world: expected a whole number from 0 to 65535, got \"two\""
    );
    assert_eq!(
        spoiled("seeds: [1]", "seeds: [1, 1.5]"),
        "exp.yaml:2:12: seeds[1]: expected a whole number of at least 0, got 1.5"
    );
    assert_eq!(
        spoiled("systems:\n", "costs: {launch: 5}\nsystems:\n"),
        "exp.yaml:10:17: costs.launch: expected a duration such as 60us, 3ms, 2s or 1h, with its \
         unit, got 5"
    );
}

#[test]
fn negative_and_nan_rates_are_refused() {
    assert_eq!(
        spoiled("per_min: 60", "per_min: -60"),
        "exp.yaml:9:33: workload.arrivals.poisson.per_min: expected a number above 0, got -60"
    );
    assert_eq!(
        spoiled("per_min: 60", "per_min: .nan"),
        "exp.yaml:9:33: workload.arrivals.poisson.per_min: expected a finite number, got NaN"
    );
}

#[test]
fn an_empty_mix_is_refused() {
    assert_eq!(
        spoiled("share: 1", "share: 0"),
        "exp.yaml:8:5: workload.classes: empty mix: all shares are 0"
    );
}

#[test]
fn a_world_without_ranks_is_refused() {
    assert_eq!(
        spoiled("world: 2", "world: 0"),
        "exp.yaml:3:18: cluster.world: expected 1 to 1024 ranks, got 0"
    );
}

#[test]
fn a_degree_above_the_world_is_refused() {
    assert_eq!(
        spoiled("degree: 2", "degree: 4"),
        "exp.yaml:11:43: systems[0].fixed-pipeline.degree: degree 4 is above the world of 2 ranks"
    );
}

#[test]
fn a_degree_that_does_not_divide_the_heads_is_refused_with_the_reason() {
    let experiment = GOOD.replace("world: 2", "world: 5").replace("degree: 2", "degree: 5");
    assert_eq!(
        message(&experiment),
        "exp.yaml:11:43: systems[0].fixed-pipeline.degree: class `S` cannot run at degree 5: \
         ulysses degree 5 does not divide the 24 heads of qwen-image (the profile prices degrees \
         1, 2)"
    );
}

#[test]
fn a_profile_without_a_needed_layout_is_refused() {
    let experiment = GOOD.replace("world: 2", "world: 4").replace("degree: 2", "degree: 4");
    assert_eq!(
        message(&experiment),
        "exp.yaml:11:43: systems[0].fixed-pipeline.degree: class `S` cannot run at degree 4: the \
         profile has no price for step of qwen-image at layout u4 (the profile prices degrees 1, 2)"
    );
    let folder = folder(GOOD);
    let profile = PROFILE.replace("  - {stage: vae-decode, constant: 100}\n", "");
    fs::write(folder.path().join("profile.yaml"), profile).expect("writes");
    assert_eq!(
        refused(folder.path(), &["run", "exp.yaml", "--out", "out"]),
        "exp.yaml:8:8: workload.classes.S: the profile has no price for qwen-image at 512x512, 1 \
         frames, on one rank, which the deadline needs"
    );
}

#[test]
fn a_static_system_that_would_turn_every_request_away_is_refused() {
    assert_eq!(
        message(&GOOD.replace("world: 2,", "world: 2, memory: 30GB,")),
        "exp.yaml:11:43: systems[0].fixed-pipeline.degree: class `S` cannot run at degree 2: not \
         priced, or more than the memory of a rank"
    );
}

#[test]
fn duplicate_request_ids_are_refused() {
    assert_eq!(
        imported("csv", "t.csv", "request_id,arrival_ms,height,width\na,0,512,512\na,5,512,512\n"),
        "t.csv:3: duplicate request id `a`"
    );
}

#[test]
fn unsorted_and_negative_arrival_times_are_refused() {
    assert_eq!(
        imported("csv", "t.csv", "arrival_ms,height,width\n5,512,512\n4,512,512\n"),
        "t.csv:3: arrivals are not sorted: 4 ms comes after 5 ms in the file"
    );
    assert_eq!(
        imported("csv", "t.csv", "arrival_ms,height,width\n-5,512,512\n"),
        "t.csv:2: expected an arrival of at least 0 ms, got -5"
    );
}

#[test]
fn a_deadline_before_the_arrival_is_refused() {
    assert_eq!(
        imported("csv", "t.csv", "arrival_ms,deadline_ms,height,width\n5,4,512,512\n"),
        "t.csv:2: deadline before arrival: due at 4 ms, arrives at 5 ms"
    );
}

#[test]
fn truncated_json_is_refused_at_its_end() {
    assert_eq!(
        imported("gf-dit", "t.json", "{\"requests\": [\n{\"request_id\": \"a\","),
        "t.json:2:19: the file ends in the middle of a value (truncated?)"
    );
}

#[test]
fn yaml_bombs_and_deep_nesting_are_refused_at_once() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for i in 1..10 {
        let previous = format!("*a{}", i - 1);
        bomb += &format!("a{i}: &a{i} [{}]\n", [previous.as_str(); 9].join(", "));
    }
    assert_eq!(
        message(&bomb),
        "exp.yaml:5:15: larger than 20000 values once its aliases are expanded"
    );
    let deep = format!("name: {}{}", "[".repeat(10_000), "]".repeat(10_000));
    assert_eq!(message(&deep), "exp.yaml:1:39: nested deeper than 32 levels");
    let large = format!("name: {}\n", "x".repeat(2 << 20));
    assert_eq!(message(&large), "exp.yaml: expected at most 1048576 bytes, got more");
}

#[test]
fn missing_files_are_named() {
    let folder = folder(GOOD);
    assert_eq!(
        refused(folder.path(), &["run", "none.yaml", "--out", "out"]),
        "none.yaml: cannot read: no such file"
    );
    assert_eq!(spoiled("profile.yaml", "none.yaml"), "none.yaml: cannot read: no such file");
}

#[test]
fn an_output_folder_that_exists_is_refused_and_untouched() {
    let folder = folder(GOOD);
    fs::create_dir(folder.path().join("out")).expect("makes");
    fs::write(folder.path().join("out/mine"), "kept").expect("writes");
    assert_eq!(
        refused(folder.path(), &["run", "exp.yaml", "--out", "out"]),
        "out: the output folder exists; name another or remove it"
    );
    assert_eq!(fs::read_to_string(folder.path().join("out/mine")).expect("kept"), "kept");
}

#[test]
fn an_unwritable_output_is_refused() {
    let folder = folder(GOOD);
    fs::write(folder.path().join("file"), "").expect("writes");
    assert_eq!(
        refused(folder.path(), &["run", "exp.yaml", "--out", "file/out"]),
        "file/out: cannot write the results folder: a file is in the way"
    );
}

#[test]
fn overrides_are_checked_like_the_file_and_named_in_the_error() {
    let folder = folder(GOOD);
    let run =
        |set: &str| refused(folder.path(), &["run", "exp.yaml", "--out", "out", "--set", set]);
    assert_eq!(
        run("cluster.world=0"),
        "--set cluster.world=0: cluster.world: expected 1 to 1024 ranks, got 0"
    );
    assert_eq!(run("cluster"), "--set cluster: expected key=value");
    assert_eq!(
        run("systems.bse.fixed-pipeline.degree=1"),
        "--set systems.bse.fixed-pipeline.degree=1: `systems` has no entry `bse`"
    );
}

#[test]
fn checks_on_results_name_systems_and_metrics_that_exist() {
    assert_eq!(
        spoiled("systems:\n", "expect: [elastik.slo_attainment > 0]\nsystems:\n"),
        "exp.yaml:10:10: expect[0]: unknown system `elastik`, expected `base` or `elastic`; did you \
         mean `elastic`?"
    );
    assert_eq!(
        spoiled("systems:\n", "expect: [elastic.slo_atainment > 0]\nsystems:\n"),
        "exp.yaml:10:10: expect[0]: unknown metric `slo_atainment`; did you mean `slo_attainment`?"
    );
}
