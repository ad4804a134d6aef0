//! What is told of a set of timings: nearest-rank percentiles on exact samples, as everywhere in this program.

use crate::metrics::summary::{P99_SAMPLES, nearest_rank};
use serde::{Deserialize, Serialize};

/// Timings of one thing, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Statistics {
    /// How many there are.
    pub samples: usize,
    /// The smallest.
    pub min_ns: f64,
    /// Median, nearest rank.
    pub p50_ns: f64,
    /// 99th percentile, nearest rank; needs 100 samples.
    pub p99_ns: Option<f64>,
    /// The largest.
    pub max_ns: f64,
}

impl Statistics {
    /// Of samples in any order; `None` if there is none.
    pub fn of(mut samples: Vec<f64>) -> Option<Self> {
        samples.sort_unstable_by(f64::total_cmp);
        Some(Self {
            samples: samples.len(),
            min_ns: *samples.first()?,
            p50_ns: nearest_rank(&samples, 0.5)?,
            p99_ns: nearest_rank(&samples, 0.99).filter(|_| samples.len() >= P99_SAMPLES),
            max_ns: *samples.last()?,
        })
    }
}

/// The median of numbers in any order; `None` if there is none.
pub fn median(mut samples: Vec<f64>) -> Option<f64> {
    samples.sort_unstable_by(f64::total_cmp);
    nearest_rank(&samples, 0.5)
}

/// A time with three significant digits in the unit that suits it: `87.0 ns`, `3.20 us`, `778 ms`.
pub fn time(nanos: f64) -> String {
    let units = [(1e9, "s"), (1e6, "ms"), (1e3, "us")];
    // What rounds up to the next unit is shown in it.
    let unit = units.into_iter().find(|(factor, _)| nanos >= factor * 0.9995);
    match unit {
        Some((factor, name)) => {
            format!("{} {name}", crate::report::number((nanos / factor).max(1.0)))
        }
        None => format!("{} ns", crate::report::number(nanos)),
    }
}

/// A number of bytes in binary units, as in `64 B`, `4 KiB` or `64 MiB`.
pub fn size(bytes: u64) -> String {
    let units = [(1_u64 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.into_iter().find(|(factor, _)| bytes >= *factor && bytes.is_multiple_of(*factor)) {
        Some((factor, name)) => format!("{} {name}", bytes / factor),
        None => format!("{bytes} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_rank_and_p99_needs_a_hundred_samples() {
        let of = |count: u32| Statistics::of((1..=count).rev().map(f64::from).collect()).unwrap();
        let few = of(99);
        assert_eq!((few.min_ns, few.p50_ns, few.p99_ns, few.max_ns), (1.0, 50.0, None, 99.0));
        assert_eq!(of(100).p99_ns, Some(99.0));
        assert_eq!(of(200).p99_ns, Some(198.0));
        assert_eq!(Statistics::of(vec![]), None);
    }

    #[test]
    fn times_and_sizes_are_shown_in_the_unit_that_suits_them() {
        assert_eq!(time(87.0), "87.0 ns");
        assert_eq!(time(999.9), "1.00 us");
        assert_eq!(time(3_204.0), "3.20 us");
        assert_eq!(time(778e6), "778 ms");
        assert_eq!(time(4.5e9), "4.50 s");
        assert_eq!(size(64), "64 B");
        assert_eq!(size(4_096), "4 KiB");
        assert_eq!(size(4_100), "4100 B");
        assert_eq!(size(64 << 20), "64 MiB");
    }
}
