//! The report's sections, in reading order.

use super::document::{Block, Cell, Document, Section, Table};
use super::format::{NONE, change, number, percent, times, with_interval};
use super::input::{BoundRow, Fact, Label, ReportInput, Role};
use super::sweep::{Sweep, SweepKind};
use super::{headline, measured, pictures, view};
use crate::metrics::stats::MIN_SEEDS;
use crate::record::RankTime;

/// Rows above which a table is folded away.
const LONG: usize = 40;

/// The whole report.
pub fn document(input: &ReportInput) -> Document {
    let title = if input.title.is_empty() { &input.name } else { &input.title };
    let mut lead = input.lead.clone();
    lead.push(format!(
        "Every performance figure is {}, unless it says otherwise; ratios are derived from those \
         figures.",
        input.label.name()
    ));
    match all_warnings(input).len() {
        0 => {}
        1 => lead.push("One warning is listed below the result.".to_owned()),
        n => lead.push(format!("{n} warnings are listed below the result.")),
    }
    let sections = [
        Some(result(input)),
        warnings(input),
        Some(per_class(input)),
        rank_time(input),
        measured::section(input),
        activity(input),
        sweep(input),
        ranking(input),
        bounds(input),
        Some(assumptions(input)),
        profiles(input),
        Some(rerun(input)),
    ];
    Document { title: title.clone(), lead, sections: sections.into_iter().flatten().collect() }
}

fn picture(picture: Option<super::document::Picture>) -> Option<Block> {
    picture.map(Block::Picture)
}

fn result(input: &ReportInput) -> Section {
    let mut blocks = Vec::new();
    let sentences = headline::sentences(input);
    if !sentences.is_empty() {
        blocks.push(Block::List(sentences));
    }
    let against = headline::against(input);
    if !against.rows.is_empty() {
        blocks.push(Block::Table(against));
    }
    blocks.push(Block::Table(headline::systems(input)));
    blocks.extend(picture(pictures::attainment(input)));
    blocks.extend(picture(pictures::latency_cdf(input)));
    Section::new("Result", blocks)
}

/// Warnings given, and those that the metrics show.
pub fn all_warnings(input: &ReportInput) -> Vec<String> {
    let mut warnings = input.warnings.clone();
    if input.seeds.len() < MIN_SEEDS {
        warnings.push(format!(
            "{}: no interval can be drawn, differences may be luck of the workload; use at least \
             {MIN_SEEDS} seeds.",
            input.seed_words()
        ));
    }
    let elastic = input.of_role(Role::Elastic).next().is_some();
    for role in Role::BASELINES {
        if elastic && input.of_role(role).next().is_none() {
            warnings
                .push(format!("Not compared with the {}: not in this experiment.", role.name()));
        }
    }
    for note in &input.systems {
        let whole = input.metrics.iter().filter(|r| r.class.is_none() && r.system == note.name);
        let (mut requests, mut missing) = (0, 0);
        for row in whole {
            requests += row.requests;
            missing += row.requests.saturating_sub(row.completed);
        }
        if missing > 0 {
            warnings.push(format!(
                "{}: {missing} of {requests} requests did not complete; its latencies are over \
                 completed requests only.",
                note.name
            ));
        }
    }
    for profile in input.profiles.iter().filter(|profile| profile.extrapolated) {
        let range = match profile.range.as_str() {
            "" => String::new(),
            range => format!(" ({range})"),
        };
        warnings.push(format!("{}: used outside the range of its source{range}.", profile.name));
    }
    warnings
}

fn warnings(input: &ReportInput) -> Option<Section> {
    let warnings = all_warnings(input);
    (!warnings.is_empty()).then(|| Section {
        title: "Warnings".to_owned(),
        warning: true,
        blocks: vec![Block::List(warnings)],
    })
}

