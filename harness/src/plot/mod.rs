//! Pictures: SVG drawn with plotters, PNG through resvg.
//!
//! Owns chart layout, palette and text measurement. Does not compute metrics. Equal input gives
//! equal bytes.

mod figures;

pub use figures::{
    Cdf, DegreeOverTime, Figures, Gantt, GanttMove, GanttSpan, Lateness, RankTimeShare,
};
