//! Compares a run with a golden: exactly, because simulated results are exact, and within a
//! tolerance where one is given.
//!
//! A golden is a folder with `summary.csv` and, if it has classes, `classes.csv`. Without a
//! tolerance any change fails, also a better value: goldens change only in a commit that says why.
//! Within a tolerance nothing is said; past it a better value is reported and passes, anything else
//! fails. Rows and columns that the golden has and the run lacks fail; new ones are only reported.

use crate::input::{InputError, nearest};
use crate::metrics::{Better, METRICS, metric};
use crate::results::Table;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::str::FromStr;

/// The tables that are compared.
const TABLES: [&str; 2] = ["summary.csv", "classes.csv"];

/// How far one metric, or every metric (`*`), may move: `latency_ms_mean=0.02`.
#[derive(Clone, Debug, PartialEq)]
pub struct Tolerance {
    /// The metric; `*` for those that no other tolerance names.
    pub metric: String,
    /// Largest relative change.
    pub relative: f64,
}

impl FromStr for Tolerance {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) =
            text.split_once('=').ok_or("expected METRIC=REL, such as latency_ms_mean=0.02")?;
        if name != "*" && metric(name).is_none() {
            let near = nearest(name, METRICS.iter().map(|metric| metric.name));
            let hint = near.map_or(String::new(), |near| format!("; did you mean `{near}`?"));
            return Err(format!("no metric is called `{name}`{hint}"));
        }
        match value.parse() {
            Ok(relative) if (0.0..f64::INFINITY).contains(&relative) => {
                Ok(Self { metric: name.to_owned(), relative })
            }
            _ => Err(format!("expected a relative change of 0 or more, got `{value}`")),
        }
    }
}

/// One value that is not as in the golden.
#[derive(Clone, Debug, PartialEq)]
pub struct Moved {
    /// Which table.
    pub table: &'static str,
    /// System, seed, class and swept keys: `system elastic, seed 1, class S`.
    pub row: String,
    /// The metric.
    pub metric: String,
    /// The golden's cell; empty if not defined.
    pub from: String,
    /// The run's cell; empty if not defined.
    pub to: String,
    /// `(to - from) / |from|`, if both are defined and `from` is not 0.
    pub relative: Option<f64>,
    /// Whether the new value is better; `None` if the metric has no direction or is not defined.
    pub better: Option<bool>,
    /// Whether it fails the gate.
    pub fails: bool,
}

/// What a comparison found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Comparison {
    /// Values that moved, in the order of the golden's tables.
    pub moved: Vec<Moved>,
    /// Rows and columns of the golden that the run lacks; each fails the gate.
    pub missing: Vec<String>,
    /// Rows and columns that only the run has.
    pub added: Vec<String>,
    /// Values compared.
    pub compared: u64,
}

impl Comparison {
    /// Whether the gate is passed.
    pub fn passed(&self) -> bool {
        self.missing.is_empty() && self.moved.iter().all(|moved| !moved.fails)
    }

    /// The comparison in words, for a terminal; `limit` values at most.
    pub fn to_text(&self, limit: usize) -> String {
        let mut text = String::new();
        for missing in &self.missing {
            let _ = writeln!(text, "missing: {missing}");
        }
        for added in &self.added {
            let _ = writeln!(text, "new: {added}");
        }
        for moved in self.moved.iter().take(limit) {
            let (from, to) = (or_na(&moved.from), or_na(&moved.to));
            let change = change(moved);
            let _ = writeln!(text, "{}: {} {from} -> {to}{change}", moved.row, moved.metric);
        }
        let rest = self.moved.len().saturating_sub(limit);
        if rest > 0 {
            let _ = writeln!(text, ".. and {rest} more");
        }
        text + &self.verdict() + "\n"
    }

    /// The comparison as Markdown, for the summary of a CI job; `limit` values at most.
    pub fn to_markdown(&self, title: &str, limit: usize) -> String {
        let mut text = format!("### {title}\n\n{}\n", self.verdict());
        for (word, names) in [("Missing", &self.missing), ("New", &self.added)] {
            for name in names {
                let _ = write!(text, "\n- {word}: {name}");
            }
        }
        if self.moved.is_empty() {
            return text + "\n";
        }
        text += "\n| run | metric | from | to | change | |\n|---|---|---:|---:|---:|---|\n";
        for moved in self.moved.iter().take(limit) {
            let (from, to) = (or_na(&moved.from), or_na(&moved.to));
            let relative = moved.relative.map_or(String::new(), percent);
            let (row, metric, word) = (moved.row.replace('|', "\\|"), &moved.metric, word(moved));
            let _ = writeln!(text, "| {row} | `{metric}` | {from} | {to} | {relative} | {word} |");
        }
        let rest = self.moved.len().saturating_sub(limit);
        if rest > 0 {
            let _ = writeln!(text, "\n.. and {rest} more.");
        }
        text
    }

