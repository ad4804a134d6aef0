//! Measuring a profile: every stage, shape and layout of a model on real ranks, through the real driver.
//!
//! Owns what is run (plan, tour, deal), by which system, what is taken from the log (samples), what becomes of them (prices, the file),
//! and resumption. Invariant: a price means what the simulator charges; a tour in virtual time gives back the prices
//! and charges that it was run with.

mod deal;
mod file;
mod follow;
mod job;
mod partial;
mod pass;
pub mod plan;
pub mod price;
mod sample;
mod tour;

#[cfg(test)]
mod tests;

pub use file::{profile, text};
pub use job::{Job, JobError, Progress};
pub use partial::{Header, KIND, Partial};
pub use pass::{PassError, Passed, Ranks, run};
pub use plan::Plan;
pub use price::Prices;
pub use sample::{CopySample, Sampler, Samples, TaskSample};
pub use tour::{Amount, Layouts, Leg, Part, Tour, Visit};
