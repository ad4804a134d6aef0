//! Virtual time: runs any [`System`](flexdit_core::System) on a cost model, bit-exact for a seed.
//!
//! Owns the event queue, what every command costs ([`Charges`], [`Timing`]), seeded jitter and faults.
//! Does not decide anything: what the policy *believes* is another object than what is charged here.

pub mod charges;
mod closed_loop;
mod engine;
pub mod faults;
mod inbox;
pub mod noise;
mod setup;
pub mod timing;

pub use charges::{Charges, GroupSetup, MigrationCharge, Occupies, Stragglers};
pub use engine::{Observer, Outcome, SimError, Simulation, Workload};
pub use faults::{FaultModel, FaultPlan};
pub use timing::Timing;
