//! One layer of a text encoder: attention over the text, then a gated feed-forward layer, each added to its input.

use super::config::{Config, Family};
use super::{BUCKETS, DistanceBias, EPSILON, Places};
use crate::cpu::activation::{add, gelu, silu};
use crate::cpu::attention::Bias;
use crate::cpu::norm::rms_norm;
use crate::cpu::simd::vectorised;
use crate::cpu::{Heads, Linear, Online, Scratch};
use crate::error::Result;
use crate::model::weights::Loader;
use crate::view::{View, ViewMut};

/// A layer's weights.
#[derive(Debug)]
pub(super) struct Block {
    norms: [Vec<f32>; 2],
    /// Queries, keys, values, output.
    attention: [Linear; 4],
    /// T5's numbers by bucket of distance, `[buckets, heads]`; empty otherwise.
    bias: Vec<f32>,
    /// The gated part, the other factor, the way back.
    feed_forward: [Linear; 3],
}

impl Block {
    /// The layer below the loader's prefix.
    pub(super) fn load(config: &Config, loader: &mut Loader<'_>) -> Result<Self> {
        match config.family {
            Family::Decoder => Self::decoder(config, loader),
            Family::T5 => Self::t5(config, loader),
        }
    }

    fn decoder(config: &Config, loader: &mut Loader<'_>) -> Result<Self> {
        let (d, dim) = (config.hidden, config.head_dim);
        let (all, some) = (config.heads * dim, config.kv_heads * dim);
        let norms = [
            loader.values("input_layernorm.weight", [d])?,
            loader.values("post_attention_layernorm.weight", [d])?,
        ];
        // The published layout turns element i with element i + dim/2 of a head; here neighbours turn together.
        let order = |heads: usize| -> Vec<usize> {
            let head = |head: usize| {
                (0..dim / 2).flat_map(move |i| [0, dim / 2].map(|half| head * dim + half + i))
            };
            (0..heads).flat_map(head).collect()
        };
        let attention = [
            loader.linear("self_attn.q_proj", d, all)?.reordered(&order(config.heads)),
            loader.linear("self_attn.k_proj", d, some)?.reordered(&order(config.kv_heads)),
            loader.linear("self_attn.v_proj", d, some)?,
            loader.plain_linear("self_attn.o_proj", all, d)?,
        ];
        let feed_forward = [
            loader.plain_linear("mlp.gate_proj", d, config.ffn)?,
            loader.plain_linear("mlp.up_proj", d, config.ffn)?,
            loader.plain_linear("mlp.down_proj", config.ffn, d)?,
        ];
        Ok(Self { norms, attention, bias: Vec::new(), feed_forward })
    }

    fn t5(config: &Config, loader: &mut Loader<'_>) -> Result<Self> {
        let (d, all) = (config.hidden, config.heads * config.head_dim);
        let norms = [
            loader.values("layer.0.layer_norm.weight", [d])?,
            loader.values("layer.1.layer_norm.weight", [d])?,
        ];
        let mut first = loader.below("layer.0.SelfAttention");
        let attention = [
            first.plain_linear("q", d, all)?,
            first.plain_linear("k", d, all)?,
            first.plain_linear("v", d, all)?,
            first.plain_linear("o", all, d)?,
        ];
        let bias = first.values("relative_attention_bias.weight", [BUCKETS, config.heads])?;
        let mut second = loader.below("layer.1.DenseReluDense");
        let feed_forward = [
            second.plain_linear("wi_0", d, config.ffn)?,
            second.plain_linear("wi_1", d, config.ffn)?,
            second.plain_linear("wo", config.ffn, d)?,
        ];
        Ok(Self { norms, attention, bias, feed_forward })
    }

    /// Bytes of weights.
    pub(super) fn bytes(&self) -> usize {
        let layers = self.attention.iter().chain(&self.feed_forward);
        let vectors = self.norms.iter().chain([&self.bias]);
        layers.map(Linear::bytes).sum::<usize>()
            + vectors.map(|vector| size_of_val(&vector[..])).sum::<usize>()
    }

