//! `flexdit reproduce` from the outside, on the claims that cost least.

use assert_cmd::Command;

fn reproduce(args: &[&str]) -> (Option<i32>, String, String) {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let mut command = Command::new(env!("CARGO_BIN_EXE_flexdit"));
    let output = command.current_dir(root).arg("reproduce").args(args).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn exact_claims_are_reached_and_written_down() {
    let base = tempfile::tempdir().unwrap();
    let out = base.path().join("out");
    let names = ["closed-form", "sweet-spots", "--out", out.to_str().unwrap()];
    let (code, text, err) = reproduce(&names);
    assert_eq!((code, &err[..]), (Some(0), ""));
    let lines: Vec<&str> =
        text.lines().filter(|line| line.trim_end().ends_with("reached")).collect();
    assert_eq!(lines.len(), 5, "{text}");
    assert_eq!(lines[0].matches("0.50267").count(), 2, "{text}");
    let csv = std::fs::read_to_string(out.join("reproduce.csv")).unwrap();
    assert_eq!(csv.lines().count(), 6, "{csv}");
    let json = std::fs::read_to_string(out.join("reproduce.json")).unwrap();
    assert!(json.contains("\"verdict\": \"reached\""), "{json}");
    assert!(std::fs::read_to_string(out.join("reproduce.md")).unwrap().contains("5 of 5 checks"));
}

#[test]
fn an_unknown_name_or_folder_is_bad_input() {
    let (code, _, err) = reproduce(&["speed"]);
    assert_eq!(code, Some(2));
    assert!(err.starts_with("error: speed: no claim or experiment is called so"), "{err}");
    let (code, _, err) = reproduce(&["closed-form", "--workloads", "/nowhere"]);
    assert_eq!(code, Some(2));
    assert!(err.contains("/nowhere/paper/batch-throughput.yaml"), "{err}");
}
