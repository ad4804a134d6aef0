//! `flexdit gate` from the outside: what it prints, what it writes, and its exit code.

use assert_cmd::Command;
use std::fs;
use std::path::Path;

const TABLE: &str = "system,seed,completed,latency_ms_mean\nelastic,1,10,100\n";

fn folder(base: &Path, name: &str, table: &str) -> String {
    let folder = base.join(name);
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("summary.csv"), table).unwrap();
    folder.display().to_string()
}

fn gate(arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flexdit"));
    let output = command.arg("gate").args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_run_like_its_golden_passes() {
    let base = tempfile::tempdir().unwrap();
    let run = folder(base.path(), "run", TABLE);
    let (code, out, err) = gate(&[&run, "--against", &run]);
    assert_eq!(
        (code, &out[..], &err[..]),
        (Some(0), "passed: 2 values are as in the golden\n", "")
    );
}

#[test]
fn a_regression_fails_and_is_added_to_the_job_summary() {
    let base = tempfile::tempdir().unwrap();
    let golden = folder(base.path(), "golden", TABLE);
    let run = folder(base.path(), "run", &TABLE.replace(",100", ",150"));
    let summary = base.path().join("summary.md");
    fs::write(&summary, "before\n").unwrap();
    let summary_arg = summary.display().to_string();
    let (code, out, _) = gate(&[&run, "--against", &golden, "--summary", &summary_arg]);
    assert_eq!(code, Some(1));
    assert_eq!(
        out,
        "system elastic, seed 1: latency_ms_mean 100 -> 150 (+50.00 %, worse)\n\
         FAILED: 1 of 2 values are not as in the golden\n"
    );
    let text = fs::read_to_string(&summary).unwrap();
    assert!(text.starts_with("before\n### "), "{text}");
    assert!(text.contains("| `latency_ms_mean` | 100 | 150 | +50.00 % | worse |"), "{text}");
    let tolerance = ["--tolerance", "latency_ms_mean=0.6"];
    let (code, _, _) = gate(&[&run, "--against", &golden, tolerance[0], tolerance[1]]);
    assert_eq!(code, Some(0));
}

#[test]
fn bad_input_is_one_line_and_exit_code_2() {
    let base = tempfile::tempdir().unwrap();
    let run = folder(base.path(), "run", TABLE);
    let short = folder(base.path(), "short", "system,seed\nelastic\n");
    let (code, _, err) = gate(&[&run, "--against", "/nowhere"]);
    let expect = "error: /nowhere/summary.csv: cannot read the table: no such file\n";
    assert_eq!((code, &err[..]), (Some(2), expect));
    let (code, _, err) = gate(&[&run, "--against", &short]);
    assert_eq!(code, Some(2));
    assert_eq!(err, format!("error: {short}/summary.csv:2: expected 2 cells, got 1\n"));
    let (code, _, err) = gate(&[&run, "--against", &run, "--tolerance", "latency_ms_men=1"]);
    assert_eq!(code, Some(2));
    assert!(err.contains("did you mean `latency_ms_mean`?"), "{err}");
}
