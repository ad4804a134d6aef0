//! Causal convolution as a sum of matrix products, one per frame and row of the kernel, with no copy of the windows.
//!
//! Owns weights and arithmetic; frames and their borders come from the caller. Invariant: a pixel of the result depends,
//! to the last bit, on the pixels under the kernel alone, in one fixed order of sums; not on the rows or the place at
//! which it is computed, nor on the length of [`STRIP`]. So rows may be split over ranks in any way.
//!
//! The product reads windows of overlapping rows in place; copying them out first (im2col) would write 9 times the frame for
//! every frame of the kernel.

use super::frame::Frame;
use crate::cpu::matmul::{Start, matmul};
use crate::cpu::strips::{Strips, fill};
use crate::view::{View, ViewMut};

/// Pixels convolved at a time: their sums stay in the second-level cache over all parts of the kernel.
const STRIP: usize = 1024;

/// A convolution in time (causal), rows and columns, each 1 or 3 long; same padding in space.
#[derive(Clone, Debug)]
pub(super) struct Conv {
    inputs: usize,
    outputs: usize,
    /// Frames, rows and columns of the kernel.
    kernel: [usize; 3],
    /// Per frame and row of the kernel, oldest and topmost first: `[columns x inputs, outputs]` in strips.
    taps: Vec<Vec<f32>>,
    bias: Vec<f32>,
}

impl Conv {
    /// The convolution with weights `[outputs, inputs, frames, rows, columns]`.
    ///
    /// # Panics
    /// If lengths do not fit or a side of the kernel is neither 1 nor 3.
    pub(super) fn new(inputs: usize, kernel: [usize; 3], weight: &[f32], bias: Vec<f32>) -> Self {
        let outputs = bias.len();
        let [frames, rows, columns] = kernel;
        assert!(kernel.iter().all(|side| [1, 3].contains(side)), "kernel {kernel:?}");
        assert_eq!(weight.len(), outputs * inputs * frames * rows * columns, "weights");
        let tap = |tap: usize| {
            let mut turned = Vec::with_capacity(columns * inputs * outputs);
            for column in 0..columns {
                for input in 0..inputs {
                    turned.extend((0..outputs).map(|output| {
                        weight[((output * inputs + input) * frames * rows + tap) * columns + column]
                    }));
                }
            }
            let mut tap = vec![0.0; turned.len()];
            fill(View::new(&turned, outputs), &mut tap);
            tap
        };
        let taps = (0..frames * rows).map(tap).collect();
        Self { inputs, outputs, kernel, taps, bias }
    }

    /// Channels of the result.
    pub(super) fn outputs(&self) -> usize {
        self.outputs
    }

    /// Bytes of weights and bias.
    pub(super) fn bytes(&self) -> usize {
        size_of::<f32>() * (self.bias.len() + self.taps.iter().map(Vec::len).sum::<usize>())
    }

    /// The frame at the time of the last of `frames`, which are in order of time, at most as many as the kernel is long;
    /// what is missing before them counts as zeros. Leaves the border of `out` arbitrary.
    ///
    /// # Panics
    /// If sizes do not fit.
    pub(super) fn apply(&self, frames: &[&Frame], out: &mut Frame) {
        let [long, high, wide] = self.kernel;
        assert!((1..=long).contains(&frames.len()), "{} frames in a kernel", frames.len());
        assert_eq!(out.channels(), self.outputs, "channels of the result");
        for frame in frames {
            assert_eq!(frame.channels(), self.inputs, "channels of a convolution");
            assert_eq!((frame.rows(), frame.width()), (out.rows(), out.width()), "its pixels");
        }
        let (pitch, missing) = (out.pitch(), long - frames.len());
        let inner = out.inner();
        for first in inner.clone().step_by(STRIP) {
            let strip = first..inner.end.min(first + STRIP);
            let sums = ViewMut::new(out.data_mut(), self.outputs);
            let mut sums = sums.rows(strip.clone());
            (0..strip.len()).for_each(|pixel| sums.row_mut(pixel).copy_from_slice(&self.bias));
            for (frame, taps) in frames.iter().zip(self.taps.chunks_exact(high).skip(missing)) {
                for (row, tap) in taps.iter().enumerate() {
                    let from = strip.start + row * pitch - (high / 2) * pitch - wide / 2;
                    let pixels = &frame.data()[from * self.inputs..];
                    let (count, width) = (strip.len(), wide * self.inputs);
                    let windows = View::windows(pixels, count, width, self.inputs);
                    let tap = Strips::new(tap, width, self.outputs);
                    matmul(windows, tap, sums.reborrow(), Start::Given);
                }
            }
        }
    }
}