fn per_class(input: &ReportInput) -> Section {
    let mut table = Table::new(
        format!("Per class ({}; mean over {})", input.label.name(), input.seed_words()),
        &[
            "class",
            "system",
            "#requests",
            "#completed",
            "#mean latency (s)",
            "#p50 (s)",
            "#p95 (s)",
            "#p99 (s)",
            "#slowdown",
            "#SLO attainment",
        ],
    );
    let point = input.headline_point;
    for class in &input.classes {
        for note in &input.systems {
            let rows = input.rows(point, &note.name, Some(class));
            let requests: u64 = rows.iter().map(|row| row.requests).sum();
            let plain = |metric, show: fn(f64) -> String| -> Cell {
                let mean = input.average(point, &note.name, Some(class), metric);
                mean.map_or(NONE.into(), |value| show(value).into())
            };
            let attainment = input.mean(point, &note.name, Some(class), view::attainment);
            let p99 = input.average_of_all(point, &note.name, Some(class), view::p99_s);
            table.row(vec![
                class.clone().into(),
                note.name.clone().into(),
                requests.to_string().into(),
                plain(view::completion, percent),
                plain(view::latency_s, number),
                plain(|row| row.latency_ms_p50.map(|ms| ms / 1e3), number),
                plain(view::p95_s, number),
                p99.map_or(NONE.into(), |value| number(value).into()),
                plain(view::slowdown, number),
                with_interval(attainment, percent).into(),
            ]);
        }
    }
    table.folded = table.rows.len() > LONG;
    let mut blocks = vec![
        Block::Paragraph(
            "Latency is over completed requests only: read it beside the share that completed. \
             Slowdown is latency over the latency alone on one rank. Requests are summed over \
             seeds; p99 needs 100 samples in every run."
                .to_owned(),
        ),
        Block::Table(table),
    ];
    blocks.extend(picture(pictures::lateness(input)));
    Section::new("Request classes", blocks)
}

fn rank_time(input: &ReportInput) -> Option<Section> {
    let names = RankTime::default().parts().map(|(name, _)| format!("#{name}"));
    let columns: Vec<&str> =
        std::iter::once("system").chain(names.iter().map(String::as_str)).collect();
    let mut table = Table::new(
        format!(
            "Rank-time by cause ({}; share of world x makespan, {} pooled)",
            input.label.name(),
            input.seed_words()
        ),
        &columns,
    );
    for note in &input.systems {
        let Some(parts) = input.rank_time(input.headline_point, &note.name) else { continue };
        let mut cells: Vec<Cell> = vec![note.name.clone().into()];
        cells.extend(parts.iter().map(|(_, part)| Cell::from(percent(*part))));
        table.row(cells);
    }
    if table.rows.is_empty() {
        return None;
    }
    let mut overhead = Table::new(
        format!("Reconfiguring ({}; mean per run over {})", input.label.name(), input.seed_words()),
        &["system", "#reconfigurations", "#migrations", "#group set-ups", "#GPU-time (rank s)"],
    );
    for note in &input.systems {
        let plain = |metric| -> Cell {
            let mean = input.average(input.headline_point, &note.name, None, metric);
            mean.map_or(NONE.into(), |value| number(value).into())
        };
        overhead.row(vec![
            note.name.clone().into(),
            plain(|row| Some(row.reconfigurations as f64)),
            plain(|row| Some(row.migrations as f64)),
            plain(|row| Some(row.group_setups as f64)),
            plain(|row| Some(row.gpu_time_s)),
        ]);
    }
    let mut blocks: Vec<Block> = picture(pictures::rank_time(input)).into_iter().collect();
    blocks.extend([Block::Table(table), Block::Table(overhead)]);
    Some(Section::new("Where rank-time went", blocks))
}

fn activity(input: &ReportInput) -> Option<Section> {
    let pictures = pictures::gantts(input).into_iter().chain(pictures::degrees(input));
    let mut blocks: Vec<Block> = pictures.map(Block::Picture).collect();
    if blocks.is_empty() && !input.metrics.is_empty() {
        let text =
            "These runs are too long to keep what each rank did; a shorter workload shows it.";
        blocks.push(Block::Paragraph(text.to_owned()));
    }
    (!blocks.is_empty()).then(|| Section::new("What the ranks did", blocks))
}

fn sweep(input: &ReportInput) -> Option<Section> {
    if input.points.len() < 2 {
        return None;
    }
    let mut blocks: Vec<Block> = pictures::sweeps(input).into_iter().map(Block::Picture).collect();
    let crossings = crossings(input);
    if !crossings.is_empty() {
        blocks.push(Block::List(crossings));
    }
    let mut table = Table::new(
        format!(
            "Every sweep point ({}; mean over {}; ratios paired by seed, {})",
            input.label.name(),
            input.seed_words(),
            input.interval_words()
        ),
        &[
            "point",
            "system",
            "#throughput (req/s)",
            "#mean latency (s)",
            "#SLO attainment",
            "#completed",
            "#throughput / paper's",
            "#latency vs best static",
        ],
    );
    let paper = input.of_role(Role::PaperBaseline).next();
    let best = input.of_role(Role::BestStatic).next();
    for point in 0..input.points.len() {
        for note in &input.systems {
            let name = &note.name;
            let plain = |metric, show: fn(f64) -> String| -> Cell {
                let mean = input.average(point, name, None, metric);
                mean.map_or(NONE.into(), |value| show(value).into())
            };
            let gain = paper.and_then(|p| input.ratio(point, name, &p.name, view::throughput));
            let delay = best.and_then(|b| input.ratio(point, name, &b.name, view::latency_s));
            table.row(vec![
                input.point_name(point).into(),
                name.clone().into(),
                plain(view::throughput, number),
                plain(view::latency_s, number),
                plain(view::attainment, percent),
                plain(view::completion, percent),
                with_interval(gain, times).into(),
                with_interval(delay, change).into(),
            ]);
        }
    }
    table.folded = table.rows.len() > LONG;
    blocks.push(Block::Table(table));
    Some(Section::new("Over the sweep", blocks))
}

