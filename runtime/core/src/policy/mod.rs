//! The scheduling policies, one file each, and the registry that names them.
//!
//! Owns order and placement decisions alone: claims, artifacts and sequence numbers are the
//! scheduler's. Every policy is deterministic; ties end in (arrival, request ordinal).

pub mod edf_best_fit;
pub mod edf_greedy;
pub mod fallback;
pub mod lanes;
pub mod load_adaptive;
pub mod params;
pub mod registry;
pub mod scenario;

#[cfg(test)]
mod tests;

pub use edf_best_fit::EdfBestFit;
pub use edf_greedy::EdfGreedy;
pub use fallback::Fallback;
pub use lanes::{LaneOrder, Lanes};
pub use load_adaptive::LoadAdaptive;
pub use params::{ParamError, ParamInfo, ParamKind, Params, Value};
pub use registry::{POLICIES, PolicyInfo};

use crate::ids::Rank;
use crate::scheduler::{Key, RequestView};

/// Earliest deadline first: by (deadline, most important, arrival); no deadline comes last.
pub fn edf_key(request: &RequestView<'_>) -> Key {
    [request.deadline().0, importance(request), request.request().arrival.0]
}

/// A request's priority as a part of a key: smaller is more important.
pub fn importance(request: &RequestView<'_>) -> u64 {
    i64::from(i32::MAX).abs_diff(i64::from(request.request().priority))
}

/// The ranks that hold a request's state now; none before its first task.
pub fn holders<'a>(request: &RequestView<'a>) -> &'a [Rank] {
    request.located().map_or(&[], |located| &located.active)
}
