//! Single operations of the decoder on whole frames, from host memory to host memory: what the conformance suite asks for.

use super::conv::Conv;
use super::frame::{Frame, normalise};
use crate::cpu::Scratch;
use crate::view::View;

/// The causal convolution of frames, rows and columns `sizes` of pixels `x` with weights `[outputs, inputs, frames, rows,
/// columns]`: zeros before the first frame and around each.
///
/// # Panics
/// If sizes do not fit, or a side of the kernel is neither 1 nor 3.
pub(crate) fn causal_convolution(
    [frames, rows, columns]: [usize; 3],
    x: View<'_>,
    kernel: [usize; 3],
    weight: &[f32],
    bias: &[f32],
) -> Vec<f32> {
    let (inputs, mut scratch) = (x.columns(), Scratch::default());
    assert_eq!(x.height(), frames * rows * columns, "pixels of the frames");
    let conv = Conv::new(inputs, kernel, weight, bias.to_vec());
    let frame = |index: usize| {
        let mut frame = Frame::take(rows, columns, inputs, &mut Scratch::default());
        frame.clear_border();
        for row in 0..rows {
            let pixels = frame.row_mut(row).chunks_exact_mut(inputs).enumerate();
            let first = (index * rows + row) * columns;
            pixels.for_each(|(column, pixel)| pixel.copy_from_slice(x.row(first + column)));
        }
        frame
    };
    let all: Vec<Frame> = (0..frames).map(frame).collect();
    let mut result = Vec::with_capacity(frames * rows * columns * bias.len());
    for last in 0..frames {
        let seen: Vec<&Frame> = all[(last + 1).saturating_sub(kernel[0])..=last].iter().collect();
        let mut out = Frame::take(rows, columns, bias.len(), &mut scratch);
        conv.apply(&seen, &mut out);
        (0..rows).for_each(|row| result.extend_from_slice(out.row(row)));
        out.give(&mut scratch);
    }
    result
}

/// The norm of the decoder: each pixel over its root mean square, times `gamma`.
pub(crate) fn pixel_norm(x: View<'_>, gamma: &[f32]) -> Vec<f32> {
    let mut out = vec![0.0; x.height() * gamma.len()];
    for (pixel, out) in x.iter().zip(out.chunks_exact_mut(gamma.len())) {
        normalise(pixel, gamma, out);
    }
    out
}