/// Where elastic systems stop (or start) being better than a baseline along each sweep.
fn crossings(input: &ReportInput) -> Vec<String> {
    let mut lines = Vec::new();
    for sweep in Sweep::all(input) {
        let unit = if sweep.kind == SweepKind::Cost { " ms" } else { "" };
        for elastic in input.of_role(Role::Elastic) {
            for baseline in Role::COMPARED.into_iter().flat_map(|role| input.of_role(role)) {
                let pair = (elastic.name.as_str(), baseline.name.as_str());
                let what = format!("{} and {} ({})", pair.0, pair.1, baseline.role.name());
                let Some((value, low, high)) = sweep.crossing(input, pair, view::latency_s) else {
                    lines.extend(never_crosses(input, &sweep, pair));
                    continue;
                };
                lines.push(format!(
                    "Mean latency of {what} crosses at {} of about {}{unit} (derived: linear \
                     between the {} points {low} and {high}).",
                    sweep.key,
                    number(value),
                    input.label.name()
                ));
            }
        }
    }
    lines
}

/// Which of two systems has the lower mean latency all along a sweep of costs.
fn never_crosses(input: &ReportInput, sweep: &Sweep, (a, b): (&str, &str)) -> Option<String> {
    let (first, last) = (sweep.values.first()?, sweep.values.last()?);
    let at = |system| input.average(first.0, system, None, view::latency_s);
    let better = if at(a)? < at(b)? { "lower" } else { "no lower" };
    (sweep.kind == SweepKind::Cost).then(|| {
        format!(
            "Mean latency of {a} is {better} than that of {b} at every point from {} to {} of {}: \
             no break-even in this range.",
            first.2, last.2, sweep.key
        )
    })
}

fn ranking(input: &ReportInput) -> Option<Section> {
    let ranking = input.ranking.as_ref().filter(|ranking| !ranking.rows.is_empty())?;
    let metric = view::metric_words(&ranking.metric);
    let order = if ranking.smaller_is_better { "smallest" } else { "largest" };
    let by = format!("#{metric}");
    let mut columns = vec!["#place", "layout", &by];
    let with_attainment = ranking.metric != "slo_attainment";
    if with_attainment {
        columns.push("#SLO attainment");
    }
    columns.extend(["#mean latency (s)", "#throughput (req/s)"]);
    let mut table = Table::new(
        format!(
            "Static layouts, {order} {} first ({}; mean over {} [lowest, highest])",
            metric,
            input.label.name(),
            input.seed_words()
        ),
        &columns,
    );
    let optional = |value: Option<f64>, show: fn(f64) -> String| -> Cell {
        value.map_or(NONE.into(), |value| show(value).into())
    };
    for (place, row) in ranking.rows.iter().enumerate() {
        let range = format!("[{}, {}]", number(row.low), number(row.high));
        let mut cells = vec![
            (place + 1).to_string().into(),
            row.layout.clone().into(),
            Cell { text: number(row.value), detail: range },
        ];
        if with_attainment {
            cells.push(optional(row.slo_attainment, percent));
        }
        cells.push(optional(row.latency_ms_mean.map(|ms| ms / 1e3), number));
        cells.push(optional(row.throughput_rps, number));
        table.row(cells);
    }
    table.folded = table.rows.len() > LONG;
    let mut blocks = vec![Block::Paragraph(
        "The best static layout is searched on this very workload and its seeds: it is the best a \
         fixed deployment could do with hindsight."
            .to_owned(),
    )];
    blocks.extend(picture(pictures::ranking(input)));
    blocks.push(Block::Table(table));
    Some(Section::new("The search for the best static layout", blocks))
}

