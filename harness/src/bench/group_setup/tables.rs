//! The tables of the group-setup benchmark: for people, and as CSV.

use super::results::{At, Results};
use super::schedule::{History, Phase};
use crate::bench::published::{COMMUNICATOR, GROUP_FREE};
use crate::bench::statistics::{Statistics, time};
use crate::report::{self, Cell, Table};
use crate::results;

/// The four numbers of every contestant at the given worlds; with p99 where `detail`.
pub fn four_numbers(results: &Results, worlds: &[usize], detail: bool) -> Table {
    let caption = format!(
        "The four numbers: medians{} of the slowest member's time ({})",
        if detail { ", p99 in brackets," } else { "" },
        results.provenance.measured_on()
    );
    let columns = [
        "contestant",
        "#world",
        "#degree",
        "#ranks per core",
        "#(1) form, cold",
        "#(1) form, warm",
        "#(2) first, new tuple",
        "#(3) first, new degree, cold",
        "#(3) first, new degree, warm",
        "#return to a used group",
        "#(4) steady",
        "#(2) / return",
        "#(2) / (4)",
    ];
    let mut table = Table::new(caption, &columns);
    for at in results.places().into_iter().filter(|at| worlds.contains(&at.world)) {
        let cell = |statistics: Option<&Statistics>| -> Cell {
            let Some(statistics) = statistics else { return "n/a".into() };
            let p99 = statistics.p99_ns.filter(|_| detail).map(|p99| format!("[{}]", time(p99)));
            (time(statistics.p50_ns), p99).into()
        };
        let of = |phase, history| cell(results.time(at, phase, history));
        let cores = results.provenance.machine.cores as f64;
        let ratio = |ratio: Option<f64>| -> Cell {
            ratio.map_or("n/a".into(), |ratio| report::times(ratio).into())
        };
        table.row(vec![
            at.contestant.words().into(),
            at.world.to_string().into(),
            at.degree.to_string().into(),
            report::number(at.world as f64 / cores).into(),
            of(Phase::Form, History::Cold),
            cell(results.forming(at)),
            of(Phase::First, History::NewTuple),
            of(Phase::First, History::Cold),
            of(Phase::First, History::NewDegree),
            of(Phase::Return, History::Used),
            of(Phase::Steady, History::Used),
            ratio(results.first_over_return(at)),
            ratio(results.first_over_steady(at)),
        ]);
    }
    table
}

/// Communicators over group-free collectives, beside what is published.
pub fn ratios(results: &Results, pairs: &[(At, At)]) -> Table {
    let caption = format!(
        "A change to a never-used group, forming and first collective, medians ({}; published: other \
         hardware, see below)",
        results.provenance.measured_on()
    );
    let columns = [
        "communicator",
        "group-free",
        "#world",
        "#degree",
        "#communicator (measured)",
        "#group-free (measured)",
        "#ratio (derived)",
        "#NCCL communicator (published)",
        "#group-free (published)",
        "#ratio (derived from published)",
    ];
    let mut table = Table::new(caption, &columns);
    let shown = |nanos: Option<f64>| Cell::from(nanos.map_or("n/a".to_owned(), time));
    for &(free, other) in pairs {
        let ratio = results.ratio((free, other));
        table.row(vec![
            other.contestant.words().into(),
            free.contestant.words().into(),
            free.world.to_string().into(),
            free.degree.to_string().into(),
            shown(results.change(other)),
            shown(results.change(free)),
            ratio.map_or("n/a".into(), |ratio| times(ratio).into()),
            COMMUNICATOR.shown().into(),
            GROUP_FREE.shown().into(),
            times(COMMUNICATOR.nanos / GROUP_FREE.nanos).into(),
        ]);
    }
    table
}

/// A large ratio: `12,967x`.
pub fn times(ratio: f64) -> String {
    format!("{}x", report::number(ratio))
}

/// `group-setup.csv`.
pub fn csv(results: &Results) -> results::Table {
    let columns = [
        "contestant",
        "world",
        "degree",
        "ranks_per_core",
        "members_per_core",
        "phase",
        "history",
        "temperature",
        "in_a_row",
        "samples",
        "time_ns_min",
        "time_ns_p50",
        "time_ns_p99",
        "time_ns_max",
        "late_share",
        "label",
    ];
    let cells = |row: &super::Row| {
        let key = row.key;
        vec![
            key.contestant.name().to_owned(),
            key.world.to_string(),
            key.degree.to_string(),
            row.ranks_per_core.to_string(),
            row.members_per_core.to_string(),
            key.phase.name().to_owned(),
            key.history.name().to_owned(),
            key.history.temperature().to_owned(),
            row.count.to_string(),
            row.time.samples.to_string(),
            row.time.min_ns.to_string(),
            row.time.p50_ns.to_string(),
            row.time.p99_ns.map_or_else(String::new, |p99| p99.to_string()),
            row.time.max_ns.to_string(),
            row.late.to_string(),
            row.label().name().to_owned(),
        ]
    };
    results::Table {
        columns: columns.map(str::to_owned).into(),
        rows: results.rows.iter().map(cells).collect(),
    }
}

/// `ratios.csv`.
pub fn ratio_csv(results: &Results) -> results::Table {
    let columns = [
        "communicator",
        "group_free",
        "world",
        "degree",
        "communicator_ns_p50",
        "group_free_ns_p50",
        "ratio",
        "published_communicator_ns",
        "published_group_free_ns",
    ];
    let number = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
    let cells = |(free, other): (At, At)| {
        vec![
            other.contestant.name().to_owned(),
            free.contestant.name().to_owned(),
            free.world.to_string(),
            free.degree.to_string(),
            number(results.change(other)),
            number(results.change(free)),
            number(results.ratio((free, other))),
            COMMUNICATOR.nanos.to_string(),
            GROUP_FREE.nanos.to_string(),
        ]
    };
    results::Table {
        columns: columns.map(str::to_owned).into(),
        rows: results.pairs().into_iter().map(cells).collect(),
    }
}
