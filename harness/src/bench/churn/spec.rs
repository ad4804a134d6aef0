//! What `flexdit bench churn` is asked to measure.

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
    /// Operations of a sample on the group-free side.
    pub ops: usize,
    /// Operations of a sample where every group is a communicator.
    pub communicator_ops: usize,
    /// Fresh worlds for each world size and degree, the contestants in turn.
    pub rounds: usize,
    /// Samples in each of them.
    pub samples: usize,
    /// The collective.
    pub op: Operation,
    /// Its bytes.
    pub bytes: u64,
    /// Seed of groups and data.
    pub seed: u64,
}

impl Default for Spec {
    fn default() -> Self {
        Self {
            contestants: Contestant::available(),
            worlds: vec![2, 4, 8],
            degrees: vec![2, 4],
            ops: 2_000,
            communicator_ops: 100,
            rounds: 5,
            samples: 5,
            op: Operation::AllToAll,
            bytes: 4_096,
            seed: 42,
        }
    }
}

impl Spec {
    /// A few seconds' worth, to see that everything works.
    pub fn quick() -> Self {
        Self {
            worlds: vec![2, 4],
            ops: 200,
            communicator_ops: 20,
            rounds: 1,
            samples: 3,
            ..Self::default()
        }
    }

    /// Operations of a sample of a contestant.
    pub fn ops_of(&self, contestant: Contestant) -> usize {
        if contestant.is_group_free() { self.ops } else { self.communicator_ops }
    }

    /// World and degree of every case.
    pub fn cases(&self) -> Vec<(usize, usize)> {
        let fitting = |world: usize| {
            let degrees = self.degrees.iter().filter(move |degree| **degree <= world);
            degrees.map(move |degree| (world, *degree))
        };
        self.worlds.iter().flat_map(|world| fitting(*world)).collect()
    }

    /// Checks ranges.
    ///
    /// # Errors
    /// Naming the option that is out of range.
    pub fn check(&self) -> Result<(), InputError> {
        let wrong = |option: &str, message: String| Err(InputError::new(option, message));
        let outside = |ranks: &&usize| !(2..=64).contains(*ranks);
        if let Some(world) = self.worlds.iter().find(outside) {
            return wrong("--worlds", format!("expected 2 to 64 ranks, got {world}"));
        }
        if let Some(degree) = self.degrees.iter().find(outside) {
            return wrong("--degrees", format!("expected 2 to 64 ranks, got {degree}"));
        }
        if self.cases().is_empty() {
            return wrong("--degrees", "no degree fits a world".to_owned());
        }
        if self.op == Operation::PutGet {
            return wrong("--op", "expected an operation in which all members take part".into());
        }
        if self.bytes.saturating_mul(self.ops as u64) > 1 << 32 {
            return wrong("--bytes", "expected at most 4GiB in all operations".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_the_degrees_that_fit_each_world() {
        let cases = Spec::default().cases();
        assert_eq!(cases, [(2, 2), (4, 2), (4, 4), (8, 2), (8, 4)]);
        let none = Spec { worlds: vec![2], degrees: vec![3], ..Spec::quick() };
        assert_eq!(none.check().unwrap_err().to_string(), "--degrees: no degree fits a world");
        assert!(Spec::default().check().is_ok());
    }
}