fn bounds(input: &ReportInput) -> Option<Section> {
    if input.bounds.is_empty() {
        return None;
    }
    let mut table = Table::new(
        format!("Distance to lower bounds ({}; bounds derived)", input.label.name()),
        &["system", "quantity", "#reached", "#bound", "#gap", "argument", "strength"],
    );
    let here = input.bounds.iter().filter(|bound| bound.point == input.headline_point);
    let all: Vec<&BoundRow> = here.collect();
    // Of the proofs for one quantity the largest says all; the others follow from it.
    let implied = |index: usize, bound: &BoundRow| {
        all.iter().enumerate().any(|(i, other)| {
            let same = other.system == bound.system && other.quantity == bound.quantity;
            let larger = (other.bound, i) > (bound.bound, index);
            same && other.proof && bound.proof && larger
        })
    };
    for (_, bound) in all.iter().enumerate().filter(|(i, bound)| !implied(*i, bound)) {
        let gap = match bound.bound > 0.0 && bound.unit != "requests" {
            true => times(bound.value / bound.bound),
            false => format!("+{}", number(bound.value - bound.bound)),
        };
        let with_unit = |value: f64| format!("{} {}", number(value), bound.unit);
        table.row(vec![
            bound.system.clone().into(),
            bound.quantity.clone().into(),
            with_unit(bound.value).into(),
            with_unit(bound.bound).into(),
            gap.into(),
            bound.argument.clone().into(),
            if bound.proof { "proof" } else { "estimate" }.into(),
        ]);
    }
    table.folded = table.rows.len() > LONG;
    let text = "A bound marked as proof cannot be beaten by any schedule of the same requests at \
                the charged prices; an estimate can. With jitter, which can shorten tasks, none is a \
                proof; in a closed loop, where each system has its own arrivals, only those that need \
                no arrivals are given. The gap is reached over bound, for violations reached minus \
                bound; of several proofs the largest is shown.";
    let blocks = vec![Block::Paragraph(text.to_owned()), Block::Table(table)];
    Some(Section::new("How far from the possible", blocks))
}

fn label(label: Option<Label>) -> Cell {
    label.map_or("chosen", Label::name).into()
}

fn facts(caption: &str, facts: &[Fact]) -> Table {
    let labelled = facts.iter().any(|fact| fact.label.is_some());
    let columns = ["what", "value", "label"];
    let mut table = Table::new(caption, &columns[..if labelled { 3 } else { 2 }]);
    for fact in facts {
        let mut cells = vec![fact.name.clone().into(), fact.value.clone().into()];
        if labelled {
            cells.push(label(fact.label));
        }
        table.row(cells);
    }
    table
}

fn assumptions(input: &ReportInput) -> Section {
    let mut blocks = Vec::new();
    if !input.setup.is_empty() {
        blocks.push(Block::Table(facts("Cluster and workload", &input.setup)));
    }
    let mut table = Table::new(
        "Everything that is charged or assumed",
        &["what", "value", "default", "label", "why"],
    );
    for charge in &input.charges {
        table.row(vec![
            charge.name.clone().into(),
            charge.value.clone().into(),
            if charge.is_default { "default" } else { "set by the experiment" }.into(),
            label(charge.label),
            charge.note.clone().into(),
        ]);
    }
    if !table.rows.is_empty() {
        blocks.push(Block::Table(table));
    }
    Section::new("Assumptions", blocks)
}

fn profiles(input: &ReportInput) -> Option<Section> {
    if input.profiles.is_empty() {
        return None;
    }
    let mut table = Table::new(
        match input.label {
            Label::Measured => "What policies believe of step times",
            _ => "Sources of step times",
        },
        &["entries", "label", "source", "valid for", "used outside"],
    );
    for profile in &input.profiles {
        table.row(vec![
            profile.name.clone().into(),
            label(profile.label),
            profile.source.clone().into(),
            profile.range.clone().into(),
            if profile.extrapolated { "yes: extrapolated" } else { "no" }.into(),
        ]);
    }
    table.folded = table.rows.len() > LONG;
    Some(Section::new("Where step times come from", vec![Block::Table(table)]))
}

fn rerun(input: &ReportInput) -> Section {
    let mut blocks = Vec::new();
    if !input.rerun.is_empty() {
        blocks.push(Block::Commands(input.rerun.clone()));
    }
    if !input.provenance.is_empty() {
        blocks.push(Block::Table(facts("Versions and inputs", &input.provenance)));
    }
    let again = match input.label {
        Label::Measured => {
            "These figures were taken with a clock, on one machine at one time: another run gives others."
        }
        _ => {
            "Simulated results are exact: the same experiment file and seeds give the same figures on \
             any machine."
        }
    };
    blocks.push(Block::Paragraph(format!(
        "{again} summary.csv and classes.csv beside this report hold every figure per seed, \
         report.json everything this page was made from."
    )));
    Section::new("How to run it again", blocks)
}
