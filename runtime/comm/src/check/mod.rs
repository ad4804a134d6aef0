//! Collectives under check: operations on made-up data, compared bit by bit with the [oracle](crate::oracle), one by one
//! or as random schedules of overlapping groups. One seed, one bug.
//!
//! Owns data, schedules and their judgement. It runs on whatever implements [`Collectives`](crate::Collectives), so either side of the
//! comparison and every transport can be put to it. Everything is drawn from seeds; nothing sleeps or reads a clock.

mod dice;
mod schedule;
mod trial;

pub use dice::Dice;
pub use schedule::{Schedule, Tally, check};
pub use trial::{Trial, Work, Wrong};
