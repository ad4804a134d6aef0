//! Which pictures a report has and what they show.

use super::document::Picture;
use super::input::{ReportInput, Role};
use super::sweep::{Sweep, SweepKind};
use super::view::{self, Metric, metric_words};
use crate::plot::area::DegreeChart;
use crate::plot::axis::{Axis, Scale, Tick, decimals, plain};
use crate::plot::bars::{Bar, GroupedBars, LyingBars, Part, Row};
use crate::plot::gantt::GanttChart;
use crate::plot::lines::{LineChart, Panel, Sample, Series};
use crate::plot::palette::{self, lighten};
use crate::plot::{Cdf, Gantt, Lateness, Svg};
use crate::record::RankTime;
use flexdit_core::Nanos;

/// Most systems in one line or bar chart.
const MOST: usize = 8;
/// Most systems in pictures with a panel each.
const MOST_PANELS: usize = 6;
/// Most static layouts in the ranking.
const MOST_LAYOUTS: usize = 24;

fn picture(name: &str, caption: String, svg: Svg) -> Option<Picture> {
    Some(Picture { name: name.to_owned(), caption, svg })
}

fn panels<'a>(input: &'a ReportInput) -> impl Iterator<Item = Option<&'a str>> {
    let classes: Vec<Option<&'a str>> = match input.classes.len() {
        0 | 1 => Vec::new(),
        n => input.classes[..n.min(5)].iter().map(|class| Some(class.as_str())).collect(),
    };
    std::iter::once(None).chain(classes)
}

/// "simulated; 3 seeds pooled".
fn pooled(input: &ReportInput) -> String {
    let pooled = if input.seeds.len() > 1 { " pooled" } else { "" };
    format!("{}; {}{pooled}", input.label.name(), input.seed_words())
}

fn class_title(class: Option<&str>) -> String {
    class.map_or("all requests".to_owned(), |class| format!("class {class}"))
}

/// Latency distributions: all requests, then each class.
pub fn latency_cdf(input: &ReportInput) -> Option<Picture> {
    let systems = input.shown(MOST);
    let find = |system: &str, class: Option<&str>| -> Option<&Cdf> {
        let mut cdfs = input.figures.cdfs.iter();
        cdfs.find(|cdf| cdf.system == system && cdf.class.as_deref() == class)
    };
    let panel = |class: Option<&str>| {
        let shown = systems.iter().filter_map(|note| find(&note.name, class));
        let latencies: Vec<f64> =
            shown.clone().flat_map(|cdf| cdf.points.iter().map(|point| point.0)).collect();
        let low = latencies.iter().copied().fold(f64::MAX, f64::min).min(1e9);
        let high = latencies.iter().copied().fold(0.0, f64::max);
        let scale = match high / low.max(1e-9) {
            ratio if ratio > 12.0 => Scale::log_around(low, high),
            _ => Scale::up_to(0.0, high),
        };
        let series = shown.map(|cdf| cdf_series(input, cdf)).collect();
        let y = Axis::new(Scale::Linear { lo: 0.0, hi: 1.0 }, "share of all requests");
        Panel { title: class_title(class), x: Axis::new(scale, "latency (s)"), y, series }
    };
    let panels: Vec<Panel> = panels(input).map(panel).collect();
    if panels.iter().all(|panel| panel.series.iter().all(|s| s.samples.is_empty())) {
        return None;
    }
    let chart = LineChart {
        heading: "Latency of completed requests".to_owned(),
        subtitle: pooled(input),
        columns: panels.len().min(2),
        panels,
    };
    let caption = format!(
        "Share of all requests that completed within a latency; a curve that ends below 1 left \
         requests unfinished or refused. {}",
        input.left_out(MOST)
    );
    picture("latency-cdf", caption, chart.draw())
}

fn cdf_series(input: &ReportInput, cdf: &Cdf) -> Series {
    let sample = |&(x, y): &(f64, f64)| Sample { x, y, interval: None };
    let first = cdf.points.first().map(|&(x, _)| Sample { x, y: 0.0, interval: None });
    Series {
        name: cdf.system.clone(),
        stroke: input.stroke(&cdf.system),
        samples: first.into_iter().chain(cdf.points.iter().map(sample)).collect(),
        steps: true,
        dodge: 0.0,
        markers: 4,
    }
}

