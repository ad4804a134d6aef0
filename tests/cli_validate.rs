//! `flexdit validate`: what it compares, where prices come from, what is refused, what an interrupt leaves. Never how long anything takes.

mod program;

use flexdit::campaign::RunError;
use flexdit::experiment::Loaded;
use flexdit::metrics::stats::Covers;
use flexdit::metrics::{Summary, metric};
use flexdit::real::Interrupt;
use flexdit::validation::validate as validate_with;
use flexdit::validation::{
    NEIGHBOURS, Options, Origin, Pair, Priced, Prices, Row, Validation, text,
};
use program::flexdit;
use std::fs;
use std::path::Path;

/// Prices that nobody measured: policies need some.
const PROFILE: &str = include_str!("data/tiny-image.yaml");

const EXPERIMENT: &str = "\
name: tiny
seeds: [1]
cluster: {world: 2, gpu: cpu}
model: tiny-image
profile: profile.yaml
workload:
  classes:
    S: {height: 32, width: 32, steps: 2, share: 0.7, alpha: 50}
    L: {height: 48, width: 64, steps: 3, share: 0.3, alpha: 50, guidance: true}
  arrivals: {poisson: {requests: 8}}
  target_load: 0.8
systems:
  - {name: fixed, fixed-pipeline: {degree: 2}}
  - {name: elastic, elastic: {policy: edf-best-fit}}
";

