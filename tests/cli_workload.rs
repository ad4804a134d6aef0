//! `flexdit workload`: generated and imported requests, their description, refusals.

use std::path::Path;
use std::process::Command;

fn flexdit(args: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_flexdit"))
        .args(args)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()
        .expect("the program starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

const QUICKSTART: &str = "workloads/quickstart.yaml";
const SAMPLE: &str = "tests/data/gf-dit/workload-qwen-short.json";

fn path(folder: &Path, name: &str) -> String {
    folder.join(name).display().to_string()
}

#[test]
fn a_generated_workload_imports_as_the_same_requests() {
    let folder = tempfile::tempdir().expect("a folder");
    let (json, table, again) =
        (path(folder.path(), "a.json"), path(folder.path(), "a.csv"), path(folder.path(), "b.csv"));
    let generate = ["workload", "generate", QUICKSTART, "--seed", "3", "--out"];
    let (code, out, note) = flexdit(&[&generate[..], &[&json]].concat());
    assert_eq!((code, out.as_str()), (0, ""), "{note}");
    assert!(note.starts_with("wrote "), "{note}");
    assert_eq!(flexdit(&[&generate[..], &[&table]].concat()).0, 0);
    let profile = "workloads/profiles/qwen-image-h20.yaml";
    let import = ["workload", "import", &json, "--profile", profile, "--out", &again];
    let (code, _, note) = flexdit(&import);
    assert_eq!(code, 0, "{note}");
    let read = |path: &str| std::fs::read_to_string(path).expect("written");
    assert_eq!(read(&table), read(&again));
}

#[test]
fn a_trace_is_described_with_its_load() {
    let profile = "workloads/profiles/qwen-image-h20.yaml";
    let (code, out, _) =
        flexdit(&["workload", "describe", SAMPLE, "--profile", profile, "--world", "4"]);
    assert_eq!(code, 0);
    insta::assert_snapshot!(out, @r#"
34 requests, imported from tests/data/gf-dit/workload-qwen-short.json
4 ranks, qwen-image
last arrival at 528.889 s
offered load: n/a expected, 0.2969 realised (work on one rank over world x the span of the arrivals)

class  requests   share      shape  tokens  steps  T_single  due after  priority  preemptible
S            23  67.6 %    512x512    1024     50   7.958 s   11.936 s       100           no
M             9  26.5 %  1024x1024    4096     50  30.458 s   60.915 s        50           no
L             2   5.9 %  1536x1536    9216     50  78.058 s  468.346 s         0          yes
"#);
}

#[test]
fn an_experiment_is_described_by_its_first_seed() {
    let (code, out, _) = flexdit(&["workload", "describe", QUICKSTART]);
    assert_eq!(code, 0);
    assert!(out.contains("offered load: 1.0000 expected"), "{out}");
    let (_, other, _) = flexdit(&["workload", "describe", QUICKSTART, "--seed", "42"]);
    assert_ne!(out, other);
    let (_, half, _) =
        flexdit(&["workload", "describe", QUICKSTART, "--set", "workload.target_load=0.5"]);
    assert!(half.contains("offered load: 0.5000 expected"), "{half}");
}

#[test]
fn refusals_are_one_line_with_exit_code_two() {
    let folder = tempfile::tempdir().expect("a folder");
    let cut = path(folder.path(), "cut.json");
    let text = std::fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../tests/data/gf-dit/workload-qwen-short.json"
    ))
    .expect("the sample");
    std::fs::write(&cut, &text[..2_000]).expect("writable");
    let cases = [
        &["describe", "nowhere.yaml"][..],
        &["describe", SAMPLE],
        &["describe", SAMPLE, "--model", "qwen-imag"],
        &["import", "README", "--model", "qwen-image"],
        &["import", "workloads/traces/arrivals.jsonl", "--model", "qwen-image"],
        &["import", &cut, "--model", "qwen-image"],
        &["import", SAMPLE, "--model", "qwen-image", "--out", SAMPLE],
        &["generate", QUICKSTART, "--out", "nowhere/a.json"],
        &["generate", QUICKSTART, "--set", "workload.target_load=-1"],
        &["generate", QUICKSTART, "--set", "workload.arrivals.phased.profile=shrt"],
    ];
    let messages = cases.map(|args| {
        let (code, out, error) = flexdit(&[&["workload"], args].concat());
        assert_eq!((code, out.as_str()), (2, ""), "{args:?}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
        error.replace(&folder.path().display().to_string(), "..")
    });
    insta::assert_snapshot!(messages.concat(), @r#"
error: nowhere.yaml: cannot read: no such file
error: tests/data/gf-dit/workload-qwen-short.json: a trace names no model; give --model or --profile
error: --model: unknown model `qwen-imag`, expected `qwen-image`, `flux.1-dev`, `sd3-medium`, `wan2.2-ti2v-5b`, `wan2.2-a14b`, `hunyuanvideo`, `cogvideox-5b`, `cogvideox-2b`, `tiny-image`, `tiny-video`, `small-image`, `thin-image` or `small-video`; did you mean `qwen-image`?
error: README: the extension tells no format; give --format
error: workloads/traces/arrivals.jsonl: this format holds arrival times only; combine them with classes by `arrivals: {trace: {format: mooncake, path: ..}}`
error: ../cut.json:6:105: the file ends in the middle of a value (truncated?)
error: tests/data/gf-dit/workload-qwen-short.json: the file exists; remove it or choose another name
error: nowhere/a.json: cannot write: no such file
error: --set workload.target_load=-1: workload.target_load: expected a number above 0, got -1
error: --set workload.arrivals.phased.profile=shrt: `workload.arrivals.phased` is a plain value, it has no `profile`
"#);
}