/// SLO attainment per class with intervals.
pub fn attainment(input: &ReportInput) -> Option<Picture> {
    let systems = input.shown(MOST);
    let bar = |system: &str, class: Option<&str>| {
        let mean = input.mean(input.headline_point, system, class, view::attainment);
        Bar { value: mean.map(|m| m.estimate), interval: mean.and_then(|m| m.range) }
    };
    let groups: Vec<(String, Vec<Bar>)> = panels(input)
        .map(|class| {
            let bars = systems.iter().map(|note| bar(&note.name, class)).collect();
            (class_title(class), bars)
        })
        .collect();
    if groups.iter().all(|(_, bars)| bars.iter().all(|bar| bar.value.is_none())) {
        return None;
    }
    let series = systems.iter().map(|note| {
        let stroke = input.stroke(&note.name);
        (note.name.clone(), stroke.color, note.role != Role::Elastic)
    });
    let chart = GroupedBars {
        heading: "SLO attainment by request class".to_owned(),
        subtitle: format!(
            "{}; mean over {}, {}",
            input.label.name(),
            input.seed_words(),
            input.drawn_interval_words("lines")
        ),
        y: Axis::new(Scale::Linear { lo: 0.0, hi: 1.0 }, "SLO attainment"),
        series: series.collect(),
        groups,
    };
    let caption = format!(
        "Requests that completed by their deadline over all that carry one; unfinished and refused \
         ones count as misses. Plain bars are elastic, striped ones static. {}",
        input.left_out(MOST)
    );
    picture("slo-attainment", caption, chart.draw())
}

/// Lateness bins per class.
pub fn lateness(input: &ReportInput) -> Option<Picture> {
    let systems = input.shown(MOST);
    let find = |system: &str, class: Option<&str>| -> Option<&Lateness> {
        let mut all = input.figures.lateness.iter();
        all.find(|l| l.system == system && l.class.as_deref() == class && l.total() > 0)
    };
    let row = |lateness: &Lateness| {
        let l = lateness;
        let share = |count: u64| count as f64 / l.total() as f64;
        Row {
            name: l.system.clone(),
            parts: [l.on_time, l.marginal, l.moderate, l.severe, l.never].map(share).to_vec(),
            interval: None,
            note: String::new(),
        }
    };
    let panels: Vec<(String, Vec<Row>)> = panels(input)
        .map(|class| {
            let rows = systems.iter().filter_map(|note| find(&note.name, class)).map(row);
            (class_title(class), rows.collect())
        })
        .filter(|(_, rows): &(String, Vec<Row>)| !rows.is_empty())
        .collect();
    if panels.is_empty() {
        return None;
    }
    let any = panels.iter().any(|(_, rows)| rows.iter().any(|row| row.parts[4] > 0.0));
    let never = if any { "never completed" } else { "" };
    let part = |name: &str, fill, stripe| Part { name: name.to_owned(), fill, stripe };
    let chart = LyingBars {
        heading: "How late requests were".to_owned(),
        subtitle: pooled(input),
        parts: vec![
            part("on time", palette::BLUE, None),
            part("late by \u{2264} 10 % of the budget", palette::YELLOW, None),
            part("late by 10-50 %", palette::ORANGE, None),
            part("late by more than 50 %", palette::VERMILLION, None),
            part(never, palette::INK, Some(palette::MUTED)),
        ],
        x: share_axis("share of requests with a deadline"),
        columns: panels.len().min(2),
        panels,
    };
    let caption = format!(
        "Lateness in shares of the budget (deadline minus arrival): marginal up to 10 %, moderate \
         up to 50 %, severe above. {}",
        input.left_out(MOST)
    );
    picture("lateness", caption, chart.draw())
}

fn share_axis(title: &str) -> Axis {
    let mut axis = Axis::new(Scale::Linear { lo: 0.0, hi: 1.0 }, title);
    axis.ticks.iter_mut().for_each(|tick| tick.label = format!("{:.0} %", tick.at * 100.0));
    axis
}

