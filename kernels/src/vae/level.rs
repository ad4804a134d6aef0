//! A level of the decoder: residual blocks, then rows and columns double, and for videos frames, too.
//!
//! Invariant: each frame goes through on its own, so that one frame per level is in flight however long a video is.

use super::block::{Causal, Residual, causal};
use super::conv::Conv;
use super::frame::Frame;
use super::run::Run;
use crate::error::Result;
use crate::model::weights::Loader;

/// Residual blocks, and how the level ends.
#[derive(Debug)]
pub(super) struct Level {
    blocks: Vec<Residual>,
    up: Option<Up>,
    /// Adds the level's input, repeated, to its output (Wan 2.2).
    repeat: bool,
}

/// How one level becomes the next.
#[derive(Debug)]
struct Up {
    /// Makes two frames of one: the first half of its channels is the earlier frame.
    time: Option<Causal>,
    /// Follows the doubling of rows and columns.
    conv: Conv,
}

/// What a level is made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    /// Channels in and out of the blocks.
    pub(super) channels: [usize; 2],
    /// Residual blocks.
    pub(super) blocks: usize,
    /// Whether frames double, in a level with another after it.
    pub(super) up: Option<bool>,
    /// Whether its input is repeated around it.
    pub(super) repeat: bool,
}

impl Level {
    /// The level below the loader's prefix; `histories` counts those in use.
    pub(super) fn load(loader: &mut Loader<'_>, plan: Plan, histories: &mut usize) -> Result<Self> {
        let [inputs, outputs] = plan.channels;
        let mut blocks = Vec::with_capacity(plan.blocks);
        for index in 0..plan.blocks {
            let channels = [if index == 0 { inputs } else { outputs }, outputs];
            let mut below = loader.below(&format!("resnets.{index}"));
            blocks.push(Residual::load(&mut below, channels, histories)?);
        }
        let up = match plan.up {
            None => None,
            Some(doubles) => {
                let name = if plan.repeat { "upsampler" } else { "upsamplers.0" };
                let next = if plan.repeat { outputs } else { outputs / 2 };
                Some(Up::load(&mut loader.below(name), [outputs, next], doubles, histories)?)
            }
        };
        Ok(Self { blocks, repeat: plan.repeat && up.is_some(), up })
    }

    /// Calls `next` with each frame that comes of `x`, one or two.
    pub(super) fn next(
        &self,
        x: Frame,
        run: &mut Run<'_>,
        next: &mut dyn FnMut(Frame, &mut Run<'_>) -> Result<()>,
    ) -> Result<()> {
        let kept = self.repeat.then(|| x.copy(run.scratch));
        let mut x = x;
        for block in &self.blocks {
            x = block.next(x, run)?;
        }
        let Some(up) = &self.up else { return next(x, run) };
        let doubles = up.time.is_some();
        let frames = match &up.time {
            // The first frame stays one; it is not seen by those after it, either.
            Some(time) if !run.first => {
                let both = time.next(x, run)?;
                let halves = [0, 1].map(|half| part(&both, half, run));
                both.give(run.scratch);
                Vec::from(halves)
            }
            _ => vec![x],
        };
        let first = run.first;
        for (index, frame) in frames.into_iter().enumerate() {
            let mut out = up.enlarge(frame, run)?;
            if let Some(kept) = &kept {
                // Of the first frame's two repetitions the second one counts.
                let phase = if first && doubles { 1 } else { index };
                add_repeated(kept, if doubles { 2 } else { 1 }, phase, &mut out);
            }
            next(out, run)?;
        }
        if let Some(kept) = kept {
            kept.give(run.scratch);
        }
        Ok(())
    }

    /// Bytes of weights.
    pub(super) fn bytes(&self) -> usize {
        let blocks: usize = self.blocks.iter().map(Residual::bytes).sum();
        let up = self
            .up
            .as_ref()
            .map_or(0, |up| up.conv.bytes() + up.time.as_ref().map_or(0, |time| time.conv.bytes()));
        blocks + up
    }
}

impl Up {
    fn load(
        loader: &mut Loader<'_>,
        [channels, next]: [usize; 2],
        doubles: bool,
        histories: &mut usize,
    ) -> Result<Self> {
        let weight = loader.values("resample.1.weight", [next, channels, 3, 3])?;
        let bias = loader.values("resample.1.bias", [next])?;
        let conv = Conv::new(channels, [1, 3, 3], &weight, bias);
        let time = if doubles {
            Some(causal(loader, "time_conv", [channels, 2 * channels], [3, 1, 1], histories)?)
        } else {
            None
        };
        Ok(Self { time, conv })
    }

    /// Every pixel becomes four equal ones, which are then convolved.
    fn enlarge(&self, x: Frame, run: &mut Run<'_>) -> Result<Frame> {
        let (rows, width, channels) = (x.rows(), x.width(), x.channels());
        let mut large = Frame::take(2 * rows, 2 * width, channels, run.scratch);
        for row in 0..rows {
            let line = large.row_mut(2 * row);
            let pixels = line.chunks_exact_mut(2 * channels);
            for (pair, pixel) in pixels.zip(x.row(row).chunks_exact(channels)) {
                pair[..channels].copy_from_slice(pixel);
                pair[channels..].copy_from_slice(pixel);
            }
            large.repeat_row(2 * row);
        }
        large.clear_border();
        x.give(run.scratch);
        run.fill_border(&mut large)?;
        Ok(run.apply(&self.conv, large))
    }
}

/// One half of the channels.
fn part(both: &Frame, half: usize, run: &mut Run<'_>) -> Frame {
    let channels = both.channels() / 2;
    let mut out = Frame::take(both.rows(), both.width(), channels, run.scratch);
    for row in 0..both.rows() {
        let pixels = both.row(row).chunks_exact(2 * channels);
        for (pixel, out) in pixels.zip(out.row_mut(row).chunks_exact_mut(channels)) {
            out.copy_from_slice(&pixel[half * channels..(half + 1) * channels]);
        }
    }
    out
}

/// Adds to every pixel of `out`, which is twice as high and wide as `x`, the channel of `x` that is repeated there.
/// Repeated `factor x outputs / inputs` times each in a row, the channels of a pixel are numbered by (output channel,
/// frame, row, column) inside the enlarged pixel.
fn add_repeated(x: &Frame, frames: usize, frame: usize, out: &mut Frame) {
    let (inputs, outputs) = (x.channels(), out.channels());
    let repeats = outputs * frames * 4 / inputs;
    for row in 0..out.rows() {
        let source = x.row(row / 2);
        let pixels = out.row_mut(row).chunks_exact_mut(outputs);
        for (column, pixel) in pixels.enumerate() {
            let from = &source[column / 2 * inputs..(column / 2 + 1) * inputs];
            let place = (frame * 2 + row % 2) * 2 + column % 2;
            for (channel, value) in pixel.iter_mut().enumerate() {
                *value += from[(channel * frames * 4 + place) / repeats];
            }
        }
    }
}
