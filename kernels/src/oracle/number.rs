//! A number with a bound on what f32 arithmetic may make of it, and with the deviation that is to be expected.
//!
//! The bound is running error analysis: it holds for certain, and judges single operations. Through a whole model it grows
//! beyond use, since it lets all roundings conspire. There the deviation judges: roundings as independent errors of mean
//! zero, carried along in quadrature to first order.
//!
//! # Source
//! Higham, Accuracy and Stability of Numerical Algorithms, chapters 2 to 4: an operation errs by at most u times its
//! result, a sum of n terms in any order by at most n u / (1 - n u) times the sum of magnitudes. Higham and Mary, A New
//! Approach to Probabilistic Rounding Error Analysis (2019): the independent model describes what is observed.

use std::ops::{Add, Div, Mul, Sub};

/// Half a unit in the last place of 1: the relative error of one rounding to f32.
const U: f64 = 1.0 / 16_777_216.0;
/// Where f32 becomes subnormal: what vanishes below it.
const TINY: f64 = 1.2e-38;
/// Relative error allowed to an exponential or another elementary function: 2 units in the last place.
const ELEMENTARY: f64 = 4.0 * U;

/// Variance of one rounding, relative: uniform within +-u.
const ROUNDING: f64 = U * U / 3.0;
/// Deviations within which a computed result must lie: if errors are normal, one in 10^15 is farther off.
const DEVIATIONS: f64 = 8.0;

/// A real number and how far a computed one may be from it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounded {
    /// The number.
    pub value: f64,
    /// How far a computed one is at the most.
    pub bound: f64,
    /// Square of the deviation to expect.
    pub variance: f64,
}

impl From<f32> for Bounded {
    fn from(value: f32) -> Self {
        Self { value: f64::from(value), bound: 0.0, variance: 0.0 }
    }
}

/// Relative error of `n` roundings in a row.
fn gamma(n: usize) -> f64 {
    let n = n as f64 * U;
    assert!(n < 0.5, "too many roundings for a bound");
    n / (1.0 - n)
}

impl Bounded {
    /// A constant that f32 arithmetic rounds once.
    pub fn constant(value: f64) -> Self {
        Self { value, bound: 0.0, variance: 0.0 }.rounded(1)
    }

    /// Largest magnitude that a computed value may have.
    fn reach(self) -> f64 {
        self.value.abs() + self.bound
    }

    /// The same after `n` more roundings.
    #[must_use]
    pub fn rounded(self, n: usize) -> Self {
        let bound = self.bound + gamma(n) * self.reach() + TINY;
        let variance = self.variance + n as f64 * ROUNDING * self.value * self.value;
        Self { value: self.value, bound, variance }
    }

    /// Whether `computed` is within the bound. A result that is not a number never is.
    pub fn admits(self, computed: f32) -> bool {
        (f64::from(computed) - self.value).abs() <= self.bound * (1.0 + 1e-9)
    }

    /// Whether `computed` is as near as is to be expected.
    pub fn expects(self, computed: f32) -> bool {
        (f64::from(computed) - self.value).abs() <= self.tolerance()
    }

    /// Distance that is to be expected at the most.
    pub fn tolerance(self) -> f64 {
        DEVIATIONS * libm::sqrt(self.variance) + TINY
    }

    /// The product before rounding.
    fn times(self, other: Self) -> Self {
        let bound = self.value.abs() * other.bound + self.bound * other.reach();
        let squares = [self, other].map(|x| x.value * x.value);
        let variance = squares[0] * other.variance + squares[1] * self.variance;
        Self { value: self.value * other.value, bound, variance }
    }

    /// The sum of terms, in whatever order, with `extra` more roundings on each way.
    pub fn sum(terms: impl IntoIterator<Item = Self>, extra: usize) -> Self {
        let (mut value, mut bound, mut reach, mut count) = (0.0, 0.0, 0.0, 0);
        let mut variance = 0.0;
        for term in terms {
            value += term.value;
            bound += term.bound;
            reach += term.reach();
            count += 1;
            // The term's own rounding and that of the sum so far.
            let squares = term.value * term.value + value * value;
            variance += term.variance + ROUNDING * squares;
        }
        variance += extra as f64 * ROUNDING * value * value;
        Self { value, bound: bound + gamma(count + extra) * reach + TINY, variance }
    }

    /// The sum of products, in whatever order, with `extra` more roundings on each way.
    pub fn dot(pairs: impl IntoIterator<Item = (Self, Self)>, extra: usize) -> Self {
        Self::sum(pairs.into_iter().map(|(a, b)| a.times(b)), extra + 1)
    }

