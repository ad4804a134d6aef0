//! Blocks of the decoder that keep the resolution: residual blocks, and attention over all pixels of a frame.
//!
//! Owns their weights; what passes from frame to frame is in [`Run`]. Invariant: a frame of the result depends on this
//! and earlier frames only (causal), a row of it on no split over ranks.

use super::conv::Conv;
use super::frame::{Frame, normalise};
use super::run::Run;
use crate::cpu::activation::add;
use crate::cpu::{Heads, Linear, attention};
use crate::error::{KernelError, Result};
use crate::model::weights::Loader;
use crate::view::{View, ViewMut};

/// A convolution that remembers the last frames it was given, by its place among those of a decoder.
#[derive(Debug)]
pub(super) struct Causal {
    pub(super) conv: Conv,
    /// Which of the run's histories is its own.
    pub(super) history: usize,
}

impl Causal {
    /// The next frame of the result, from the next frame of the input, whose border rows are fetched first.
    pub(super) fn next(&self, mut x: Frame, run: &mut Run<'_>) -> Result<Frame> {
        run.fill_border(&mut x)?;
        Ok(run.remember(self.history, x, |frames, scratch| {
            let last = frames[frames.len() - 1];
            let mut out = Frame::take(last.rows(), last.width(), self.conv.outputs(), scratch);
            self.conv.apply(frames, &mut out);
            out
        }))
    }
}

/// Norm, SiLU and convolution twice, added to the input.
#[derive(Debug)]
pub(super) struct Residual {
    norms: [Vec<f32>; 2],
    convs: [Causal; 2],
    /// Brings the input to the channels of the result, where these differ.
    shortcut: Option<Conv>,
}

impl Residual {
    /// The block below the loader's prefix; `histories` counts those in use.
    pub(super) fn load(
        loader: &mut Loader<'_>,
        [inputs, outputs]: [usize; 2],
        histories: &mut usize,
    ) -> Result<Self> {
        let first = gamma(loader, "norm1", inputs, 3)?;
        let one = causal(loader, "conv1", [inputs, outputs], [3; 3], histories)?;
        let second = gamma(loader, "norm2", outputs, 3)?;
        let two = causal(loader, "conv2", [outputs; 2], [3; 3], histories)?;
        let shortcut = if inputs == outputs {
            None
        } else {
            Some(conv(loader, "conv_shortcut", [inputs, outputs], [1; 3])?)
        };
        Ok(Self { norms: [first, second], convs: [one, two], shortcut })
    }

    /// The next frame.
    pub(super) fn next(&self, x: Frame, run: &mut Run<'_>) -> Result<Frame> {
        let active = x.active(&self.norms[0], run.scratch);
        let hidden = self.convs[0].next(active, run)?;
        let active = hidden.active(&self.norms[1], run.scratch);
        hidden.give(run.scratch);
        let mut out = self.convs[1].next(active, run)?;
        let kept = match &self.shortcut {
            None => x,
            Some(conv) => run.apply(conv, x),
        };
        add(out.data_mut(), kept.data());
        kept.give(run.scratch);
        Ok(out)
    }

    /// Bytes of weights.
    pub(super) fn bytes(&self) -> usize {
        let norms: usize = self.norms.iter().map(|norm| size_of_val(&norm[..])).sum();
        let convs: usize = self.convs.iter().map(|causal| causal.conv.bytes()).sum();
        norms + convs + self.shortcut.as_ref().map_or(0, Conv::bytes)
    }
}

/// Attention of every pixel to all pixels of its frame, one head over all channels, added to the input.
///
/// Split over ranks, each computes its own pixels; keys and values of all are gathered, in order of rows. A ring would
/// hold fewer of them at a time, but the lowest resolution is where they are few (a frame of 720 x 1,280: 14,400
/// pixels of 384 channels, 44 MB), and with all keys in one order the result has the same bits for every split.
#[derive(Debug)]
pub(super) struct Attention {
    norm: Vec<f32>,
    qkv: Linear,
    out: Linear,
}

impl Attention {
    /// The block below the loader's prefix.
    pub(super) fn load(loader: &mut Loader<'_>, channels: usize) -> Result<Self> {
        Ok(Self {
            norm: gamma(loader, "norm", channels, 2)?,
            qkv: loader.linear_of("to_qkv", [3 * channels, channels, 1, 1])?,
            out: loader.linear_of("proj", [channels, channels, 1, 1])?,
        })
    }

