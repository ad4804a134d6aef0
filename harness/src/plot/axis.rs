//! Axes: scales, tick values with labels, and the frame of a panel.

use super::canvas::{Align, Canvas, Point};
use super::palette::{FRAME, GRID, INK, MUTED};
use super::text;

/// Font size of tick labels.
pub const TICK_SIZE: f64 = 11.5;
/// Font size of axis titles.
pub const TITLE_SIZE: f64 = 12.5;

/// Maps values to places between 0 and 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scale {
    /// Equal steps.
    Linear {
        /// Value at place 0.
        lo: f64,
        /// Value at place 1.
        hi: f64,
    },
    /// Equal ratios; both ends are positive.
    Log {
        /// Value at place 0.
        lo: f64,
        /// Value at place 1.
        hi: f64,
    },
    /// Zero near place 0, then a break, then equal ratios.
    ZeroLog {
        /// Smallest positive value, after the break.
        lo: f64,
        /// Value near place 1.
        hi: f64,
    },
}

/// Where the logarithmic part of [`Scale::ZeroLog`] begins.
const BREAK: f64 = 0.15;
/// Room beyond the ends of [`Scale::ZeroLog`].
const EDGE: f64 = 0.015;

impl Scale {
    /// The place of `value`; outside 0..=1 when it is outside the ends.
    pub fn place(self, value: f64) -> f64 {
        let log = |value: f64, lo: f64, hi: f64| libm::log(value / lo) / libm::log(hi / lo);
        match self {
            Self::Linear { lo, hi } => (value - lo) / (hi - lo),
            Self::Log { lo, hi } => log(value, lo, hi),
            Self::ZeroLog { .. } if value <= 0.0 => EDGE,
            Self::ZeroLog { lo, hi } if hi > lo => {
                BREAK + (1.0 - EDGE - BREAK) * log(value, lo, hi)
            }
            Self::ZeroLog { .. } => 1.0 - EDGE,
        }
    }

    /// A linear scale from `lo` to a round number at or above `hi`; never empty.
    pub fn up_to(lo: f64, hi: f64) -> Self {
        let hi = if hi > lo { hi } else { lo + 1.0 };
        let step = nice_step((hi - lo) / 5.0);
        Self::Linear { lo, hi: lo + libm::ceil((hi - lo) / step - 1e-9) * step }
    }

    /// A logarithmic scale from the 1-2-5 number at or below `lo` to the one at or above `hi`.
    pub fn log_around(lo: f64, hi: f64) -> Self {
        let lo = lo.max(1e-9);
        let hi = hi.max(lo * 1.0001);
        let below = DECADE.iter().rev().map(|m| m * decade(lo)).find(|&v| v <= lo * 1.0001);
        let above =
            [1.0, 2.0, 5.0, 10.0].iter().map(|m| m * decade(hi)).find(|&v| v >= hi * 0.9999);
        let (lo, hi) = (below.unwrap_or(lo), above.unwrap_or(hi));
        Self::Log { lo, hi: if hi > lo { hi } else { lo * 10.0 } }
    }

    /// About five ticks.
    pub fn ticks(self) -> Vec<Tick> {
        match self {
            Self::Linear { lo, hi } => {
                let step = nice_step((hi - lo) / 5.0);
                let first = libm::ceil(lo / step - 1e-9) as i64;
                let last = libm::floor(hi / step + 1e-9) as i64;
                let decimals = (-libm::floor(libm::log10(step) + 1e-9)).max(0.0) as usize;
                (first..=last)
                    .map(|i| i as f64 * step)
                    .map(|v| Tick { at: v, label: group_digits(&format!("{v:.decimals$}")) })
                    .collect()
            }
            Self::Log { lo, hi } | Self::ZeroLog { lo, hi } => {
                let wide = hi / lo > 2_000.0;
                let marks: &[f64] = if wide { &[1.0] } else { &DECADE };
                let mut ticks = Vec::new();
                let mut base = decade(lo);
                while base <= hi * 1.0001 {
                    let values = marks.iter().map(|m| m * base);
                    let inside = values.filter(|&v| v >= lo * 0.9999 && v <= hi * 1.0001);
                    ticks.extend(inside.map(|v| Tick { at: v, label: plain(v) }));
                    base *= 10.0;
                }
                ticks
            }
        }
    }
}

const DECADE: [f64; 3] = [1.0, 2.0, 5.0];

/// The power of ten at or below `value`.
fn decade(value: f64) -> f64 {
    libm::pow(10.0, libm::floor(libm::log10(value) + 1e-9))
}

/// The 1-2-5 number at or above `rough`.
fn nice_step(rough: f64) -> f64 {
    let base = decade(rough.max(1e-12));
    let found =
        [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * base).find(|&m| m >= rough * 0.999_999);
    found.unwrap_or(base * 10.0)
}

/// Decimals of `value` with so many significant digits, six at the most; what has them before the point has none.
pub fn decimals(value: f64, digits: u8) -> usize {
    let last = f64::from(digits) - 1.0;
    (last - libm::floor(libm::log10(value.abs()))).clamp(0.0, 6.0) as usize
}

/// `value` with at most three significant decimals and no trailing zeros.
pub fn plain(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let digits = decimals(value, 3);
    let text = format!("{value:.digits$}");
    let text = if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    };
    group_digits(&text)
}

/// `text` with commas between groups of three digits, from 10,000 on.
pub fn group_digits(text: &str) -> String {
    let whole = text.find('.').unwrap_or(text.len());
    let (digits, rest) = text.split_at(whole);
    if digits.len() < 5 {
        return text.to_owned();
    }
    let mut grouped = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && digit.is_ascii_digit() && (digits.len() - i).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + rest
}

