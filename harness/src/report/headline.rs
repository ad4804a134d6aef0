//! The headline: every system in one table, and each elastic system against the three baselines.

use super::document::{Cell, Table};
use super::format::{NONE, change, number, percent, times, with_interval};
use super::input::{ReportInput, Role, SystemNote};
use super::view;
use crate::metrics::stats::Interval;

/// Every system at the headline point.
pub fn systems(input: &ReportInput) -> Table {
    let caption = format!(
        "All systems ({}; mean over {}, {}{})",
        input.label.name(),
        input.seed_words(),
        input.interval_words(),
        at_point(input)
    );
    let mut table = Table::new(
        caption,
        &[
            "system",
            "what it is",
            "#throughput (req/s)",
            "#goodput (req/s)",
            "#mean latency (s)",
            "#p95 (s)",
            "#p99 (s)",
            "#SLO attainment",
            "#completed",
            "#utilisation",
        ],
    );
    let point = input.headline_point;
    for note in &input.systems {
        let mean = |metric| input.mean(point, &note.name, None, metric);
        let plain = |metric, show: fn(f64) -> String| -> Cell {
            let mean = input.average(point, &note.name, None, metric);
            mean.map_or(NONE.into(), |value| show(value).into())
        };
        let p99 = input.average_of_all(point, &note.name, None, view::p99_s);
        table.row(vec![
            name_and_role(note),
            note.description.clone().into(),
            with_interval(mean(view::throughput), number).into(),
            plain(view::goodput, number),
            with_interval(mean(view::latency_s), number).into(),
            plain(view::p95_s, number),
            p99.map_or(NONE.into(), |value| number(value).into()),
            with_interval(mean(view::attainment), percent).into(),
            plain(view::completion, percent),
            plain(view::utilisation, percent),
        ]);
    }
    table
}

/// "; at target_load 1.2" for a sweep, else nothing.
fn at_point(input: &ReportInput) -> String {
    match input.point_name(input.headline_point) {
        name if name.is_empty() => String::new(),
        name => format!("; at {name}"),
    }
}

fn name_and_role(note: &SystemNote) -> Cell {
    let role = if note.role == Role::Other { "" } else { note.role.name() };
    Cell { text: note.name.clone(), detail: role.to_owned() }
}

/// One elastic system against one baseline.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison<'a> {
    /// The elastic system.
    pub elastic: &'a SystemNote,
    /// The baseline.
    pub baseline: &'a SystemNote,
    /// Ratio of throughputs; above 1 is better.
    pub throughput: Option<Interval>,
    /// Ratio of mean latencies; below 1 is better.
    pub latency: Option<Interval>,
    /// Ratio of violation rates; below 1 is better, `None` if the baseline has none.
    pub violations: Option<Interval>,
}

/// Every elastic system against every baseline, at a sweep point.
pub fn comparisons(input: &ReportInput, point: usize) -> Vec<Comparison<'_>> {
    let mut comparisons = Vec::new();
    for elastic in input.of_role(Role::Elastic) {
        for baseline in Role::COMPARED.into_iter().flat_map(|role| input.of_role(role)) {
            let ratio = |metric| input.ratio(point, &elastic.name, &baseline.name, metric);
            comparisons.push(Comparison {
                elastic,
                baseline,
                throughput: ratio(view::throughput),
                latency: ratio(view::latency_s),
                violations: ratio(view::violations),
            });
        }
    }
    comparisons
}

