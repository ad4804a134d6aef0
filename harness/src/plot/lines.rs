//! Line charts: one or more panels side by side or in a grid, series with dashes and markers.

use super::axis::{Axis, Frame, TITLE_SIZE};
use super::canvas::{self, Align, Canvas, Svg};
use super::legend::{self, Entry, Key};
use super::palette::Stroke;

/// A value with the ends of its interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Horizontal value.
    pub x: f64,
    /// Vertical value.
    pub y: f64,
    /// Interval around `y`, if there is one.
    pub interval: Option<(f64, f64)>,
}

/// One series.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Name in the legend; series of equal name in different panels share the entry.
    pub name: String,
    /// How it is drawn.
    pub stroke: Stroke,
    /// Its points, by ascending `x`.
    pub samples: Vec<Sample>,
    /// Whether the value holds until the next point (distributions).
    pub steps: bool,
    /// Shift to the right in pixels, so that intervals at equal `x` do not hide each other.
    pub dodge: f64,
    /// Markers: at every point, or at most this many, spread evenly.
    pub markers: usize,
}

/// One panel.
#[derive(Clone, Debug, PartialEq)]
pub struct Panel {
    /// What it shows; empty when there is one panel.
    pub title: String,
    /// Horizontal axis.
    pub x: Axis,
    /// Vertical axis.
    pub y: Axis,
    /// What is drawn, the first on top.
    pub series: Vec<Series>,
}

/// A line chart.
#[derive(Clone, Debug, PartialEq)]
pub struct LineChart {
    /// Heading.
    pub heading: String,
    /// Second line: what is shown, seeds, what was left out.
    pub subtitle: String,
    /// Panels, in reading order.
    pub panels: Vec<Panel>,
    /// Panels in a row.
    pub columns: usize,
}

const WIDTH: f64 = 960.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 26.0;
const BELOW: f64 = 50.0;
const TALL: f64 = 240.0;

impl LineChart {
    /// Draws the chart.
    pub fn draw(&self) -> Svg {
        let entries = self.entries();
        let top = legend::height(&self.subtitle, &entries, WIDTH);
        let rows = self.panels.len().div_ceil(self.columns).max(1);
        let row = TALL + BELOW + self.panel_title();
        canvas::draw(WIDTH, top + row * rows as f64 + 8.0, &self.heading, |canvas| {
            legend::draw(canvas, &self.heading, &self.subtitle, &entries);
            let wide = (WIDTH - LEFT * self.columns as f64 - RIGHT) / self.columns as f64;
            for (i, panel) in self.panels.iter().enumerate() {
                let left = LEFT + (i % self.columns) as f64 * (wide + LEFT);
                let upper = top + (i / self.columns) as f64 * row + self.panel_title();
                let frame = Frame {
                    from: (left, upper),
                    to: (left + wide, upper + TALL),
                    x: panel.x.clone(),
                    y: panel.y.clone(),
                };
                panel.draw(canvas, &frame);
            }
        })
    }

    fn panel_title(&self) -> f64 {
        if self.panels.iter().all(|panel| panel.title.is_empty()) { 6.0 } else { 24.0 }
    }

    fn entries(&self) -> Vec<Entry> {
        let mut entries: Vec<Entry> = Vec::new();
        for series in self.panels.iter().flat_map(|panel| &panel.series) {
            if !entries.iter().any(|entry| entry.text == series.name) {
                entries.push(Entry::new(Key::Line(series.stroke.clone()), series.name.clone()));
            }
        }
        entries
    }
}

impl Panel {
    fn draw(&self, canvas: &Canvas<'_>, frame: &Frame) {
        frame.draw(canvas, true);
        if !self.title.is_empty() {
            let at = (frame.from.0, frame.from.1 - 12.0);
            canvas.label(at, &self.title, TITLE_SIZE, Align::Left);
        }
        for series in self.series.iter().rev() {
            series.draw_intervals(canvas, frame);
        }
        for series in self.series.iter().rev() {
            series.draw(canvas, frame);
        }
        if self.series.iter().all(|series| series.samples.is_empty()) {
            let middle = ((frame.from.0 + frame.to.0) / 2.0, (frame.from.1 + frame.to.1) / 2.0);
            canvas.label(middle, "nothing to show", TITLE_SIZE, Align::Center);
        }
    }
}

impl Series {
    fn draw(&self, canvas: &Canvas<'_>, frame: &Frame) {
        // plotters clamps what lies outside; it is dropped here instead.
        let inside: Vec<&Sample> =
            self.samples.iter().filter(|sample| frame.holds(sample.x, sample.y)).collect();
        let mut points = Vec::new();
        for sample in &inside {
            let at = self.place(frame, sample);
            if self.steps
                && let Some(&(_, before)) = points.last()
            {
                points.push((at.0, before));
            }
            points.push(at);
        }
        if self.steps
            && let Some(&(_, last)) = points.last()
        {
            points.push((frame.to.0, last));
        }
        canvas.stroke(&points, &self.stroke);
        let every = inside.len().div_ceil(self.markers.max(1)).max(1);
        for sample in inside.iter().skip(every / 2).step_by(every).take(self.markers) {
            let at = self.place(frame, sample);
            canvas.marker(at, self.stroke.marker, 3.6, self.stroke.color);
        }
    }

    fn place(&self, frame: &Frame, sample: &Sample) -> (f64, f64) {
        let (x, y) = frame.at(sample.x, sample.y);
        (x + self.dodge, y)
    }

    fn draw_intervals(&self, canvas: &Canvas<'_>, frame: &Frame) {
        for sample in &self.samples {
            let Some((low, high)) = sample.interval else { continue };
            if !frame.holds(sample.x, sample.y) {
                continue;
            }
            let (x, _) = self.place(frame, sample);
            let clip = |y: f64| frame.y_at(y).clamp(frame.from.1, frame.to.1);
            let (low, high) = (clip(low), clip(high));
            if (low - high).abs() < 1.0 {
                continue;
            }
            canvas.line(&[(x, low), (x, high)], self.stroke.color, 1.1);
            for y in [low, high] {
                canvas.line(&[(x - 3.5, y), (x + 3.5, y)], self.stroke.color, 1.1);
            }
        }
    }
}
