//! Virtual time: runs any [`System`](flexdit_core::System) on a cost model, bit-exact for a seed.
//!
//! Owns the event queue, what every command costs ([`Charges`], [`Timing`]), seeded jitter and faults.
//! Does not decide anything: what the policy *believes* is another object than what is charged here.

pub mod charges;
mod engine;
pub mod faults;
mod inbox;
pub mod noise;
mod setup;
pub mod timing;

pub use charges::{Charges, GroupSetup, MigrationCharge, Occupies, Stragglers};
pub use engine::{Outcome, SimError, Simulation};
pub use faults::{FaultModel, FaultPlan};
pub use flexdit_core::run::{Observer, Workload};
pub use timing::{TaskTimes, Timing};
