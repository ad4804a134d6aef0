//! How far chance moves what is measured: by the repeats of each seed, never between seeds.

/// Standard error of the mean over seeds of each one's mean over repeats, as a share (`is_share`: as it is). Runs are (repeat,
/// value) by seed. A seed with one run has the spread of the others; `None` if no seed has two, or a mean is 0.
pub(super) fn standard_error(is_share: bool, seeds: &[Vec<(usize, f64)>]) -> Option<f64> {
    // Variance of one run, with its degrees of freedom.
    let variance = |runs: &Vec<(usize, f64)>| {
        let mean = runs.iter().map(|(_, value)| value).sum::<f64>() / runs.len() as f64;
        let squares: f64 = runs.iter().map(|(_, value)| (value - mean) * (value - mean)).sum();
        let unit = if is_share { 1.0 } else { mean * mean };
        (unit > 0.0).then(|| (squares / unit, runs.len() - 1))
    };
    let each: Vec<(f64, usize)> = seeds.iter().map(variance).collect::<Option<_>>()?;
    let free: usize = each.iter().map(|(_, free)| free).sum();
    if free == 0 {
        return None;
    }
    let pooled = each.iter().map(|(squares, _)| squares).sum::<f64>() / free as f64;
    let of_mean = |(squares, free): &(f64, usize)| match free {
        0 => pooled,
        free => squares / *free as f64 / (free + 1) as f64,
    };
    let sum: f64 = each.iter().map(of_mean).sum();
    Some(libm::sqrt(sum) / seeds.len() as f64)
}

/// Mean size of the difference of a run from the one before it, of the same seed, as a share of that; `None` without two.
pub(super) fn two_runs_apart(is_share: bool, seeds: &[Vec<(usize, f64)>]) -> Option<f64> {
    let steps = steps(is_share, seeds)?;
    Some(steps.iter().map(|step| step.abs()).sum::<f64>() / steps.len() as f64)
}

/// Its mean with the sign.
pub(super) fn drift(is_share: bool, seeds: &[Vec<(usize, f64)>]) -> Option<f64> {
    let steps = steps(is_share, seeds)?;
    Some(steps.iter().sum::<f64>() / steps.len() as f64)
}

/// From each repeat of a seed to the next; `None` if there are none, or one begins at 0 and has no share.
fn steps(is_share: bool, seeds: &[Vec<(usize, f64)>]) -> Option<Vec<f64>> {
    let mut steps = Vec::new();
    for runs in seeds {
        for (repeat, value) in runs {
            if let Some((_, next)) = runs.iter().find(|(other, _)| *other == repeat + 1) {
                if !is_share && *value == 0.0 {
                    return None;
                }
                steps.push(if is_share { next - value } else { (next - value) / value });
            }
        }
    }
    (!steps.is_empty()).then_some(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is(found: Option<f64>, expected: f64) -> bool {
        found.is_some_and(|found| (found - expected).abs() < 1e-12)
    }

    #[test]
    fn single_runs_are_compared_from_one_repeat_to_the_next() {
        let seeds = [vec![(0, 100.0), (1, 110.0), (2, 99.0)], vec![(0, 50.0), (1, 50.0)]];
        assert!(is(two_runs_apart(false, &seeds), 0.2 / 3.0));
        assert!(is(drift(false, &seeds), 0.0));
        assert!(is(drift(true, &seeds), -1.0 / 3.0));
        // A repeat that is missing has no next one.
        assert_eq!(two_runs_apart(false, &[vec![(0, 3.0), (2, 4.0)]]), None);
        assert_eq!(two_runs_apart(false, &[vec![(0, 0.0), (1, 4.0)]]), None);
    }

    #[test]
    fn the_mean_of_several_runs_is_surer_than_the_difference_of_two() {
        // Both seeds: variance of a run 2 / 100^2 and 0, of the mean of two half of it, over two seeds a quarter.
        let seeds = [vec![(0, 99.0), (1, 101.0)], vec![(0, 800.0), (1, 800.0)]];
        assert!(is(standard_error(false, &seeds), 0.01 / 2.0));
        assert!(is(two_runs_apart(false, &seeds), 1.0 / 99.0));
        assert!(is(standard_error(true, &seeds), 0.5));
        // A seed with one run is as unsure as a run of the others.
        let seeds = [vec![(0, 99.0), (1, 101.0)], vec![(0, 800.0)]];
        assert!(is(standard_error(false, &seeds), libm::sqrt(1e-4 + 2e-4) / 2.0));
        assert_eq!(standard_error(false, &[vec![(0, 1.0)], vec![(0, 2.0)]]), None);
        assert_eq!(standard_error(false, &[]), None);
    }
}
