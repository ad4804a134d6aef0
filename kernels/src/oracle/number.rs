//! A number with a bound on what f32 arithmetic may make of it: running error analysis.
//!
//! # Source
//! Higham, Accuracy and Stability of Numerical Algorithms, chapters 2 to 4: an operation errs by at most u times its
//! result, a sum of n terms in any order by at most n u / (1 - n u) times the sum of magnitudes.

use std::ops::{Add, Div, Mul, Sub};

/// Half a unit in the last place of 1: the relative error of one rounding to f32.
const U: f64 = 1.0 / 16_777_216.0;
/// Where f32 becomes subnormal: what vanishes below it.
const TINY: f64 = 1.2e-38;
/// Relative error allowed to an exponential or another elementary function: 2 units in the last place.
const ELEMENTARY: f64 = 4.0 * U;

/// A real number and how far a computed one may be from it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounded {
    /// The number.
    pub value: f64,
    /// The bound.
    pub bound: f64,
}

impl From<f32> for Bounded {
    fn from(value: f32) -> Self {
        Self { value: f64::from(value), bound: 0.0 }
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
        Self { value, bound: 0.0 }.rounded(1)
    }

    /// Largest magnitude that a computed value may have.
    fn reach(self) -> f64 {
        self.value.abs() + self.bound
    }

    /// The same after `n` more roundings.
    #[must_use]
    pub fn rounded(self, n: usize) -> Self {
        Self { bound: self.bound + gamma(n) * self.reach() + TINY, ..self }
    }

    /// Whether `computed` is within the bound. A result that is not a number never is.
    pub fn admits(self, computed: f32) -> bool {
        (f64::from(computed) - self.value).abs() <= self.bound * (1.0 + 1e-9)
    }

    /// The product before rounding.
    fn times(self, other: Self) -> Self {
        let bound = self.value.abs() * other.bound + self.bound * other.reach();
        Self { value: self.value * other.value, bound }
    }

    /// The sum of terms, in whatever order, with `extra` more roundings on each way.
    pub fn sum(terms: impl IntoIterator<Item = Self>, extra: usize) -> Self {
        let (mut value, mut bound, mut reach, mut count) = (0.0, 0.0, 0.0, 0);
        for term in terms {
            value += term.value;
            bound += term.bound;
            reach += term.reach();
            count += 1;
        }
        Self { value, bound: bound + gamma(count + extra) * reach + TINY }
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
        Self { value, bound: (value - low).max(self.bound / (2.0 * value + TINY)) }.rounded(1)
    }

    /// 1 / (1 + e^-x), whose logarithm changes no faster than x: one elementary function, a sum and a quotient.
    #[must_use]
    pub fn sigmoid(self) -> Self {
        let value = 1.0 / (1.0 + libm::exp(-self.value));
        let bound = value * libm::expm1(self.bound + ELEMENTARY + gamma(3));
        Self { value, bound: bound + TINY }
    }

    /// Weight e^(score - top) of a softmax over `blocks` blocks of keys, whose scores span `span`. The top cancels in the
    /// quotient, so that its own error does not count; each block may bring the weight to a new scale.
    #[must_use]
    pub fn weight(self, top: f64, span: f64, blocks: usize) -> Self {
        let value = libm::exp(self.value - top);
        // Differences of scores, once for the weight and once in all for the changes of scale.
        let differences = 2.0 * U * (span + 2.0 * self.bound);
        let factors = (blocks as f64 + 1.0) * (ELEMENTARY + 2.0 * U);
        Self { value, bound: value * libm::expm1(self.bound + differences + factors) + TINY }
    }
}

impl Add for Bounded {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let bound = self.bound + other.bound;
        Self { value: self.value + other.value, bound }.rounded(1)
    }
}

impl Sub for Bounded {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        let bound = self.bound + other.bound;
        Self { value: self.value - other.value, bound }.rounded(1)
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

    /// # Panics
    /// If the divisor may be zero.
    fn div(self, other: Self) -> Self {
        let value = self.value / other.value;
        let least = other.value.abs() - other.bound;
        assert!(least > 0.0, "division by what may be zero");
        Self { value, bound: (self.bound + value.abs() * other.bound) / least }.rounded(1)
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
            assert!(exact.admits(computed), "{computed} {exact:?}");
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