    /// One line: what was compared and whether it passes.
    pub fn verdict(&self) -> String {
        let failed = self.moved.iter().filter(|moved| moved.fails).count() + self.missing.len();
        let passing = self.moved.iter().filter(|moved| !moved.fails).count();
        match (failed, passing) {
            (0, 0) => format!("passed: {} values are as in the golden", self.compared),
            (0, _) => format!("passed: {passing} of {} values are better", self.compared),
            _ => format!("FAILED: {failed} of {} values are not as in the golden", self.compared),
        }
    }
}

/// Compares the tables in the folder `run` with those in the folder `golden`.
///
/// # Errors
/// If a table is missing or cannot be read.
pub fn compare_folders(
    run: &Path,
    golden: &Path,
    tolerances: &[Tolerance],
) -> Result<Comparison, InputError> {
    let mut found = Comparison::default();
    for name in TABLES {
        let expected = golden.join(name);
        if name != TABLES[0] && !expected.exists() {
            continue;
        }
        let golden = Table::read(&expected)?;
        compare(name, &Table::read(&run.join(name))?, &golden, tolerances, &mut found);
    }
    Ok(found)
}

/// Compares one table with its golden, adding to `found`.
pub fn compare(
    name: &'static str,
    run: &Table,
    golden: &Table,
    tolerances: &[Tolerance],
    found: &mut Comparison,
) {
    let is_key = |column: &str| metric(column).is_none();
    let columns: Vec<(usize, Option<usize>)> = (0..golden.columns.len())
        .filter(|at| !is_key(&golden.columns[*at]))
        .map(|at| (at, run.column(&golden.columns[at])))
        .collect();
    for (at, there) in &columns {
        if there.is_none() {
            found.missing.push(format!("{name}: column {}", golden.columns[*at]));
        }
    }
    let keys = |table: &Table| -> Vec<String> {
        table.columns.iter().filter(|column| is_key(column)).cloned().collect()
    };
    for column in run.columns.iter().filter(|column| golden.column(column).is_none()) {
        found.added.push(format!("{name}: column {column}"));
    }
    for key in keys(golden).iter().filter(|key| run.column(key).is_none()) {
        found.missing.push(format!("{name}: column {key}"));
    }
    // Rows are matched by the golden's keys, so that a new swept key does not hide them all.
    let mut rows: BTreeMap<String, &Vec<String>> = BTreeMap::new();
    for row in &run.rows {
        rows.insert(row_name(run, row, &keys(golden)), row);
    }
    for expected in &golden.rows {
        let row = row_name(golden, expected, &keys(golden));
        let Some(actual) = rows.remove(&row) else {
            found.missing.push(format!("{name}: {row}"));
            continue;
        };
        for (at, there) in &columns {
            let Some(there) = *there else { continue };
            found.compared += 1;
            let (from, to) = (&expected[*at], &actual[there]);
            let moved = judge(name, &row, &golden.columns[*at], (from, to), tolerances);
            found.moved.extend(moved);
        }
    }
    found.added.extend(rows.into_keys().map(|row| format!("{name}: {row}")));
}

/// `None` if the value is as it should be.
fn judge(
    table: &'static str,
    row: &str,
    name: &str,
    (from, to): (&str, &str),
    tolerances: &[Tolerance],
) -> Option<Moved> {
    if from == to {
        return None;
    }
    let values = from.parse::<f64>().ok().zip(to.parse::<f64>().ok());
    if values.is_some_and(|(from, to)| from == to) {
        return None;
    }
    let relative = values.and_then(|(from, to)| {
        (from != 0.0).then(|| (to - from) / if from < 0.0 { -from } else { from })
    });
    let named = tolerances.iter().find(|tolerance| tolerance.metric == name);
    let tolerance = named.or(tolerances.iter().find(|tolerance| tolerance.metric == "*"));
    let within = |limit: f64| relative.is_some_and(|change| (-limit..=limit).contains(&change));
    if tolerance.is_some_and(|tolerance| within(tolerance.relative)) {
        return None;
    }
    let direction = metric(name).map_or(Better::Neither, |metric| metric.better);
    let better = values.and_then(|(from, to)| direction.improves(from, to));
    Some(Moved {
        table,
        row: row.to_owned(),
        metric: name.to_owned(),
        from: from.to_owned(),
        to: to.to_owned(),
        relative,
        better,
        fails: tolerance.is_none() || better != Some(true),
    })
}

