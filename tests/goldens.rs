//! Every golden under `results/golden` again: each figure of each run as recorded, to the last digit.

use flexdit::campaign::{RunOptions, run};
use flexdit::experiment::Loaded;
use flexdit::gate::{Comparison, compare};
use flexdit::metrics::{RecorderOptions, summarise};
use flexdit::results::{Table, classes_table, summary_table};
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The shipped experiment of that name.
fn experiment(name: &str) -> PathBuf {
    let at = |folder: &str| root().join("workloads").join(folder).join(format!("{name}.yaml"));
    let mut paths = ["", "paper", "stress", "traces"].map(at).into_iter();
    paths.find(|path| path.exists()).unwrap_or_else(|| panic!("no experiment is called {name}"))
}

fn against_golden(golden: &Path) -> Comparison {
    let name = golden.file_name().and_then(|name| name.to_str()).expect("a UTF-8 name");
    let loaded = Loaded::read(&experiment(name), &[]).unwrap_or_else(|error| panic!("{error}"));
    let recorder = RecorderOptions::default();
    let options = RunOptions { recorder, progress: &|_| {}, log: None };
    let finished = run(&loaded, &options).unwrap_or_else(|error| panic!("{error}"));
    let points = &finished.campaign.points;
    let (overall, classes) = summarise(&finished.campaign);
    let tables = [
        ("summary.csv", summary_table(&overall, points)),
        ("classes.csv", classes_table(&classes, points)),
    ];
    let mut found = Comparison::default();
    for (file, table) in tables {
        let recorded = Table::read(&golden.join(file)).unwrap_or_else(|error| panic!("{error}"));
        compare(file, &table, &recorded, &[], &mut found);
    }
    found
}

#[test]
fn every_golden_comes_out_again() {
    let entries = fs::read_dir(root().join("results/golden")).expect("the goldens");
    let mut goldens: Vec<PathBuf> = entries.map(|entry| entry.expect("readable").path()).collect();
    goldens.retain(|path| path.is_dir());
    goldens.sort();
    assert!(goldens.len() >= 5, "goldens are missing: {goldens:?}");
    for golden in goldens {
        let found = against_golden(&golden);
        assert!(found.compared > 0, "{}: nothing was compared", golden.display());
        let all_there = found.missing.is_empty() && found.added.is_empty();
        assert!(
            found.passed() && found.moved.is_empty() && all_there,
            "{}: results changed. If that is meant, say why in the changelog and run .ci/goldens.\n{}",
            golden.display(),
            found.to_text(20)
        );
    }
}
