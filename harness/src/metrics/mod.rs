//! Metrics, computed from the run's log only: what a driver was told and what it did.
//!
//! [`Recorder`] turns the stream of steps into a [`RunRecord`](crate::record::RunRecord);
//! [`summary`] turns that into one row of figures; [`bounds`] says how good any schedule could be;
//! [`stats`] puts intervals on comparisons. Nothing here knows which driver ran.

pub mod bounds;
pub mod lookup;
mod rank_clock;
mod recorder;
pub mod stats;
pub mod summary;
mod timeline;

pub use lookup::{Better, METRICS, Metric, metric};
#[cfg(test)]
pub(crate) use recorder::tests::small_run;
pub use recorder::{Recorder, RecorderOptions, RunInfo};
pub use summary::{Summary, summarise};
