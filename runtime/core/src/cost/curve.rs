//! A price as a function of one size: samples, a quadratic, or both.

use super::price::{Price, Provenance};
use crate::units::Nanos;
use alloc::vec::Vec;

/// `a x^2 + b x + c` milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Quadratic {
    /// Quadratic coefficient.
    pub a: f64,
    /// Linear coefficient.
    pub b: f64,
    /// Constant, milliseconds.
    pub c: f64,
}

impl Quadratic {
    /// The value at `x` in milliseconds; may be negative.
    pub fn at(&self, x: f64) -> f64 {
        self.a * x * x + self.b * x + self.c
    }

    /// Every coefficient times `factor`.
    pub fn scaled(&self, factor: f64) -> Self {
        Self { a: self.a * factor, b: self.b * factor, c: self.c * factor }
    }
}

/// Milliseconds over a size (tokens, voxels, steps).
///
/// At a sample the sample counts. Elsewhere the quadratic counts if there is one, else the straight
/// line between the neighbouring samples; outside the range the value is flagged as extrapolated.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Curve {
    samples: Vec<(f64, f64)>,
    quadratic: Option<Quadratic>,
    range: Option<(f64, f64)>,
}

impl Curve {
    /// A curve through samples `(size, milliseconds)`, in any order; of equal sizes the last
    /// counts. Their extent is the range.
    pub fn samples(mut samples: Vec<(f64, f64)>) -> Self {
        samples.sort_by(|a, b| a.0.total_cmp(&b.0));
        samples.dedup_by(|later, kept| {
            let same = later.0 == kept.0;
            if same {
                kept.1 = later.1;
            }
            same
        });
        let range = samples.first().zip(samples.last()).map(|(low, high)| (low.0, high.0));
        Self { samples, quadratic: None, range }
    }

    /// A quadratic, valid on `range`, or everywhere if its source states no range.
    pub fn quadratic(quadratic: Quadratic, range: Option<(f64, f64)>) -> Self {
        Self { samples: Vec::new(), quadratic: Some(quadratic), range }
    }

    /// The same cost at every size.
    pub fn constant(ms: f64) -> Self {
        Self::quadratic(Quadratic { c: ms, ..Quadratic::default() }, None)
    }

    /// This curve with a quadratic for the sizes that are no sample.
    pub fn with_fit(mut self, quadratic: Quadratic) -> Self {
        self.quadratic = Some(quadratic);
        self
    }

    /// Every value times `factor`.
    pub fn scaled(&self, factor: f64) -> Self {
        Self {
            samples: self.samples.iter().map(|&(x, ms)| (x, ms * factor)).collect(),
            quadratic: self.quadratic.map(|q| q.scaled(factor)),
            range: self.range,
        }
    }

    /// The samples, by size.
    pub fn points(&self) -> &[(f64, f64)] {
        &self.samples
    }

    /// The quadratic, if there is one.
    pub fn fit(&self) -> Option<Quadratic> {
        self.quadratic
    }

    /// The range outside of which values are extrapolated; `None` means everywhere is inside.
    pub fn range(&self) -> Option<(f64, f64)> {
        self.range
    }

    /// The price at `x` of a curve from `provenance`. `None` where nothing is known: no sample and
    /// no quadratic, or a single sample at another size. Negative values count as zero.
    ///
    /// Between samples the price is *derived*, whatever the samples are.
    pub fn price(&self, x: f64, provenance: Provenance) -> Option<Price> {
        let extrapolated = self.range.is_some_and(|(low, high)| x < low || x > high);
        let exact = self.samples.iter().find(|sample| sample.0 == x);
        let (ms, provenance) = match (exact, self.quadratic) {
            (Some(sample), _) => (sample.1, provenance),
            (None, Some(fit)) if self.samples.is_empty() => (fit.at(x), provenance),
            (None, Some(fit)) => (fit.at(x), Provenance::Derived),
            (None, None) => (self.line(x)?, Provenance::Derived),
        };
        if !ms.is_finite() {
            return None;
        }
        Some(Price { time: Nanos::from_millis_f64(ms), provenance, extrapolated })
    }

    /// The straight line of the samples around `x`, or of the two nearest ones outside.
    fn line(&self, x: f64) -> Option<f64> {
        if self.samples.len() < 2 {
            return None;
        }
        let after = self.samples.partition_point(|sample| sample.0 < x);
        let right = after.clamp(1, self.samples.len() - 1);
        let ((x0, y0), (x1, y1)) = (self.samples[right - 1], self.samples[right]);
        Some(y0 + (y1 - y0) * (x - x0) / (x1 - x0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn price(curve: &Curve, x: f64) -> Price {
        curve.price(x, Provenance::Published).expect("priced")
    }

    #[test]
    fn samples_are_exact_and_lines_run_between_them() {
        let curve = Curve::samples(vec![(4096.0, 605.0), (1024.0, 155.0), (9216.0, 1557.0)]);
        let at = |x: f64| {
            let p = price(&curve, x);
            (p.time, p.provenance, p.extrapolated)
        };
        assert_eq!(at(1024.0), (Nanos::from_millis(155), Provenance::Published, false));
        assert_eq!(at(2560.0), (Nanos::from_millis(380), Provenance::Derived, false));
        assert_eq!(at(512.0), (Nanos::from_millis(80), Provenance::Derived, true));
        assert!(at(10_000.0).2);
    }

    #[test]
    fn a_fit_serves_what_is_no_sample() {
        let fit = Quadratic { a: 0.0, b: 0.0, c: 7.0 };
        let curve = Curve::samples(vec![(1.0, 5.0), (3.0, 9.0)]).with_fit(fit);
        assert_eq!(price(&curve, 3.0).time, Nanos::from_millis(9));
        assert_eq!(price(&curve, 2.0).time, Nanos::from_millis(7));
        assert_eq!(price(&curve, 2.0).provenance, Provenance::Derived);
        assert!(price(&curve, 4.0).extrapolated);
    }

    #[test]
    fn one_sample_says_nothing_about_other_sizes() {
        let curve = Curve::samples(vec![(4096.0, 100.0)]);
        assert!(curve.price(4096.0, Provenance::Published).is_some());
        assert!(curve.price(1024.0, Provenance::Published).is_none());
        assert!(Curve::default().price(1.0, Provenance::Published).is_none());
    }

    #[test]
    fn a_quadratic_without_range_is_never_extrapolated_and_never_negative() {
        let curve = Curve::quadratic(Quadratic { a: 0.0, b: 1.0, c: -10.0 }, None);
        assert_eq!(price(&curve, 5.0).time, Nanos::ZERO);
        assert!(!price(&curve, 5.0).extrapolated);
        assert_eq!(price(&curve.scaled(0.5), 20.0).time, Nanos::from_millis(5));
    }

    #[test]
    fn of_equal_sizes_the_last_counts() {
        let curve = Curve::samples(vec![(1.0, 5.0), (2.0, 6.0), (1.0, 8.0)]);
        assert_eq!(price(&curve, 1.0).time, Nanos::from_millis(8));
    }
}
