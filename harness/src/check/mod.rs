//! Seeded whole-system simulation under checkers: one seed, one bug.
//!
//! A seed draws everything: world, prices, charges, noise, workload, system, and then, from the
//! instants of a first quiet run, ranks that go down and clients that give up at the worst moments.
//! [`Checker`] watches the stream of steps and knows nothing of the code under test. A failure repeats
//! with `flexdit check --seed N`.

mod artifacts;
mod case;
mod chaos;
mod checker;
mod dice;
mod prices;
mod verdict;

pub use case::{Case, Kind};
pub use chaos::Chaos;
pub use checker::Checker;
pub use verdict::{Verdict, check};
