//! What real ranks measured beside latencies: control plane, migration, memory.

use super::document::{Block, Cell, Section, Table};
use super::format::{NONE, number, percent};
use super::input::ReportInput;
use crate::real::Spread;

/// Where weights and artifacts are if ranks are processes.
const PROCESSES: &str = "in the process of each rank and in the one that drives them, which has the artifacts; the peak of a \
                         process is all its memory, weights included";

/// The section; nothing for runs in virtual time.
pub fn section(input: &ReportInput) -> Option<Section> {
    let measured = input.measured.as_ref()?;
    let text = "A gap lies between the end of a task and the start of the next on the same rank. Queued: the next was in \
                the rank's inbox by then, so the gap is the control plane's. Decided: the rank waited for the system, \
                so the gap may be idle time; wake is its part from the decision on. Overhead is what tasks cost \
                beside their computing, relative to it, queued gaps included.";
    let blocks = vec![
        Block::Paragraph(text.to_owned()),
        Block::Table(overheads(input)),
        Block::Table(tasks(input)),
        Block::Table(ranks(input)),
        Block::Paragraph(format!(
            "Weights take {} {}. Artifacts are what requests hold on a rank between tasks, \
             buffers what its tasks compute in; both are the most at one time.",
            measured.weights,
            if measured.processes { PROCESSES } else { "once for all ranks" }
        )),
    ];
    Some(Section::new("What the ranks measured", blocks))
}

/// `3.1 / 12.4`: half and 99 of 100 do not pass.
fn pair(spread: &Spread) -> Cell {
    match (spread.p50_us, spread.p99_us) {
        (Some(p50), Some(p99)) => format!("{} / {}", number(p50), number(p99)).into(),
        _ => NONE.into(),
    }
}

fn overheads(input: &ReportInput) -> Table {
    let caption = format!("Control plane ({}; us, p50 / p99, seeds pooled)", input.label.name());
    let columns = [
        "system",
        "#gap, queued",
        "#gap, decided",
        "#wake",
        "#planning",
        "#lateness of arrivals",
        "#overhead",
    ];
    let mut table = Table::new(caption, &columns);
    for row in input.measured.iter().flat_map(|measured| &measured.overheads) {
        table.row(vec![
            row.system.clone().into(),
            pair(&row.gap_queued),
            pair(&row.gap_decided),
            pair(&row.wake),
            pair(&row.planning),
            pair(&row.lateness),
            row.overhead.map_or(NONE.into(), |share| percent(share).into()),
        ]);
    }
    table
}

fn tasks(input: &ReportInput) -> Table {
    let caption = format!("Tasks and migrations ({}; us, p50 / p99)", input.label.name());
    let columns = [
        "system",
        "#launch",
        "#group set-up",
        "#publish",
        "#pull",
        "#pulled (MB)",
        "#while copying (GB/s)",
    ];
    let mut table = Table::new(caption, &columns);
    for row in input.measured.iter().flat_map(|measured| &measured.overheads) {
        let rate = row.bandwidth.map(|rate| number(rate / 1e9));
        table.row(vec![
            row.system.clone().into(),
            pair(&row.launch),
            pair(&row.setup),
            pair(&row.publish),
            pair(&row.pull),
            number(row.pulled as f64 / 1e6).into(),
            rate.map_or(NONE.into(), Into::into),
        ]);
    }
    table
}

fn ranks(input: &ReportInput) -> Table {
    let caption = format!("Ranks ({}; all systems and seeds)", input.label.name());
    let apart = input.measured.as_ref().is_some_and(|measured| measured.processes);
    let mut columns =
        vec!["rank", "core", "#peak artifacts (MB)", "#peak buffers (MB)", "#times lost"];
    columns.extend(apart.then_some("#peak of its process (MB)"));
    let mut table = Table::new(caption, &columns);
    for row in input.measured.iter().flat_map(|measured| &measured.ranks) {
        let mb = |bytes: flexdit_core::Bytes| Cell::from(number(bytes.0 as f64 / 1e6));
        let mut cells: Vec<Cell> = vec![
            row.rank.to_string().into(),
            row.core.map_or("not pinned".into(), |core| core.to_string().into()),
            mb(row.artifacts),
            mb(row.scratch),
            row.lost.to_string().into(),
        ];
        cells.extend(apart.then(|| row.process.map_or(NONE.into(), mb)));
        table.row(cells);
    }
    table
}
