//! Activations and sums with residuals, element by element.

use crate::cpu::simd::{exp, vectorised};
use crate::view::{View, ViewMut};

/// x / (1 + e^-x).
#[inline(always)]
fn silu_of(x: f32) -> f32 {
    x / (1.0 + exp(-x))
}

/// The tanh form of GELU, written as x / (1 + e^-2u) with u = sqrt(2/pi) (x + 0.044715 x^3).
#[inline(always)]
fn gelu_of(x: f32) -> f32 {
    /// 2 sqrt(2/pi).
    const SLOPE: f32 = 1.595_769_2;
    let u = SLOPE * (x * x * x).mul_add(0.044_715, x);
    x / (1.0 + exp(-u))
}

/// SiLU in place.
pub fn silu(x: &mut [f32]) {
    vectorised(
        #[inline(always)]
        || x.iter_mut().for_each(|x| *x = silu_of(*x)),
    );
}

/// GELU (tanh form) in place.
pub fn gelu(x: &mut [f32]) {
    vectorised(
        #[inline(always)]
        || x.iter_mut().for_each(|x| *x = gelu_of(*x)),
    );
}

/// `x += gate * y`, with one gate per column.
///
/// # Panics
/// If sizes differ.
pub fn add_gated(mut x: ViewMut<'_>, gate: &[f32], y: View<'_>) {
    assert_eq!((x.height(), x.columns()), (y.height(), y.columns()), "size of the summands");
    assert_eq!(gate.len(), x.columns(), "length of the gate");
    vectorised(
        #[inline(always)]
        || {
            for row in 0..y.height() {
                let terms = gate.iter().zip(y.row(row));
                let sums = x.row_mut(row).iter_mut().zip(terms);
                sums.for_each(|(x, (gate, y))| *x = gate.mul_add(*y, *x));
            }
        },
    );
}

/// `x += y`.
///
/// # Panics
/// If lengths differ.
pub fn add(x: &mut [f32], y: &[f32]) {
    assert_eq!(x.len(), y.len(), "length of the summands");
    vectorised(
        #[inline(always)]
        || x.iter_mut().zip(y).for_each(|(x, y)| *x += y),
    );
}
