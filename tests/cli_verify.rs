//! `flexdit verify`, and the pictures of real runs: real arithmetic on real ranks, a second or two each.

mod program;

use flexdit::picture::{Decoded, decode};
use program::flexdit;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

const EXPERIMENT: &str = "\
name: pictures
seeds: [1]
cluster: {world: 2, gpu: cpu, patch_degrees: [1, 2]}
model: MODEL
profile: profile.yaml
workload:
  classes:
    S: {height: 64, width: 96, steps: 3, text_tokens: 8, share: 2}
    L: {height: 96, width: 128, steps: 4, text_tokens: 8, share: 1}
  arrivals: {poisson: {per_min: 6000, requests: 8}}
systems:
  - {name: fixed, fixed-pipeline: {degree: 2}}
  - {name: elastic, elastic: {policy: edf-best-fit}}
  - {name: best, best-static: {}}
";

const PROFILE: &str = "\
model: MODEL
gpu: cpu
label: derived
source: made up for tests
entries:
  - {stage: text-encode, constant: 1}
  - {stage: dit-prepare, constant: 0}
  - {stage: timestep-prepare, constant: 0}
  - {stage: step, samples: [[4, 1], [1024, 9]]}
  - {stage: step, degree: 2, samples: [[4, 1], [1024, 5]]}
  - {stage: vae-decode, constant: 1}
  - {stage: vae-decode, patch: 2, constant: 1}
  - {stage: finalize, constant: 0.5}
";

fn folder(model: &str, experiment: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, text: &str| {
        fs::write(folder.path().join(name), text.replace("MODEL", model)).expect("writes");
    };
    write("profile.yaml", PROFILE);
    write("exp.yaml", experiment);
    folder
}

#[test]
fn random_reconfiguration_changes_no_bit_of_any_picture() {
    let folder = folder("tiny-image", EXPERIMENT);
    let (code, out, error) = flexdit(folder.path(), &["verify", "exp.yaml"]);
    assert_eq!((code, error.as_str()), (0, ""), "{out}");
    assert!(out.ends_with("equal: 8 requests under fixed, elastic, restless\n"), "{out}");
    let rows: Vec<&str> = out.lines().filter(|line| line.contains(" restless ")).collect();
    assert_eq!(rows.len(), 8, "{out}");
    assert!(rows.iter().all(|row| row.contains(" yes ")), "{out}");
    // Several layouts were at work, or nothing was shown.
    assert!(rows.iter().any(|row| row.contains(" u2 ") || row.contains(" patch2 ")), "{out}");
    assert!(out.contains("text 0; 4 steps u2 0,1; decode"), "{out}");
}

#[test]
fn a_result_that_depends_on_the_degree_is_found() {
    let folder = folder("tiny-image", EXPERIMENT);
    let args =
        ["verify", "exp.yaml", "--systems", "fixed,restless", "--requests", "3", "--with-flaw"];
    let (code, out, error) = flexdit(folder.path(), &args);
    assert_eq!((code, error.as_str()), (1, ""), "{out}");
    let last = out.lines().last().expect("a verdict");
    assert!(last.starts_with("DIFFERENT: "), "{out}");
    assert!(out.contains("fixed and restless: first difference at frame 0, row "), "{out}");
}

/// An experiment whose second rank makes a ring, beside single ranks.
fn rings(steps: &str) -> TempDir {
    let experiment = EXPERIMENT
        .replace("patch_degrees: [1, 2]", "patch_degrees: [1]")
        .replace("steps: 4", steps)
        .replace("requests: 8", "requests: 6")
        .replace("  - {name: best, best-static: {}}\n", "")
        .replace("elastic: {policy: edf-best-fit}", "fixed-pipeline: {degree: 1}");
    let folder = folder("tiny-image", &experiment);
    let path = folder.path().join("profile.yaml");
    let text = fs::read_to_string(&path).expect("reads");
    fs::write(&path, text.replace("stage: step, degree: 2", "stage: step, ring: 2"))
        .expect("writes");
    folder
}

