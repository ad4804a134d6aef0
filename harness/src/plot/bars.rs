//! Bars: grouped upright bars with intervals, and stacked or plain lying bars.

use super::axis::{Axis, Frame, TICK_SIZE, TITLE_SIZE, Tick};
use super::canvas::{self, Align, Canvas, Svg};
use super::legend::{self, Entry, Key};
use super::palette::{FRAME, INK, PAPER, lighten};
use super::text;
use plotters::style::RGBColor;

const WIDTH: f64 = 960.0;
const RIGHT: f64 = 30.0;

/// One bar of a group.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bar {
    /// Height, if there is a value.
    pub value: Option<f64>,
    /// Interval around it.
    pub interval: Option<(f64, f64)>,
}

/// Upright bars in groups: one bar of each series in each group.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupedBars {
    /// Heading.
    pub heading: String,
    /// Second line.
    pub subtitle: String,
    /// Vertical axis; begins at 0.
    pub y: Axis,
    /// Name, fill, and whether the fill is striped (subjects are plain).
    pub series: Vec<(String, RGBColor, bool)>,
    /// Group name and its bars, one per series.
    pub groups: Vec<(String, Vec<Bar>)>,
}

impl GroupedBars {
    /// Draws the chart.
    pub fn draw(&self) -> Svg {
        let key = |(name, fill, striped): &(String, RGBColor, bool)| {
            let key = match striped {
                true => Key::Striped(*fill, lighten(*fill, 0.55)),
                false => Key::Fill(*fill),
            };
            Entry::new(key, name.clone())
        };
        let entries: Vec<Entry> = self.series.iter().map(key).collect();
        let top = legend::height(&self.subtitle, &entries, WIDTH) + 14.0;
        canvas::draw(WIDTH, top + 250.0 + 36.0, &self.heading, |canvas| {
            legend::draw(canvas, &self.heading, &self.subtitle, &entries);
            self.draw_groups(canvas, top);
        })
    }

    fn draw_groups(&self, canvas: &Canvas<'_>, top: f64) {
        let count = self.groups.len().max(1) as f64;
        let middle = |(i, (name, _)): (usize, &(String, Vec<Bar>))| Tick {
            at: i as f64 + 0.5,
            label: name.clone(),
        };
        let frame = Frame {
            from: (66.0, top),
            to: (WIDTH - RIGHT, top + 250.0),
            x: Axis {
                scale: super::axis::Scale::Linear { lo: 0.0, hi: count },
                ticks: Vec::new(),
                title: String::new(),
            },
            y: self.y.clone(),
        };
        frame.draw(canvas, true);
        let wide = (frame.to.0 - frame.from.0) / count;
        let bar = (wide * 0.84 / self.series.len().max(1) as f64).min(48.0);
        for (i, tick) in self.groups.iter().enumerate().map(|group| (group.0, middle(group))) {
            let x = frame.x_at(tick.at);
            canvas.label((x, frame.to.1 + 15.0), &tick.label, TITLE_SIZE, Align::Center);
            let left = x - bar * self.series.len() as f64 / 2.0;
            for (j, value) in self.groups[i].1.iter().enumerate() {
                self.draw_bar(canvas, &frame, left + j as f64 * bar, bar, j, value);
            }
        }
    }

    fn draw_bar(&self, canvas: &Canvas<'_>, frame: &Frame, x: f64, wide: f64, j: usize, bar: &Bar) {
        let Some(value) = bar.value else {
            canvas.label((x + wide / 2.0, frame.to.1 - 8.0), "n/a", 9.5, Align::Center);
            return;
        };
        let (_, fill, striped) = &self.series[j];
        let (a, b) = ((x + 1.0, frame.y_at(value)), (x + wide - 1.0, frame.to.1));
        canvas.rect(a, b, *fill);
        if *striped {
            legend::stripes(canvas, a, b, lighten(*fill, 0.55));
        }
        let mut top = a.1;
        if let Some((low, high)) = bar.interval {
            let (low, high) = (frame.y_at(low), frame.y_at(high).max(frame.from.1));
            let middle = x + wide / 2.0;
            for (width, color) in [(2.8, PAPER), (1.2, INK)] {
                canvas.line(&[(middle, low), (middle, high)], color, width);
            }
            for y in [low, high] {
                canvas.line(&[(middle - 3.5, y), (middle + 3.5, y)], INK, 1.2);
            }
            top = top.min(high);
        }
        let label = format!("{value:.2}");
        if text::width(&label, 9.5) <= wide {
            canvas.label((x + wide / 2.0, top - 8.0), &label, 9.5, Align::Center);
        }
    }
}

/// One part of every lying bar.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// Name in the legend.
    pub name: String,
    /// Fill.
    pub fill: RGBColor,
    /// Stripes over the fill.
    pub stripe: Option<RGBColor>,
}