    /// The square root.
    #[must_use]
    pub fn sqrt(self) -> Self {
        let value = libm::sqrt(self.value);
        let low = libm::sqrt((self.value - self.bound).max(0.0));
        let bound = (value - low).max(self.bound / (2.0 * value + TINY));
        let variance = self.variance / (4.0 * self.value + TINY);
        Self { value, bound, variance }.rounded(1)
    }

    /// 1 / (1 + e^-x), whose logarithm changes no faster than x: one elementary function, a sum and a quotient.
    #[must_use]
    pub fn sigmoid(self) -> Self {
        let value = 1.0 / (1.0 + libm::exp(-self.value));
        let bound = value * libm::expm1(self.bound + ELEMENTARY + gamma(3));
        let slope = value * (1.0 - value);
        let own = slope * slope * ELEMENTARY * ELEMENTARY / 3.0;
        let variance = slope * slope * self.variance + own;
        Self { value, bound: bound + TINY, variance }.rounded(2)
    }

    /// Weight e^(score - top) of a softmax over `blocks` blocks of keys, whose scores span `span`. The top cancels in the
    /// quotient, so that its own error does not count; each block may bring the weight to a new scale.
    #[must_use]
    pub fn weight(self, top: f64, span: f64, blocks: usize) -> Self {
        let value = libm::exp(self.value - top);
        // Differences of scores, once for the weight and once in all for the changes of scale.
        let differences = 2.0 * U * (span + 2.0 * self.bound);
        let factors = (blocks as f64 + 1.0) * (ELEMENTARY + 2.0 * U);
        let bound = value * libm::expm1(self.bound + differences + factors) + TINY;
        let steps = (blocks as f64 + 1.0) * ELEMENTARY * ELEMENTARY / 3.0;
        let relative = self.variance + 2.0 * ROUNDING * span * span + steps;
        Self { value, bound, variance: value * value * relative }
    }
}

impl Add for Bounded {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let (bound, variance) = (self.bound + other.bound, self.variance + other.variance);
        Self { value: self.value + other.value, bound, variance }.rounded(1)
    }
}

impl Sub for Bounded {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        let (bound, variance) = (self.bound + other.bound, self.variance + other.variance);
        Self { value: self.value - other.value, bound, variance }.rounded(1)
    }
}

impl Mul for Bounded {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        self.times(other).rounded(1)
    }
}

impl Div for Bounded {
    type Output = Self;

    /// A quotient whose divisor may be zero has no bound.
    fn div(self, other: Self) -> Self {
        let value = self.value / other.value;
        let least = other.value.abs() - other.bound;
        let bound = (self.bound + value.abs() * other.bound) / least;
        let bound = if least > 0.0 { bound } else { f64::INFINITY };
        let square = other.value * other.value;
        let variance = (self.variance + value * value * other.variance) / square;
        Self { value, bound, variance }.rounded(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    #[test]
    fn bounds_hold_and_are_not_idle() {
        let mut random = Stream::new(1, "number");
        let (mut tightest, mut sums) = (f64::INFINITY, 0.0_f64);
        for _ in 0..2000 {
            let x = random.uniform(6, 3.0);
            let b: Vec<Bounded> = x.iter().map(|x| Bounded::from(*x)).collect();
            let computed = (x[0] * x[1] + x[2]) / (x[3] * x[3] + 1.0) - (x[4] * x[4] + 0.5).sqrt();
            let one = Bounded::from(1.0);
            let root = (b[4] * b[4] + Bounded::from(0.5)).sqrt();
            let exact = (b[0] * b[1] + b[2]) / (b[3] * b[3] + one) - root;
            assert!(exact.admits(computed) && exact.expects(computed), "{computed} {exact:?}");
            assert!(exact.tolerance() < exact.bound * DEVIATIONS);
            tightest = tightest.min(exact.bound);
            let sum = Bounded::sum(b.iter().copied(), 0);
            assert!(sum.admits(x.iter().sum()));
            sums = sums.max((f64::from(x.iter().sum::<f32>()) - sum.value).abs() / sum.bound);
            assert!(!sum.admits(x.iter().sum::<f32>() + 1e-4));
        }
        assert!(tightest < 2e-6 && sums > 0.1, "{tightest} {sums}");
        assert!(!Bounded::from(0.0).rounded(1).admits(f32::NAN));
    }
}
