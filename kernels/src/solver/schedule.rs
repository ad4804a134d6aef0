//! Noise levels of the steps.

/// Noise levels from near 1 down to 0: one more than there are steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    sigmas: Vec<f64>,
}

impl Schedule {
    /// Levels evenly from 1 down, then shifted: s becomes `shift` s / (1 + (`shift` - 1) s), which spends more steps on
    /// high noise the larger the shift is. The first level is 0.999 before the shift, so that its logarithm of signal to
    /// noise is finite; the last is 0.
    ///
    /// # Panics
    /// If there are no steps or the shift is not above zero.
    ///
    /// # Source
    /// The schedule of the flow-matching pipelines (SD3, Wan): 1,000 training levels, shifted in closed form.
    pub fn new(steps: usize, shift: f64) -> Self {
        assert!(steps > 0 && shift > 0.0, "{steps} steps, shift {shift}");
        let shifted = |s: f64| shift * s / (1.0 + (shift - 1.0) * s);
        let level = |i: usize| 0.999 * (steps - i) as f64 / steps as f64;
        Self { sigmas: (0..=steps).map(|i| shifted(level(i))).collect() }
    }

    /// All levels.
    pub fn sigmas(&self) -> &[f64] {
        &self.sigmas
    }

    /// Number of steps.
    pub fn steps(&self) -> usize {
        self.sigmas.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_fall_from_near_one_to_zero_and_a_shift_raises_those_between() {
        let (plain, shifted) = (Schedule::new(10, 1.0), Schedule::new(10, 5.0));
        for schedule in [&plain, &shifted] {
            let sigmas = schedule.sigmas();
            assert_eq!((schedule.steps(), sigmas[10]), (10, 0.0));
            assert!(sigmas[0] > 0.998 && sigmas[0] < 1.0);
            assert!(sigmas.windows(2).all(|pair| pair[0] > pair[1]));
        }
        assert!(plain.sigmas()[1..10].iter().zip(&shifted.sigmas()[1..10]).all(|(a, b)| a < b));
    }
}
