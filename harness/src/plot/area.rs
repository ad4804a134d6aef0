//! Stacked areas over time: ranks by parallel degree.

use super::axis::{Axis, Frame, Scale, TITLE_SIZE};
use super::canvas::{self, Align, Canvas, Point, Svg};
use super::figures::DegreeOverTime;
use super::legend::{self, Entry, Key};
use super::palette::{HELD, degree_fill};
use plotters::style::RGBColor;

const WIDTH: f64 = 960.0;
const LEFT: f64 = 66.0;
const RIGHT: f64 = 26.0;
const TALL: f64 = 130.0;

/// Degree over time of several systems, on one time axis.
#[derive(Clone, Debug, PartialEq)]
pub struct DegreeChart<'a> {
    /// Heading.
    pub heading: String,
    /// Second line.
    pub subtitle: String,
    /// Systems, in reading order.
    pub systems: Vec<&'a DegreeOverTime>,
}

impl DegreeChart<'_> {
    /// Draws the chart: two panels in a row.
    pub fn draw(&self) -> Svg {
        let mut degrees: Vec<u16> =
            self.systems.iter().flat_map(|system| system.degrees.iter().copied()).collect();
        degrees.sort_unstable();
        degrees.dedup();
        let fill = |degree: u16| {
            let index = degrees.iter().position(|&d| d == degree).unwrap_or(0);
            degree_fill(index, degrees.len())
        };
        let mut entries: Vec<Entry> = degrees
            .iter()
            .map(|&degree| Entry::new(Key::Fill(fill(degree)), format!("degree {degree}")))
            .collect();
        entries.push(Entry::new(Key::Fill(HELD), "held, not computing"));
        entries.push(Entry::new(Key::Outline, "idle"));
        let columns = self.systems.len().clamp(1, 2);
        let top = legend::height(&self.subtitle, &entries, WIDTH);
        let rows = self.systems.len().div_ceil(columns);
        let page = top + rows as f64 * (TALL + 46.0) + 26.0;
        canvas::draw(WIDTH, page, &self.heading, |canvas| {
            legend::draw(canvas, &self.heading, &self.subtitle, &entries);
            let wide = (WIDTH - LEFT * columns as f64 - RIGHT) / columns as f64;
            for (i, system) in self.systems.iter().enumerate() {
                let left = LEFT + (i % columns) as f64 * (wide + LEFT);
                let upper = top + (i / columns) as f64 * (TALL + 46.0) + 22.0;
                let below = i + columns >= self.systems.len();
                let end = system.bin_s * system.held.len() as f64;
                let title = if below { "time since the start of the run (s)" } else { "" };
                let frame = Frame {
                    from: (left, upper),
                    to: (left + wide, upper + TALL),
                    x: Axis::new(Scale::Linear { lo: 0.0, hi: end.max(1e-9) }, title),
                    y: whole_ranks(system.world, i % columns == 0),
                };
                draw_system(canvas, &frame, system, &fill);
            }
        })
    }
}

fn whole_ranks(world: u16, titled: bool) -> Axis {
    let scale = Scale::Linear { lo: 0.0, hi: f64::from(world.max(1)) };
    let mut axis = Axis::new(scale, if titled { "ranks" } else { "" });
    axis.ticks.retain(|tick| tick.at.fract().abs() < 1e-9);
    axis.ticks.iter_mut().for_each(|tick| tick.label = format!("{:.0}", tick.at));
    axis
}

fn draw_system(
    canvas: &Canvas<'_>,
    frame: &Frame,
    system: &DegreeOverTime,
    fill: &impl Fn(u16) -> RGBColor,
) {
    frame.draw(canvas, true);
    canvas.label((frame.from.0, frame.from.1 - 11.0), &system.system, TITLE_SIZE, Align::Left);
    let bins = system.held.len();
    let mut base = vec![0.0; bins];
    let layers = system.degrees.iter().map(|&degree| fill(degree)).zip(&system.ranks);
    for (color, values) in layers.chain([(HELD, &system.held)]) {
        let upper: Vec<f64> = base.iter().zip(values).map(|(a, b)| a + b).collect();
        // One polygon per stretch of bins that are not empty: none is drawn along the axis.
        let mut start = 0;
        while start < bins {
            let end = (start..bins).find(|&i| values[i] <= 0.0).unwrap_or(bins);
            if end > start {
                let points =
                    outline(frame, system.bin_s, start, &base[start..end], &upper[start..end]);
                canvas.polygon(&points, color);
            }
            start = end + 1;
        }
        base = upper;
    }
}

/// The outline of a stretch of bins between two stepped edges.
fn outline(frame: &Frame, bin: f64, first: usize, lower: &[f64], upper: &[f64]) -> Vec<Point> {
    let edge = |i: usize| frame.x_at((first + i) as f64 * bin);
    let steps = |values: &[f64]| -> Vec<Point> {
        let both = values.iter().enumerate();
        both.flat_map(|(i, &v)| [(edge(i), frame.y_at(v)), (edge(i + 1), frame.y_at(v))]).collect()
    };
    let mut points = steps(upper);
    points.extend(steps(lower).into_iter().rev());
    points
}
