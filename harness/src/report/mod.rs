//! Reports: `report.md`, a self-contained `report.html`, and the same headline for a terminal.
//!
//! Owns wording, tables and the choice of pictures. Does not compute metrics from records: it is
//! given a [`ReportInput`], which is also written as `report.json`.

mod input;

pub use input::{
    BoundRow, Charge, Fact, Label, MetricRow, ProfileNote, Ranking, RankingRow, ReportInput, Role,
    SystemNote,
};
