//! Every experiment that is shipped loads, says what it is for, and has the prices it needs.

use flexdit::campaign::Setting;
use flexdit::experiment::Loaded;
use flexdit::input::load_yaml;
use flexdit_kernels::model::PRESETS;
use flexdit_kernels::pipeline::Config;
use rstest::rstest;
use std::path::PathBuf;

#[rstest]
fn every_shipped_experiment_loads(
    #[files("../workloads/**/*.yaml")]
    #[exclude("(profiles|models)/")]
    path: PathBuf,
) {
    let loaded = Loaded::read(&path, &[]).unwrap_or_else(|error| panic!("{error}"));
    let experiment = loaded.first();
    let stem = path.file_stem().and_then(|stem| stem.to_str()).expect("a UTF-8 name");
    assert_eq!(experiment.name, stem, "an experiment is called as its file");
    assert!(experiment.description.is_some(), "{stem} says what it shows");
    let text = std::fs::read_to_string(&path).expect("readable");
    let is_top = path.parent().is_some_and(|folder| folder.ends_with("workloads"));
    let schema = if is_top { "schema.json" } else { "../schema.json" };
    let first = format!("# yaml-language-server: $schema={schema}\n");
    assert!(text.starts_with(&first), "{stem} names its schema for editors");
}

#[rstest]
fn every_shipped_workload_builds_at_every_point_and_seed(
    #[files("../workloads/**/*.yaml")]
    #[exclude("(profiles|models)/")]
    path: PathBuf,
) {
    let loaded = Loaded::read(&path, &[]).unwrap_or_else(|error| panic!("{error}"));
    for point in 0..loaded.points.len() {
        let setting = Setting::new(&loaded, point).unwrap_or_else(|error| panic!("{error}"));
        for &seed in &setting.experiment.seeds {
            let workload = setting.workload(seed).unwrap_or_else(|error| panic!("{error}"));
            assert!(workload.requests.is_sorted_by_key(|request| request.arrival));
            assert!(workload.requests.iter().all(|request| request.t_single.is_some()));
        }
    }
}

#[test]
fn the_shipped_configurations_of_models_are_the_presets() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../workloads/models");
    for (name, _) in PRESETS {
        let path = folder.join(format!("{name}.yaml"));
        let shipped: Config = load_yaml(&path).unwrap_or_else(|error| panic!("{error}"));
        assert!(shipped == Config::preset(name).expect("listed"), "{name}: {shipped:#?}");
    }
    let files = std::fs::read_dir(folder).expect("a folder").count();
    assert_eq!(files, PRESETS.len(), "files without a preset");
}

/// What a second rank saves of a step, by tokens, in a shipped profile of two cores; negative where it costs.
fn saved_by_a_second_rank(profile: &str) -> Vec<(u32, f64)> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../workloads/profiles");
    let table =
        flexdit::profile::load(&root.join(profile)).unwrap_or_else(|error| panic!("{error}"));
    let steps = |layout: &str| -> Vec<(f64, f64)> {
        let mut found = table
            .entries()
            .filter(|(key, _)| key.stage.name() == "step" && key.parallelism.to_string() == layout);
        found.next().expect("profiled").1.curve.points().to_vec()
    };
    let pairs = steps("1").into_iter().zip(steps("u2"));
    pairs.map(|((tokens, one), (_, two))| (tokens as u32, 1.0 - two / one)).collect()
}

/// As README and the experiments say of the recorded machine: no test on its own measures it.
#[test]
fn the_profiles_of_two_cores_have_best_degrees_that_flip_with_the_shape() {
    // By DDiT's rule a doubling of the degree must shorten a step by a fifth.
    let worth = |profile: &str, least: f64| -> Vec<(u32, bool)> {
        let all = saved_by_a_second_rank(profile).into_iter();
        all.filter(|(tokens, _)| [4, 64, 256].contains(tokens))
            .map(|(tokens, saved)| (tokens, saved >= least))
            .collect()
    };
    let flip = [(4, false), (64, true), (256, true)];
    assert_eq!(worth("small-image-cpu.yaml", 0.2), flip, "classes S, M and L of two-ranks");
    // On communicators the second rank makes small steps longer.
    assert_eq!(worth("thin-image-cpu-communicators.yaml", 0.0), flip, "those of degree-flips");
}
