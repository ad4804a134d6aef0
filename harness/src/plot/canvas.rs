//! A page to draw on, in pixels with fractions.
//!
//! The SVG backend of plotters rounds to whole units, so the page is drawn [`SCALE`] times larger
//! and the header is rewritten to the true size; strokes and fonts are scaled by the same factor.

use super::palette::{INK, Marker, PAPER, Stroke};
use plotters::coord::Shift;
use plotters::prelude::{
    DrawingArea, IntoDrawingArea, PathElement, Polygon, Rectangle, SVGBackend, Text,
};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, FontTransform, IntoFont, RGBColor, ShapeStyle, TextStyle};

/// Units of the SVG per pixel.
const SCALE: f64 = 8.0;
/// Fonts tried in order; the first is in the repository.
const FONTS: &str = "DejaVu Sans, Verdana, sans-serif";
/// plotters divides font sizes by this before it writes them.
const FONT_FACTOR: f64 = 1.24;

/// A picture as SVG text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Svg(pub String);

/// Horizontal alignment of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Begins at the given point.
    Left,
    /// Is centred on it.
    Center,
    /// Ends at it.
    Right,
}

/// A page being drawn.
pub struct Canvas<'a> {
    area: DrawingArea<SVGBackend<'a>, Shift>,
    width: f64,
    height: f64,
}

/// A point in pixels from the upper left corner.
pub type Point = (f64, f64);

