//! A validation as a report and for a terminal.

use super::rows::Row;
use super::{NEIGHBOURS, Others, Priced, Validation, origin_tables, pictures};
use crate::metrics::stats::Covers;
use crate::real::Spread;
use crate::report::{Block, Cell, Document, Section, Table, number, percent, plain, wrapped};
use std::fmt::Write as _;

/// The report.
pub fn document(validation: &Validation) -> Document {
    let mut blocks = vec![Block::Paragraph(READING.to_owned())];
    if matches!(validation.priced, Priced::Tours { .. }) {
        blocks.push(Block::Paragraph(BOTH_PRICES.to_owned()));
    }
    blocks.push(Block::Table(errors(validation)));
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

const READING: &str = "An error is (simulated - real) / real of a seed's means over its repeats, of SLO attainment the difference in \
                       percentage points, then the mean over seeds; it is derived. An error is evidence against the simulator only \
                       beyond about twice the standard error of the real mean, which comes from the repeats of each seed and is a \
                       share like the error; within that it is no evidence for the simulator either, only too few runs to tell. Two \
                       runs apart is how far two single real runs of one seed are from each other, in the mean; drift is the same \
                       with its sign. Given the durations is what remains of the error if each run is simulated once more at the times \
                       that its own tasks took: a test of event logic and charges, near zero partly by construction. The rest is of \
                       prices.";

const BOTH_PRICES: &str = "The prices of tours are no forecast: they use measurements after a run as well as before it. The profile's prices and \
                           charges were there before any of these runs, so the error at the profile's prices is that of a prediction \
                           made beforehand, drift of the machine since then included.";

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
             all, over the collectives that a system has. A run is priced by the {NEIGHBOURS} rounds before and the {NEIGHBOURS} after it, \
             so by measurements later than itself, too ({crews} crews a tour for each decode layout; every price rests on {fewest} samples or more). Nothing is fitted to a run, and \
             policies believe the experiment's profile in both."
        ),
    });
    let share = |share: Option<f64>| share.map_or_else(|| "a share not known".into(), percent);
    lead.push(match (&validation.priced, validation.others) {
        (Priced::Tours { .. }, Others { runs, tours }) => format!(
            "Other programs, or the host, took {} of the cores' capacity during the runs and {} during the tours.",
            share(runs),
            share(tours)
        ),
        (Priced::Profile, Others { runs, .. }) => format!(
            "Other programs, or the host, took {} of the cores' capacity during the runs.",
            share(runs)
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
    let rows: Vec<&Row> = validation.rows.iter().filter(|row| row.class.is_none()).collect();
    table("Errors (derived)", "metric", &rows, |row| words(&row.metric).to_owned())
}

fn classes(validation: &Validation) -> Table {
    let rows: Vec<&Row> = validation.rows.iter().filter(|row| row.class.is_some()).collect();
    let caption = "Errors of mean latency by class (ms; derived)";
    table(caption, "class", &rows, |row| row.class.clone().unwrap_or_default())
}

/// Rows of errors; the caption says what brackets cover and what an error has to be held against.
fn table(caption: &str, what: &str, rows: &[&Row], name: impl Fn(&Row) -> String) -> Table {
    let mut covers: Vec<Covers> = Vec::new();
    for kind in rows.iter().filter_map(|row| row.covers) {
        if !covers.contains(&kind) {
            covers.push(kind);
        }
    }
    let brackets = match &covers[..] {
        [] => String::new(),
        [one] => format!("; brackets: 95 % bootstrap, {}", one.words()),
        _ => format!(
            "; brackets: 95 % bootstrap, {}, with * {}",
            Covers::Seeds.words(),
            Covers::Repeats.words()
        ),
    };
    let caption = format!(
        "{caption}{brackets}; evidence against the simulator only beyond about twice the real mean's standard error"
    );
    let by_profile = rows.iter().any(|row| row.profile.is_some());
    let mut columns = vec!["system", what];
    columns.extend(FIGURES);
    columns.extend(by_profile.then_some("#error at the profile's prices"));
    let mut table = Table::new(&caption, &columns);
    for row in rows {
        let mark = covers.len() > 1 && row.covers == Some(Covers::Repeats);
        let mut cells = vec![row.system.clone().into(), name(row).into()];
        cells.extend(figures(row, mark));
        if by_profile {
            cells.push(ranged(row, row.profile, row.profile_range, mark));
        }
        table.row(cells);
    }
    table
}

const FIGURES: [&str; 8] = [
    "#simulated",
    "#real (measured)",
    "#error",
    "#standard error of real",
    "#two runs apart",
    "#drift",
    "#of prices",
    "#given the durations",
];

fn is_share(row: &Row) -> bool {
    row.metric == "slo_attainment"
}

fn signed(row: &Row, value: f64) -> String {
    format!("{:+.1} {}", value * 100.0, if is_share(row) { "pp" } else { "%" })
}

fn ranged(row: &Row, error: Option<f64>, range: Option<(f64, f64)>, mark: bool) -> Cell {
    match (error, range) {
        (None, _) => "n/a".into(),
        (Some(error), None) => signed(row, error).into(),
        (Some(error), Some((low, high))) => Cell {
            text: signed(row, error),
            detail: format!(
                "[{:+.1}, {:+.1}]{}",
                low * 100.0,
                high * 100.0,
                if mark { "*" } else { "" }
            ),
        },
    }
}

fn figures(row: &Row, mark: bool) -> [Cell; 8] {
    let value = |value: Option<f64>| -> Cell {
        value.map_or("n/a".into(), |v| if is_share(row) { percent(v) } else { number(v) }.into())
    };
    let size = |size: Option<f64>| -> Cell {
        size.map_or("n/a".into(), |size| signed(row, size).trim_start_matches('+').into())
    };
    let part = |part: Option<f64>| part.map_or("n/a".into(), |part| signed(row, part).into());
    [
        value(row.simulated),
        value(row.real),
        ranged(row, row.error, row.error_range, mark),
        size(row.standard_error),
        size(row.two_runs_apart),
        part(row.drift),
        part(row.of_prices()),
        ranged(row, row.own, row.own_range, mark),
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
