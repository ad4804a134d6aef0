//! A validation as a report and for a terminal.

use super::rows::Row;
use super::{NEIGHBOURS, Priced, Validation, origin_tables, pictures};
use crate::real::Spread;
use crate::report::{Block, Cell, Document, Section, Table, number, percent, plain, wrapped};
use std::fmt::Write as _;

/// The report.
pub fn document(validation: &Validation) -> Document {
    let mut blocks = vec![Block::Paragraph(READING.to_owned()), Block::Table(errors(validation))];
    blocks.extend(pictures::latencies(validation).map(Block::Picture));
    let mut sections = vec![Section::new("Simulated against real", blocks)];
    if !validation.warnings.is_empty() {
        let blocks = vec![Block::List(validation.warnings.clone())];
        sections.push(Section { warning: true, ..Section::new("Warnings", blocks) });
    }
    sections.push(origin_tables::section(validation));
    let classes = classes(validation);
    if !classes.rows.is_empty() {
        sections.push(Section::new("Classes", vec![Block::Table(classes)]));
    }
    sections.push(Section::new(
        "Charges",
        vec![
            Block::Paragraph(CHARGES.to_owned()),
            Block::Table(match validation.priced {
                Priced::Profile => charged(validation),
                Priced::Tours { .. } => origin_tables::charges(validation),
            }),
            Block::Table(measured(validation)),
        ],
    ));
    Document {
        title: format!("{}: virtual time against real ranks", validation.name),
        lead: lead(validation),
        sections,
    }
}

const READING: &str = "An error is (simulated - real) / real, of SLO attainment the difference in percentage points; it is derived \
                       from pairs of runs of one seed. Brackets are 95 % bootstrap intervals over the pairs, with five or more. The simulator's own \
                       error is what remains of it if each run is simulated once more at the times that its own tasks took; the rest is of \
                       prices. Noise is how far two real runs of one seed are apart, from one repeat to the next, in the mean: no simulator can be expected to be nearer than \
                       that. Drift is what remains of it with its sign.";

const CHARGES: &str = "What virtual time charges beside stages, and what these real runs measured of it. Nothing was fitted to them.";

fn lead(validation: &Validation) -> Vec<String> {
    let mut lead = vec![format!(
        "The same requests at the same times in virtual time and on real ranks, {} times: measured on {}.",
        validation.repeats, validation.machine
    )];
    lead.push(match &validation.priced {
        Priced::Profile => {
            "Prices and charges are those of the experiment, measured beforehand.".to_owned()
        }
        Priced::Tours { rounds, crews, fewest } => format!(
            "Prices and charges come from tours of the profile: one round before the first real run and one after each, {rounds} in \
             all, over the collectives that a system has. A run is priced by the {NEIGHBOURS} rounds before and the {NEIGHBOURS} after it \
             ({crews} crews a tour for each decode layout; every price rests on {fewest} samples or more). Nothing is fitted to a run, and \
             policies believe the experiment's profile in both."
        ),
    });
    if validation.interrupted {
        lead.push(format!(
            "Interrupted: {} pairs of runs are complete, and nothing here is a figure of the whole experiment.",
            validation.pairs.len()
        ));
    }
    lead
}

/// `mean latency (ms)` of a metric's key.
fn words(metric: &str) -> &str {
    match metric {
        "latency_ms_mean" => "mean latency (ms)",
        "latency_ms_p50" => "p50 latency (ms)",
        "latency_ms_p95" => "p95 latency (ms)",
        "throughput_rps" => "throughput (req/s)",
        "slo_attainment" => "SLO attainment",
        other => other,
    }
}

fn errors(validation: &Validation) -> Table {
    let mut columns = vec!["system", "metric"];
    columns.extend(FIGURES);
    let mut table = Table::new("Errors (derived)", &columns);
    for row in validation.rows.iter().filter(|row| row.class.is_none()) {
        let mut cells = vec![row.system.clone().into(), words(&row.metric).into()];
        cells.extend(figures(row));
        table.row(cells);
    }
    table
}

