//! Pictures: SVG drawn with plotters, PNG through resvg.
//!
//! Owns chart layout, palette and text measurement. Does not compute metrics. Equal input gives
//! equal bytes.

pub mod area;
pub mod axis;
pub mod bars;
mod canvas;
mod figures;
pub mod gantt;
mod legend;
pub mod lines;
pub mod palette;
mod png;
mod text;

pub use canvas::Svg;
pub use figures::{Cdf, DegreeOverTime, Figures, Gantt, GanttMove, GanttSpan, Lateness};
pub use png::{PngError, png};