/// One lying bar.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Name, left of the bar.
    pub name: String,
    /// Length of each part.
    pub parts: Vec<f64>,
    /// Interval around the sum, drawn as a line.
    pub interval: Option<(f64, f64)>,
    /// Text right of the bar; may be empty.
    pub note: String,
}

/// Lying bars, stacked, in one or more panels that share their rows.
#[derive(Clone, Debug, PartialEq)]
pub struct LyingBars {
    /// Heading.
    pub heading: String,
    /// Second line.
    pub subtitle: String,
    /// Parts, in order from the left; one without a name has no legend entry.
    pub parts: Vec<Part>,
    /// Horizontal axis.
    pub x: Axis,
    /// Title and rows of each panel.
    pub panels: Vec<(String, Vec<Row>)>,
    /// Panels in a row of the page.
    pub columns: usize,
}

const ROW: f64 = 26.0;

impl LyingBars {
    /// Draws the chart.
    pub fn draw(&self) -> Svg {
        let named = self.parts.iter().filter(|part| !part.name.is_empty());
        let entries: Vec<Entry> = named
            .map(|part| {
                let key = match part.stripe {
                    Some(stripe) => Key::Striped(part.fill, stripe),
                    None => Key::Fill(part.fill),
                };
                Entry::new(key, part.name.clone())
            })
            .collect();
        let top = legend::height(&self.subtitle, &entries, WIDTH);
        let rows = self.panels.iter().map(|(_, rows)| rows.len()).max().unwrap_or(0);
        let tall = rows as f64 * ROW;
        let title = if self.panels.iter().all(|p| p.0.is_empty()) { 4.0 } else { 22.0 };
        let lines = self.panels.len().div_ceil(self.columns);
        let page = top + lines as f64 * (title + tall + 50.0);
        canvas::draw(WIDTH, page, &self.heading, |canvas| {
            legend::draw(canvas, &self.heading, &self.subtitle, &entries);
            let names = self.name_width();
            let gap = if self.panels.iter().all(|p| p.1.iter().all(|r| r.note.is_empty())) {
                46.0
            } else {
                76.0
            };
            let wide = (WIDTH - names - gap * self.columns as f64) / self.columns as f64;
            for (i, (name, rows)) in self.panels.iter().enumerate() {
                let left = names + (i % self.columns) as f64 * (wide + gap);
                let upper = top + title + (i / self.columns) as f64 * (title + tall + 50.0);
                let frame = Frame {
                    from: (left, upper),
                    to: (left + wide, upper + tall),
                    x: self.x.clone(),
                    y: Axis {
                        scale: super::axis::Scale::Linear { lo: 0.0, hi: 1.0 },
                        ticks: Vec::new(),
                        title: String::new(),
                    },
                };
                frame.draw_x(canvas, true);
                canvas.label((left, upper - 10.0), name, TITLE_SIZE, Align::Left);
                self.draw_rows(canvas, &frame, rows, (i % self.columns == 0).then_some(names));
                canvas.line(&[(left, upper + tall), frame.to], INK, 1.0);
            }
        })
    }

    fn name_width(&self) -> f64 {
        let names = self.panels.iter().flat_map(|(_, rows)| rows);
        let widest = names.map(|row| text::width(&row.name, 12.0)).fold(0.0, f64::max);
        widest.min(330.0) + 26.0
    }

    fn draw_rows(&self, canvas: &Canvas<'_>, frame: &Frame, rows: &[Row], names: Option<f64>) {
        for (i, row) in rows.iter().enumerate() {
            let upper = frame.from.1 + i as f64 * ROW + 3.5;
            let lower = upper + ROW - 7.0;
            let middle = (upper + lower) / 2.0;
            if let Some(room) = names {
                let name = text::fit(&row.name, 12.0, room - 26.0);
                canvas.label((frame.from.0 - 9.0, middle), &name, 12.0, Align::Right);
            }
            let mut sum = 0.0;
            for (part, value) in self.parts.iter().zip(&row.parts) {
                let (a, b) = (frame.x_at(sum), frame.x_at(sum + value));
                sum += value;
                if b - a < 0.05 {
                    continue;
                }
                canvas.rect((a, upper), (b, lower), part.fill);
                if let Some(stripe) = part.stripe {
                    legend::stripes(canvas, (a, upper), (b, lower), stripe);
                }
            }
            canvas.outline((frame.from.0, upper), (frame.x_at(sum), lower), FRAME, 0.6);
            let mut end = frame.x_at(sum);
            if let Some((low, high)) = row.interval {
                let (low, high) = (frame.x_at(low), frame.x_at(high));
                canvas.line(&[(low, middle), (high, middle)], INK, 1.3);
                for x in [low, high] {
                    canvas.line(&[(x, middle - 4.0), (x, middle + 4.0)], INK, 1.3);
                }
                end = end.max(high);
            }
            canvas.label((end + 7.0, middle), &row.note, TICK_SIZE, Align::Left);
        }
    }
}
