//! Pictures of a validation: latencies real and simulated, and how the machine's speed moved.

use super::curves::Curve;
use super::{Level, Validation};
use crate::experiment::CollectiveKind;
use crate::plot::Cdf;
use crate::plot::axis::{Axis, Scale};
use crate::plot::lines::{LineChart, Panel, Sample, Series};
use crate::plot::palette::{BLUE, HELD, Marker, Stroke, VERMILLION};
use crate::report::Picture;
use plotters::style::RGBColor;

/// Most systems with a panel.
const MOST: usize = 8;

fn stroke(color: RGBColor, dash: &'static [f64], marker: Marker) -> Stroke {
    Stroke { color, width: 2.0, dash, marker }
}

/// A pale band for a curve that others are meant to cover: where it keeps to one, both can be seen.
const BAND: Stroke = Stroke { color: HELD, width: 7.0, dash: &[], marker: Marker::Triangle };

/// Real against simulated latencies, a panel a system; `None` if nothing completed.
pub(super) fn latencies(validation: &Validation) -> Option<Picture> {
    let shown = &validation.curves[..validation.curves.len().min(MOST)];
    let panels: Vec<Panel> = shown.iter().filter_map(panel).collect();
    if panels.is_empty() {
        return None;
    }
    let chart = LineChart {
        heading: "Latency of requests, real and simulated".to_owned(),
        subtitle: "measured, simulated, and derived; all pairs of runs pooled".to_owned(),
        columns: panels.len().min(2),
        panels,
    };
    let left = validation.curves.len().saturating_sub(MOST);
    let left = if left > 0 { format!(" {left} more systems are left out.") } else { String::new() };
    let caption = format!(
        "Share of all requests that completed within a latency. Where the real curve and the simulated one part but the one \
         in hindsight keeps to the real one, prices were off and not the simulator.{left}"
    );
    Some(Picture { name: "latency-real-simulated".to_owned(), caption, svg: chart.draw() })
}

fn panel(curve: &Curve) -> Option<Panel> {
    let all = [
        ("real (measured)", &curve.real, stroke(BLUE, &[], Marker::Circle)),
        ("simulated", &curve.simulated, stroke(VERMILLION, &[7.0, 4.0], Marker::Square)),
        ("simulated in hindsight (derived)", &curve.hindsight, BAND),
    ];
    let points = || all.iter().flat_map(|(_, cdf, _)| &cdf.points);
    let high = points().map(|point| point.0).fold(0.0, f64::max);
    let low = points().map(|point| point.0).fold(f64::MAX, f64::min);
    points().next()?;
    let scale = match high / low.max(1e-9) {
        ratio if ratio > 12.0 => Scale::log_around(low, high),
        _ => Scale::up_to(0.0, high),
    };
    let series = all.into_iter().map(|(name, cdf, stroke)| series(name, cdf, stroke)).collect();
    Some(Panel {
        title: curve.system.clone(),
        x: Axis::new(scale, "latency (s)"),
        y: Axis::new(Scale::Linear { lo: 0.0, hi: 1.0 }, "share of requests"),
        series,
    })
}

fn series(name: &str, cdf: &Cdf, stroke: Stroke) -> Series {
    let sample = |&(x, y): &(f64, f64)| Sample { x, y, interval: None };
    let first = cdf.points.first().map(|&(x, _)| Sample { x, y: 0.0, interval: None });
    Series {
        name: name.to_owned(),
        stroke,
        samples: first.into_iter().chain(cdf.points.iter().map(sample)).collect(),
        steps: true,
        dodge: 0.0,
        markers: 4,
    }
}

/// Prices from round to round and in the runs between; `None` without tours.
pub(super) fn drift(validation: &Validation) -> Option<Picture> {
    let levels = &validation.levels;
    let last = levels.iter().map(|level| level.at).fold(f64::NAN, f64::max);
    if !last.is_finite() {
        return None;
    }
    let low = levels.iter().map(|level| level.level).fold(f64::MAX, f64::min);
    let high = levels.iter().map(|level| level.level).fold(0.0, f64::max);
    // Steps of 2 %, with room beyond the extremes.
    let edge = |value: f64, round: fn(f64) -> f64| round(value * 50.0) / 50.0;
    let y = Scale::Linear { lo: edge(low, libm::floor), hi: edge(high, libm::ceil) + 0.02 };
    let mut series = Vec::new();
    for (collectives, name, color) in [
        (CollectiveKind::GroupFree, "group-free", BLUE),
        (CollectiveKind::Communicators, "communicators", VERMILLION),
    ] {
        let tours = stroke(color, &[], Marker::Circle);
        let runs = stroke(color, &[2.0, 3.0], Marker::Diamond);
        let own = |is_run: bool| -> Vec<Sample> {
            let mine = |level: &&Level| {
                level.collectives == collectives && level.system.is_some() == is_run
            };
            let sample = |level: &Level| Sample { x: level.at, y: level.level, interval: None };
            levels.iter().filter(mine).map(sample).collect()
        };
        for (what, stroke, samples) in
            [("tours", tours, own(false)), ("real runs", runs, own(true))]
        {
            if !samples.is_empty() {
                let name = format!("{what}, {name}");
                let markers = samples.len();
                series.push(Series { name, stroke, samples, steps: false, dodge: 0.0, markers });
            }
        }
    }
    let chart = LineChart {
        heading: "What the same work took, from round to round".to_owned(),
        subtitle: "measured; 1 is the mean of all rounds".to_owned(),
        columns: 1,
        panels: vec![Panel {
            title: String::new(),
            x: Axis::new(
                Scale::up_to(0.0, last.max(1.0)),
                "rounds of tours; each run lies between two",
            ),
            y: Axis::new(y, "time, relative"),
            series,
        }],
    };
    let caption = "The tasks of the real runs at the prices of each round alone, and what they took in each run, relative to \
                   the prices of all rounds. Tours and runs that part say that prices are not those of tasks in runs; that \
                   both rise and fall is the machine.";
    let caption = caption.to_owned();
    Some(Picture { name: "drift".to_owned(), caption, svg: chart.draw() })
}
