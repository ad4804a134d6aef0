//! How one task is split over the ranks of its group.

use core::fmt;
use serde::{Deserialize, Serialize};

/// The degrees of one task. A stage uses those that apply to it; the others are 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Parallelism {
    /// Ulysses degree (all-to-all around attention); must divide the model's head count.
    pub ulysses: u8,
    /// Ring degree (shifted K/V); no divisibility rule.
    pub ring: u8,
    /// CFG degree: 2 puts the two guidance branches on different ranks; 1 otherwise.
    pub cfg: u8,
    /// VAE-patch degree: the decoder's image is cut into this many patches.
    pub patch: u8,
}

impl Parallelism {
    /// One rank does everything.
    pub const SINGLE: Self = Self { ulysses: 1, ring: 1, cfg: 1, patch: 1 };

    /// Pure Ulysses sequence parallelism.
    pub const fn ulysses(degree: u8) -> Self {
        Self { ulysses: degree, ..Self::SINGLE }
    }

    /// Patch-parallel VAE decode.
    pub const fn patch(degree: u8) -> Self {
        Self { patch: degree, ..Self::SINGLE }
    }

    /// Sequence degree = Ulysses x ring.
    pub const fn sequence(self) -> u16 {
        self.ulysses as u16 * self.ring as u16
    }

    /// Number of ranks that compute.
    pub const fn degree(self) -> u16 {
        self.sequence() * self.cfg as u16 * self.patch as u16
    }
}

impl Default for Parallelism {
    fn default() -> Self {
        Self::SINGLE
    }
}

impl fmt::Display for Parallelism {
    /// `u4`, `u4r2`, `cfg2u4`, `patch2`, or `1` on a single rank.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::SINGLE {
            return f.write_str("1");
        }
        for (name, degree) in
            [("cfg", self.cfg), ("u", self.ulysses), ("r", self.ring), ("patch", self.patch)]
        {
            if degree > 1 {
                write!(f, "{name}{degree}")?;
            }
        }
        Ok(())
    }
}
