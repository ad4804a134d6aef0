//! The documents say what the program does: generated parts, links, named experiments, the result.

use flexdit::bench::results::Results;
use flexdit::docs::{DOCUMENTS, part, spliced};
use flexdit::experiment::{Loaded, SystemSpec};
use flexdit::metrics::Summary;
use flexdit::publish::role;
use flexdit::report::{ReportInput, SystemNote, excerpt};
use flexdit::results::Table;
use std::fs;
use std::path::{Path, PathBuf};

const DOCUMENTS_BY_HAND: [&str; 8] = [
    "README.md",
    "ARCHITECTURE.md",
    "METHODOLOGY.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "docs/results-folder.md",
    "docs/policies.md",
    "docs/ci-guide.md",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn text(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

#[test]
fn generated_parts_are_up_to_date() {
    for (file, names) in DOCUMENTS {
        let text = text(file);
        for name in *names {
            let shown = spliced(&text, name).unwrap_or_else(|| panic!("{file}: no part {name}"));
            let made = part(name).unwrap_or_else(|| panic!("no part {name}"));
            assert!(
                shown == made.trim(),
                "{file}: part {name} is out of date; cargo run --example update-docs"
            );
        }
    }
}

/// Relative links of Markdown: `](path)` or `](path#place)`.
#[test]
fn every_link_into_the_repository_leads_somewhere() {
    for file in DOCUMENTS_BY_HAND {
        let folder = root().join(file).parent().unwrap().to_owned();
        for link in text(file).split("](").skip(1) {
            let target = link.split([')', '#']).next().unwrap_or_default();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            assert!(folder.join(target).exists(), "{file} links to {target}");
        }
    }
}

/// Experiments that a document names must exist.
#[test]
fn every_experiment_that_is_named_exists() {
    for file in DOCUMENTS_BY_HAND {
        let text = text(file);
        let words = text.split(|c: char| c.is_whitespace() || "`()|,;".contains(c));
        for word in words.filter(|word| word.starts_with("workloads/") && word.ends_with(".yaml")) {
            let placeholder = word.contains('*') || word.contains("NAME");
            assert!(placeholder || root().join(word).exists(), "{file} names {word}");
        }
    }
}

/// The README shows the golden run: the same figures, made again from its summary. What a system is, in
/// words, is not in a golden and not compared.
#[test]
fn the_readme_shows_the_golden_result() {
    let shown = text("README.md");
    let shown = spliced(&shown, "result quickstart").expect("the README has a result");
    let made = excerpt(&golden("quickstart"));
    let hint = "flexdit run workloads/quickstart.yaml --out DIR && \
                flexdit report DIR --print-only --splice README.md";
    assert_eq!(figures(shown), figures(&made), "the README's result is out of date: {hint}");
}

/// Where the tables of a recorded benchmark stand.
const RECORDED: [(&str, &str); 3] = [
    ("README.md", "bench-group-setup"),
    ("METHODOLOGY.md", "bench-collectives"),
    ("METHODOLOGY.md", "bench-churn"),
];

/// A document shows the benchmark that was recorded last, and none that was not.
#[test]
fn the_documents_show_the_benchmarks_recorded_last() {
    for (file, name) in RECORDED {
        let text = text(file);
        let shown = spliced(&text, &format!("result {name}"));
        let recorded = last_recorded(name, "report.json");
        assert_eq!(
            shown.is_some(),
            recorded.is_some(),
            "{file}: {name}: shown without a record, or not"
        );
        let (Some(shown), Some(folder)) = (shown, recorded) else { continue };
        let report = fs::read(folder.join("report.json")).expect("a recorded report");
        let results: Results = serde_json::from_slice(&report).expect("a report of a benchmark");
        assert!(
            shown == results.excerpt().trim(),
            "{file} is out of date: flexdit report {} --print-only --splice {file}",
            folder.display()
        );
        assert!(results.provenance().optimised, "{name} was recorded by an optimised build");
        assert_eq!(results.checked().wrong, 0);
    }
}

/// The documents show the runs on real ranks that were recorded last.
#[test]
fn the_documents_show_the_runs_recorded_last() {
    for (file, name) in [("README.md", "two-ranks"), ("METHODOLOGY.md", "degree-flips")] {
        let text = text(file);
        let part = format!("result {name}");
        let shown = spliced(&text, &part).unwrap_or_else(|| panic!("{file} has no {part}"));
        let folder = last_recorded(name, "report.json").expect("a recorded run");
        let report = fs::read(folder.join("report.json")).expect("a recorded report");
        let input: ReportInput = serde_json::from_slice(&report).expect("a report of a run");
        let hint = format!("flexdit report {} --print-only --splice {file}", folder.display());
        assert_eq!(shown, excerpt(&input).trim(), "{file} is out of date: {hint}");
    }
}

/// METHODOLOGY.md quotes the validation that was recorded last, rows as they stand there.
#[test]
fn the_methodology_quotes_the_validation_recorded_last() {
    let text = text("METHODOLOGY.md");
    let shown = spliced(&text, "result validate-two-ranks").expect("a part for it");
    let folder = last_recorded("validate-two-ranks", "report.md").expect("a recorded validation");
    let report = fs::read_to_string(folder.join("report.md")).expect("its report");
    let rows: Vec<&str> = shown.lines().filter(|line| line.starts_with('|')).collect();
    assert!(rows.len() > 4, "a table of errors");
    for row in rows {
        assert!(report.lines().any(|line| line == row), "not in {folder:?}: {row}");
    }
}

/// The folder `name` of the last recording, by name, that has it with its report.
fn last_recorded(name: &str, report: &str) -> Option<PathBuf> {
    let recordings = fs::read_dir(root().join("results/recorded")).ok()?;
    let folders = recordings.map(|entry| entry.expect("an entry").path().join(name));
    folders.filter(|folder| folder.join(report).exists()).max()
}

/// The cells of every table row but for the second column of the first table.
fn figures(text: &str) -> Vec<Vec<&str>> {
    let tables = text.split("\n\n").filter(|block| block.starts_with('|'));
    let rows = tables.enumerate().flat_map(|(table, block)| {
        block.lines().skip(2).map(move |row| (table, row.trim_matches('|')))
    });
    rows.map(|(table, row)| {
        let cells = row.split('|').map(str::trim).enumerate();
        cells.filter(|(column, _)| table > 0 || *column != 1).map(|(_, cell)| cell).collect()
    })
    .collect()
}

/// What the report of a golden would say of its figures.
fn golden(name: &str) -> ReportInput {
    let folder = root().join("results/golden").join(name);
    let table = Table::read(&folder.join("summary.csv")).unwrap_or_else(|error| panic!("{error}"));
    let file = root().join(format!("workloads/{name}.yaml"));
    let loaded = Loaded::read(&file, &[]).unwrap_or_else(|error| panic!("{error}"));
    let experiment = loaded.first();
    let world = experiment.cluster.world;
    let note = |system: &SystemSpec| SystemNote {
        name: system.name.clone(),
        role: role(&system.kind, world),
        ..SystemNote::default()
    };
    ReportInput {
        name: name.to_owned(),
        systems: experiment.systems.iter().map(note).collect(),
        seeds: experiment.seeds.clone(),
        points: vec![vec![]],
        metrics: table.rows.iter().map(|row| summary(&table, row)).collect(),
        ..ReportInput::default()
    }
}

fn summary(table: &Table, row: &[String]) -> Summary {
    let text = |column: &str| &row[table.column(column).unwrap_or_else(|| panic!("no {column}"))];
    let number = |column: &str| text(column).parse::<f64>().ok();
    Summary {
        system: text("system").clone(),
        seed: text("seed").parse().expect("a seed"),
        requests: text("requests").parse().expect("a count"),
        completed: text("completed").parse().expect("a count"),
        throughput_rps: number("throughput_rps"),
        latency_ms_mean: number("latency_ms_mean"),
        latency_ms_p95: number("latency_ms_p95"),
        slo_attainment: number("slo_attainment"),
        ..Summary::default()
    }
}
