//! What a finished experiment says, and writing it down: the results folder with its report.
//!
//! Owns the words around the numbers (roles, setup, charges, sources) and the order of writing. Metrics,
//! tables and pictures are made elsewhere. A folder appears complete or not at all.

mod checks;
mod folder;
mod log;
mod notes;
mod real;
mod report;
mod sources;

pub use checks::{Check, checks};
pub use folder::{Written, inputs, write};
pub use log::FolderLog;
pub(crate) use log::run_name;
pub use notes::{charges, describe, role, setup};
pub use report::report_input;
pub use sources::profiles;
