//! Noise levels of the steps.

use super::Method;
use crate::error::{KernelError, Result};
use serde::{Deserialize, Serialize};

/// How far noise levels are shifted up: the farther, the more steps are spent on high noise.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shift {
    /// By one factor for pictures of every size, see [`Schedule::new`]; above 0.
    Constant(f64),
    /// By a factor that grows with the picture, see [`Schedule::dynamic`].
    Dynamic(Dynamic),
}

/// A shift that grows with the number of latent tokens.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dynamic {
    /// Two numbers of latent tokens, ascending.
    pub tokens: [f64; 2],
    /// The natural logarithms of the factors at these; others follow on the straight line through them.
    pub exponents: [f64; 2],
    /// The last level above 0, to which all are stretched; below 1.
    pub last: f64,
}

impl Dynamic {
    /// That of Qwen-Image.
    ///
    /// # Source
    /// The configuration of its scheduler: `base_image_seq_len`, `max_image_seq_len`, `base_shift`, `max_shift`,
    /// `shift_terminal`, with `time_shift_type: exponential`.
    pub const QWEN_IMAGE: Self =
        Self { tokens: [256.0, 8192.0], exponents: [0.5, 0.9], last: 0.02 };

    /// The factor for a picture of so many latent tokens.
    fn factor(&self, tokens: usize) -> f64 {
        let ([few, many], [low, high]) = (self.tokens, self.exponents);
        libm::exp(low + (high - low) * (tokens as f64 - few) / (many - few))
    }
}

impl Shift {
    /// Checks that there is a schedule for it and the solver.
    ///
    /// # Errors
    /// [`KernelError::Setting`] with the key that is wrong.
    pub fn check(&self, method: Method) -> Result<()> {
        let refuse = |key: &'static str, got: String, expected: &'static str| {
            Err(KernelError::Setting { key, got, expected })
        };
        match *self {
            Self::Constant(factor) if !(factor.is_finite() && factor > 0.0) => {
                refuse("shift.constant", factor.to_string(), "a finite number above 0")
            }
            Self::Constant(_) => Ok(()),
            Self::Dynamic(Dynamic { tokens: [few, many], exponents, last }) => {
                if !(few.is_finite() && many.is_finite() && few < many) {
                    let got = format!("[{few}, {many}]");
                    return refuse("shift.dynamic.tokens", got, "two numbers, ascending");
                }
                if !exponents.iter().all(|exponent| exponent.abs() <= 10.0) {
                    let got = format!("{exponents:?}");
                    return refuse("shift.dynamic.exponents", got, "numbers from -10 to 10");
                }
                if !(0.0..1.0).contains(&last) {
                    return refuse("shift.dynamic.last", last.to_string(), "0 to below 1");
                }
                if method == Method::Unipc {
                    let expected =
                        "euler: a dynamic shift begins at level 1, where unipc is not defined";
                    return refuse("method", "unipc".into(), expected);
                }
                Ok(())
            }
        }
    }
}

/// Noise levels from near 1 down to 0: one more than there are steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    sigmas: Vec<f64>,
}

impl Schedule {
    /// The levels for a picture of `tokens` latent tokens.
    ///
    /// # Panics
    /// As [`Schedule::new`].
    pub fn shifted(steps: usize, shift: &Shift, tokens: usize) -> Self {
        match shift {
            Shift::Constant(factor) => Self::new(steps, *factor),
            Shift::Dynamic(dynamic) => Self::dynamic(steps, dynamic, tokens),
        }
    }

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

    /// Levels evenly from 1 to 1/`steps`, shifted by the factor f for the number of tokens: s becomes f / (f + 1/s - 1); then
    /// stretched away from 1 so that the last of them is [`Dynamic::last`]; then 0. One step goes from 1 to 0 at once.
    ///
    /// # Panics
    /// If there are no steps.
    ///
    /// # Source
    /// diffusers' `QwenImagePipeline` (`calculate_shift`) and `FlowMatchEulerDiscreteScheduler` (`time_shift`,
    /// `stretch_shift_to_terminal`).
    pub fn dynamic(steps: usize, dynamic: &Dynamic, tokens: usize) -> Self {
        assert!(steps > 0, "a schedule of no steps");
        let factor = dynamic.factor(tokens);
        let shifted = |i: usize| {
            let level = (steps - i) as f64 / steps as f64;
            factor / (factor + 1.0 / level - 1.0)
        };
        // Of one step there is nothing to stretch.
        let stretch =
            if steps == 1 { 1.0 } else { (1.0 - dynamic.last) / (1.0 - shifted(steps - 1)) };
        let levels = (0..steps).map(|i| 1.0 - (1.0 - shifted(i)) * stretch);
        Self { sigmas: levels.chain([0.0]).collect() }
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

    /// Computed apart from this code, in 40 decimal digits, from the published formulas.
    #[test]
    fn levels_are_those_of_the_published_formulas() {
        let qwen = |steps, tokens| Schedule::dynamic(steps, &Dynamic::QWEN_IMAGE, tokens);
        let cases: [(Schedule, &[f64]); 7] = [
            (qwen(4, 4096), &[1.0, 0.766709455898836, 0.455613800905385, 0.02, 0.0]),
            (qwen(4, 1024), &[1.0, 0.749268269581561, 0.432587973802191, 0.02, 0.0]),
            (
                qwen(5, 9216),
                &[1.0, 0.857870802642609, 0.669482249848933, 0.407860350817986, 0.02, 0.0],
            ),
            (qwen(2, 256), &[1.0, 0.02, 0.0]),
            (qwen(1, 256), &[1.0, 0.0]),
            (
                Schedule::new(4, 5.0),
                &[0.999799839871898, 0.937265449086815, 0.833055370246831, 0.624687343671836, 0.0],
            ),
            (
                Schedule::new(4, 3.0),
                &[0.999666444296197, 0.899639783870322, 0.749624812406203, 0.499666555518506, 0.0],
            ),
        ];
        for (schedule, expected) in cases {
            let sigmas = schedule.sigmas();
            assert_eq!(sigmas.len(), expected.len());
            for (got, expected) in sigmas.iter().zip(expected) {
                assert!((got - expected).abs() < 1e-14, "{sigmas:?}, expected {expected}");
            }
        }
    }
}