/// Rank-time by cause.
pub fn rank_time(input: &ReportInput) -> Option<Picture> {
    let shown = input.shown(MOST);
    let rows: Vec<Row> = shown
        .iter()
        .filter_map(|note| {
            let parts = input.rank_time(input.headline_point, &note.name)?;
            Some(Row {
                name: note.name.clone(),
                parts: parts.iter().map(|(_, part)| *part).collect(),
                interval: None,
                note: String::new(),
            })
        })
        .collect();
    if rows.is_empty() {
        return None;
    }
    let names = RankTime::default().parts();
    let parts = names.iter().enumerate().map(|(i, (name, _))| {
        let (fill, stripe) = cause_fill(i);
        let used = rows.iter().any(|row| row.parts[i] >= 5e-4);
        Part { name: if used { (*name).to_owned() } else { String::new() }, fill, stripe }
    });
    let chart = LyingBars {
        heading: "Where rank-time went".to_owned(),
        subtitle: pooled(input),
        parts: parts.collect(),
        x: share_axis("share of world x makespan"),
        panels: vec![(String::new(), rows)],
        columns: 1,
    };
    let caption = format!(
        "Every rank-second of a run has one cause; the parts sum to world x makespan. Causes \
         below 0.05 % have no legend entry. {}",
        input.left_out(MOST)
    );
    picture("rank-time", caption, chart.draw())
}

/// Fills of the causes in the order of `RankTime::parts`: computing dark, idling pale, overhead warm.
fn cause_fill(index: usize) -> (plotters::style::RGBColor, Option<plotters::style::RGBColor>) {
    match index {
        0 => (palette::BLUE, None),
        1 => (palette::PAPER, None),
        2 => (palette::SKY, Some(palette::PAPER)),
        3 => (lighten(palette::SKY, 0.65), None),
        4 => (palette::HELD, None),
        5 => (palette::ORANGE, None),
        6 => (palette::VERMILLION, None),
        7 => (palette::PURPLE, None),
        8 => (palette::YELLOW, Some(palette::VERMILLION)),
        _ => (palette::BLACK, None),
    }
}

/// What each rank did: the whole window, and a short stretch of it in which single stages can be
/// told apart.
pub fn gantts(input: &ReportInput) -> Vec<Picture> {
    let all = &input.figures.gantts;
    let shown = input.shown(MOST_PANELS);
    let systems: Vec<&Gantt> =
        shown.iter().filter_map(|note| all.iter().find(|g| g.system == note.name)).collect();
    let Some(first) = systems.first() else { return Vec::new() };
    let whole = (Nanos::ZERO, first.until);
    let moved = systems.iter().find_map(|gantt| gantt.moves.get(gantt.moves.len() / 4));
    let length = Nanos(first.until.0 / 12);
    let from =
        moved.map_or(length, |transfer| Nanos(transfer.started.0.saturating_sub(length.0 / 4)));
    let close = (from, (from + length).min(first.until));
    let omitted = systems
        .iter()
        .map(|gantt| gantt.spans_total.saturating_sub(gantt.spans.len() as u64))
        .max()
        .unwrap_or(0);
    let note = match omitted {
        0 => String::new(),
        n => format!("The window leaves out up to {n} blocks a system. "),
    };
    let caption = format!(
        "A block is one request's consecutive work on one set of ranks; numbers are request \
         ordinals; neighbouring ranks of a group are drawn as one block. {note}{}",
        input.left_out(MOST_PANELS)
    );
    let near = "The same runs, closer: text encode before and VAE decode after the steps, ranks of \
                fixed groups that are held meanwhile, and transfers.";
    let pictures = [
        gantt(input, &systems, whole, ("gantt", "What each rank did", &caption)),
        gantt(input, &systems, close, ("gantt-close", "What each rank did, closer", near)),
    ];
    pictures.into_iter().flatten().collect()
}

