//! Durations counted in buckets: percentiles in constant memory.

use flexdit_core::Nanos;

/// Buckets in every power of two: a percentile is at most 1/32 too high.
const FINE: u64 = 32;
const BUCKETS: usize = (64 - 4) * FINE as usize;

/// Counts of durations, by size.
#[derive(Clone, Debug)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    sum: u64,
    most: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS], total: 0, sum: 0, most: 0 }
    }
}

fn bucket(value: u64) -> usize {
    if value < FINE {
        return value as usize;
    }
    let power = u64::from(value.ilog2()) - u64::from(FINE.ilog2());
    (power * FINE + (value >> power)) as usize
}

/// The largest value of a bucket.
fn upper(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < FINE {
        return bucket;
    }
    let power = bucket / FINE - 1;
    let lower = (bucket - power * FINE) << power;
    lower + ((1 << power) - 1)
}

impl Histogram {
    /// Counts a duration.
    pub fn add(&mut self, duration: Nanos) {
        self.counts[bucket(duration.0)] += 1;
        self.total += 1;
        self.sum = self.sum.saturating_add(duration.0);
        self.most = self.most.max(duration.0);
    }

    /// Counts everything that `other` has counted.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.total += other.total;
        self.sum = self.sum.saturating_add(other.sum);
        self.most = self.most.max(other.most);
    }

    /// How many durations were counted.
    pub fn count(&self) -> u64 {
        self.total
    }

    /// Their sum.
    pub fn sum(&self) -> Nanos {
        Nanos(self.sum)
    }

    /// Their mean; `None` without any.
    pub fn mean(&self) -> Option<Nanos> {
        self.sum.checked_div(self.total).map(Nanos)
    }

    /// The longest; `None` without any.
    pub fn max(&self) -> Option<Nanos> {
        (self.total > 0).then_some(Nanos(self.most))
    }

    /// The duration that `percent` of a hundred do not pass (nearest rank), at most 1/32 too high; `None` without any.
    pub fn percentile(&self, percent: f64) -> Option<Nanos> {
        let rank =
            ((percent / 100.0 * self.total as f64).ceil() as u64).clamp(1, self.total.max(1));
        let mut passed = 0;
        let at = self.counts.iter().position(|count| {
            passed += count;
            passed >= rank
        });
        at.filter(|_| self.total > 0).map(|at| Nanos(upper(at).min(self.most)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn a_value_is_at_most_a_bucket_below_its_bucket_s_upper_end(value in any::<u64>()) {
            let upper = upper(bucket(value));
            prop_assert!(upper >= value);
            prop_assert!(upper - value <= value / FINE);
        }
    }

    #[test]
    fn percentiles_are_nearest_ranks() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.percentile(50.0), None);
        for value in 1..=10 {
            histogram.add(Nanos(value));
        }
        let at = |percent| histogram.percentile(percent).map(|p| p.0);
        assert_eq!([at(50.0), at(90.0), at(99.0), at(0.0)], [Some(5), Some(9), Some(10), Some(1)]);
        assert_eq!((histogram.mean(), histogram.max()), (Some(Nanos(5)), Some(Nanos(10))));
        let mut twice = histogram.clone();
        twice.merge(&histogram);
        assert_eq!((twice.count(), twice.sum()), (20, Nanos(110)));
    }
}