/// A labelled place on an axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Tick {
    /// Where.
    pub at: f64,
    /// What it says.
    pub label: String,
}

/// One axis: its scale, ticks, and title with unit.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// Value to place.
    pub scale: Scale,
    /// What is marked.
    pub ticks: Vec<Tick>,
    /// Title with unit; empty for none.
    pub title: String,
}

impl Axis {
    /// An axis with the scale's own ticks.
    pub fn new(scale: Scale, title: &str) -> Self {
        Self { scale, ticks: scale.ticks(), title: title.to_owned() }
    }

    /// The axis without its title, for inner panels.
    pub fn untitled(&self) -> Self {
        Self { title: String::new(), ..self.clone() }
    }
}

/// A panel: a rectangle of the page with two axes. Titles and labels lie outside the rectangle.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// Upper left corner of the data area.
    pub from: Point,
    /// Lower right corner of the data area.
    pub to: Point,
    /// Horizontal axis.
    pub x: Axis,
    /// Vertical axis.
    pub y: Axis,
}

impl Frame {
    /// The pixel of `(x, y)`.
    pub fn at(&self, x: f64, y: f64) -> Point {
        (self.x_at(x), self.y_at(y))
    }

    /// The horizontal pixel of `x`.
    pub fn x_at(&self, x: f64) -> f64 {
        self.from.0 + self.x.scale.place(x) * (self.to.0 - self.from.0)
    }

    /// The vertical pixel of `y`.
    pub fn y_at(&self, y: f64) -> f64 {
        self.to.1 - self.y.scale.place(y) * (self.to.1 - self.from.1)
    }

    /// Whether `(x, y)` lies inside the data area, its edge included.
    pub fn holds(&self, x: f64, y: f64) -> bool {
        let inside = |place: f64| (-1e-9..=1.0 + 1e-9).contains(&place);
        inside(self.x.scale.place(x)) && inside(self.y.scale.place(y))
    }

    /// Draws grid, axis lines, tick labels and titles; `y_labels` is false for inner panels.
    pub fn draw(&self, canvas: &Canvas<'_>, y_labels: bool) {
        self.draw_x(canvas, true);
        for tick in &self.y.ticks {
            let y = self.y_at(tick.at);
            canvas.line(&[(self.from.0, y), (self.to.0, y)], GRID, 0.8);
            if y_labels {
                canvas.label((self.from.0 - 7.0, y), &tick.label, TICK_SIZE, Align::Right);
            }
        }
        canvas.line(&[self.from, (self.from.0, self.to.1)], FRAME, 1.0);
        canvas.line(&[(self.from.0, self.to.1), self.to], INK, 1.0);
        if !self.y.title.is_empty() {
            let middle = (self.from.1 + self.to.1) / 2.0;
            let labels = self.y.ticks.iter().map(|tick| text::width(&tick.label, TICK_SIZE));
            let widest = labels.fold(0.0, f64::max).max(26.0);
            let x = (self.from.0 - widest - 22.0).max(9.0);
            canvas.upwards((x, middle), &self.y.title, TITLE_SIZE, INK);
        }
    }

    /// Draws the horizontal axis, with vertical grid lines if asked.
    pub fn draw_x(&self, canvas: &Canvas<'_>, grid: bool) {
        let mut free = f64::MIN;
        for tick in &self.x.ticks {
            let x = self.x_at(tick.at);
            if grid {
                canvas.line(&[(x, self.from.1), (x, self.to.1)], GRID, 0.8);
            }
            canvas.line(&[(x, self.to.1), (x, self.to.1 + 4.0)], INK, 1.0);
            // A label that would touch the one before it is left out; its tick stays.
            let half = text::width(&tick.label, TICK_SIZE) / 2.0;
            if x - half > free {
                canvas.label((x, self.to.1 + 13.0), &tick.label, TICK_SIZE, Align::Center);
                free = x + half + 4.0;
            }
        }
        if !self.x.title.is_empty() {
            let middle = (self.from.0 + self.to.0) / 2.0;
            canvas.label((middle, self.to.1 + 33.0), &self.x.title, TITLE_SIZE, Align::Center);
        }
        if let Scale::ZeroLog { .. } = self.x.scale {
            let x = self.from.0 + BREAK * 0.5 * (self.to.0 - self.from.0);
            for dx in [-2.5, 2.5] {
                let (a, b) = ((x + dx - 2.0, self.to.1 + 5.0), (x + dx + 2.0, self.to.1 - 5.0));
                canvas.line(&[a, b], MUTED, 1.2);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(scale: Scale) -> Vec<String> {
        scale.ticks().into_iter().map(|tick| tick.label).collect()
    }

    #[test]
    fn ticks_are_round_numbers() {
        assert_eq!(labels(Scale::up_to(0.0, 0.93)), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(
            labels(Scale::up_to(0.0, 31_000.0)),
            ["0", "10,000", "20,000", "30,000", "40,000"]
        );
        assert_eq!(
            labels(Scale::log_around(7.9, 420.0)),
            ["5", "10", "20", "50", "100", "200", "500"]
        );
    }

    #[test]
    fn a_log_scale_with_zero_keeps_zero_apart() {
        let scale = Scale::ZeroLog { lo: 0.06, hi: 778.0 };
        assert_eq!(scale.place(0.0), EDGE);
        assert!((scale.place(0.06) - BREAK).abs() < 1e-12);
        assert!((scale.place(778.0) - 1.0 + EDGE).abs() < 1e-12);
    }

    #[test]
    fn numbers_print_without_trailing_zeros() {
        assert_eq!(plain(0.06), "0.06");
        assert_eq!(plain(1.50), "1.5");
        assert_eq!(plain(123_456.0), "123,456");
    }
}
