//! Normalisation of rows: root mean square, and mean and variance with a factor and a term per column.

use crate::cpu::simd::{sum, vectorised};
use crate::view::{View, ViewMut};

/// Divides each row by its root mean square (plus `epsilon` under the root) and multiplies by `weight`, in place.
///
/// # Panics
/// If `weight` is not as long as a row.
pub fn rms_norm(mut x: ViewMut<'_>, weight: &[f32], epsilon: f32) {
    assert_eq!(weight.len(), x.columns(), "length of the norm's weight");
    let count = weight.len() as f32;
    vectorised(
        #[inline(always)]
        || {
            for row in 0..x.height() {
                let row = x.row_mut(row);
                let scale = 1.0 / (sum(row, |x| x * x) / count + epsilon).sqrt();
                row.iter_mut().zip(weight).for_each(|(x, weight)| *x = *x * scale * weight);
            }
        },
    );
}

/// `out = normalised(x) * factor + term` for each row: mean 0, variance 1 (plus `epsilon` under the root). An affine norm
/// passes weight and bias, a modulated one 1 + scale and shift.
///
/// # Panics
/// If sizes do not fit.
pub fn layer_norm(x: View<'_>, epsilon: f32, factor: &[f32], term: &[f32], mut out: ViewMut<'_>) {
    assert_eq!((x.height(), x.columns()), (out.height(), out.columns()), "size of the norm");
    assert_eq!([factor.len(), term.len()], [x.columns(); 2], "length of factor and term");
    let count = x.columns() as f32;
    vectorised(
        #[inline(always)]
        || {
            for index in 0..x.height() {
                let row = x.row(index);
                let mean = sum(row, |x| x) / count;
                let variance = sum(row, |x| (x - mean) * (x - mean)) / count;
                let scale = 1.0 / (variance + epsilon).sqrt();
                let columns = row.iter().zip(factor.iter().zip(term));
                for (out, (x, (factor, term))) in out.row_mut(index).iter_mut().zip(columns) {
                    *out = ((x - mean) * scale).mul_add(*factor, *term);
                }
            }
        },
    );
}
