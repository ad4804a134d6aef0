//! Seeded random streams and the distributions drawn from them.
//!
//! One stream per purpose, so that drawing more of one thing moves no other. Figures hang on these
//! numbers: the generator is PCG64 (portable), transcendental functions come from `libm`
//! (portable), and golden tests hold the first values.

use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64;
use sha2::{Digest, Sha256};

/// A stream of random numbers, named within a seed.
#[derive(Clone, Debug)]
pub struct Stream(Pcg64);

impl Stream {
    /// The stream called `name` of `seed`: PCG64 seeded with SHA-256 of `seed/name`.
    pub fn new(seed: u64, name: &str) -> Self {
        let digest: [u8; 32] = Sha256::digest(format!("{seed}/{name}")).into();
        Self(Pcg64::from_seed(digest))
    }

    /// Uniform on [0, 1): the upper 53 bits of one draw.
    pub fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 * (1.0 / 9_007_199_254_740_992.0)
    }

    /// Uniform on [low, high).
    pub fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Exponential with the given mean, by inverse transform of one draw.
    pub fn exponential(&mut self, mean: f64) -> f64 {
        -mean * libm::log(1.0 - self.unit())
    }

    /// Standard normal by the Box-Muller transform (its cosine half): two draws.
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * libm::log(1.0 - self.unit())).sqrt();
        radius * libm::cos(core::f64::consts::TAU * self.unit())
    }

    /// Gamma with the given shape (above 0) and scale 1.
    ///
    /// # Source
    /// Marsaglia and Tsang, "A simple method for generating gamma variables", 2000: rejection from
    /// a cubed normal; below shape 1 by their boost, gamma(k) = gamma(k + 1) x u^(1/k).
    pub fn gamma(&mut self, shape: f64) -> f64 {
        if shape < 1.0 {
            let boost = libm::pow(1.0 - self.unit(), 1.0 / shape);
            return self.gamma(shape + 1.0) * boost;
        }
        let d = shape - 1.0 / 3.0;
        let c = 1.0 / (9.0 * d).sqrt();
        loop {
            let x = self.normal();
            let v = 1.0 + c * x;
            if v <= 0.0 {
                continue;
            }
            let v = v * v * v;
            let u = 1.0 - self.unit();
            if libm::log(u) < 0.5 * x * x + d - d * v + d * libm::log(v) {
                return d * v;
            }
        }
    }

    /// An index drawn in proportion to `weights`, which are not negative and sum to more than 0.
    pub fn choose(&mut self, weights: &[f64]) -> usize {
        let mut left = self.unit() * weights.iter().sum::<f64>();
        let mut last = 0;
        for (index, &weight) in weights.iter().enumerate().filter(|(_, w)| **w > 0.0) {
            if left < weight {
                return index;
            }
            left -= weight;
            last = index;
        }
        last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_values_of_a_stream_never_change() {
        let mut stream = Stream::new(42, "arrivals");
        let units: Vec<f64> = (0..3).map(|_| stream.unit()).collect();
        insta::assert_debug_snapshot!(units, @r#"
[
    0.027296917787670405,
    0.2953501838743581,
    0.6011244073722019,
]
"#);
        insta::assert_debug_snapshot!(stream.exponential(1.0), @"2.0004871308861625");
        insta::assert_debug_snapshot!(stream.gamma(0.25), @"0.21643253538486484");
        insta::assert_debug_snapshot!(stream.gamma(4.0), @"1.5476283277325982");
    }

    #[test]
    fn names_and_seeds_give_different_streams() {
        let first = |seed, name| Stream::new(seed, name).unit();
        assert_ne!(first(1, "arrivals"), first(2, "arrivals"));
        assert_ne!(first(1, "arrivals"), first(1, "classes"));
    }

    #[test]
    fn gamma_has_the_mean_and_variance_of_its_shape() {
        for shape in [0.1, 0.5, 1.0, 4.0] {
            let mut stream = Stream::new(7, "gamma");
            let draws: Vec<f64> = (0..200_000).map(|_| stream.gamma(shape)).collect();
            let mean = draws.iter().sum::<f64>() / 2e5;
            let variance = draws.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / 2e5;
            assert!((mean / shape - 1.0).abs() < 0.03, "shape {shape}: mean {mean}");
            assert!((variance / shape - 1.0).abs() < 0.06, "shape {shape}: variance {variance}");
        }
    }

    #[test]
    fn a_weight_of_zero_is_never_chosen() {
        let mut stream = Stream::new(3, "classes");
        let mut counts = [0; 4];
        (0..10_000).for_each(|_| counts[stream.choose(&[0.0, 3.0, 1.0, 0.0])] += 1);
        assert_eq!(counts[0] + counts[3], 0);
        assert!((7_300..7_700).contains(&counts[1]), "{counts:?}");
    }
}