    /// Bytes of weights.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&self.norm[..]) + self.qkv.bytes() + self.out.bytes()
    }

    /// The next frame.
    pub(super) fn next(&self, mut x: Frame, run: &mut Run<'_>) -> Result<Frame> {
        let (channels, width) = (x.channels(), x.width());
        let pixels = x.rows() * width;
        let mut normed = run.scratch.take(pixels * channels);
        for (row, out) in normed.chunks_exact_mut(width * channels).enumerate() {
            normalise(x.row(row), &self.norm, out);
        }
        let mut qkv = run.scratch.take(pixels * 3 * channels);
        let mut queries = ViewMut::new(&mut qkv, 3 * channels);
        self.qkv.forward(View::new(&normed, channels), queries.reborrow());
        let q = queries.as_view().slice_columns(0..channels);
        let mine = queries.as_view().slice_columns(channels..3 * channels);
        let heads = Heads { count: 1, dim: channels };
        let out = ViewMut::new(&mut normed, channels);
        if run.rows.parts() == 1 {
            let [k, v] = halves(mine, channels);
            attention(heads, q, k, v, out, run.scratch);
        } else {
            let all = gather(mine, width, run)?;
            let [k, v] = halves(View::new(&all, 2 * channels), channels);
            attention(heads, q, k, v, out, run.scratch);
            run.scratch.give(all);
        }
        let mut projected = run.scratch.take(pixels * channels);
        let rows = ViewMut::new(&mut projected, channels);
        self.out.forward(View::new(&normed, channels), rows);
        for (row, values) in projected.chunks_exact(width * channels).enumerate() {
            add(x.row_mut(row), values);
        }
        [normed, qkv, projected].into_iter().for_each(|buffer| run.scratch.give(buffer));
        Ok(x)
    }
}

/// Keys and values that lie side by side.
fn halves(both: View<'_>, channels: usize) -> [View<'_>; 2] {
    [both.slice_columns(0..channels), both.slice_columns(channels..2 * channels)]
}

/// The pixels of all members in order of rows.
fn gather(mine: View<'_>, width: usize, run: &mut Run<'_>) -> Result<Vec<f32>> {
    let columns = mine.columns();
    let mut packed = run.scratch.take(mine.height() * columns);
    for (row, out) in mine.iter().zip(packed.chunks_exact_mut(columns)) {
        out.copy_from_slice(row);
    }
    let mut all = run.scratch.take(run.rows.total() * width * columns);
    let counts = run.rows.counts(width * columns);
    run.exchange.all_gather(&packed, &counts, &mut all).map_err(KernelError::Exchange)?;
    run.scratch.give(packed);
    Ok(all)
}

/// The factors of a norm, stored with as many axes of length 1 as pixels have.
pub(super) fn gamma(
    loader: &mut Loader<'_>,
    name: &str,
    channels: usize,
    axes: usize,
) -> Result<Vec<f32>> {
    let shape = [channels, 1, 1, 1];
    loader.values(&format!("{name}.gamma"), crate::tensor::Shape::new(&shape[..=axes]))
}

/// A convolution whose weights are `[outputs, inputs, frames, rows, columns]`.
pub(super) fn conv(
    loader: &mut Loader<'_>,
    name: &str,
    [inputs, outputs]: [usize; 2],
    kernel: [usize; 3],
) -> Result<Conv> {
    let [t, h, w] = kernel;
    let weight = loader.values(&format!("{name}.weight"), [outputs, inputs, t, h, w])?;
    let bias = loader.values(&format!("{name}.bias"), [outputs])?;
    Ok(Conv::new(inputs, kernel, &weight, bias))
}

/// The same with a history of its own.
pub(super) fn causal(
    loader: &mut Loader<'_>,
    name: &str,
    channels: [usize; 2],
    kernel: [usize; 3],
    histories: &mut usize,
) -> Result<Causal> {
    let conv = conv(loader, name, channels, kernel)?;
    let history = *histories;
    *histories += 1;
    Ok(Causal { conv, history })
}
