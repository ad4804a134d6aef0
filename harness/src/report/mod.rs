//! Reports: `report.md`, a self-contained `report.html`, and the same headline for a terminal.
//!
//! Owns wording, tables and the choice of pictures. Does not compute metrics from records: it is
//! given a [`ReportInput`], which is also written as `report.json`.

mod compare;
mod document;
mod excerpt;
mod files;
mod fill;
mod format;
mod headline;
mod html;
mod input;
mod markdown;
mod measured;
mod pictures;
#[cfg(test)]
mod sample;
mod sections;
mod sweep;
mod terminal;
mod view;

pub use compare::compare;
pub use document::{Block, Cell, Column, Document, Picture, Section, Table};
pub use excerpt::excerpt;
pub use files::{REPORT_JSON, ReportError, files, render};
pub(crate) use format::{change, number, percent, times, with_interval};
pub use html::html;
pub use input::{
    BoundRow, Charge, Fact, Label, MeasuredNote, ProfileNote, Ranking, RankingRow, ReportInput,
    Role, SystemNote,
};
pub use markdown::{markdown, render_table};
pub use sections::document;
pub(crate) use terminal::wrapped;
pub use terminal::{plain, summary};

#[cfg(test)]
#[path = "report_test.rs"]
mod tests;
