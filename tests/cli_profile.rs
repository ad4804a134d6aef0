//! `flexdit profile`: what the file says, resumption, refusals. Never how long anything takes.

mod program;

use flexdit::experiment::CollectiveKind;
use flexdit::profile::{self, ProfileFile};
use program::flexdit;
use std::path::Path;

const TINY: [&str; 12] = [
    "profile",
    "--engine",
    "cpu",
    "--model",
    "tiny-image",
    "--shapes",
    "32x32,32x48",
    "--text-tokens",
    "8",
    "--patch-degrees",
    "2",
    "--quick",
];

fn tiny(folder: &Path, more: &[&str]) -> (i32, String, String) {
    flexdit(folder, &[&TINY[..], more].concat())
}

fn read(path: &Path) -> ProfileFile {
    flexdit::input::load_yaml(path).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn a_profile_prices_every_stage_size_and_layout_and_says_how_it_was_measured() {
    let folder = tempfile::tempdir().expect("a folder");
    let (code, text, error) = tiny(folder.path(), &["--out", "p.yaml"]);
    assert_eq!(code, 0, "{error}");
    assert!(text.contains("tiny-image on cpu, measured on "), "{text}");
    let path = folder.path().join("p.yaml");
    let table = profile::load(&path).unwrap_or_else(|error| panic!("{error}"));
    let entries: Vec<String> = table
        .entries()
        .map(|(key, entry)| {
            let sizes = entry.curve.points().iter().map(|(size, _)| size.to_string());
            let sizes: Vec<String> = sizes.collect();
            format!("{} {}: {}", key.stage.name(), key.parallelism, sizes.join(" "))
        })
        .collect();
    assert_eq!(
        entries,
        [
            "text-encode 1: 8",
            "dit-prepare 1: 4 6",
            "timestep-prepare 1: ",
            "step 1: 4 6",
            "step u2: 4 6",
            "vae-decode 1: 1024 1536",
            "vae-decode patch2: 1024 1536",
            "finalize 1: ",
        ]
    );
    assert!(table.entries().all(|(_, entry)| entry.provenance.name() == "measured"));
    let file = read(&path);
    let measured = file.measured.expect("says on what");
    assert_eq!((measured.world, measured.chunk_steps, measured.rounds), (2, 1, 1));
    assert!(!measured.machine.is_empty() && measured.date.len() == 10);
    let charges = file.charges.expect("says what tasks cost beside their stages");
    assert!(charges.control_plane.0.0 > 0 && charges.migration.is_some());
    assert_eq!(charges.group_setup.iter().map(|setup| setup.ranks).collect::<Vec<_>>(), [2]);
    let spreads = file.entries.iter().flat_map(|entry| entry.spread.iter().flatten());
    assert!(spreads.clone().count() >= 8);
    assert!(spreads.clone().all(|s| s.n >= 2 && s.p10 <= s.p50 && s.p50 <= s.p90));
    let left: Vec<_> = std::fs::read_dir(folder.path()).expect("readable").collect();
    assert_eq!(left.len(), 1, "nothing else is left behind");
}

#[test]
fn a_profile_on_communicators_says_so_and_prices_no_forming_of_groups() {
    let folder = tempfile::tempdir().expect("a folder");
    let args = ["--collectives", "communicators", "--out", "p.yaml"];
    let (code, _, error) = tiny(folder.path(), &args);
    assert_eq!(code, 0, "{error}");
    let file = read(&folder.path().join("p.yaml"));
    let measured = file.measured.expect("says on what");
    assert_eq!(measured.collectives, CollectiveKind::Communicators);
    assert_eq!(file.charges.expect("measured").group_setup, []);
}

/// An experiment of one shape, with the settings of real ranks.
const EXPERIMENT: &str = "\
name: tiny
seeds: [1]
cluster: {world: 2, gpu: cpu, degrees: [1, 2]}
model: tiny-image
profile: none.yaml
real: {pin: false, weights: {seed: 5}}
workload:
  classes: {S: {height: 32, width: 32, steps: 2, text_tokens: 8}}
  arrivals: {poisson: {requests: 2}}
  target_load: 0.8
systems: [{name: fixed, fixed-pipeline: {degree: 2}}]
";

#[test]
fn an_experiments_weights_and_pinning_are_those_of_its_profile() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |text: &str| std::fs::write(folder.path().join("exp.yaml"), text).expect("written");
    let run = |more: &[&str]| {
        let args = ["profile", "exp.yaml", "--quick", "--out", "p.yaml"];
        flexdit(folder.path(), &[&args[..], more].concat())
    };
    write(EXPERIMENT);
    let (code, out, error) = run(&[]);
    assert_eq!(code, 0, "{error}");
    assert!(out.contains("ranks were not pinned to cores"), "{out}");
    let measured = read(&folder.path().join("p.yaml")).measured.expect("says on what");
    assert!(!measured.pinned);
    std::fs::remove_file(folder.path().join("p.yaml")).expect("removed");
    // A folder of weights has one of each model's name, whoever names it.
    write(&EXPERIMENT.replace("{seed: 5}", "{folder: mine}"));
    let (code, _, error) = run(&[]);
    assert_eq!(code, 2, "{error}");
    assert!(error.contains("exp.yaml:6:29: real.weights: tiny-image: "), "{error}");
    assert!(error.contains("mine/tiny-image"), "{error}");
    let (code, _, error) = run(&["--weights", "others"]);
    assert_eq!(code, 2, "{error}");
    assert!(error.contains("error: --weights: tiny-image: "), "{error}");
    assert!(error.contains("others/tiny-image"), "{error}");
}