#[test]
fn rings_differ_by_rounding_and_a_flaw_in_them_is_found() {
    let folder = rings("steps: 4");
    let args = ["verify", "exp.yaml", "--systems", "fixed,elastic,restless"];
    let (code, out, error) = flexdit(folder.path(), &args);
    assert_eq!((code, error.as_str()), (0, ""), "{out}");
    // Tens of thousands of colours, each some ten-thousandths of a level from where one rank has it.
    let last = out.lines().last().expect("a verdict");
    assert!(last.starts_with("equal but for rounding in "), "{out}");
    assert!(
        last.ends_with(" rings, as derived: 6 requests under fixed, elastic, restless"),
        "{out}"
    );
    let said = "a ring was at work; colours differ by 1 at most; both pictures are within the derived tolerance of 0.0";
    assert!(out.contains(said), "{out}");
    assert!(out.contains(" steps r2 0,1; "), "{out}");

    let args =
        ["verify", "exp.yaml", "--systems", "elastic,fixed", "--requests", "2", "--with-flaw"];
    let (code, out, error) = flexdit(folder.path(), &args);
    assert_eq!((code, error.as_str()), (1, ""), "{out}");
    assert!(out.contains("elastic and fixed: a ring was at work, but colour "), "{out}");
    assert!(out.ends_with("DIFFERENT: 2 pictures of 2 requests under elastic, fixed\n"), "{out}");
}

#[test]
fn a_ring_that_is_too_large_to_derive_is_not_judged_and_never_called_equal() {
    let folder = rings("steps: 400");
    let args = ["verify", "exp.yaml", "--systems", "elastic,fixed", "--requests", "2"];
    let (code, out, error) = flexdit(folder.path(), &args);
    assert_eq!((code, error.as_str()), (1, ""), "{out}");
    assert!(out.contains("elastic and fixed: NOT JUDGED: a ring was at work; "), "{out}");
    let last = out.lines().last().expect("a verdict");
    assert!(last.starts_with("NOT JUDGED: "), "{out}");
    assert!(last.contains(" of 2 requests under elastic, fixed differ "), "{out}");
}

#[test]
fn two_rings_that_make_the_same_mistake_are_found() {
    let folder = rings("steps: 4");
    let path = folder.path().join("exp.yaml");
    let text = fs::read_to_string(&path).expect("reads");
    let twice = "  - {name: other, fixed-pipeline: {degree: 2}}\n  - {name: elastic,";
    fs::write(&path, text.replace("  - {name: elastic,", twice)).expect("writes");
    let args = ["verify", "exp.yaml", "--systems", "fixed,other", "--requests", "2"];
    let (code, out, error) = flexdit(folder.path(), &args);
    assert_eq!((code, error.as_str()), (0, ""), "{out}");
    assert!(out.ends_with("equal: 2 requests under fixed, other\n"), "{out}");
    let (code, out, error) = flexdit(folder.path(), &[&args[..], &["--with-flaw"]].concat());
    assert_eq!((code, error.as_str()), (1, ""), "{out}");
    assert!(out.contains("fixed and other: a ring was at work, but colour "), "{out}");
    assert!(out.ends_with("DIFFERENT: 2 pictures of 2 requests under fixed, other\n"), "{out}");
}

#[test]
fn names_and_engines_that_do_not_fit_are_refused_with_one_line() {
    let folder = folder("tiny-image", EXPERIMENT);
    let cases: [(&[&str], &str); 5] = [
        (
            &["verify", "exp.yaml", "--systems", "fixed,restles"],
            "--systems: unknown system `restles`, expected `fixed`, `elastic`, `best` or `restless`; did you mean \
             `restless`?",
        ),
        (
            &["verify", "exp.yaml", "--systems", "fixed,best"],
            "--systems: `best` is a search, not a system: name what it may find",
        ),
        (
            &["verify", "exp.yaml", "--systems", "fixed"],
            "--systems: expected two systems or more, to compare their pictures",
        ),
        (
            &["run", "exp.yaml", "--out", "out", "--save-images", "pictures"],
            "--save-images: virtual time makes no pictures: expected `--engine cpu` beside it",
        ),
        (
            &["run", "exp.yaml", "--engine", "cpu", "--out", "out", "--save-images", "."],
            ".: the folder of pictures is not empty; name another or empty it",
        ),
    ];
    for (args, expected) in cases {
        let (code, out, error) = flexdit(folder.path(), args);
        assert_eq!((code, out.as_str()), (2, ""), "{error}");
        assert_eq!(error, format!("error: {expected}\n"));
    }
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 2, "nothing is written");
}

