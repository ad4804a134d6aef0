//! The result in two small tables, to be spliced into a document such as the README.

use super::document::{Cell, Table};
use super::format::{NONE, number, percent, with_interval};
use super::headline::against;
use super::input::ReportInput;
use super::markdown::render_table;
use super::view;

/// Every system with its main figures, and each elastic system against its baselines, as Markdown.
pub fn excerpt(input: &ReportInput) -> String {
    format!("{}\n\n{}\n", render_table(&systems(input)), render_table(&against(input)))
}

fn systems(input: &ReportInput) -> Table {
    let caption = format!("All systems ({}; mean over {})", input.label.name(), input.seed_words());
    let mut table = Table::new(
        caption,
        &[
            "system",
            "what it is",
            "#throughput (req/s)",
            "#mean latency (s)",
            "#p95 (s)",
            "#SLO attainment",
        ],
    );
    let point = input.headline_point;
    for note in &input.systems {
        let plain = |metric, show: fn(f64) -> String| -> Cell {
            let mean = input.average(point, &note.name, None, metric);
            mean.map_or(NONE.into(), |value| show(value).into())
        };
        let attainment = input.mean(point, &note.name, None, view::attainment);
        table.row(vec![
            note.name.clone().into(),
            note.description.clone().into(),
            plain(view::throughput, number),
            plain(view::latency_s, number),
            plain(view::p95_s, number),
            with_interval(attainment, percent).into(),
        ]);
    }
    table
}
