//! What blocks of both families have in common: modulation, the feed-forward layers, a norm into a layer.

use crate::cpu::activation::{add_gated, gelu};
use crate::cpu::norm::layer_norm;
use crate::cpu::{Linear, Scratch};
use crate::error::Result;
use crate::model::weights::Loader;
use crate::view::{View, ViewMut};
use std::ops::Range;

/// Under the root of every norm.
pub(super) const EPSILON: f32 = 1e-6;

/// Rows that the feed-forward layers take at a time, so that their inner activations stay small.
pub(super) const ROWS: usize = 1024;

/// Shift, factor (1 + scale) and gate of one half of a block, for all tokens.
#[derive(Clone, Debug)]
pub(super) struct Modulation {
    pub shift: Vec<f32>,
    pub factor: Vec<f32>,
    pub gate: Vec<f32>,
}

impl Modulation {
    /// Two halves from six vectors one after the other: shift, scale, gate of the first, then of the second.
    pub(super) fn halves(vectors: &[f32]) -> [Self; 2] {
        let width = vectors.len() / 6;
        [0, 3].map(|first| {
            let part =
                |index: usize| &vectors[(first + index) * width..(first + index + 1) * width];
            Self { shift: part(0).to_vec(), factor: plus_one(part(1)), gate: part(2).to_vec() }
        })
    }

    /// Normalised, scaled and shifted rows.
    pub(super) fn apply(&self, x: View<'_>, out: ViewMut<'_>) {
        layer_norm(x, EPSILON, &self.factor, &self.shift, out);
    }
}

/// A scale as a factor.
pub(super) fn plus_one(scale: &[f32]) -> Vec<f32> {
    scale.iter().map(|scale| 1.0 + scale).collect()
}

/// Queries, keys and values of a stream.
#[derive(Debug)]
pub(super) struct Projections {
    layers: [Linear; 3],
}

impl Projections {
    pub(super) fn load(loader: &mut Loader<'_>, names: [&str; 3], width: usize) -> Result<Self> {
        let [q, k, v] = names;
        let mut layer = |name: &str| loader.linear(name, width, width);
        Ok(Self { layers: [layer(q)?, layer(k)?, layer(v)?] })
    }

    /// Writes queries, keys and values of rows `x` to the rows `at` of three buffers.
    pub(super) fn forward(&self, x: View<'_>, to: &mut [Vec<f32>; 3], at: Range<usize>) {
        for (layer, buffer) in self.layers.iter().zip(to) {
            layer.forward(x, ViewMut::new(buffer, layer.outputs()).rows(at.clone()));
        }
    }

    /// The layer of queries, of keys or of values.
    pub(super) fn layer(&self, index: usize) -> &Linear {
        &self.layers[index]
    }
}

/// Linear, GELU, linear.
#[derive(Debug)]
pub(super) struct FeedForward {
    first: Linear,
    second: Linear,
}

impl FeedForward {
    pub(super) fn load(loader: &mut Loader<'_>, width: usize, inner: usize) -> Result<Self> {
        let first = loader.linear("net.0.proj", width, inner)?;
        Ok(Self { first, second: loader.linear("net.2", inner, width)? })
    }

    /// The second half of a block: `x += gate * feed_forward(modulated norm of x)`.
    pub(super) fn add(&self, mut x: ViewMut<'_>, modulation: &Modulation, scratch: &mut Scratch) {
        let (width, height) = (x.columns(), x.height());
        let most = ROWS.min(height);
        let mut normed = scratch.take(most * width);
        let mut inner = scratch.take(most * self.first.outputs());
        for first in (0..height).step_by(ROWS) {
            let count = ROWS.min(height - first);
            let mut rows = x.reborrow().rows(first..first + count);
            let normed = &mut normed[..count * width];
            let inner = &mut inner[..count * self.first.outputs()];
            modulation.apply(rows.as_view(), ViewMut::new(normed, width));
            self.first.forward(View::new(normed, width), ViewMut::new(inner, self.first.outputs()));
            gelu(inner);
            self.second
                .forward(View::new(inner, self.first.outputs()), ViewMut::new(normed, width));
            add_gated(rows.reborrow(), &modulation.gate, View::new(normed, width));
        }
        scratch.give(normed);
        scratch.give(inner);
    }
}

/// `x += gate * layer(y)`.
pub(super) fn add_projected(
    x: ViewMut<'_>,
    gate: &[f32],
    layer: &Linear,
    y: View<'_>,
    scratch: &mut Scratch,
) {
    let mut projected = scratch.take(y.height() * layer.outputs());
    layer.forward(y, ViewMut::new(&mut projected, layer.outputs()));
    add_gated(x, gate, View::new(&projected, layer.outputs()));
    scratch.give(projected);
}

/// Three buffers of `length`.
pub(super) fn take_three(length: usize, scratch: &mut Scratch) -> [Vec<f32>; 3] {
    [0; 3].map(|_| scratch.take(length))
}
