//! Classifier-free guidance: two predictions become one, token by token.

use crate::cpu::simd::{sum, vectorised};
use crate::view::View;

/// `without + scale * (with - without)`, into `with`.
///
/// # Panics
/// If lengths differ.
pub fn combine(with: &mut [f32], without: &[f32], scale: f32) {
    assert_eq!(with.len(), without.len(), "length of the two predictions");
    vectorised(
        #[inline(always)]
        || {
            for (with, without) in with.iter_mut().zip(without) {
                *with = scale.mul_add(*with - without, *without);
            }
        },
    );
}

/// As [`combine`], after which every token is given the length that it has in `with`, as Qwen-Image does.
///
/// # Panics
/// If lengths differ or tokens of `width` do not fill them.
pub fn combine_rescaled(with: &mut [f32], without: &[f32], scale: f32, width: usize) {
    let squares = |rows: &[f32]| -> Vec<f32> {
        let rows = View::new(rows, width);
        vectorised(
            #[inline(always)]
            || rows.iter().map(|row| sum(row, |x| x * x)).collect(),
        )
    };
    let wanted = squares(with);
    combine(with, without, scale);
    let lengths = squares(with).into_iter().zip(wanted);
    for (row, (got, wanted)) in with.chunks_exact_mut(width).zip(lengths) {
        let factor = if got > 0.0 { (wanted / got).sqrt() } else { 1.0 };
        row.iter_mut().for_each(|x| *x *= factor);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guidance_goes_beyond_the_prompt_by_its_scale() {
        let mut with = [1.0, 2.0];
        combine(&mut with, &[0.0, 1.0], 3.0);
        assert_eq!(with, [3.0, 4.0]);
        let mut with = [1.0, 2.0, 0.0, 0.0];
        combine_rescaled(&mut with, &[0.0, 1.0, 0.0, 0.0], 3.0, 2);
        let length = (5.0_f32).sqrt() / 5.0;
        assert!((with[0] - 3.0 * length).abs() < 1e-6 && (with[1] - 4.0 * length).abs() < 1e-6);
    }
}