/// Pictures of the run, by file name.
fn pictures(folder: &Path) -> BTreeMap<String, Decoded> {
    let entries = fs::read_dir(folder).expect("a folder");
    let names = entries.map(|entry| entry.expect("an entry").file_name().into_string().unwrap());
    let pictures = names.filter(|name| name.ends_with(".png"));
    pictures
        .map(|name| {
            let file = fs::read(folder.join(&name)).expect("reads");
            let read = decode(&file).expect("a picture");
            (name, read)
        })
        .collect()
}

#[test]
fn a_run_saves_equal_pictures_that_say_how_they_were_made() {
    let folder =
        folder("tiny-image", &EXPERIMENT.replace("  - {name: best, best-static: {}}\n", ""));
    let args = ["run", "exp.yaml", "--engine", "cpu", "--out", "out", "--save-images", "pictures"];
    let (code, out, error) = flexdit(folder.path(), &args);
    assert_eq!((code, error.as_str()), (0, ""), "{out}");
    assert!(out.contains("\npictures: 16, listed in pictures/index.csv\n"), "{out}");
    let path = folder.path().join("pictures");
    let found = pictures(&path);
    assert_eq!(found.len(), 16);
    let table = fs::read_to_string(path.join("index.csv")).expect("the table");
    assert_eq!(table.lines().count(), 17);
    for request in 0..8 {
        let [elastic, fixed] = ["elastic", "fixed"].map(|system| {
            let name = format!("{system}-1-{request:05}.png");
            let picture = &found[&name];
            let about = picture.about.as_ref().expect("it says how it was made");
            let sum = picture.pixels.sha256();
            assert!(table.lines().any(|row| row.starts_with(&name) && row.ends_with(&sum)));
            assert_eq!((about.system.as_str(), about.seed, about.request), (system, 1, request));
            let steps: u32 = about.placements.iter().map(|task| task.steps).sum();
            assert_eq!((about.placements[0].stage.as_str(), steps), ("text-encode", about.steps));
            picture
        });
        assert_eq!(elastic.pixels, fixed.pixels);
        let about = fixed.about.as_ref().expect("checked");
        assert!(about.placements.iter().any(|task| task.layout == "u2" && task.ranks == [0, 1]));
    }
    let (one, other) = (&found["fixed-1-00000.png"], &found["fixed-1-00001.png"]);
    assert_ne!(one.pixels.rgb[..64], other.pixels.rgb[..64], "every request has its own noise");
}

#[test]
fn videos_are_animations() {
    let experiment = EXPERIMENT
        .replace("  - {name: best, best-static: {}}\n", "")
        .replace("height: 64, width: 96, steps: 3", "height: 32, width: 48, frames: 5, steps: 2")
        .replace("height: 96, width: 128, steps: 4", "height: 32, width: 32, frames: 9, steps: 2")
        .replace("requests: 8", "requests: 4");
    let profile_of_guided = |text: String| text.replace("{stage: step,", "{stage: guided-step,");
    let folder = folder("tiny-video", &experiment);
    let path = folder.path().join("profile.yaml");
    let text = fs::read_to_string(&path).expect("reads");
    let both = text.clone()
        + &profile_of_guided(text)
            .lines()
            .filter(|line| line.contains("guided-step"))
            .map(|line| format!("{line}\n"))
            .collect::<String>();
    fs::write(&path, both).expect("writes");
    let args = ["run", "exp.yaml", "--engine", "cpu", "--out", "out", "--save-images", "pictures"];
    let (code, out, error) = flexdit(folder.path(), &args);
    assert_eq!((code, error.as_str()), (0, ""), "{out}");
    let found = pictures(&folder.path().join("pictures"));
    assert_eq!(found.len(), 8);
    for request in 0..4 {
        let of = |system: &str| &found[&format!("{system}-1-{request:05}.png")].pixels;
        assert!(of("fixed").frames > 1);
        assert_eq!(of("fixed"), of("elastic"));
    }
}
