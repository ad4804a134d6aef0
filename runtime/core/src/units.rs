//! Integer time and size. Owns conversion and display; floats never carry a clock.

use core::fmt;
use core::iter::Sum;
use core::ops::{Add, AddAssign, Mul, Sub, SubAssign};
use serde::{Deserialize, Serialize};

/// An instant since the start of a run, or a duration, in nanoseconds.
///
/// ```
/// use flexdit_core::Nanos;
/// assert_eq!(Nanos::from_millis_f64(155.0) * 50, Nanos(7_750_000_000));
/// ```
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Nanos(pub u64);

impl Nanos {
    /// Zero.
    pub const ZERO: Self = Self(0);
    /// The latest instant that can be written; used for "never".
    pub const MAX: Self = Self(u64::MAX);

    /// A whole number of microseconds.
    pub const fn from_micros(us: u64) -> Self {
        Self(us * 1_000)
    }

    /// A whole number of milliseconds.
    pub const fn from_millis(ms: u64) -> Self {
        Self(ms * 1_000_000)
    }

    /// A whole number of seconds.
    pub const fn from_secs(s: u64) -> Self {
        Self(s * 1_000_000_000)
    }

    /// The nearest nanosecond to `ms` milliseconds; negative and NaN give zero, overflow saturates.
    pub fn from_millis_f64(ms: f64) -> Self {
        Self::from_f64(ms * 1e6)
    }

    /// The nearest nanosecond to `s` seconds; negative and NaN give zero, overflow saturates.
    pub fn from_secs_f64(s: f64) -> Self {
        Self::from_f64(s * 1e9)
    }

    /// The nearest nanosecond to `ns`; negative and NaN give zero, overflow saturates.
    pub fn from_f64(ns: f64) -> Self {
        Self(libm::round(ns) as u64)
    }

    /// The value in milliseconds.
    pub fn as_millis_f64(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// The value in seconds.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// `self - other`, or zero when `other` is later.
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// `self + other`, or [`Nanos::MAX`] on overflow.
    pub const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// `self x factor` rounded to the nearest nanosecond; `factor` must be finite and not negative.
    pub fn scale(self, factor: f64) -> Self {
        Self::from_f64(self.0 as f64 * factor)
    }
}

/// A size in bytes.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Bytes(pub u64);

impl Bytes {
    /// Zero.
    pub const ZERO: Self = Self(0);

    /// Decimal gigabytes, rounded to the nearest byte.
    pub fn from_gb_f64(gb: f64) -> Self {
        Self(libm::round(gb * 1e9) as u64)
    }

    /// The value in decimal gigabytes.
    pub fn as_gb_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }
}

macro_rules! arithmetic {
    ($unit:ident) => {
        impl Add for $unit {
            type Output = Self;
            fn add(self, other: Self) -> Self {
                Self(self.0 + other.0)
            }
        }
        impl AddAssign for $unit {
            fn add_assign(&mut self, other: Self) {
                self.0 += other.0;
            }
        }
        impl Sub for $unit {
            type Output = Self;
            fn sub(self, other: Self) -> Self {
                Self(self.0 - other.0)
            }
        }
        impl SubAssign for $unit {
            fn sub_assign(&mut self, other: Self) {
                self.0 -= other.0;
            }
        }
        impl Mul<u64> for $unit {
            type Output = Self;
            fn mul(self, factor: u64) -> Self {
                Self(self.0 * factor)
            }
        }
        impl Sum for $unit {
            fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
                parts.fold(Self::ZERO, Add::add)
            }
        }
    };
}
arithmetic!(Nanos);
arithmetic!(Bytes);

impl fmt::Display for Nanos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ns = self.0 as f64;
        match self.0 {
            0 => f.write_str("0"),
            1..1_000 => write!(f, "{} ns", self.0),
            1_000..1_000_000 => write!(f, "{} us", ns / 1e3),
            1_000_000..1_000_000_000 => write!(f, "{} ms", ns / 1e6),
            _ => write!(f, "{} s", ns / 1e9),
        }
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let b = self.0 as f64;
        match self.0 {
            0..1_000 => write!(f, "{} B", self.0),
            1_000..1_000_000 => write!(f, "{} kB", b / 1e3),
            1_000_000..1_000_000_000 => write!(f, "{} MB", b / 1e6),
            _ => write!(f, "{} GB", b / 1e9),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn milliseconds_round_to_the_nearest_nanosecond() {
        assert_eq!(Nanos::from_millis_f64(100.023_592_96), Nanos(100_023_593));
        assert_eq!(Nanos::from_millis_f64(-3.0), Nanos::ZERO);
        assert_eq!(Nanos::from_millis_f64(f64::NAN), Nanos::ZERO);
    }

    #[test]
    fn display_picks_the_largest_unit_below_the_value() {
        assert_eq!(Nanos(60_000).to_string(), "60 us");
        assert_eq!(Nanos::from_millis(778).to_string(), "778 ms");
        assert_eq!(Bytes(3_670_016).to_string(), "3.670016 MB");
    }
}
