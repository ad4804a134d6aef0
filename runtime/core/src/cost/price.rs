//! A duration with where it comes from.

use crate::units::Nanos;
use core::fmt;
use core::ops::Add;
use serde::{Deserialize, Serialize};

/// Where a number comes from, strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Provenance {
    /// Measured by this project.
    Measured,
    /// Stated in a paper or read from a public artifact.
    Published,
    /// Produced by a simulator.
    Simulated,
    /// Computed here from other numbers.
    Derived,
}

impl Provenance {
    /// The label as printed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Measured => "measured",
            Self::Published => "published",
            Self::Simulated => "simulated",
            Self::Derived => "derived",
        }
    }
}

impl fmt::Display for Provenance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What something costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price {
    /// How long it takes.
    pub time: Nanos,
    /// The weakest source among its parts.
    pub provenance: Provenance,
    /// Whether any part lies outside the range of its source.
    pub extrapolated: bool,
}

impl Add for Price {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            time: self.time + other.time,
            provenance: self.provenance.max(other.provenance),
            extrapolated: self.extrapolated || other.extrapolated,
        }
    }
}
