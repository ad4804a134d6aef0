//! The tables of the benchmark of collectives: for people, and as CSV.

use super::results::{Results, Row};
use crate::bench::plan::Operation;
use crate::bench::statistics::{Statistics, size, time};
use crate::report::{self, Cell, Table};
use crate::results;

/// One operation: latency, bandwidths and wrong bytes of every contestant over sizes.
pub fn operation(results: &Results, op: Operation) -> Table {
    let ranks = results.spec.ranks;
    let contestants = results.contestants();
    let mut columns = vec!["#size".to_owned()];
    columns.extend(contestants.iter().map(|one| format!("#{}", one.words())));
    if op != Operation::Barrier {
        columns
            .extend(contestants.iter().map(|one| format!("#algbw / busbw GB/s, {}", one.words())));
        columns.push("#memory copy, 1 core GB/s".to_owned());
        columns.push(format!("#memory copy, {ranks} ranks at once, each GB/s"));
    }
    columns.push("#wrong bytes".to_owned());
    let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
    let caption = format!(
        "{} of {ranks} ranks: median latency, p99 in brackets ({}); {}",
        op.name(),
        results.provenance.measured_on(),
        op.formula()
    );
    let mut table = Table::new(caption, &columns);
    let sizes = if op == Operation::Barrier { vec![0] } else { results.spec.sizes.clone() };
    for bytes in sizes {
        let rows: Vec<Option<&Row>> =
            contestants.iter().map(|one| results.row(op, bytes, *one)).collect();
        if rows.iter().all(Option::is_none) {
            continue;
        }
        let mut cells: Vec<Cell> = vec![if bytes == 0 { "-".into() } else { size(bytes).into() }];
        cells.extend(rows.iter().map(|row| latency(row.map(|row| &row.time))));
        if op != Operation::Barrier {
            cells.extend(rows.iter().map(|row| bandwidths(*row, ranks)));
            for threads in [1, ranks] {
                let copy = results.copy(bytes, threads);
                cells.push(copy.map_or("n/a".into(), |copy| report::number(copy).into()));
            }
        }
        let wrong: u64 = rows.iter().flatten().map(|row| row.checked.wrong).sum();
        cells.push(wrong.to_string().into());
        table.row(cells);
    }
    table
}

fn latency(statistics: Option<&Statistics>) -> Cell {
    let Some(statistics) = statistics else { return "n/a".into() };
    let p99 = statistics.p99_ns.map(|p99| format!("[{}]", time(p99)));
    (time(statistics.p50_ns), p99).into()
}

fn bandwidths(row: Option<&Row>, ranks: usize) -> Cell {
    match row.and_then(|row| Some((row.algbw()?, row.busbw(ranks)?))) {
        Some((algbw, busbw)) => {
            format!("{} / {}", report::number(algbw), report::number(busbw)).into()
        }
        None => "n/a".into(),
    }
}

/// The physical references.
pub fn references(results: &Results) -> Table {
    let caption = format!("Physical references, medians ({})", results.provenance.measured_on());
    let mut table = Table::new(caption, &["reference", "#size", "#time", "#GB/s per core"]);
    if let Some(trip) = results.round_trip_ns {
        let what = "cache line there and back between two cores";
        table.row(vec![what.into(), "-".into(), time(trip).into(), "-".into()]);
    }
    for copy in &results.copies {
        let what = match copy.threads {
            1 => "memory copy, 1 core".to_owned(),
            threads => format!("memory copy, {threads} ranks at once"),
        };
        let cells = [what, size(copy.bytes), time(copy.time_ns), report::number(copy.bandwidth())];
        table.row(cells.map(Cell::from).into());
    }
    table
}

/// `collectives.csv`.
pub fn csv(results: &Results) -> results::Table {
    let columns = [
        "operation",
        "bytes",
        "used_bytes",
        "contestant",
        "ranks",
        "ranks_per_core",
        "in_a_row",
        "samples",
        "latency_ns_min",
        "latency_ns_p50",
        "latency_ns_p99",
        "latency_ns_max",
        "algbw_gb_per_s",
        "busbw_gb_per_s",
        "checked_bytes",
        "wrong_bytes",
        "late_share",
        "label",
    ];
    let ranks = results.spec.ranks;
    let per_core = ranks as f64 / results.provenance.machine.cores as f64;
    let cells = |row: &Row| {
        vec![
            row.op.name().to_owned(),
            row.bytes.to_string(),
            row.used_bytes.to_string(),
            row.contestant.name().to_owned(),
            ranks.to_string(),
            per_core.to_string(),
            row.count.to_string(),
            row.time.samples.to_string(),
            row.time.min_ns.to_string(),
            row.time.p50_ns.to_string(),
            optional(row.time.p99_ns),
            row.time.max_ns.to_string(),
            optional(row.algbw()),
            optional(row.busbw(ranks)),
            row.checked.bytes.to_string(),
            row.checked.wrong.to_string(),
            row.late.to_string(),
            "measured".to_owned(),
        ]
    };
    results::Table {
        columns: columns.map(str::to_owned).into(),
        rows: results.rows.iter().map(cells).collect(),
    }
}

/// `references.csv`.
pub fn reference_csv(results: &Results) -> results::Table {
    let columns = ["reference", "bytes", "threads", "time_ns_p50", "gb_per_s", "label"];
    let mut rows = Vec::new();
    let mut push = |name: &str, bytes: String, threads: usize, time: f64, rate: Option<f64>| {
        let label = "measured".to_owned();
        let (threads, time, rate) = (threads.to_string(), time.to_string(), optional(rate));
        rows.push(vec![name.to_owned(), bytes, threads, time, rate, label]);
    };
    if let Some(trip) = results.round_trip_ns {
        push("cache-line-round-trip", String::new(), 2, trip, None);
    }
    for copy in &results.copies {
        let rate = Some(copy.bandwidth());
        push("memory-copy", copy.bytes.to_string(), copy.threads, copy.time_ns, rate);
    }
    results::Table { columns: columns.map(str::to_owned).into(), rows }
}

fn optional(value: Option<f64>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}
