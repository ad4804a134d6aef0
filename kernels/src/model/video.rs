//! The cross-attention video family: one stream of latent tokens that attends to itself, then to the text.
//!
//! # Source
//! The published architecture of Wan: modulation from a table plus the timestep, norms of queries and keys over all heads
//! together, rotary positions by frame, row and column from zero, no modulation around the cross-attention.
//!
//! Text keys and values are computed by every rank for all heads: the cross-attention then needs no exchange.

use crate::cpu::activation::gelu;
use crate::cpu::embed::{FREQUENCIES, modulation, perceptron, sinusoid};
use crate::cpu::norm::{layer_norm, rms_norm};
use crate::cpu::rope::RopeTable;
use crate::cpu::{Heads, Linear, Scratch, attention};
use crate::error::Result;
use crate::model::block::{
    EPSILON, FeedForward, Modulation, Projections, add_projected, plus_one, take_three,
};
use crate::model::config::Config;
use crate::model::parallel::Parallel;
use crate::model::weights::{Loader, WeightSource};
use crate::model::{Input, positions, rope};
use crate::tensor::DType;
use crate::view::{View, ViewMut};

/// The weights of the whole transformer.
#[derive(Debug)]
pub(super) struct Video {
    patch_in: Linear,
    time: [Linear; 2],
    time_out: Linear,
    text: [Linear; 2],
    blocks: Vec<Block>,
    /// Shift, then scale.
    out_table: Vec<f32>,
    out: Linear,
}

#[derive(Debug)]
struct Block {
    table: Vec<f32>,
    own: Attention,
    cross_norm: [Vec<f32>; 2],
    cross: Attention,
    feed_forward: FeedForward,
}

#[derive(Debug)]
struct Attention {
    projections: Projections,
    norms: [Vec<f32>; 2],
    out: Linear,
}

/// A sequence as one rank sees it.
struct Sequence<'a> {
    heads: Heads,
    /// Tokens on all ranks.
    length: usize,
    table: RopeTable,
    /// The whole text, embedded.
    text: View<'a>,
}

impl Video {
    pub(super) fn load(
        config: &Config,
        source: &mut dyn WeightSource,
        storage: DType,
    ) -> Result<Self> {
        let d = config.hidden();
        let mut loader = Loader::new(source, storage);
        let [t, h, w] = config.patch;
        let patch_in = loader.linear_of("patch_embedding", [d, config.channels, t, h, w])?;
        let mut condition = loader.below("condition_embedder");
        let mut time = condition.below("time_embedder");
        let time = [time.linear("linear_1", FREQUENCIES, d)?, time.linear("linear_2", d, d)?];
        let time_out = condition.linear("time_proj", d, 6 * d)?;
        let mut text = condition.below("text_embedder");
        let text = [text.linear("linear_1", config.text_dim, d)?, text.linear("linear_2", d, d)?];
        let block = |layer| Block::load(&mut loader.below(&format!("blocks.{layer}")), config);
        let blocks = (0..config.layers).map(block).collect::<Result<_>>()?;
        let out_table = loader.values("scale_shift_table", [1, 2, d])?;
        // Stored with channels last, used with channels first, as tokens are.
        let out = loader.linear("proj_out", d, config.width())?;
        let out = out.reordered(&channels_first(config));
        Ok(Self { patch_in, time, time_out, text, blocks, out_table, out })
    }

    pub(super) fn predict(
        &self,
        config: &Config,
        input: Input<'_>,
        parallel: &mut Parallel<'_>,
        scratch: &mut Scratch,
    ) -> Result<Vec<f32>> {
        let (d, rows) = (config.hidden(), input.tokens.height());
        let time = perceptron(&sinusoid(input.timestep, FREQUENCIES), &self.time[0], &self.time[1]);
        let vectors = modulation(&time, &self.time_out);
        let mut text = self.text[0].apply(input.text);
        gelu(&mut text);
        let text = self.text[1].apply(View::new(&text, d));
        let length = input.grid.iter().product();
        let sequence = Sequence {
            heads: Heads { count: config.heads, dim: config.head_dim },
            length,
            table: rope(config, positions(input.grid, parallel.shard(length), [0, 0])),
            text: View::new(&text, d),
        };
        let mut x = scratch.take(rows * d);
        self.patch_in.forward(input.tokens, ViewMut::new(&mut x, d));
        for block in &self.blocks {
            block.forward(&mut x, &vectors, &sequence, parallel, scratch)?;
        }
        let table = self.out_table.chunks_exact(d);
        let mut vectors = table.map(|row| row.iter().zip(&time).map(|(a, b)| a + b).collect());
        let (shift, scale): (Vec<f32>, Vec<f32>) =
            (vectors.next().unwrap_or_default(), vectors.next().unwrap_or_default());
        let mut normed = scratch.take(rows * d);
        let (whole, out) = (View::new(&x, d), ViewMut::new(&mut normed, d));
        layer_norm(whole, EPSILON, &plus_one(&scale), &shift, out);
        let velocity = self.out.apply(View::new(&normed, d));
        scratch.give(normed);
        scratch.give(x);
        Ok(velocity)
    }
}