fn classes(validation: &Validation) -> Table {
    let mut columns = vec!["system", "class"];
    columns.extend(FIGURES);
    let mut table = Table::new("Errors of mean latency by class (ms; derived)", &columns);
    for row in &validation.rows {
        let Some(class) = &row.class else { continue };
        let mut cells = vec![row.system.clone().into(), class.clone().into()];
        cells.extend(figures(row));
        table.row(cells);
    }
    table
}

const FIGURES: [&str; 7] = [
    "#simulated",
    "#real (measured)",
    "#error",
    "#of prices",
    "#simulator's own",
    "#noise",
    "#drift",
];

fn figures(row: &Row) -> [Cell; 7] {
    let is_share = row.metric == "slo_attainment";
    let value = |value: Option<f64>| -> Cell {
        value.map_or("n/a".into(), |v| if is_share { percent(v) } else { number(v) }.into())
    };
    let unit = if is_share { "pp" } else { "%" };
    let signed = |value: f64| format!("{:+.1} {unit}", value * 100.0);
    let ranged = |error: Option<f64>, range: Option<(f64, f64)>| match (error, range) {
        (None, _) => Cell::from("n/a"),
        (Some(error), None) => signed(error).into(),
        (Some(error), Some((low, high))) => Cell {
            text: signed(error),
            detail: format!("[{:+.1}, {:+.1}]", low * 100.0, high * 100.0),
        },
    };
    [
        value(row.simulated),
        value(row.real),
        ranged(row.error, row.error_range),
        row.of_prices().map_or("n/a".into(), |error| signed(error).into()),
        ranged(row.own, row.own_range),
        row.noise.map_or("n/a".into(), |noise| format!("{:.1} {unit}", noise * 100.0).into()),
        row.drift.map_or("n/a".into(), |drift| signed(drift).into()),
    ]
}

fn charged(validation: &Validation) -> Table {
    let mut table = Table::new("What virtual time charged", &["what", "value", "label", "why"]);
    for charge in &validation.charges {
        let label = charge.label.map_or("chosen", crate::report::Label::name);
        table.row(vec![
            charge.name.clone().into(),
            charge.value.clone().into(),
            label.into(),
            charge.note.clone().into(),
        ]);
    }
    table
}

fn measured(validation: &Validation) -> Table {
    let columns = [
        "system",
        "#launch",
        "#publish",
        "#group set-up",
        "#gap, queued",
        "#wake",
        "#planning",
        "#pull",
    ];
    let mut table = Table::new("What the real runs measured (us, mean / p99)", &columns);
    let pair = |spread: &Spread| -> Cell {
        match (spread.mean_us, spread.p99_us) {
            (Some(mean), Some(p99)) => format!("{} / {}", number(mean), number(p99)).into(),
            _ => "n/a".into(),
        }
    };
    for row in &validation.overheads {
        let spreads = [
            &row.launch,
            &row.publish,
            &row.setup,
            &row.gap_queued,
            &row.wake,
            &row.planning,
            &row.pull,
        ];
        let mut cells: Vec<Cell> = vec![row.system.clone().into()];
        cells.extend(spreads.map(pair));
        table.row(cells);
    }
    table
}

/// The errors in plain text.
pub fn text(validation: &Validation) -> String {
    let mut table = errors(validation);
    for cell in table.rows.iter_mut().flatten().filter(|cell| !cell.detail.is_empty()) {
        cell.text = format!("{} {}", cell.text, cell.detail);
    }
    let mut out = String::new();
    for paragraph in lead(validation) {
        let _ = writeln!(out, "{}", wrapped(&paragraph, 100, ""));
    }
    let _ = write!(out, "\n{}\n", plain(&table));
    if !validation.warnings.is_empty() {
        out.push('\n');
    }
    for warning in &validation.warnings {
        let _ = writeln!(out, "note: {}", wrapped(warning, 100, "      "));
    }
    out
}
