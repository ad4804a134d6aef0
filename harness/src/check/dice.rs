//! Draws of a case, each purpose from its own stream.

use flexdit_core::Nanos;
use rand::RngExt;
use rand_pcg::Pcg64;

/// A stream of draws.
pub(super) struct Dice(Pcg64);

impl Dice {
    /// The stream of `seed` for one purpose.
    pub(super) fn new(seed: u64, purpose: u64) -> Self {
        Self(Pcg64::new(u128::from(seed) << 64 | 0x0063_6865_636b, u128::from(purpose)))
    }

    /// A whole number from `low` to `high`, both included.
    pub(super) fn range(&mut self, low: u64, high: u64) -> u64 {
        self.0.random_range(low..=high)
    }

    /// True with probability `p`.
    pub(super) fn chance(&mut self, p: f64) -> bool {
        self.0.random::<f64>() < p
    }

    /// A number from 0 up to 1.
    pub(super) fn unit(&mut self) -> f64 {
        self.0.random()
    }

    /// One of `options`, which are not empty.
    pub(super) fn pick<T: Clone>(&mut self, options: &[T]) -> T {
        options[self.range(0, options.len() as u64 - 1) as usize].clone()
    }

    /// A length of time of up to `most`, short ones as likely as long ones.
    pub(super) fn time(&mut self, most: Nanos) -> Nanos {
        let digits = libm::log2(most.0.max(1) as f64) * self.unit();
        Nanos::from_f64(libm::exp2(digits))
    }
}
