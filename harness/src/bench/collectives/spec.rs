//! What `flexdit bench collectives` is asked to measure.

use crate::bench::launch::Contestant;
use crate::bench::plan::Operation;
use crate::input::InputError;
use serde::{Deserialize, Serialize};

/// What to measure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// Who takes part.
    pub contestants: Vec<Contestant>,
    /// The operations.
    pub ops: Vec<Operation>,
    /// Message sizes in bytes, ascending; see [`Operation::formula`].
    pub sizes: Vec<u64>,
    /// Ranks of the world, which is the group.
    pub ranks: usize,
    /// Times that everything is gone through, with the contestants in turn and in fresh worlds.
    pub rounds: usize,
    /// Samples of each size in each round; of long ones fewer.
    pub batches: usize,
    /// Seed of the data.
    pub seed: u64,
}

impl Default for Spec {
    fn default() -> Self {
        Self {
            contestants: Contestant::available(),
            ops: Operation::ALL.into(),
            sizes: sizes(64, 64 << 20),
            ranks: 2,
            rounds: 5,
            batches: 20,
            seed: 42,
        }
    }
}

/// From the least to the most by factors of four.
pub fn sizes(least: u64, most: u64) -> Vec<u64> {
    let next = |size: &u64| size.checked_mul(4).filter(|size| *size <= most);
    std::iter::successors(Some(least).filter(|size| *size <= most), next).collect()
}

impl Spec {
    /// A few seconds' worth, to see that everything works.
    pub fn quick() -> Self {
        Self { sizes: sizes(64, 1 << 20), rounds: 1, batches: 5, ..Self::default() }
    }

    /// Samples of one size in a round: fewer where one takes milliseconds.
    pub fn batches_of(&self, bytes: u64) -> usize {
        match bytes {
            0..0x40_0000 => self.batches,
            0x40_0000..0x400_0000 => self.batches.div_ceil(4),
            _ => self.batches.div_ceil(8),
        }
    }

    /// Checks ranges.
    ///
    /// # Errors
    /// Naming the option that is out of range.
    pub fn check(&self) -> Result<(), InputError> {
        let wrong = |option: &str, message: String| Err(InputError::new(option, message));
        if !(2..=64).contains(&self.ranks) {
            return wrong("--ranks", format!("expected 2 to 64 ranks, got {}", self.ranks));
        }
        let limit = 1 << 30;
        match self.sizes.iter().find(|size| **size == 0 || **size > limit) {
            Some(size) => wrong("--sizes", format!("expected 1B to 1GiB, got {size} bytes")),
            None if self.sizes.is_empty() => wrong("--sizes", "expected a size".to_owned()),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_grow_by_four_up_to_the_most() {
        assert_eq!(sizes(64, 5_000), [64, 256, 1_024, 4_096]);
        assert_eq!(sizes(64, 64 << 20).len(), 11);
        assert!(sizes(64, 63).is_empty());
    }

    #[test]
    fn what_cannot_be_measured_is_refused_by_option() {
        let message = |spec: Spec| spec.check().unwrap_err().to_string();
        let ranks = Spec { ranks: 65, ..Spec::quick() };
        assert_eq!(message(ranks), "--ranks: expected 2 to 64 ranks, got 65");
        let sizes = Spec { sizes: vec![64, 0], ..Spec::quick() };
        assert_eq!(message(sizes), "--sizes: expected 1B to 1GiB, got 0 bytes");
        assert!(Spec::default().check().is_ok());
    }
}
