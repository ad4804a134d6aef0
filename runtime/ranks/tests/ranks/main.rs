//! Whole runs on real ranks with the synthetic compute.

mod bench;
mod failures;
mod first;
mod restless;
mod results;