/// `system elastic, seed 1, class S`.
fn row_name(table: &Table, row: &[String], keys: &[String]) -> String {
    let cell = |key: &String| {
        let value = table.column(key).map_or("", |at| row[at].as_str());
        if value.is_empty() { None } else { Some(format!("{key} {value}")) }
    };
    keys.iter().filter_map(cell).collect::<Vec<_>>().join(", ")
}

fn or_na(cell: &str) -> &str {
    if cell.is_empty() { "n/a" } else { cell }
}

fn percent(relative: f64) -> String {
    format!("{:+.2} %", relative * 100.0)
}

fn word(moved: &Moved) -> &'static str {
    match (moved.better, moved.fails) {
        (Some(true), false) => "better",
        (Some(true), true) => "better, but not the golden",
        (Some(false), _) => "worse",
        (None, _) => "changed",
    }
}

fn change(moved: &Moved) -> String {
    let relative = moved.relative.map_or(String::new(), |change| percent(change) + ", ");
    format!(" ({relative}{})", word(moved))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOLDEN: &str = "system,seed,completed,latency_ms_mean,slo_attainment\n\
        elastic,1,10,100,0.5\nelastic,2,10,110,\n";

    fn compared(run: &str, tolerances: &[&str]) -> Comparison {
        let table = |text| Table::parse("t.csv", text).unwrap();
        let tolerances: Vec<Tolerance> =
            tolerances.iter().map(|text| text.parse().unwrap()).collect();
        let mut found = Comparison::default();
        compare("summary.csv", &table(run), &table(GOLDEN), &tolerances, &mut found);
        found
    }

    #[test]
    fn equal_tables_pass() {
        let found = compared(&GOLDEN.replace("100", "100.0"), &[]);
        assert!(found.passed());
        assert_eq!(found.to_text(9), "passed: 6 values are as in the golden\n");
    }

    #[test]
    fn without_tolerance_any_change_fails_and_says_what_moved() {
        let found = compared(&GOLDEN.replace("110,", "99,0.25").replace("100,", "125,"), &[]);
        assert!(!found.passed());
        assert_eq!(
            found.to_text(9),
            "system elastic, seed 1: latency_ms_mean 100 -> 125 (+25.00 %, worse)\n\
             system elastic, seed 2: latency_ms_mean 110 -> 99 \
             (-10.00 %, better, but not the golden)\n\
             system elastic, seed 2: slo_attainment n/a -> 0.25 (changed)\n\
             FAILED: 3 of 6 values are not as in the golden\n"
        );
        assert!(found.to_text(1).contains(".. and 2 more\n"));
    }

    #[test]
    fn a_tolerance_lets_small_changes_and_improvements_pass() {
        let slower = GOLDEN.replace("100,", "101,");
        assert!(compared(&slower, &["latency_ms_mean=0.01"]).passed());
        assert!(compared(&slower, &["*=0.01"]).passed());
        assert!(!compared(&slower, &["latency_ms_mean=0.009", "*=1"]).passed());
        let faster = compared(&GOLDEN.replace("100,", "50,"), &["latency_ms_mean=0.01"]);
        assert!(faster.passed());
        assert_eq!(faster.verdict(), "passed: 1 of 6 values are better");
    }

    #[test]
    fn what_the_golden_has_must_be_there_and_more_may() {
        let run = "system,seed,completed,slo_attainment,utilisation\n\
            elastic,1,10,0.5,1\nother,1,10,0.5,1\n";
        let found = compared(run, &[]);
        assert_eq!(
            found.missing,
            ["summary.csv: column latency_ms_mean", "summary.csv: system elastic, seed 2"]
        );
        assert_eq!(
            found.added,
            ["summary.csv: column utilisation", "summary.csv: system other, seed 1"]
        );
        assert!(!found.passed());
    }

    #[test]
    fn a_job_summary_is_a_markdown_table() {
        let found = compared(&GOLDEN.replace("100,", "125,"), &[]);
        assert_eq!(
            found.to_markdown("quickstart", 9),
            "### quickstart\n\nFAILED: 1 of 6 values are not as in the golden\n\n\
             | run | metric | from | to | change | |\n|---|---|---:|---:|---:|---|\n\
             | system elastic, seed 1 | `latency_ms_mean` | 100 | 125 | +25.00 % | worse |\n"
        );
    }

    #[test]
    fn tolerances_are_checked() {
        let error = |text: &str| text.parse::<Tolerance>().unwrap_err();
        assert_eq!(error("x"), "expected METRIC=REL, such as latency_ms_mean=0.02");
        assert_eq!(
            error("latency_ms_men=1"),
            "no metric is called `latency_ms_men`; did you mean `latency_ms_mean`?"
        );
        assert_eq!(error("*=NaN"), "expected a relative change of 0 or more, got `NaN`");
    }
}