/// Draws a page of `width` x `height` pixels; `title` is for screen readers.
pub fn draw(width: f64, height: f64, title: &str, content: impl FnOnce(&Canvas<'_>)) -> Svg {
    let mut text = String::new();
    let size = ((width * SCALE) as u32, (height * SCALE) as u32);
    {
        let area = SVGBackend::with_string(&mut text, size).into_drawing_area();
        let canvas = Canvas { area, width, height };
        canvas.rect((0.0, 0.0), (width, height), PAPER);
        content(&canvas);
        done(canvas.area.present());
    }
    let plain = format!("<svg width=\"{}\" height=\"{}\"", size.0, size.1);
    let scaled = format!("<svg role=\"img\" width=\"{width}\" height=\"{height}\"");
    let text = text.replacen(&plain, &scaled, 1).replace(" opacity=\"1\"", "");
    let titled = format!("\n<title>{}</title>\n", escape(title));
    Svg(text.replacen('\n', &titled, 1))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Drawing into a string cannot fail; a failure would be a defect of the backend.
fn done<E: std::fmt::Debug>(result: Result<(), E>) {
    result.expect("drawing into a string does not fail");
}

fn units((x, y): Point) -> (i32, i32) {
    (libm::round(x * SCALE) as i32, libm::round(y * SCALE) as i32)
}

impl Canvas<'_> {
    /// Width of the page in pixels.
    pub fn width(&self) -> f64 {
        self.width
    }

    /// Height of the page in pixels.
    pub fn height(&self) -> f64 {
        self.height
    }

    /// A filled rectangle between two corners.
    pub fn rect(&self, a: Point, b: Point, fill: RGBColor) {
        done(self.area.draw(&Rectangle::new([units(a), units(b)], fill.filled())));
    }

    /// The outline of a rectangle, as a closed path: plotters ignores the stroke of rectangles.
    pub fn outline(&self, a: Point, b: Point, color: RGBColor, width: f64) {
        self.line(&[a, (b.0, a.1), b, (a.0, b.1), a], color, width);
    }

    /// A filled polygon.
    pub fn polygon(&self, points: &[Point], fill: RGBColor) {
        let points: Vec<(i32, i32)> = points.iter().copied().map(units).collect();
        done(self.area.draw(&Polygon::new(points, fill.filled())));
    }

    /// A solid line through `points`.
    pub fn line(&self, points: &[Point], color: RGBColor, width: f64) {
        let mut points: Vec<(i32, i32)> = points.iter().copied().map(units).collect();
        points.dedup();
        if points.len() < 2 {
            return;
        }
        let stroke = (libm::round(width * SCALE) as u32).max(1);
        let style = ShapeStyle { color: color.to_rgba(), filled: false, stroke_width: stroke };
        done(self.area.draw(&PathElement::new(points, style)));
    }

    /// A line through `points`, dashed as `stroke` says.
    pub fn stroke(&self, points: &[Point], stroke: &Stroke) {
        if stroke.dash.is_empty() {
            return self.line(points, stroke.color, stroke.width);
        }
        for dash in dashes(points, stroke.dash) {
            self.line(&dash, stroke.color, stroke.width);
        }
    }

    /// A marker of `radius` pixels, with a thin light edge so that it stands out from lines.
    pub fn marker(&self, at: Point, marker: Marker, radius: f64, fill: RGBColor) {
        for (r, color) in [(radius + 0.9, PAPER), (radius, fill)] {
            self.polygon(&marker_shape(at, marker, r), color);
        }
    }

    /// Text of `size` pixels, vertically centred on `at`.
    pub fn text(&self, at: Point, text: &str, size: f64, align: Align, color: RGBColor) {
        self.write(at, text, size, align, color, FontTransform::None);
    }

    /// Text in the colour of axes.
    pub fn label(&self, at: Point, text: &str, size: f64, align: Align) {
        self.text(at, text, size, align, INK);
    }

    /// Text that reads upwards, centred on `at`.
    pub fn upwards(&self, at: Point, text: &str, size: f64, color: RGBColor) {
        self.write(at, text, size, Align::Center, color, FontTransform::Rotate270);
    }

    fn write(
        &self,
        at: Point,
        text: &str,
        size: f64,
        align: Align,
        color: RGBColor,
        transform: FontTransform,
    ) {
        let horizontal = match align {
            Align::Left => HPos::Left,
            Align::Center => HPos::Center,
            Align::Right => HPos::Right,
        };
        let font = (FONTS, size * SCALE * FONT_FACTOR).into_font().transform(transform);
        let style = TextStyle::from(font).color(&color).pos(Pos::new(horizontal, VPos::Center));
        done(self.area.draw(&Text::new(text.to_owned(), units(at), style)));
    }
}

fn marker_shape((x, y): Point, marker: Marker, r: f64) -> Vec<Point> {
    match marker {
        Marker::Circle => (0..16)
            .map(|i| {
                let angle = f64::from(i) * std::f64::consts::PI / 8.0;
                (x + r * libm::cos(angle), y + r * libm::sin(angle))
            })
            .collect(),
        Marker::Square => {
            let s = r * 0.88;
            vec![(x - s, y - s), (x + s, y - s), (x + s, y + s), (x - s, y + s)]
        }
        Marker::Triangle => {
            vec![(x, y - r * 1.15), (x + r * 1.08, y + r * 0.8), (x - r * 1.08, y + r * 0.8)]
        }
        Marker::Diamond => {
            let s = r * 1.2;
            vec![(x, y - s), (x + s, y), (x, y + s), (x - s, y)]
        }
    }
}

/// Cuts a line into the dashes of `pattern` (dash, gap, ..).
fn dashes(points: &[Point], pattern: &[f64]) -> Vec<Vec<Point>> {
    let mut dashes = Vec::new();
    let mut current: Vec<Point> = points.first().copied().into_iter().collect();
    let (mut part, mut left) = (0, pattern[0]);
    for pair in points.windows(2) {
        let ((mut x, mut y), (to_x, to_y)) = (pair[0], pair[1]);
        loop {
            let length = libm::hypot(to_x - x, to_y - y);
            if length <= left {
                left -= length;
                if part % 2 == 0 {
                    current.push((to_x, to_y));
                }
                break;
            }
            x += (to_x - x) * left / length;
            y += (to_y - y) * left / length;
            if part % 2 == 0 {
                current.push((x, y));
                dashes.push(std::mem::take(&mut current));
            } else {
                current = vec![(x, y)];
            }
            part = (part + 1) % pattern.len();
            left = pattern[part];
        }
    }
    if current.len() > 1 {
        dashes.push(current);
    }
    dashes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dashes_cover_the_line_in_the_given_pattern() {
        let dashes = dashes(&[(0.0, 0.0), (10.0, 0.0)], &[4.0, 2.0]);
        assert_eq!(dashes, [vec![(0.0, 0.0), (4.0, 0.0)], vec![(6.0, 0.0), (10.0, 0.0)]]);
    }

    #[test]
    fn the_page_keeps_its_size_and_escapes_its_title() {
        let svg = draw(100.0, 50.0, "a < b", |canvas| {
            canvas.label((10.5, 10.0), "x & y", 10.0, Align::Left);
        });
        assert!(
            svg.0.starts_with(
                "<svg role=\"img\" width=\"100\" height=\"50\" viewBox=\"0 0 800 400\""
            )
        );
        assert!(
            svg.0.contains("<title>a &lt; b</title>") && svg.0.contains("x &amp; y"),
            "{}",
            svg.0
        );
    }
}
