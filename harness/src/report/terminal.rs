//! The headline in plain text, for a terminal.

use super::document::{Cell, Column, Table};
use super::format::{NONE, change, number, percent, times, with_interval};
use super::headline;
use super::input::ReportInput;
use super::sections::all_warnings;
use super::view;
use std::fmt::Write as _;

/// Warnings shown before the rest are counted only.
const MOST_WARNINGS: usize = 6;

/// Title, both headline tables and the warnings, in lines that fit about 110 columns.
pub fn summary(input: &ReportInput) -> String {
    let title = if input.title.is_empty() { &input.name } else { &input.title };
    let mut out = format!("{title}\n");
    if let Some(first) = input.lead.first() {
        let _ = writeln!(out, "{}", wrapped(first, 100, ""));
    }
    let _ = write!(out, "\n{}\n", plain(&systems(input)));
    let against = against(input);
    for table in &against {
        let _ = write!(out, "\n{}\n", plain(table));
    }
    if !against.is_empty() {
        let _ = writeln!(out, "\n[{}, paired by seed]", input.interval_words());
    }
    let warnings = all_warnings(input);
    if !warnings.is_empty() {
        out.push('\n');
    }
    for warning in warnings.iter().take(MOST_WARNINGS) {
        let _ = writeln!(out, "note: {}", wrapped(warning, 100, "      "));
    }
    if warnings.len() > MOST_WARNINGS {
        let _ = writeln!(out, "note: {} more in the report", warnings.len() - MOST_WARNINGS);
    }
    out
}

fn systems(input: &ReportInput) -> Table {
    let at = match input.point_name(input.headline_point) {
        name if name.is_empty() => String::new(),
        name => format!(", at {name}"),
    };
    let caption = format!("{}, mean over {}{at}", input.label.name(), input.seed_words());
    let columns =
        ["system", "#req/s", "#mean latency s", "#p95 s", "#SLO attainment", "#completed", "#busy"];
    let mut table = Table::new(caption, &columns);
    for note in &input.systems {
        let cell = |metric, show: fn(f64) -> String| -> Cell {
            let mean = input.average(input.headline_point, &note.name, None, metric);
            mean.map_or(NONE.into(), |value| show(value).into())
        };
        table.row(vec![
            note.name.clone().into(),
            cell(view::throughput, number),
            cell(view::latency_s, number),
            cell(view::p95_s, number),
            cell(view::attainment, percent),
            cell(view::completion, percent),
            cell(view::utilisation, percent),
        ]);
    }
    table
}

/// One table per elastic system: its rows are the baselines.
fn against(input: &ReportInput) -> Vec<Table> {
    let mut tables: Vec<Table> = Vec::new();
    for comparison in headline::comparisons(input, input.headline_point) {
        let caption = format!("{} against", comparison.elastic.name);
        if tables.last().is_none_or(|table| table.caption != caption) {
            let columns = ["baseline", "#throughput", "#mean latency", "#SLO violations"];
            tables.push(Table::new(caption, &columns));
        }
        let joined = |(text, detail): (String, Option<String>)| -> Cell {
            detail.map_or(text.clone(), |detail| format!("{text} {detail}")).into()
        };
        let baseline = comparison.baseline;
        let row = vec![
            format!("{} ({})", baseline.role.name(), baseline.name).into(),
            joined(with_interval(comparison.throughput, times)),
            joined(with_interval(comparison.latency, change)),
            joined(with_interval(comparison.violations, change)),
        ];
        tables.last_mut().expect("a table was pushed").row(row);
    }
    tables
}

/// A table with columns padded to their widest cell.
pub fn plain(table: &Table) -> String {
    let texts: Vec<Vec<String>> =
        table.rows.iter().map(|row| row.iter().map(|cell| cell.text.clone()).collect()).collect();
    let names: Vec<String> = table.columns.iter().map(|column| column.name.clone()).collect();
    let wide = |i: usize| {
        let cells = texts.iter().map(|row| row[i].chars().count());
        cells.chain([names[i].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..names.len()).map(wide).collect();
    let mut out = table.caption.clone();
    out.push('\n');
    out.push_str(&line(&table.columns, &names, &widths));
    let rules: Vec<String> = widths.iter().map(|&width| "-".repeat(width)).collect();
    let _ = write!(out, "\n{}", rules.join("  "));
    for row in &texts {
        let _ = write!(out, "\n{}", line(&table.columns, row, &widths));
    }
    out
}

fn line(columns: &[Column], cells: &[String], widths: &[usize]) -> String {
    let padded =
        columns.iter().zip(cells).zip(widths).map(|((column, cell), &width)| match column.number {
            true => format!("{cell:>width$}"),
            false => format!("{cell:<width$}"),
        });
    padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
}

/// `text` in lines of at most `width` characters, later ones after `indent`.
pub fn wrapped(text: &str, width: usize, indent: &str) -> String {
    let mut out = String::new();
    let mut column = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > width {
            out.push('\n');
            out.push_str(indent);
            column = 0;
        } else if column > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
    }
    out
}
