//! Intervals on comparisons: bootstrap over seeds, paired so that both systems saw one workload.

use rand::RngExt as _;
use rand_pcg::Pcg64;

/// Resamples of every interval.
pub const RESAMPLES: usize = 10_000;
/// Coverage of every interval.
pub const CONFIDENCE: f64 = 0.95;
/// Fewest seeds that an interval is drawn from: resamples of fewer all lie within so few values that
/// the interval covers far less than it says.
pub const MIN_SEEDS: usize = 5;

/// An estimate over seeds with its interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The estimate from all seeds.
    pub estimate: f64,
    /// Lower and upper end at [`CONFIDENCE`]; `None` with fewer than [`MIN_SEEDS`] seeds.
    pub range: Option<(f64, f64)>,
    /// Seeds it rests on.
    pub seeds: usize,
}

impl Interval {
    /// Whether the interval lies wholly on one side of `value`; `None` without an interval.
    pub fn excludes(&self, value: f64) -> Option<bool> {
        self.range.map(|(low, high)| value < low || value > high)
    }

    /// `1.23 [1.20, 1.27]`, or `1.23 (2 seeds: no interval)`.
    pub fn display(&self, decimals: usize) -> String {
        match self.range {
            Some((low, high)) => {
                format!("{:.decimals$} [{low:.decimals$}, {high:.decimals$}]", self.estimate)
            }
            None => {
                let plural = if self.seeds == 1 { "" } else { "s" };
                format!("{:.decimals$} ({} seed{plural}: no interval)", self.estimate, self.seeds)
            }
        }
    }
}

/// Mean of `a` over mean of `b`; `None` if there is no pair or the mean of `b` is 0.
///
/// ```
/// use flexdit::metrics::stats::ratio;
/// let gain = ratio(&[2.0, 4.0, 6.0, 8.0, 10.0], &[1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
/// assert_eq!((gain.estimate, gain.range), (2.0, Some((2.0, 2.0))));
/// ```
pub fn ratio(a: &[f64], b: &[f64]) -> Option<Interval> {
    bootstrap(a, b, |a, b| if b == 0.0 { f64::NAN } else { a / b })
}

/// Mean of `a` minus mean of `b`.
pub fn difference(a: &[f64], b: &[f64]) -> Option<Interval> {
    bootstrap(a, b, |a, b| a - b)
}

/// Mean of one sample.
pub fn mean(a: &[f64]) -> Option<Interval> {
    bootstrap(a, a, |a, _| a)
}

/// Percentile bootstrap of `statistic(mean a, mean b)`: seeds are drawn with replacement, the same
/// ones for both. The stream is fixed, so equal samples give equal intervals.
fn bootstrap(a: &[f64], b: &[f64], statistic: impl Fn(f64, f64) -> f64) -> Option<Interval> {
    let seeds = a.len().min(b.len());
    if seeds == 0 {
        return None;
    }
    let means = |pick: &mut dyn FnMut(usize) -> usize| {
        let (mut sum_a, mut sum_b) = (0.0, 0.0);
        for i in 0..seeds {
            let seed = pick(i);
            sum_a += a[seed];
            sum_b += b[seed];
        }
        statistic(sum_a / seeds as f64, sum_b / seeds as f64)
    };
    let estimate = means(&mut |i| i);
    if !estimate.is_finite() {
        return None;
    }
    if seeds < MIN_SEEDS {
        return Some(Interval { estimate, range: None, seeds });
    }
    let mut stream = Pcg64::new(0x626f_6f74_7374_7261, 0x70);
    let mut draw = |_| {
        let wide = u128::from(stream.random::<u64>()) * seeds as u128;
        (wide >> 64) as usize
    };
    let mut samples: Vec<f64> =
        (0..RESAMPLES).map(|_| means(&mut draw)).filter(|value| value.is_finite()).collect();
    samples.sort_unstable_by(f64::total_cmp);
    let tail = (1.0 - CONFIDENCE) / 2.0;
    let low = super::summary::nearest_rank(&samples, tail)?;
    let high = super::summary::nearest_rank(&samples, 1.0 - tail)?;
    Some(Interval { estimate, range: Some((low, high)), seeds })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fewer_than_five_seeds_give_no_interval_and_say_so() {
        let four = mean(&[1.0, 2.0, 3.0, 4.0]).unwrap();
        assert_eq!((four.range, four.excludes(0.0)), (None, None));
        assert!(mean(&[1.0, 2.0, 3.0, 4.0, 5.0]).unwrap().range.is_some());
        let two = difference(&[2.0, 4.0], &[1.0, 1.0]).unwrap();
        assert_eq!((two.estimate, two.range), (2.0, None));
        assert_eq!(two.display(1), "2.0 (2 seeds: no interval)");
        assert_eq!(mean(&[1.5]).unwrap().display(1), "1.5 (1 seed: no interval)");
        assert_eq!(mean(&[]), None);
    }

    #[test]
    fn pairing_removes_what_the_seeds_have_in_common() {
        // Seeds differ by a factor of a hundred, the ratio within a seed hardly.
        let b = [1.0, 10.0, 100.0, 3.0, 30.0];
        let a: Vec<f64> = b.iter().map(|value| value * 2.0).collect();
        assert_eq!(ratio(&a, &b).unwrap().range, Some((2.0, 2.0)));
    }

    #[test]
    fn an_interval_covers_its_estimate_and_is_reproducible() {
        let a = [5.0, 7.0, 6.5, 5.5, 8.0, 6.0, 7.5, 6.2];
        let b = [4.0, 4.4, 5.0, 3.9, 4.2, 4.1, 4.8, 4.3];
        let gain = ratio(&a, &b).unwrap();
        let (low, high) = gain.range.unwrap();
        assert!(low < gain.estimate && gain.estimate < high);
        assert_eq!(gain.excludes(1.0), Some(true));
        assert_eq!(ratio(&a, &b), ratio(&a, &b));
    }

    #[test]
    fn the_interval_of_a_mean_agrees_with_the_normal_one() {
        let sample: Vec<f64> = (0..100).map(|i| f64::from(i % 10)).collect();
        let (low, high) = mean(&sample).unwrap().range.unwrap();
        // Standard error 2.872 / 10; +-1.96 of it.
        assert!((low - (4.5 - 0.563)).abs() < 0.03, "{low}");
        assert!((high - (4.5 + 0.563)).abs() < 0.03, "{high}");
    }

    #[test]
    fn a_ratio_to_zero_is_not_defined() {
        assert_eq!(ratio(&[1.0], &[0.0]), None);
    }
}