/// Writes the experiment with some text replaced.
fn write(folder: &Path, changes: &[(&str, &str)]) -> String {
    let mut text = EXPERIMENT.to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    fs::write(folder.join("profile.yaml"), PROFILE).unwrap();
    let path = folder.join("tiny.yaml");
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

/// The error of a row of all requests, from the pairs themselves: of each seed first, then the mean over seeds.
fn error_of(found: &Validation, row: &Row, ours: fn(&Pair) -> Option<&Vec<Summary>>) -> f64 {
    let value = |rows: &Vec<Summary>| (metric(&row.metric).unwrap().get)(&rows[0]).unwrap();
    let of_seed = |seed: u64| {
        let mine =
            found.pairs.iter().filter(|pair| (&pair.system, pair.seed) == (&row.system, seed));
        let (mut a, mut b) = (0.0, 0.0);
        for pair in mine {
            (a, b) = (a + value(ours(pair).unwrap()) / 2.0, b + value(&pair.real) / 2.0);
        }
        if row.metric == "slo_attainment" { a - b } else { a / b - 1.0 }
    };
    (of_seed(1) + of_seed(2)) / 2.0
}

fn manifest_tells_what_was_read_and_run(results: &Path) {
    let manifest = fs::read_to_string(results.join("manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    assert_eq!(manifest["inputs"][0]["path"], "profile.yaml", "{manifest}");
    let facts = &manifest["real"];
    assert_eq!((&facts["repeats"], &facts["pin"]), (&2.into(), &true.into()), "{manifest}");
    assert_eq!(facts["runs"].as_array().map(Vec::len), Some(8), "{manifest}");
    assert_eq!(facts["runs"][1]["cores_of_ranks"].as_array().map(Vec::len), Some(2), "{manifest}");
}

fn read(folder: &Path) -> Validation {
    let text = fs::read_to_string(folder.join("validation.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn runs_are_priced_by_tours_around_them_and_errors_are_parted() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), &[]);
    let args = [&path, "--seeds", "1,2", "--repeats", "2", "--crews", "1", "--out", "out"];
    let (code, out, error) = flexdit(folder.path(), &[&["validate"], &args[..]].concat());
    assert_eq!(code, 0, "{out}{error}");
    let found = read(&folder.path().join("out"));
    // Two systems, two seeds and two repeats: a round before the first run and one after each.
    assert_eq!(found.pairs.len(), 8);
    // A price has the rounds around its run, two samples in each: at the ends one round and two.
    let fewest = 2 * (1 + NEIGHBOURS);
    assert_eq!(found.priced, Priced::Tours { rounds: 9, crews: 1, fewest });
    // Five metrics of all requests and the latency of two classes; pairs of two seeds and two repeats.
    assert_eq!(found.rows.len(), 2 * 7);
    for row in found.rows.iter().filter(|row| row.class.is_none()) {
        assert_eq!((row.seeds, row.samples), (2, 4));
        assert!(row.standard_error.is_some() && row.two_runs_apart.is_some(), "{row:?}");
        assert_eq!(row.covers, Some(Covers::Repeats), "two seeds say nothing of others");
        let error = error_of(&found, row, |pair| Some(&pair.simulated));
        let own = error_of(&found, row, |pair| Some(&pair.hindsight));
        assert!((row.error.unwrap() - error).abs() < 1e-9, "{row:?}: {error}");
        assert!((row.own.unwrap() - own).abs() < 1e-9, "{row:?}: {own}");
        // Nobody measured this profile.
        assert_eq!((row.profile, row.profile_range), (None, None));
    }
    // A pipeline at one degree does every step where it did it.
    let mut fixed = found.pairs.iter().filter(|pair| pair.system == "fixed");
    assert!(fixed.all(|pair| pair.elsewhere == 0));
    assert!(found.pairs.iter().all(|pair| pair.cores.len() == 2));
    assert!(found.pairs.iter().all(|pair| pair.origins.launch == Origin::Tours));
    assert_eq!(found.stuck, Vec::<String>::new());
    // The fixed pipeline is on communicators, and has tours of its own.
    let rounds = found.levels.iter().filter(|level| level.system.is_none());
    assert_eq!(rounds.count(), 2 * 9);
    assert_eq!(found.levels.iter().filter(|level| level.system.is_some()).count(), 8);
    // Every step of the workload was timed, and is priced.
    let requests: u64 = found.pairs.iter().map(|pair| pair.real[0].requests).sum();
    let decodes = found.stages.iter().filter(|row| row.stage.name() == "vae-decode");
    assert_eq!(decodes.map(|row| row.units).sum::<u64>(), requests);
    assert!(found.stages.iter().all(|row| row.price_ms.is_some_and(|price| price > 0.0)));
    let results = folder.path().join("out");
    let csv = fs::read_to_string(results.join("validation.csv")).unwrap();
    let rows: Vec<Vec<&str>> = csv.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(rows.len(), 1 + 2 * 7, "{csv}");
    // What an interval covers has a comma.
    assert!(rows[1..].iter().all(|row| row.len() == 22), "{csv}");
    assert!(csv.lines().skip(1).all(|row| row.ends_with(",\"run to run, these seeds\"")), "{csv}");
    assert_eq!(rows[1][..3], ["fixed", "", "latency_ms_mean"]);
    assert_eq!((rows[0][8], rows[1][8], rows[0][9], rows[1][9]), ("seeds", "2", "samples", "4"));
    manifest_tells_what_was_read_and_run(&results);
    let report = fs::read_to_string(results.join("report.md")).unwrap();
    for words in [
        "Errors (derived); brackets: 95 % bootstrap, run to run, these seeds; evidence against",
        "real (measured)",
        "standard error of real",
        "Where errors come from",
        "near zero partly by construction",
        "], tours",
        "of the cores' capacity during the runs",
    ] {
        assert!(report.contains(words), "{words}: {report}");
    }
    for picture in ["latency-real-simulated", "drift"] {
        assert!(results.join(format!("plots/{picture}.png")).exists(), "{picture}");
    }
}

#[test]
fn prices_of_the_profile_are_used_where_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let costs = "costs: {migration: {bandwidth: 5GB/s}}\nsystems:";
    let path = write(folder.path(), &[("systems:", costs)]);
    let args = [&path, "--prices", "profile", "--repeats", "2", "--tolerance", "0", "--out", "out"];
    let (code, out, error) = flexdit(folder.path(), &[&["validate"], &args[..]].concat());
    // Prices that nobody measured are off by more than nothing.
    assert_eq!(code, 1, "{out}{error}");
    assert!(out.contains("beyond the tolerance: latency_ms_mean of fixed"), "{out}");
    let found = read(&folder.path().join("out"));
    assert_eq!((found.priced, found.levels.len()), (Priced::Profile, 0));
    assert!(found.charges.iter().any(|charge| charge.name == "migration"));
    // Invented prices are far from what stages took; at their own times runs are what they were, more or less.
    let report = fs::read_to_string(folder.path().join("out/report.md")).unwrap();
    assert!(report.contains("What virtual time charged"), "{report}");
    let (code, _, error) =
        flexdit(folder.path(), &["validate", &path, "--prices", "profile", "--crews", "1"]);
    assert_eq!(code, 2, "{error}");
    assert!(error.contains("--crews: there are no tours"), "{error}");
}

#[test]
fn one_call_tells_the_error_at_prices_of_tours_and_at_those_of_a_measured_profile() {
    let folder = tempfile::tempdir().unwrap();
    let costs = "costs: {launch: 7us, migration: {bandwidth: 5GB/s}}\nsystems:";
    let rate = "per_min: 6000, requests: 8";
    let changes = [("systems:", costs), ("requests: 8", rate), ("  target_load: 0.8\n", "")];
    let path = write(folder.path(), &changes);
    // A profile that says it was measured, a thousand times too dear.
    let dear = PROFILE.replace("label: derived", "label: measured");
    fs::write(folder.path().join("profile.yaml"), dear + "unit: s\n").unwrap();
    let args = [&path, "--repeats", "2", "--crews", "1", "--out", "out"];
    let (code, out, error) = flexdit(folder.path(), &[&["validate"], &args[..]].concat());
    assert_eq!(code, 0, "{out}{error}");
    let found = read(&folder.path().join("out"));
    for row in found.rows.iter().filter(|row| row.metric == "latency_ms_mean") {
        if let (Some(of_tours), Some(of_profile)) = (row.error, row.profile) {
            assert!(of_profile > of_tours, "{row:?}");
        }
    }
    let mean = &found.rows[0];
    assert!(mean.profile.unwrap() > 5.0, "{mean:?}");
    for pair in &found.pairs {
        assert!(pair.by_profile.is_some());
        // The experiment's own charge counts, and is not called measured in tours.
        assert_eq!((pair.origins.launch, pair.charges.launch.0), (Origin::Experiment, 7_000));
        assert_eq!(pair.origins.control_plane, Origin::Tours);
    }
    let report = fs::read_to_string(folder.path().join("out/report.md")).unwrap();
    let told = ["error at the profile's prices", "use measurements after a run", "], experiment"];
    assert!(told.iter().all(|words| report.contains(words)), "{report}");
}

#[test]
fn what_cannot_be_compared_is_refused_where_it_stands() {
    let folder = tempfile::tempdir().unwrap();
    let best = ("fixed-pipeline: {degree: 2}", "best-static: {}");
    let path = write(folder.path(), &[best]);
    let (code, _, error) = flexdit(folder.path(), &["validate", &path]);
    assert_eq!(code, 2, "{error}");
    assert!(error.contains("systems[0].best-static: each engine would choose"), "{error}");
    let path = write(folder.path(), &[]);
    let (code, _, error) = flexdit(folder.path(), &["validate", &path, "--repeats", "1"]);
    assert_eq!(code, 2, "{error}");
    assert!(error.contains("--repeats: expected at least 2"), "{error}");
    let (code, _, error) = flexdit(folder.path(), &["validate", &path, "--prices", "profile"]);
    assert_eq!(code, 2, "{error}");
    assert!(error.contains("costs.migration: cores have no published link"), "{error}");
    let on = ("{name: elastic,", "{name: elastic, collectives: communicators,");
    let path = write(folder.path(), &[on]);
    let (code, _, error) = flexdit(folder.path(), &["validate", &path]);
    assert_eq!(code, 2, "{error}");
    assert!(error.contains("systems[1].collectives: communicators have no price"), "{error}");
}

#[test]
fn an_interrupt_leaves_what_was_complete_and_nothing_before_that() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), &[]);
    let loaded = Loaded::read(Path::new(&path), &[]).unwrap();
    // Turns: a round, a run, a round, ..; stopped when the turn with this number begins.
    let stopped_at = |turn: usize| {
        let interrupt = Interrupt::default();
        let progress = |done: usize, all: usize, _: &str| {
            if done == turn && done < all {
                interrupt.stop();
            }
        };
        let prices = Prices::Tours { crews: 1 };
        let options = Options { repeats: 2, prices, interrupt: &interrupt, progress: &progress };
        validate_with(&loaded, &options)
    };
    for early in [0, 1, 2] {
        assert!(matches!(stopped_at(early), Err(RunError::Interrupted)), "{early}");
    }
    // In the second run: the first has its rounds. In the round behind the second: that run has none after it.
    for late in [3, 4] {
        let found = stopped_at(late).unwrap_or_else(|error| panic!("{error}"));
        assert!(found.interrupted, "{late}");
        assert_eq!(found.pairs.len(), 1, "{late}");
        assert_eq!(found.pairs[0].system, "fixed");
        assert!(text(&found).contains("Interrupted: 1 pairs of runs are complete"));
        assert!(found.warnings[0].starts_with("The campaign was interrupted"));
    }
}