    /// Applies the layer to `x` `[tokens, hidden]`.
    pub(super) fn apply(
        &self,
        config: &Config,
        places: &Places,
        x: &mut [f32],
        scratch: &mut Scratch,
    ) {
        let mut normed = scratch.take(x.len());
        normed.copy_from_slice(x);
        rms_norm(ViewMut::new(&mut normed, config.hidden), &self.norms[0], EPSILON);
        let attended = self.attend(config, places, &normed, scratch);
        add(x, &attended);
        scratch.give(attended);

        normed.copy_from_slice(x);
        rms_norm(ViewMut::new(&mut normed, config.hidden), &self.norms[1], EPSILON);
        let [gated, factor, back] = &self.feed_forward;
        let mut gate = run(gated, &normed, scratch);
        match config.family {
            Family::Decoder => silu(&mut gate),
            Family::T5 => gelu(&mut gate),
        }
        let other = run(factor, &normed, scratch);
        multiply(&mut gate, &other);
        let out = run(back, &gate, scratch);
        add(x, &out);
        [normed, gate, other, out].into_iter().for_each(|buffer| scratch.give(buffer));
    }

    fn attend(
        &self,
        config: &Config,
        places: &Places,
        x: &[f32],
        scratch: &mut Scratch,
    ) -> Vec<f32> {
        let heads = Heads { count: config.heads, dim: config.head_dim };
        let [mut q, mut k, v] = [0, 1, 2].map(|i| run(&self.attention[i], x, scratch));
        let widths = [heads.width(), config.kv_heads * heads.dim];
        if let Places::Rotary(table) = places {
            table.apply(ViewMut::new(&mut q, widths[0]), 0);
            table.apply(ViewMut::new(&mut k, widths[1]), 0);
        }
        let k = shared(k, config, scratch);
        let v = shared(v, config, scratch);
        let mut out = scratch.take(q.len());
        let mut online = Online::new(heads, ViewMut::new(&mut out, widths[0]));
        let views = [&q, &k, &v].map(|x| View::new(x, widths[0]));
        match places {
            Places::Rotary(_) => {
                let causal = |_: usize, query: usize, first: usize, scores: &mut [f32]| {
                    let seen = (query + 1).saturating_sub(first).min(scores.len());
                    scores[seen..].fill(f32::NEG_INFINITY);
                };
                online.add(views[0], views[1], views[2], Some(&causal), scratch);
            }
            Places::Distances(tokens) => {
                let bias = DistanceBias::new(&self.bias, config.heads, *tokens);
                let bias: Bias<'_> =
                    &|head, query, first, scores| bias.add(head, query, first, scores);
                online = online.scaled_by(1.0);
                online.add(views[0], views[1], views[2], Some(bias), scratch);
            }
        }
        online.finish();
        let result = run(&self.attention[3], &out, scratch);
        [q, k, v, out].into_iter().for_each(|buffer| scratch.give(buffer));
        result
    }
}

/// Keys or values with each head as often as heads of queries share it.
fn shared(x: Vec<f32>, config: &Config, scratch: &mut Scratch) -> Vec<f32> {
    let times = config.heads / config.kv_heads;
    if times == 1 {
        return x;
    }
    let dim = config.head_dim;
    let mut all = scratch.take(x.len() * times);
    for (head, copies) in x.chunks_exact(dim).zip(all.chunks_exact_mut(dim * times)) {
        copies.chunks_exact_mut(dim).for_each(|copy| copy.copy_from_slice(head));
    }
    scratch.give(x);
    all
}

/// A linear layer into a buffer that is given back later.
fn run(layer: &Linear, x: &[f32], scratch: &mut Scratch) -> Vec<f32> {
    let x = View::new(x, layer.inputs());
    let mut out = scratch.take(x.height() * layer.outputs());
    layer.forward(x, ViewMut::new(&mut out, layer.outputs()));
    out
}

/// `x *= y`.
fn multiply(x: &mut [f32], y: &[f32]) {
    vectorised(
        #[inline(always)]
        || x.iter_mut().zip(y).for_each(|(x, y)| *x *= y),
    );
}