fn gantt(
    input: &ReportInput,
    systems: &[&Gantt],
    window: (Nanos, Nanos),
    (name, heading, caption): (&str, &str, &str),
) -> Option<Picture> {
    let first = systems.first()?;
    let end = systems.iter().map(|gantt| gantt.makespan).max()?;
    let stretch = match window.0 == Nanos::ZERO && window.1 >= end {
        true => "the whole run".to_owned(),
        false => {
            let (from, to) = (window.0.as_secs_f64(), window.1.as_secs_f64());
            let digits = decimals(to - from, 2);
            format!("{from:.digits$} to {to:.digits$} s of {:.digits$} s", end.as_secs_f64())
        }
    };
    let ranks = match first.ranks < first.world {
        true => format!(", ranks 0-{} of {}", first.ranks - 1, first.world),
        false => String::new(),
    };
    let chart = GanttChart {
        heading: heading.to_owned(),
        subtitle: format!("{}; seed {}, {stretch}{ranks}", input.label.name(), first.seed),
        classes: &input.classes,
        systems: systems.to_vec(),
        window,
    };
    picture(name, caption.to_owned(), chart.draw())
}

/// Rank-time by degree over time.
pub fn degrees(input: &ReportInput) -> Option<Picture> {
    let all = &input.figures.degrees;
    let shown = input.shown(MOST_PANELS);
    let systems: Vec<_> =
        shown.iter().filter_map(|note| all.iter().find(|d| d.system == note.name)).collect();
    let first = systems.first()?;
    let chart = DegreeChart {
        heading: "Parallel degree over time".to_owned(),
        subtitle: format!(
            "{}; seed {}, mean over bins of {} s",
            input.label.name(),
            first.seed,
            plain(first.bin_s)
        ),
        systems: systems.clone(),
    };
    let caption = format!(
        "Ranks computing at each degree, stacked; white is idle. {}",
        input.left_out(MOST_PANELS)
    );
    picture("degree-over-time", caption, chart.draw())
}

/// One picture per swept key.
pub fn sweeps(input: &ReportInput) -> Vec<Picture> {
    Sweep::all(input).iter().filter_map(|sweep| sweep_picture(input, sweep)).collect()
}

fn sweep_picture(input: &ReportInput, sweep: &Sweep) -> Option<Picture> {
    let panel = |title: &str, unit: &str, metric: Metric, whole: bool| {
        let systems = input.shown(MOST);
        let dodge = |i: usize| 3.0 * (i as f64 - (systems.len() as f64 - 1.0) / 2.0);
        let named = systems.iter().enumerate().map(|(i, note)| (note.name.as_str(), dodge(i)));
        let series: Vec<Series> =
            named.map(|named| sweep_series(input, sweep, named, metric)).collect();
        let tops = series.iter().flat_map(|s| &s.samples);
        let top =
            tops.clone().map(|s| s.interval.map_or(s.y, |i| i.1.max(s.y))).fold(0.0, f64::max);
        let low = tops.map(|s| s.interval.map_or(s.y, |i| i.0.min(s.y))).fold(f64::MAX, f64::min);
        let y = match whole {
            true => Scale::Linear { lo: 0.0, hi: 1.0 },
            // One system far above the others would press them onto the axis.
            false if sweep.kind != SweepKind::Load && low > 0.0 && top / low > 15.0 => {
                Scale::log_around(low, top)
            }
            false => Scale::up_to(0.0, top),
        };
        let x = sweep_axis(sweep);
        Panel { title: title.to_owned(), x, y: Axis::new(y, unit), series }
    };
    let attainment = panel("SLO attainment", "SLO attainment", view::attainment, true);
    let second = match sweep.kind {
        SweepKind::Load => panel("goodput", "on-time requests per s", view::goodput, false),
        _ => panel("mean latency", "mean latency (s)", view::latency_s, false),
    };
    let (name, heading) = match sweep.kind {
        SweepKind::Cost => ("break-even", "Break-even over the cost of reconfiguring"),
        SweepKind::Load => ("load", "Attainment and goodput over load"),
        SweepKind::Other => ("sweep", "Sweep"),
    };
    let mut panels = vec![attainment, second];
    panels.retain(|panel| panel.series.iter().any(|series| !series.samples.is_empty()));
    let chart = LineChart {
        heading: heading.to_owned(),
        subtitle: format!(
            "{}; {}; mean over {}, {}",
            input.label.name(),
            sweep.key,
            input.seed_words(),
            input.drawn_interval_words("bars")
        ),
        columns: if sweep.kind == SweepKind::Cost { 1 } else { panels.len().clamp(1, 2) },
        panels,
    };
    let caption = match sweep.kind {
        SweepKind::Cost => {
            "Elastic systems pay at every reconfiguration, static ones hardly ever: \
                            where the curves cross, elasticity stops paying. "
                .to_owned()
        }
        _ => String::new(),
    };
    let file = match Sweep::all(input).iter().filter(|s| s.kind == sweep.kind).count() {
        1 => name.to_owned(),
        _ => format!("{name}-{}", sweep.key.replace(|c: char| !c.is_ascii_alphanumeric(), "-")),
    };
    picture(&file, caption + &input.left_out(MOST), chart.draw())
}

