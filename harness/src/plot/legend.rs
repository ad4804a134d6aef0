//! Page furniture: the heading and the legend, both outside the data.

use super::canvas::{Align, Canvas, Point};
use super::palette::{FRAME, INK, MUTED, Stroke};
use super::text;
use plotters::style::RGBColor;

/// Font size of legend entries.
const SIZE: f64 = 12.0;
/// Height of a legend row.
const ROW: f64 = 20.0;
/// Font size of headings.
const HEADING: f64 = 15.0;
/// Left edge of headings and legends.
pub const LEFT: f64 = 14.0;

/// What stands before a legend entry.
#[derive(Clone, Debug, PartialEq)]
pub enum Key {
    /// A line with its marker.
    Line(Stroke),
    /// A filled box.
    Fill(RGBColor),
    /// A box striped with a second colour.
    Striped(RGBColor, RGBColor),
    /// A box outlined and empty.
    Outline,
    /// A mark on a lane.
    Tick(RGBColor),
}

/// One legend entry.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// What is drawn before the text.
    pub key: Key,
    /// The text.
    pub text: String,
}

impl Entry {
    /// An entry.
    pub fn new(key: Key, text: impl Into<String>) -> Self {
        Self { key, text: text.into() }
    }
}

/// Height that heading, subtitle and legend take at the top of a page `width` wide.
pub fn height(subtitle: &str, entries: &[Entry], width: f64) -> f64 {
    let rows = layout(entries, width).last().map_or(0.0, |(_, row)| *row as f64 + 1.0);
    let subtitle = if subtitle.is_empty() { 0.0 } else { 18.0 };
    34.0 + subtitle + rows * ROW + 8.0
}

/// Draws heading, subtitle and legend at the top of the page; returns the height they took.
pub fn draw(canvas: &Canvas<'_>, heading: &str, subtitle: &str, entries: &[Entry]) -> f64 {
    let room = canvas.width() - 2.0 * LEFT;
    let fitted = text::fit(heading, HEADING, room);
    canvas.label((LEFT, 20.0), &fitted, HEADING, Align::Left);
    let mut top = 34.0;
    if !subtitle.is_empty() {
        let fitted = text::fit(subtitle, 11.5, room);
        canvas.text((LEFT, top + 7.0), &fitted, 11.5, Align::Left, MUTED);
        top += 18.0;
    }
    for (entry, (x, row)) in entries.iter().zip(layout(entries, canvas.width())) {
        draw_entry(canvas, (x, top + 12.0 + row as f64 * ROW), entry);
    }
    height(subtitle, entries, canvas.width())
}

/// Left edge and row of every entry.
fn layout(entries: &[Entry], width: f64) -> Vec<(f64, usize)> {
    let (mut x, mut row) = (LEFT, 0);
    let mut places = Vec::new();
    for entry in entries {
        let wide = key_width(&entry.key) + 6.0 + text::width(&entry.text, SIZE);
        if x > LEFT && x + wide > width - LEFT {
            (x, row) = (LEFT, row + 1);
        }
        places.push((x, row));
        x += wide + 20.0;
    }
    places
}

fn key_width(key: &Key) -> f64 {
    match key {
        Key::Line(_) => 34.0,
        Key::Tick(_) => 8.0,
        _ => 16.0,
    }
}

fn draw_entry(canvas: &Canvas<'_>, (x, y): Point, entry: &Entry) {
    let wide = key_width(&entry.key);
    let (a, b) = ((x, y - 6.0), (x + wide, y + 6.0));
    match &entry.key {
        Key::Line(stroke) => {
            canvas.stroke(&[(x, y), (x + wide, y)], stroke);
            canvas.marker((x + wide / 2.0, y), stroke.marker, 3.6, stroke.color);
        }
        Key::Fill(color) => {
            canvas.rect(a, b, *color);
            canvas.outline(a, b, FRAME, 0.6);
        }
        Key::Striped(color, stripe) => {
            canvas.rect(a, b, *color);
            stripes(canvas, a, b, *stripe);
        }
        Key::Outline => canvas.outline(a, b, INK, 1.0),
        Key::Tick(color) => canvas.rect((x + 2.0, y - 8.0), (x + 5.0, y + 8.0), *color),
    }
    canvas.label((x + wide + 6.0, y), &entry.text, SIZE, Align::Left);
}

/// Diagonal stripes inside a rectangle.
pub fn stripes(canvas: &Canvas<'_>, a: Point, b: Point, color: RGBColor) {
    let high = b.1 - a.1;
    let mut start = a.0 - high;
    while start < b.0 {
        // The stripe runs from (start, bottom) to (start + high, top), cut at the sides.
        let from = start.max(a.0);
        let to = (start + high).min(b.0);
        if to - from > 0.5 {
            let points = [(from, b.1 - (from - start)), (to, b.1 - (to - start))];
            canvas.line(&points, color, 1.1);
        }
        start += 5.0;
    }
}