/// For each element of a token, channels first, its place in a token with channels last.
fn channels_first(config: &Config) -> Vec<usize> {
    let area: usize = config.patch.iter().product();
    let places = (0..config.channels).flat_map(|c| (0..area).map(move |p| (c, p)));
    places.map(|(channel, place)| place * config.channels + channel).collect()
}

impl Block {
    fn load(loader: &mut Loader<'_>, config: &Config) -> Result<Self> {
        let d = config.hidden();
        let table = loader.values("scale_shift_table", [1, 6, d])?;
        let own = Attention::load(&mut loader.below("attn1"), d)?;
        let cross_norm = [loader.values("norm2.weight", [d])?, loader.values("norm2.bias", [d])?];
        let cross = Attention::load(&mut loader.below("attn2"), d)?;
        let feed_forward = FeedForward::load(&mut loader.below("ffn"), d, config.ffn)?;
        Ok(Self { table, own, cross_norm, cross, feed_forward })
    }

    fn forward(
        &self,
        x: &mut [f32],
        vectors: &[f32],
        sequence: &Sequence<'_>,
        parallel: &mut Parallel<'_>,
        scratch: &mut Scratch,
    ) -> Result<()> {
        let d = sequence.heads.width();
        let vectors: Vec<f32> = self.table.iter().zip(vectors).map(|(a, b)| a + b).collect();
        let [first, second] = Modulation::halves(&vectors);
        let mut normed = scratch.take(x.len());
        let mut attended = scratch.take(x.len());

        first.apply(View::new(x, d), ViewMut::new(&mut normed, d));
        let mut qkv = take_three(x.len(), scratch);
        self.own.projections.forward(View::new(&normed, d), &mut qkv, 0..normed.len() / d);
        for (norm, buffer) in self.own.norms.iter().zip(&mut qkv) {
            rms_norm(ViewMut::new(buffer, d), norm, EPSILON);
            sequence.table.apply(ViewMut::new(buffer, d), 0);
        }
        let views = [0, 1, 2].map(|i| View::new(&qkv[i], d));
        let out = ViewMut::new(&mut attended, d);
        parallel.attention(sequence.heads, &[sequence.length], views, out, scratch)?;
        let y = View::new(&attended, d);
        add_projected(ViewMut::new(x, d), &first.gate, &self.own.out, y, scratch);

        let [weight, bias] = &self.cross_norm;
        layer_norm(View::new(x, d), EPSILON, weight, bias, ViewMut::new(&mut normed, d));
        self.cross.attend(&normed, sequence, &mut qkv, &mut attended, scratch);
        let y = View::new(&attended, d);
        add_projected(ViewMut::new(x, d), &vec![1.0; d], &self.cross.out, y, scratch);

        self.feed_forward.add(ViewMut::new(x, d), &second, scratch);
        qkv.into_iter().chain([normed, attended]).for_each(|buffer| scratch.give(buffer));
        Ok(())
    }
}

impl Attention {
    fn load(loader: &mut Loader<'_>, width: usize) -> Result<Self> {
        let projections = Projections::load(loader, ["to_q", "to_k", "to_v"], width)?;
        let mut norm = |name: &str| loader.values(name, [width]);
        let norms = [norm("norm_q.weight")?, norm("norm_k.weight")?];
        Ok(Self { projections, norms, out: loader.linear("to_out.0", width, width)? })
    }

    /// Attention of rows `x` to the text, into `out`; `spare` holds queries, keys and values.
    fn attend(
        &self,
        x: &[f32],
        sequence: &Sequence<'_>,
        spare: &mut [Vec<f32>; 3],
        out: &mut [f32],
        scratch: &mut Scratch,
    ) {
        let (heads, text) = (sequence.heads, sequence.text);
        let d = heads.width();
        let sources = [View::new(x, d), text, text];
        for (index, (buffer, source)) in spare.iter_mut().zip(sources).enumerate() {
            buffer.resize(source.height() * d, 0.0);
            self.projections.layer(index).forward(source, ViewMut::new(buffer, d));
            if let Some(norm) = self.norms.get(index) {
                rms_norm(ViewMut::new(buffer, d), norm, EPSILON);
            }
        }
        let [q, k, v] = [0, 1, 2].map(|i| View::new(&spare[i], d));
        attention(heads, q, k, v, ViewMut::new(out, d), scratch);
    }
}
