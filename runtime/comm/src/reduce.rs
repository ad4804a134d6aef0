//! The sum that reductions make: f32, in the order of the calls, rounded once at the end.
//!
//! Members add in group order, so every rank that adds the same parts has the same bits.

use crate::dtype::DType;
use half::{bf16, f16};

/// Adds the elements of `part` to `sum`. `part` may be unaligned; it has `sum.len()` elements.
///
/// # Panics
///
/// If the lengths differ or the type is [`DType::Bytes`], which has no sum.
pub fn accumulate(dtype: DType, sum: &mut [f32], part: &[u8]) {
    assert_eq!(part.len(), sum.len() * dtype.size(), "as many elements as sums");
    match dtype {
        DType::Bytes => panic!("bytes have no sum"),
        DType::F32 => add(sum, part, f32::from_ne_bytes),
        DType::Bf16 => add(sum, part, |b| bf16::from_ne_bytes(b).to_f32()),
        DType::F16 => add(sum, part, |b| f16::from_ne_bytes(b).to_f32()),
    }
}

/// Rounds the sums to the type and writes them to `out`.
///
/// # Panics
///
/// As [`accumulate`].
pub fn round(dtype: DType, sum: &[f32], out: &mut [u8]) {
    assert_eq!(out.len(), sum.len() * dtype.size(), "as many elements as sums");
    match dtype {
        DType::Bytes => panic!("bytes have no sum"),
        DType::F32 => store(sum, out, f32::to_ne_bytes),
        DType::Bf16 => store(sum, out, |x| bf16::from_f32(x).to_ne_bytes()),
        DType::F16 => store(sum, out, |x| f16::from_f32(x).to_ne_bytes()),
    }
}

fn add<const N: usize>(sum: &mut [f32], part: &[u8], read: impl Fn([u8; N]) -> f32) {
    let (elements, _) = part.as_chunks::<N>();
    for (sum, element) in sum.iter_mut().zip(elements) {
        *sum += read(*element);
    }
}

fn store<const N: usize>(sum: &[f32], out: &mut [u8], write: impl Fn(f32) -> [u8; N]) {
    let (elements, _) = out.as_chunks_mut::<N>();
    for (element, sum) in elements.iter_mut().zip(sum) {
        *element = write(*sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_made_in_f32_and_rounded_once() {
        let parts = [1.0, 1.0 / 256.0, 1.0 / 256.0].map(|x| bf16::from_f32(x).to_ne_bytes());
        let mut sum = [0.0];
        for part in &parts {
            accumulate(DType::Bf16, &mut sum, part);
        }
        let mut out = [0; 2];
        round(DType::Bf16, &sum, &mut out);
        // In bf16 each addend alone is half of the last place of 1 and would be lost.
        assert_eq!(bf16::from_ne_bytes(out).to_f32(), 1.0 + 1.0 / 128.0);
    }
}
