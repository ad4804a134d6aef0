//! Axes and series that the benchmarks' pictures share.

use super::statistics::size;
use crate::plot::axis::{Axis, Scale, Tick};
use crate::plot::lines::{Sample, Series};
use crate::plot::palette::Stroke;

/// A series of points with markers; contestants keep their stroke by `index`.
pub fn series(name: &str, index: usize, points: Vec<(f64, f64)>) -> Series {
    Series {
        name: name.to_owned(),
        stroke: Stroke::of(index, index == 0),
        samples: points.into_iter().map(|(x, y)| Sample { x, y, interval: None }).collect(),
        steps: false,
        dodge: 0.0,
        markers: usize::MAX,
    }
}

/// A logarithmic axis around all points.
pub fn log_axis<'a>(series: impl Iterator<Item = &'a Series>, title: &str) -> Axis {
    let (mut low, mut high) = (f64::MAX, 0.0_f64);
    for sample in series.flat_map(|series| &series.samples) {
        low = low.min(sample.y);
        high = high.max(sample.y);
    }
    let scale =
        if high > 0.0 { Scale::log_around(low, high) } else { Scale::log_around(1.0, 10.0) };
    Axis::new(scale, title)
}

/// A logarithmic axis with a tick at each count.
pub fn count_axis(counts: &[usize], title: &str) -> Axis {
    let ticks = counts.iter().map(|count| (*count as f64, count.to_string())).collect();
    marked(ticks, title)
}

/// A logarithmic axis with a tick at every third size, so that labels do not touch.
pub fn size_axis(sizes: &[u64], title: &str) -> Axis {
    let shown = sizes.iter().step_by(if sizes.len() > 6 { 3 } else { 1 });
    marked(shown.map(|bytes| (*bytes as f64, size(*bytes))).collect(), title).around(sizes)
}

fn marked(marks: Vec<(f64, String)>, title: &str) -> Axis {
    let low = marks.iter().map(|mark| mark.0).fold(f64::MAX, f64::min).clamp(1.0, 1e18);
    let high = marks.iter().map(|mark| mark.0).fold(1.0, f64::max);
    let scale = Scale::Log { lo: low * 0.8, hi: high * 1.25 };
    let ticks = marks.into_iter().map(|(at, label)| Tick { at, label }).collect();
    Axis { scale, ticks, title: title.to_owned() }
}

trait Around {
    fn around(self, sizes: &[u64]) -> Self;
}

impl Around for Axis {
    /// The axis, wide enough for all sizes.
    fn around(mut self, sizes: &[u64]) -> Self {
        let low = sizes.iter().min().copied().unwrap_or(1) as f64;
        let high = sizes.iter().max().copied().unwrap_or(1) as f64;
        self.scale = Scale::Log { lo: low * 0.7, hi: high * 1.4 };
        self
    }
}
