//! Colours that colour-blind readers tell apart (Okabe and Ito), and the dashes and markers that
//! go with them for readers who see none.

use plotters::style::RGBColor;

/// Text, axes.
pub const INK: RGBColor = RGBColor(0x22, 0x22, 0x22);
/// Secondary text.
pub const MUTED: RGBColor = RGBColor(0x5A, 0x5A, 0x5A);
/// Grid lines.
pub const GRID: RGBColor = RGBColor(0xE2, 0xE2, 0xE2);
/// Frames of empty bars and lanes.
pub const FRAME: RGBColor = RGBColor(0xB8, 0xB8, 0xB8);
/// Background.
pub const PAPER: RGBColor = RGBColor(0xFF, 0xFF, 0xFF);
/// Ranks held without computing.
pub const HELD: RGBColor = RGBColor(0xC9, 0xC9, 0xC9);

/// Idle lanes while some request waits.
pub const WAITING: RGBColor = RGBColor(0xFB, 0xDF, 0xE6);

/// Blue.
pub const BLUE: RGBColor = RGBColor(0x00, 0x72, 0xB2);
/// Vermillion.
pub const VERMILLION: RGBColor = RGBColor(0xD5, 0x5E, 0x00);
/// Bluish green.
pub const GREEN: RGBColor = RGBColor(0x00, 0x9E, 0x73);
/// Orange.
pub const ORANGE: RGBColor = RGBColor(0xE6, 0x9F, 0x00);
/// Reddish purple.
pub const PURPLE: RGBColor = RGBColor(0xCC, 0x79, 0xA7);
/// Sky blue.
pub const SKY: RGBColor = RGBColor(0x56, 0xB4, 0xE9);
/// Yellow.
pub const YELLOW: RGBColor = RGBColor(0xF0, 0xE4, 0x42);
/// Grey, for a series where black would hide its interval.
pub const GREY: RGBColor = RGBColor(0x80, 0x80, 0x80);
/// Black.
pub const BLACK: RGBColor = RGBColor(0x00, 0x00, 0x00);

/// Colours of series, in order of use.
pub const SERIES: [RGBColor; 8] = [BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY, GREY, YELLOW];

/// A point's shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marker {
    /// Filled circle.
    Circle,
    /// Filled square.
    Square,
    /// Filled triangle, point up.
    Triangle,
    /// Filled diamond.
    Diamond,
}

/// How a series is drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Stroke {
    /// Colour of line and markers.
    pub color: RGBColor,
    /// Line width in pixels.
    pub width: f64,
    /// Lengths of dash and gap in pixels, repeated; empty for a solid line.
    pub dash: &'static [f64],
    /// Marker at data points.
    pub marker: Marker,
}

/// Dash patterns of static systems, in order of use.
const DASHES: [&[f64]; 4] = [&[7.0, 4.0], &[2.0, 3.0], &[9.0, 3.0, 2.0, 3.0], &[14.0, 4.0]];
const MARKERS: [Marker; 4] = [Marker::Circle, Marker::Square, Marker::Triangle, Marker::Diamond];

impl Stroke {
    /// The stroke of series number `index`; `solid` (and heavier) for subjects, dashed for others.
    pub fn of(index: usize, solid: bool) -> Self {
        Self {
            color: SERIES[index % SERIES.len()],
            width: if solid { 2.4 } else { 1.8 },
            dash: if solid { &[] } else { DASHES[index % DASHES.len()] },
            marker: MARKERS[index % MARKERS.len()],
        }
    }
}

/// Fill of request class number `index`.
pub fn class_fill(index: usize) -> RGBColor {
    [BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILLION, YELLOW, BLACK][index % 8]
}

/// Fill of a parallel degree: light for 1, darker as it doubles; one hue, so that order is visible.
pub fn degree_fill(index: usize, count: usize) -> RGBColor {
    // A perceptual ramp from pale yellow-green over teal to dark blue (safe in greyscale).
    const RAMP: [(f64, f64, f64); 5] = [
        (237.0, 223.0, 122.0),
        (150.0, 201.0, 120.0),
        (57.0, 158.0, 141.0),
        (34.0, 104.0, 142.0),
        (48.0, 38.0, 104.0),
    ];
    let place = match count {
        0 | 1 => 2.0,
        count => 4.0 * index as f64 / (count - 1) as f64,
    };
    let low = (place as usize).min(3);
    let part = place - low as f64;
    let mix = |a: f64, b: f64| libm::round(a + (b - a) * part) as u8;
    let (a, b) = (RAMP[low], RAMP[low + 1]);
    RGBColor(mix(a.0, b.0), mix(a.1, b.1), mix(a.2, b.2))
}

/// `color` moved towards white: `part` 0 leaves it, 1 gives white.
pub fn lighten(color: RGBColor, part: f64) -> RGBColor {
    let mix =
        |channel: u8| libm::round(f64::from(channel) + (255.0 - f64::from(channel)) * part) as u8;
    RGBColor(mix(color.0), mix(color.1), mix(color.2))
}

/// Black or white, whichever is readable on `color`.
pub fn on(color: RGBColor) -> RGBColor {
    let luminance =
        0.299 * f64::from(color.0) + 0.587 * f64::from(color.1) + 0.114 * f64::from(color.2);
    if luminance > 140.0 { BLACK } else { PAPER }
}
