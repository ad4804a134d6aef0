//! Every experiment that is shipped loads, says what it is for, and has the prices it needs.

use flexdit::campaign::Setting;
use flexdit::experiment::Loaded;
use rstest::rstest;
use std::path::PathBuf;

#[rstest]
fn every_shipped_experiment_loads(
    #[files("../workloads/**/*.yaml")]
    #[exclude("profiles/")]
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
    #[exclude("profiles/")]
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
