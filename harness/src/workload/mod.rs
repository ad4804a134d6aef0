//! Workloads: what requests arrive, of which classes, when, and by when they are due.
//!
//! Owns the `workload:` section of experiments, the arrival generators, the importers of trace formats
//! and their exports. Does not price anything itself (a cost model is passed in) and runs nothing.
//! Invariant: the same specification and seed give the same requests on every machine.

mod named;
pub mod spec;

pub use named::Named;
pub use spec::WorkloadSpec;
