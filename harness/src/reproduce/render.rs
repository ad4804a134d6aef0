//! The table of claims as text, Markdown and CSV.

use super::gains::{BASELINE, Campaign, ELASTIC};
use super::row::{Row, Verdict};
use super::runs::ONE_RANK;
use super::{CLAIMS, Reproduction, SEEDS};
use crate::report::{self, Block, Cell, Document, Section, Table, percent, plain};
use std::fmt::Write as _;

/// For a terminal: the table, why each verdict is what it is, and the campaigns.
pub fn text(found: &Reproduction) -> String {
    let mut out = plain(&claims(&found.rows));
    out.push_str("\n\nWhy\n");
    for line in reasons(&found.rows) {
        let _ = writeln!(out, "- {}", report::wrapped(&line, 100, "  "));
    }
    if !found.campaigns.is_empty() {
        let _ = write!(out, "\n{}\n", plain(&campaigns(&found.campaigns, false)));
        let _ = write!(out, "\n{}\n", plain(&campaigns(&found.campaigns, true)));
    }
    out.push('\n');
    for line in rules() {
        let _ = writeln!(out, "{}", report::wrapped(&line, 100, ""));
    }
    out
}

/// As `reproduce.md`.
pub fn markdown(found: &Reproduction) -> String {
    let mut blocks = vec![Block::Table(claims(&found.rows)), Block::List(reasons(&found.rows))];
    let mut sections = vec![Section::new("Claims", std::mem::take(&mut blocks))];
    if !found.campaigns.is_empty() {
        let tables = [false, true].map(|fixed| Block::Table(campaigns(&found.campaigns, fixed)));
        sections.push(Section::new("Campaigns", tables.into()));
    }
    sections.push(Section::new("How to read it", vec![Block::List(rules())]));
    report::markdown(&Document {
        title: "Published claims and what the simulator gives".to_owned(),
        lead: vec![format!(
            "Every value of ours is simulated from published or derived stage times. {} of {} checks \
             reach the published value.",
            found.rows.iter().filter(|row| row.verdict == Verdict::Reached).count(),
            found.rows.len()
        )],
        sections,
    })
}

/// As `reproduce.csv`: one line a row, texts and numbers.
pub fn csv(found: &Reproduction) -> String {
    let mut table = crate::results::Table {
        columns: [
            "claim",
            "source",
            "what",
            "published",
            "ours",
            "best_static",
            "at",
            "seeds",
            "verdict",
            "value",
            "value_low",
            "value_high",
            "static_value",
            "static_low",
            "static_high",
            "why",
        ]
        .map(str::to_owned)
        .into(),
        rows: Vec::new(),
    };
    let number = |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
    for row in &found.rows {
        let numbers = |value: Option<super::Value>| {
            [value.map(|v| v.estimate), value.and_then(|v| v.low), value.and_then(|v| v.high)]
        };
        let mut cells: Vec<String> = vec![
            row.claim.to_owned(),
            source(row).to_owned(),
            row.what.clone(),
            row.published.clone(),
            row.ours.clone(),
            row.best_static.clone(),
            row.at.clone(),
            row.seeds.to_string(),
            row.verdict.name().to_owned(),
        ];
        cells.extend(numbers(row.value).into_iter().chain(numbers(row.static_value)).map(number));
        cells.push(row.why.clone());
        table.rows.push(cells);
    }
    table.to_csv()
}

fn source(row: &Row) -> &'static str {
    CLAIMS.iter().find(|claim| claim.name == row.claim).map_or("", |claim| claim.source)
}

fn claims(rows: &[Row]) -> Table {
    let columns = [
        "claim",
        "what",
        "published",
        "ours (simulated)",
        "against best static",
        "at",
        "#seeds",
        "verdict",
    ];
    let mut table = Table::new("Published claims and what the simulator gives", &columns);
    for row in rows {
        table.row(vec![
            row.claim.into(),
            row.what.clone().into(),
            row.published.clone().into(),
            row.ours.clone().into(),
            row.best_static.clone().into(),
            row.at.clone().into(),
            if row.seeds == 0 { "-".into() } else { row.seeds.to_string().into() },
            row.verdict.name().into(),
        ]);
    }
    table
}

/// A line for each reason; rows of one claim that share a reason share its line.
fn reasons(rows: &[Row]) -> Vec<String> {
    let mut lines = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        let same = |other: &Row| other.claim == row.claim && other.why == row.why;
        if row.why.is_empty() || rows[..index].iter().any(same) {
            continue;
        }
        let shared = rows.iter().filter(|other| same(other)).count() > 1;
        let what = if shared { String::new() } else { format!(", {}", row.what) };
        lines.push(format!("{}{what} ({}): {}", row.claim, source(row), row.why));
    }
    lines
}

fn campaigns(all: &[Campaign], fixed: bool) -> Table {
    let caption = if fixed {
        "Every campaign: elastic over the best static layout, the best one by each figure"
    } else {
        "Every campaign: elastic over the paper's baseline (one group of all ranks, FIFO)"
    };
    let columns = [
        "campaign",
        "machine",
        "system",
        "#attainment",
        "#of baseline",
        "#of best static",
        "#throughput",
        "#mean latency",
        "#SLO violations",
    ];
    let mut table = Table::new(caption, &columns);
    let share = |value: Option<f64>| Cell::from(value.map_or("n/a".to_owned(), percent));
    for one in all {
        let [baseline, best, elastic] = one.attainment;
        let figures = if fixed { &one.best_static } else { &one.baseline };
        let mut cells: Vec<Cell> = vec![
            one.experiment.clone().into(),
            one.machine.clone().into(),
            one.system.clone().into(),
            share(elastic),
            share(baseline),
            share(best),
        ];
        cells.extend(figures.iter().map(|text| Cell::from(text.clone())));
        table.row(cells);
    }
    table
}

fn rules() -> Vec<String> {
    vec![
        format!(
            "The elastic system is {ELASTIC} throughout; {ONE_RANK} is the same policy held at one rank; `{BASELINE}` is one group of all ranks, first \
             in, first out. The best static layout is the best of all layouts tried, by the very figure \
             shown, on the seeds shown: that favours it."
        ),
        "Brackets hold 95 % bootstrap intervals, paired by seed, from five seeds on. Ratios are of means over the seeds."
            .to_owned(),
        "Reached: at least the published value. Partly: at least half of the published improvement. \
         Open: not to be settled by what is here."
            .to_owned(),
        format!(
            "Unless --seeds says otherwise each experiment ran on the first {SEEDS} seeds of its file."
        ),
    ]
}