impl Comparison<'_> {
    /// What the intervals allow to say, metric by metric.
    pub fn verdict(&self) -> String {
        let sides = [
            ("throughput", self.throughput, true),
            ("latency", self.latency, false),
            ("SLO", self.violations, false),
        ];
        let mut better = Vec::new();
        let mut worse = Vec::new();
        for (name, ratio, larger) in sides {
            let Some((low, high)) = ratio.and_then(|ratio| ratio.range) else { continue };
            match (low > 1.0, high < 1.0) {
                (true, _) if larger => better.push(name),
                (_, true) if !larger => better.push(name),
                (false, false) => {}
                _ => worse.push(name),
            }
        }
        let no_interval = sides.iter().all(|(_, ratio, _)| ratio.is_none_or(|r| r.range.is_none()));
        let list = |word: &str, names: &[&str]| match names {
            [] => String::new(),
            names => format!("{word}: {}", names.join(", ")),
        };
        match (list("better", &better), list("worse", &worse)) {
            _ if no_interval => "too few seeds to say".to_owned(),
            (b, w) if b.is_empty() && w.is_empty() => "no clear difference".to_owned(),
            (b, w) if b.is_empty() || w.is_empty() => b + &w,
            (b, w) => format!("{b}; {w}"),
        }
    }

    /// The violations cell: a change, or why there is none.
    pub fn violations_cell(&self, input: &ReportInput, point: usize) -> (String, Option<String>) {
        let rate = |note: &SystemNote| input.average(point, &note.name, None, view::violations);
        match (rate(self.elastic), rate(self.baseline)) {
            (Some(ours), Some(theirs)) => {
                let (text, detail) = match self.violations {
                    Some(ratio) => with_interval(Some(ratio), change),
                    None => (NONE.to_owned(), None),
                };
                let rates = format!("rate {} to {}", percent(theirs), percent(ours));
                let detail = detail.map_or(rates.clone(), |detail| format!("{detail}; {rates}"));
                (text, Some(detail))
            }
            _ => (NONE.to_owned(), None),
        }
    }
}

/// Each elastic system against each baseline, at the headline point.
pub fn against(input: &ReportInput) -> Table {
    let caption = format!(
        "Elastic against each baseline (derived from {} values; paired by seed, {}{})",
        input.label.name(),
        input.interval_words(),
        at_point(input)
    );
    let mut table = Table::new(
        caption,
        &[
            "elastic system",
            "against",
            "#throughput",
            "#mean latency",
            "#SLO violations",
            "verdict",
        ],
    );
    let point = input.headline_point;
    for comparison in comparisons(input, point) {
        let baseline = comparison.baseline;
        table.row(vec![
            comparison.elastic.name.clone().into(),
            Cell { text: baseline.name.clone(), detail: baseline.role.name().to_owned() },
            with_interval(comparison.throughput, times).into(),
            with_interval(comparison.latency, change).into(),
            comparison.violations_cell(input, point).into(),
            comparison.verdict().into(),
        ]);
    }
    table
}

/// The result in sentences: the elastic system with the best attainment (then latency) against each
/// baseline.
pub fn sentences(input: &ReportInput) -> Vec<String> {
    let point = input.headline_point;
    let estimate =
        |name: &str, metric| input.mean(point, name, None, metric).map(|mean| mean.estimate);
    let best = input.of_role(Role::Elastic).max_by(|a, b| {
        let key = |note: &SystemNote| {
            let attainment = estimate(&note.name, view::attainment).unwrap_or(0.0);
            (attainment, -estimate(&note.name, view::latency_s).unwrap_or(f64::MAX))
        };
        let (a, b) = (key(a), key(b));
        a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1))
    });
    let Some(best) = best else { return Vec::new() };
    let mut sentences = Vec::new();
    for comparison in comparisons(input, point) {
        if comparison.elastic.name != best.name {
            continue;
        }
        let joined = |(text, detail): (String, Option<String>)| match detail {
            Some(detail) => format!("{text} {detail}"),
            None => text,
        };
        let throughput = joined(with_interval(comparison.throughput, times));
        let latency = joined(with_interval(comparison.latency, change));
        let violations = joined(comparison.violations_cell(input, point));
        sentences.push(format!(
            "{} against the {} ({}): throughput {throughput}; mean latency {latency}; SLO \
             violations {violations}.",
            best.name,
            comparison.baseline.role.name(),
            comparison.baseline.name,
        ));
    }
    sentences
}
