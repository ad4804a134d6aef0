//! What `flexdit bench group-setup` is asked to measure.

use crate::bench::launch::Contestant;
use crate::bench::plan::Operation;
use crate::input::InputError;
use serde::{Deserialize, Serialize};

/// What to measure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// Who takes part.
    pub contestants: Vec<Contestant>,
    /// Ranks of the worlds.
    pub worlds: Vec<usize>,
    /// Members of the groups; those larger than a world are left out there.
    pub degrees: Vec<usize>,
    /// Fresh worlds of each size, per contestant.
    pub lives: usize,
    /// Never-used tuples of each degree in each of them.
    pub tuples: usize,
    /// Samples of the steady state on each tuple.
    pub steady: usize,
    /// Formations in a row where one is too short for the clock.
    pub many: u32,
    /// The collective.
    pub op: Operation,
    /// Its bytes.
    pub bytes: u64,
    /// Seed of tuples and data.
    pub seed: u64,
}

impl Default for Spec {
    fn default() -> Self {
        Self {
            contestants: Contestant::available(),
            worlds: vec![4, 8, 16],
            degrees: vec![2, 4, 8],
            lives: 30,
            tuples: 12,
            steady: 4,
            many: 1_000,
            op: Operation::AllToAll,
            bytes: 4_096,
            seed: 42,
        }
    }
}

impl Spec {
    /// A few seconds' worth, to see that everything works.
    pub fn quick() -> Self {
        Self { worlds: vec![4], degrees: vec![2, 4], lives: 4, tuples: 6, ..Self::default() }
    }

    /// Checks ranges.
    ///
    /// # Errors
    /// Naming the option that is out of range.
    pub fn check(&self) -> Result<(), InputError> {
        let wrong = |option: &str, message: String| Err(InputError::new(option, message));
        if let Some(world) = self.worlds.iter().find(|world| !(2..=64).contains(*world)) {
            return wrong("--worlds", format!("expected 2 to 64 ranks, got {world}"));
        }
        if let Some(degree) = self.degrees.iter().find(|degree| !(2..=64).contains(*degree)) {
            return wrong("--degrees", format!("expected 2 to 64 ranks, got {degree}"));
        }
        if let Some(world) = self.worlds.iter().find(|w| !self.degrees.iter().any(|d| d <= w)) {
            return wrong("--degrees", format!("no degree fits a world of {world} ranks"));
        }
        if self.op == Operation::PutGet || self.op == Operation::Barrier && self.bytes == 0 {
            return wrong("--op", "expected an operation in which all members take part".into());
        }
        if self.bytes > 1 << 30 {
            return wrong("--bytes", format!("expected at most 1GiB, got {} bytes", self.bytes));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_measured_is_refused_by_option() {
        let message = |spec: Spec| spec.check().unwrap_err().to_string();
        assert_eq!(
            message(Spec { worlds: vec![4, 1], ..Spec::default() }),
            "--worlds: expected 2 to 64 ranks, got 1"
        );
        assert_eq!(
            message(Spec { degrees: vec![8], worlds: vec![4], ..Spec::default() }),
            "--degrees: no degree fits a world of 4 ranks"
        );
        assert!(Spec::default().check().is_ok() && Spec::quick().check().is_ok());
    }
}
