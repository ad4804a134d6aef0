//! Vector code without intrinsics: [`vectorised`] compiles a closure for the widest vectors of this machine, and sums
//! and exponentials are written lane by lane in one fixed order.
//!
//! Invariant: results do not depend on the width of the machine's vectors. Sums go over [`LANES`] lanes, and a fused
//! multiply-add is written where one is meant.

use pulp::{Arch, Simd, WithSimd};

/// Lanes of every sum.
pub const LANES: usize = 16;

struct Run<F>(F);

impl<R, F: FnOnce() -> R> WithSimd for Run<F> {
    type Output = R;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> R {
        (self.0)()
    }
}

/// Runs `f` as compiled for the widest vectors of this machine. Closure and callees must be `#[inline(always)]`.
#[inline(always)]
pub fn vectorised<R>(f: impl FnOnce() -> R) -> R {
    Arch::new().dispatch(Run(f))
}

/// e^x with at most 2 units in the last place of error; 0 below -87 (where the result would be subnormal).
///
/// # Source
/// Derived: reduction by multiples of ln 2 in two parts, then the polynomial 1 + x + .. of degree 6 that deviates
/// least from e^x on +-ln(2)/2 in relative terms (3.1e-9, by an exchange of extrema).
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    /// Adding it rounds to an integer, which then stands in the low bits.
    const ROUND: f32 = 12_582_912.0;
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let clamped = x.clamp(-87.0, 88.0);
    let shifted = clamped.mul_add(std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = n.mul_add(-LN_2_LOW, n.mul_add(-LN_2_HIGH, clamped));
    let mut p = 1.381_461_3e-3_f32;
    for coefficient in [8.368_71e-3, 4.166_838_7e-2, 0.166_665_2, 0.499_999_93, 1.0, 1.0] {
        p = p.mul_add(r, coefficient);
    }
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(1.0_f32.to_bits()));
    if x < -87.0 { 0.0 } else { p * power }
}

/// The sum of `term(x)` over a row, in 16 lanes which are then added pairwise.
#[inline(always)]
pub fn sum(row: &[f32], term: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0.0; LANES];
    let (chunks, rest) = row.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane += term(*x);
        }
    }
    for (lane, x) in lanes.iter_mut().zip(rest) {
        *lane += term(*x);
    }
    total(lanes)
}

/// The sum of all lanes, pairwise.
#[inline(always)]
pub fn total(mut lanes: [f32; LANES]) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            lanes[i] += lanes[i + width];
        }
        width /= 2;
    }
    lanes[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_within_two_units_in_the_last_place() {
        let mut worst = 0.0_f64;
        // Every 997th bit pattern from -87 to 88.
        let (low, high) = ((-87.0_f32).to_bits(), 88.0_f32.to_bits());
        let negative = (1.0e-30_f32.to_bits()..low & 0x7fff_ffff).map(|b| -f32::from_bits(b));
        let positive = (1.0e-30_f32.to_bits()..high).map(f32::from_bits);
        for x in negative.step_by(997).chain(positive.step_by(997)) {
            let exact = libm::exp(f64::from(x));
            let unit = f64::from(f32::EPSILON) * libm::exp2(libm::floor(libm::log2(exact)));
            worst = worst.max((f64::from(exp(x)) - exact).abs() / unit);
        }
        assert!(worst <= 2.0, "{worst}");
        assert_eq!(exp(0.0), 1.0);
        assert_eq!([exp(-87.1), exp(f32::NEG_INFINITY)], [0.0; 2]);
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn code_for_wide_vectors_gives_the_same_bits() {
        let x: Vec<f32> = (0..1003_u16).map(|i| f32::from(i) * 0.17 - 86.0).collect();
        let plain: Vec<f32> = x.iter().map(|x| exp(*x)).collect();
        let plain_sum = sum(&x, |x| x * x);
        let mut wide = x.clone();
        vectorised(
            #[inline(always)]
            || wide.iter_mut().for_each(|x| *x = exp(*x)),
        );
        let wide_sum = vectorised(
            #[inline(always)]
            || sum(&x, |x| x * x),
        );
        assert_eq!((plain, plain_sum), (wide, wide_sum));
    }
}
