//! One frame of a feature map: rows of pixels, all channels of a pixel side by side, inside a border one pixel wide.
//!
//! Owns the layout. With the border, the pixels that a 3 x 3 kernel sees in one row lie side by side in memory, so a
//! convolution is a product of overlapping windows of the buffer itself and needs no copy of them. Invariant: what a
//! convolution reads has a border of zeros, or of the neighbours' rows above and below; the border of its result
//! is arbitrary.

use crate::cpu::Scratch;
use crate::cpu::activation::silu;
use crate::cpu::simd::{sum, vectorised};
use std::ops::Range;

/// A frame, or the rows of it that one rank holds.
#[derive(Debug)]
pub(super) struct Frame {
    rows: usize,
    width: usize,
    channels: usize,
    data: Vec<f32>,
}

impl Frame {
    /// A frame of arbitrary content.
    pub(super) fn take(rows: usize, width: usize, channels: usize, scratch: &mut Scratch) -> Self {
        let data = buffer((rows + 2) * (width + 2) * channels, scratch);
        Self { rows, width, channels, data }
    }

    /// Leaves the buffer for another frame.
    pub(super) fn give(self, scratch: &mut Scratch) {
        scratch.give(self.data);
    }

    /// Rows without the border.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Pixels of a row without the border.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// Channels of a pixel.
    pub(super) fn channels(&self) -> usize {
        self.channels
    }

    /// All elements, border included.
    pub(super) fn data(&self) -> &[f32] {
        &self.data
    }

    /// All elements, border included.
    pub(super) fn data_mut(&mut self) -> &mut [f32] {
        &mut self.data
    }

    /// Pixels from one row to the next in memory.
    pub(super) fn pitch(&self) -> usize {
        self.width + 2
    }

    /// Places, in pixels, from the first inner pixel to the last, with the border pixels between their rows.
    pub(super) fn inner(&self) -> Range<usize> {
        if self.rows == 0 {
            return 0..0;
        }
        let first = self.pitch() + 1;
        first..first + (self.rows - 1) * self.pitch() + self.width
    }

    /// Elements of a row with its border; 0 is the border above the frame.
    pub(super) fn line(&self, line: usize) -> &[f32] {
        let length = self.pitch() * self.channels;
        &self.data[line * length..(line + 1) * length]
    }

    /// As [`Self::line`].
    pub(super) fn line_mut(&mut self, line: usize) -> &mut [f32] {
        let length = self.pitch() * self.channels;
        &mut self.data[line * length..(line + 1) * length]
    }

    /// Elements of an inner row.
    pub(super) fn row(&self, row: usize) -> &[f32] {
        let channels = self.channels;
        let line = self.line(row + 1);
        &line[channels..line.len() - channels]
    }

    /// Elements of an inner row.
    pub(super) fn row_mut(&mut self, row: usize) -> &mut [f32] {
        let channels = self.channels;
        let line = self.line_mut(row + 1);
        let end = line.len() - channels;
        &mut line[channels..end]
    }

    /// Makes the inner row after `row` a copy of it.
    pub(super) fn repeat_row(&mut self, row: usize) {
        let length = self.pitch() * self.channels;
        self.data.copy_within((row + 1) * length..(row + 2) * length, (row + 2) * length);
    }

    /// Fills the border with zeros.
    pub(super) fn clear_border(&mut self) {
        let channels = self.channels;
        self.line_mut(0).fill(0.0);
        self.line_mut(self.rows + 1).fill(0.0);
        for row in 1..=self.rows {
            let line = self.line_mut(row);
            line[..channels].fill(0.0);
            let end = line.len() - channels;
            line[end..].fill(0.0);
        }
    }

    /// A copy, border included.
    pub(super) fn copy(&self, scratch: &mut Scratch) -> Self {
        let mut data = buffer(self.data.len(), scratch);
        data.copy_from_slice(&self.data);
        Self { data, ..*self }
    }

    /// Each pixel over its root mean square times `gamma`, then through SiLU, inside a border of zeros.
    ///
    /// # Source
    /// The VAE of Wan 2.1 divides by the root of the sum of squares, at least 1e-12, and multiplies by the root of the
    /// number of channels.
    pub(super) fn active(&self, gamma: &[f32], scratch: &mut Scratch) -> Self {
        let mut out = Self::take(self.rows, self.width, self.channels, scratch);
        for row in 0..self.rows {
            normalise(self.row(row), gamma, out.row_mut(row));
            silu(out.row_mut(row));
        }
        out.clear_border();
        out
    }
}

/// A buffer that is not much longer than needed: a small frame that is remembered must not keep a large frame's.
fn buffer(length: usize, scratch: &mut Scratch) -> Vec<f32> {
    let buffer = scratch.take(length);
    if buffer.capacity() <= 2 * length {
        return buffer;
    }
    scratch.give(buffer);
    vec![0.0; length]
}

/// Each pixel over its root mean square, times `gamma`.
pub(super) fn normalise(pixels: &[f32], gamma: &[f32], out: &mut [f32]) {
    let channels = gamma.len();
    let root = (channels as f32).sqrt();
    vectorised(
        #[inline(always)]
        || {
            for (x, out) in pixels.chunks_exact(channels).zip(out.chunks_exact_mut(channels)) {
                let length = sum(x, |x| x * x).sqrt();
                let scale = root / if length > 1e-12 { length } else { 1e-12 };
                let terms = x.iter().zip(gamma);
                out.iter_mut().zip(terms).for_each(|(out, (x, gamma))| *out = x * scale * gamma);
            }
        },
    );
}
