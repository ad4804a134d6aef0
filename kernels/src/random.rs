//! Seeded numbers for weights, noise and tests: one stream per (seed, name), the same in every version.
//!
//! # Source
//! PCG64 (O'Neill), whose output is fixed by its definition; uniform numbers and normals are made from it here.

use rand::Rng;
use rand_pcg::Pcg64;

/// A stream of numbers.
#[derive(Clone, Debug)]
pub struct Stream(Pcg64);

impl Stream {
    /// The stream of this seed and name.
    pub fn new(seed: u64, name: &str) -> Self {
        // FNV-1a, 64 bits.
        let key = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self(Pcg64::new(u128::from(seed) << 64 | u128::from(key), u128::from(key)))
    }

    /// The next number, uniform in 0..1, of 24 bits.
    pub fn unit(&mut self) -> f32 {
        (self.0.next_u64() >> 40) as f32 / (1_u32 << 24) as f32
    }

    /// An integer below `bound`, nearly uniform.
    pub fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.0.next_u64()) * bound as u128) >> 64) as usize
    }

    /// `count` numbers, uniform in +-`amplitude`.
    pub fn uniform(&mut self, count: usize, amplitude: f32) -> Vec<f32> {
        (0..count).map(|_| (2.0 * self.unit() - 1.0) * amplitude).collect()
    }

    /// `count` normal numbers of mean 0 and variance 1 (Box-Muller).
    pub fn normal(&mut self, count: usize) -> Vec<f32> {
        let mut pair = || {
            let (u, v) = (f64::from(self.unit()), f64::from(self.unit()));
            let radius = libm::sqrt(-2.0 * libm::log(1.0 - u));
            let angle = std::f64::consts::TAU * v;
            [(radius * libm::cos(angle)) as f32, (radius * libm::sin(angle)) as f32]
        };
        let mut numbers: Vec<f32> = (0..count.div_ceil(2)).flat_map(|_| pair()).collect();
        numbers.truncate(count);
        numbers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_do_not_change_between_versions() {
        let mut stream = Stream::new(1, "golden");
        let bits: Vec<u32> = stream.uniform(2, 1.0).iter().map(|x| x.to_bits()).collect();
        let normal: Vec<u32> = stream.normal(2).iter().map(|x| x.to_bits()).collect();
        assert_eq!(
            (bits, normal),
            (vec![3_203_843_972, 3_212_427_730], vec![3_198_063_297, 1_067_685_990])
        );
    }

    #[test]
    fn normals_have_mean_0_and_variance_1() {
        let x = Stream::new(3, "normal").normal(40_000);
        let mean = x.iter().sum::<f32>() / 40_000.0;
        let variance = x.iter().map(|x| x * x).sum::<f32>() / 40_000.0;
        assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.03, "{mean} {variance}");
    }
}