#[test]
fn degrees_that_do_not_divide_the_model_are_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let args = ["--world", "3", "--degrees", "1,2,3", "--out", "p.yaml"];
    let (code, out, error) = tiny(folder.path(), &args);
    assert_eq!(code, 0, "{error}");
    assert!(out.contains("degree 3 is not measured: "), "{out}");
    assert!(!out.contains("degree 2 "), "{out}");
}

#[test]
fn what_is_in_the_way_is_refused_and_an_empty_beginning_is_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let (partial, path) = (folder.path().join("p.yaml.partial"), folder.path().join("p.yaml"));
    std::fs::write(&partial, "nonsense\n").expect("written");
    let (code, _, error) = tiny(folder.path(), &["--out", "p.yaml"]);
    assert_eq!(code, 2, "{error}");
    assert!(error.contains("p.yaml.partial: no results of `flexdit profile`"), "{error}");
    std::fs::write(&partial, "").expect("written");
    let (code, _, error) = tiny(folder.path(), &["--out", "p.yaml"]);
    assert_eq!(code, 0, "{error}");
    assert!(path.exists() && !partial.exists());
    let (code, _, error) = tiny(folder.path(), &["--out", "p.yaml"]);
    assert_eq!(
        (code, error.as_str()),
        (2, "error: p.yaml: exists: remove it, or name another file\n")
    );
}

#[test]
fn what_cannot_be_measured_is_refused_before_anything_is_made() {
    let folder = tempfile::tempdir().expect("a folder");
    let refused = |args: &[&str]| {
        let (code, _, error) =
            flexdit(folder.path(), &[&["profile", "--out", "p.yaml"], args].concat());
        assert_eq!(code, 2, "{error}");
        error
    };
    let shapes = ["--shapes", "32x32"];
    let model = |name| ["--model", name];
    let error = refused(&[&model("tiny-imag")[..], &shapes].concat());
    assert!(error.contains("did you mean `tiny-image`?"), "{error}");
    let error = refused(&[&model("tiny-image")[..], &["--shapes", "32"]].concat());
    assert!(error.contains("--shapes: expected HEIGHTxWIDTH"), "{error}");
    let error = refused(&[&model("tiny-image")[..], &["--shapes", "32x15"]].concat());
    assert!(error.contains("has no latent token in tiny-image"), "{error}");
    let error = refused(&[&model("tiny-image")[..], &shapes, &["--degrees", "1,3"]].concat());
    assert!(error.contains("a degree of 3 in a world of 2 ranks"), "{error}");
    // No machine of tests has the memory for sixty-four ranks of it.
    let large = ["--world", "64", "--degrees", "1", "--shapes", "1024x1024"];
    let error = refused(&[&model("qwen-image")[..], &large].concat());
    assert!(error.contains("--model: 64 ranks need "), "{error}");
    let error = refused(&[&model("sd3-medium")[..], &shapes].concat());
    assert!(error.contains("sd3-medium"), "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).expect("readable").count(), 0);
}
