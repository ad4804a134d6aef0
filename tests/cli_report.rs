//! `flexdit report`: a results folder renders again to the same bytes; several are compared.

mod program;

use program::flexdit;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

const EXPERIMENT: &str = "\
name: small
seeds: [1, 2, 3]
cluster: {world: 2, gpu: h20}
model: qwen-image
profile: PROFILE
workload:
  classes:
    S: {height: 512, width: 512, share: 1}
  arrivals: {poisson: {per_min: 60, requests: 5}}
systems:
  - {name: base, fixed-pipeline: {degree: 2}}
  - {name: elastic, elastic: {policy: edf-greedy}}
";

/// A folder with results in `out`.
fn results() -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let profile = concat!(env!("CARGO_MANIFEST_DIR"), "/../workloads/profiles/qwen-image-h20.yaml");
    let experiment = EXPERIMENT.replace("PROFILE", profile);
    fs::write(folder.path().join("exp.yaml"), experiment).expect("writes");
    let (code, _, error) = flexdit(folder.path(), &["run", "exp.yaml", "--out", "out"]);
    assert_eq!(code, 0, "{error}");
    folder
}

#[test]
fn a_results_folder_renders_again_to_the_same_bytes() {
    let folder = results();
    let page = folder.path().join("out/report.html");
    let picture = folder.path().join("out/plots/gantt.svg");
    let read = |path: &Path| fs::read_to_string(path).expect("is there");
    let before = (read(&page), read(&picture));
    fs::remove_file(&page).expect("removes");
    fs::write(&picture, "spoiled").expect("writes");
    let (code, text, error) = flexdit(folder.path(), &["report", "out"]);
    assert_eq!(code, 0, "{error}");
    assert!(text.contains("paper's fixed pipeline (base)"), "{text}");
    assert_eq!((read(&page), read(&picture)), before);
}

#[test]
fn several_folders_stand_in_one_table() {
    let folder = results();
    let (code, text, _) = flexdit(folder.path(), &["report", "out", "out", "--print-only"]);
    assert_eq!(code, 0);
    assert_eq!(text.lines().filter(|line| line.starts_with("out ")).count(), 4, "{text}");
    assert!(!text.contains("written"), "{text}");
}

#[test]
fn a_folder_without_results_is_named_and_left_alone() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (code, text, error) = flexdit(folder.path(), &["report", "nothing"]);
    assert_eq!((code, text.as_str()), (2, ""));
    assert_eq!(error, "error: nothing/report.json: cannot read: no such file\n");
    fs::create_dir(folder.path().join("bad")).expect("creates");
    fs::write(folder.path().join("bad/report.json"), "{\"name\": 3}").expect("writes");
    let (code, _, error) = flexdit(folder.path(), &["report", "bad"]);
    assert_eq!(code, 2);
    assert!(error.starts_with("error: bad/report.json:1:"), "{error}");
    assert_eq!(fs::read_dir(folder.path().join("bad")).expect("lists").count(), 1);
}

#[test]
fn the_result_goes_into_its_part_of_a_document() {
    let folder = results();
    let page = folder.path().join("page.md");
    let parts = "top\n<!-- flexdit:result small -->\nold\n<!-- flexdit:end -->\nrest\n";
    fs::write(&page, parts).expect("writes");
    let splice = ["report", "out", "--print-only", "--splice", "page.md"];
    let (code, text, error) = flexdit(folder.path(), &splice);
    assert_eq!((code, text.ends_with("spliced into page.md\n")), (0, true), "{error}");
    let made = fs::read_to_string(&page).expect("is there");
    assert!(made.starts_with("top\n<!-- flexdit:result small -->\n\n**All systems"), "{made}");
    assert!(made.ends_with("<!-- flexdit:end -->\nrest\n"), "{made}");
    assert!(made.contains("| elastic | ") && !made.contains("old"), "{made}");

    fs::write(&page, "nothing here").expect("writes");
    let (code, _, error) = flexdit(folder.path(), &splice);
    let message = "error: page.md: no part between `<!-- flexdit:result small -->` and its end\n";
    assert_eq!((code, error.as_str()), (2, message));
    assert_eq!(fs::read_to_string(&page).expect("is there"), "nothing here");
}
