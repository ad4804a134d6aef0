//! The results folder: what a run leaves on disk, and how it is read back.
//!
//! | file | content |
//! |---|---|
//! | `manifest.json` | what produced it: versions, hashes, seeds, charges ([`Manifest`]) |
//! | `experiment.yaml` | the experiment as it was run |
//! | `summary.csv` | one row per system, seed and sweep point; see [`summary_table`] |
//! | `classes.csv` | the same per class |
//! | `requests.parquet` | one row per request of every run |
//! | `tasks.parquet` | one row per span of `tasks` consecutive tasks on one placement |
//! | `report.json`, `report.md`, `report.html` | the report and all it says as data |
//! | `log-*.jsonl.zst`, `trace-*.json.gz` | on request, per system and seed |
//!
//! A folder is written beside its target under a temporary name and renamed when complete, so that
//! an interrupted run leaves nothing. Columns are only added; units are last in their names.

mod folder;
mod manifest;
#[cfg(feature = "dataframe")]
mod parquet;
mod tables;

pub use folder::{ResultsFolder, remove_on_interrupt, remove_unfinished, stop_on_interrupt};
pub(crate) use manifest::unix_seconds;
pub use manifest::{FileHash, Machine, Manifest, command_line, git_revision, sha256_hex};
#[cfg(feature = "dataframe")]
pub use parquet::ParquetTables;
pub use tables::{Table, classes_table, summary_table};