fn sweep_series(
    input: &ReportInput,
    sweep: &Sweep,
    (system, dodge): (&str, f64),
    metric: Metric,
) -> Series {
    let sample = |&(point, x, _): &(usize, f64, String)| {
        let mean = input.mean(point, system, None, metric)?;
        Some(Sample { x, y: mean.estimate, interval: mean.range })
    };
    Series {
        name: system.to_owned(),
        stroke: input.stroke(system),
        samples: sweep.values.iter().filter_map(sample).collect(),
        steps: false,
        dodge,
        markers: usize::MAX,
    }
}

fn sweep_axis(sweep: &Sweep) -> Axis {
    let values: Vec<f64> = sweep.values.iter().map(|value| value.1).collect();
    let (first, last) = (values[0], values[values.len() - 1]);
    let positive = values.iter().copied().find(|&value| value > 0.0).unwrap_or(1.0);
    let log = last / positive > 30.0;
    let scale = match (log, first <= 0.0) {
        (true, true) => Scale::ZeroLog { lo: positive, hi: last },
        (true, false) => Scale::Log { lo: positive * 0.8, hi: last * 1.25 },
        (false, _) => {
            let edge = (last - first) * 0.04;
            Scale::Linear { lo: first - edge, hi: last + edge }
        }
    };
    let title = match sweep.kind {
        SweepKind::Cost => format!("{} (time per reconfiguration)", sweep.key),
        SweepKind::Load if sweep.key.contains("target_load") => {
            "offered load (1 = every rank busy at degree 1)".to_owned()
        }
        _ => sweep.key.clone(),
    };
    let mut axis = Axis::new(scale, &title);
    if values.len() <= 12 {
        let tick = |value: &(usize, f64, String)| Tick { at: value.1, label: value.2.clone() };
        axis.ticks = sweep.values.iter().map(tick).collect();
    }
    axis
}

/// Static layouts from best to worst.
pub fn ranking(input: &ReportInput) -> Option<Picture> {
    let ranking = input.ranking.as_ref().filter(|ranking| ranking.rows.len() > 1)?;
    let shown = &ranking.rows[..ranking.rows.len().min(MOST_LAYOUTS)];
    let top = shown.iter().map(|row| row.high.max(row.value)).fold(0.0, f64::max);
    let row = |row: &super::input::RankingRow| Row {
        name: row.layout.clone(),
        parts: vec![row.value],
        interval: (row.high > row.low).then_some((row.low, row.high)),
        note: plain(row.value),
    };
    let chart = LyingBars {
        heading: "Static layouts from best to worst".to_owned(),
        subtitle: format!(
            "{}; mean over {}, lines span the seeds",
            input.label.name(),
            input.seed_words()
        ),
        parts: vec![Part { name: String::new(), fill: palette::BLUE, stripe: None }],
        x: Axis::new(Scale::up_to(0.0, top), &metric_words(&ranking.metric)),
        panels: vec![(String::new(), shown.iter().map(row).collect())],
        columns: 1,
    };
    let caption = match ranking.rows.len() - shown.len() {
        0 => "Every static layout that was tried. ".to_owned(),
        n => format!("The best {}; {n} more are in the table. ", shown.len()),
    };
    picture("best-static", caption, chart.draw())
}
