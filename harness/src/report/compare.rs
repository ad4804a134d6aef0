//! Several reports side by side.

use super::document::{Cell, Table};
use super::format::{NONE, number, percent};
use super::input::ReportInput;
use super::view;

/// One row per system of each report, by the folder it came from, at each report's headline point.
pub fn compare(reports: &[(String, ReportInput)]) -> Table {
    let mut table = Table::new(
        "Systems of several reports; figures of different workloads do not compare",
        &[
            "folder",
            "experiment",
            "system",
            "#seeds",
            "#throughput (req/s)",
            "#mean latency (s)",
            "#SLO attainment",
            "#completed",
            "label",
        ],
    );
    for (folder, input) in reports {
        for note in &input.systems {
            let cell = |metric, show: fn(f64) -> String| -> Cell {
                let mean = input.average(input.headline_point, &note.name, None, metric);
                mean.map_or(NONE.into(), |value| show(value).into())
            };
            table.row(vec![
                folder.clone().into(),
                input.name.clone().into(),
                note.name.clone().into(),
                input.seeds.len().to_string().into(),
                cell(view::throughput, number),
                cell(view::latency_s, number),
                cell(view::attainment, percent),
                cell(view::completion, percent),
                input.label.name().into(),
            ]);
        }
    }
    table
}
