//! Intervals on comparisons: bootstrap over seeds, paired so that both systems saw one workload.

use rand::RngExt as _;
use rand_pcg::Pcg64;
use serde::{Deserialize, Serialize};

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
    let mut dice = Dice::new();
    let mut draw = |_| dice.below(seeds);
    let range = middle((0..RESAMPLES).map(|_| means(&mut draw)).collect())?;
    Some(Interval { estimate, range: Some(range), seeds })
}

/// What an interval over repeated runs of seeds covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Covers {
    /// Other seeds: seeds are drawn, and repeats within them.
    #[serde(rename = "other seeds")]
    Seeds,
    /// Other runs of the seeds that there are, and nothing of other seeds.
    #[serde(rename = "run to run, these seeds")]
    Repeats,
}

impl Covers {
    /// What a table calls it.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Seeds => "other seeds",
            Self::Repeats => "run to run, these seeds",
        }
    }
}

/// Mean over seeds of `of(mean a, mean b)`, where each seed has repeats of a pair (a, b): repeats are no seeds, and every
/// seed weighs the same. `None` without a seed, with a seed that has no repeat, or if `of` is not finite.
///
/// With [`MIN_SEEDS`] seeds or more the interval is drawn over seeds and over the repeats of each. With fewer it is drawn over
/// the repeats of the given seeds alone, where each has two or more; of n repeats n - 1 are drawn, so that the spread of a
/// mean of so few is not understated.
///
/// ```
/// use flexdit::metrics::stats::{Covers, of_repeats};
/// // The second seed is overloaded; it counts as much as the first.
/// let seeds = [vec![(11.0, 10.0), (11.0, 10.0)], vec![(80.0, 100.0), (80.0, 100.0)]];
/// let (error, covers) = of_repeats(&seeds, |a, b| a / b - 1.0).unwrap();
/// assert!((error.estimate + 0.05).abs() < 1e-12);
/// assert_eq!((covers, error.seeds), (Some(Covers::Repeats), 2));
/// ```
pub fn of_repeats(
    seeds: &[Vec<(f64, f64)>],
    of: impl Fn(f64, f64) -> f64,
) -> Option<(Interval, Option<Covers>)> {
    let count = seeds.len();
    if count == 0 || seeds.iter().any(Vec::is_empty) {
        return None;
    }
    let seed = |runs: &[(f64, f64)], draws: usize, pick: &mut dyn FnMut(usize) -> usize| {
        let (mut a, mut b) = (0.0, 0.0);
        for at in 0..draws {
            let run = runs[pick(at)];
            (a, b) = (a + run.0, b + run.1);
        }
        of(a / draws as f64, b / draws as f64)
    };
    let all = seeds.iter().map(|runs| seed(runs, runs.len(), &mut |at| at));
    let estimate = all.sum::<f64>() / count as f64;
    if !estimate.is_finite() {
        return None;
    }
    let covers = match count >= MIN_SEEDS {
        true => Some(Covers::Seeds),
        false => seeds.iter().all(|runs| runs.len() > 1).then_some(Covers::Repeats),
    };
    let Some(covers) = covers else {
        return Some((Interval { estimate, range: None, seeds: count }, None));
    };
    let mut dice = Dice::new();
    let mut resample = || {
        let mut sum = 0.0;
        for at in 0..count {
            let (runs, fewer) = match covers {
                Covers::Seeds => (&seeds[dice.below(count)], 0),
                Covers::Repeats => (&seeds[at], 1),
            };
            sum += seed(runs, runs.len() - fewer, &mut |_| dice.below(runs.len()));
        }
        sum / count as f64
    };
    let range = middle((0..RESAMPLES).map(|_| resample()).collect())?;
    Some((Interval { estimate, range: Some(range), seeds: count }, Some(covers)))
}

/// The stream that resamples are drawn from, always the same.
struct Dice(Pcg64);

impl Dice {
    fn new() -> Self {
        Self(Pcg64::new(0x626f_6f74_7374_7261, 0x70))
    }

    fn below(&mut self, count: usize) -> usize {
        let wide = u128::from(self.0.random::<u64>()) * count as u128;
        (wide >> 64) as usize
    }
}

/// What [`CONFIDENCE`] of the finite samples lie within.
fn middle(mut samples: Vec<f64>) -> Option<(f64, f64)> {
    samples.retain(|value| value.is_finite());
    samples.sort_unstable_by(f64::total_cmp);
    let tail = (1.0 - CONFIDENCE) / 2.0;
    let low = super::summary::nearest_rank(&samples, tail)?;
    Some((low, super::summary::nearest_rank(&samples, 1.0 - tail)?))
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
    fn repeats_are_no_seeds_and_every_seed_weighs_the_same() {
        let share = |a: f64, b: f64| a / b - 1.0;
        // Six pairs of two seeds: what a bootstrap over pairs would call six samples.
        let two = [vec![(12.0, 10.0), (11.0, 10.0), (13.0, 10.0)], vec![(80.0, 80.0); 3]];
        let (found, covers) = of_repeats(&two, share).unwrap();
        assert_eq!((found.seeds, covers), (2, Some(Covers::Repeats)));
        assert!((found.estimate - 0.1).abs() < 1e-12, "not weighed by the size of a seed");
        // Within the seeds alone: half of what the first seed's two draws of three can be.
        let (low, high) = found.range.unwrap();
        assert!((low - 0.05).abs() < 1e-12 && (high - 0.15).abs() < 1e-12, "{low} {high}");
        let single = [vec![(12.0, 10.0)], vec![(80.0, 80.0); 3]];
        let (found, covers) = of_repeats(&single, share).unwrap();
        assert_eq!((found.range, covers), (None, None));
        let five: Vec<_> = (0..5).map(|at| vec![(10.0 + f64::from(at), 10.0)]).collect();
        let (found, covers) = of_repeats(&five, share).unwrap();
        assert_eq!(covers, Some(Covers::Seeds));
        let (low, high) = found.range.unwrap();
        assert!(low < 0.1 && high > 0.3, "seeds are drawn: {low} {high}");
        assert!(of_repeats(&[vec![]], share).is_none() && of_repeats(&[], share).is_none());
        assert!(of_repeats(&[vec![(1.0, 0.0)]], share).is_none());
    }

    #[test]
    fn the_spread_of_means_of_few_repeats_is_not_understated() {
        // A seed's mean has the variance 2 / 2, that of one draw of two; drawing two of two would give half of it, and
        // with it (-0.75, 0.75).
        let seeds = vec![vec![(0.0, -1.0), (0.0, 1.0)]; 4];
        let (found, _) = of_repeats(&seeds, |a, b| a - b).unwrap();
        assert_eq!((found.estimate, found.range), (0.0, Some((-1.0, 1.0))));
    }

    #[test]
    fn a_ratio_to_zero_is_not_defined() {
        assert_eq!(ratio(&[1.0], &[0.0]), None);
    }
}
