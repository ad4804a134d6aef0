//! The dual-stream family: text and picture with weights of their own, attending jointly.
//!
//! # Source
//! The published architecture of Qwen-Image (MM-DiT): modulation per stream from the timestep, norms of queries and keys per
//! head, text before picture in the joint sequence, positions of the picture centred at zero and text on the diagonal
//! behind them.

use crate::cpu::embed::{FREQUENCIES, modulation, perceptron, sinusoid};
use crate::cpu::norm::{layer_norm, rms_norm};
use crate::cpu::rope::RopeTable;
use crate::cpu::{Heads, Linear, Scratch};
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
use std::ops::Range;

/// The weights of the whole transformer.
#[derive(Debug)]
pub(super) struct DualStream {
    time: [Linear; 2],
    text_norm: Vec<f32>,
    text_in: Linear,
    image_in: Linear,
    blocks: Vec<Block>,
    out_modulation: Linear,
    out: Linear,
}

/// The weights of one block: text first.
#[derive(Debug)]
struct Block {
    streams: [Stream; 2],
}

#[derive(Debug)]
struct Stream {
    modulation: Linear,
    projections: Projections,
    norms: [Vec<f32>; 2],
    out: Linear,
    feed_forward: FeedForward,
}

/// A joint sequence as one rank sees it: own text rows, then own picture rows.
struct Sequence {
    heads: Heads,
    /// Tokens of text and picture on all ranks.
    lengths: [usize; 2],
    /// Own rows of both.
    rows: [Range<usize>; 2],
    table: RopeTable,
}

impl DualStream {
    pub(super) fn load(
        config: &Config,
        source: &mut dyn WeightSource,
        storage: DType,
    ) -> Result<Self> {
        let (d, width) = (config.hidden(), config.width());
        let mut loader = Loader::new(source, storage);
        let mut time = loader.below("time_text_embed.timestep_embedder");
        let time = [time.linear("linear_1", FREQUENCIES, d)?, time.linear("linear_2", d, d)?];
        let text_norm = loader.values("txt_norm.weight", [config.text_dim])?;
        let image_in = loader.linear("img_in", width, d)?;
        let text_in = loader.linear("txt_in", config.text_dim, d)?;
        let block =
            |layer| Block::load(&mut loader.below(&format!("transformer_blocks.{layer}")), config);
        let blocks = (0..config.layers).map(block).collect::<Result<_>>()?;
        let out_modulation = loader.linear("norm_out.linear", d, 2 * d)?;
        let out = loader.linear("proj_out", d, width)?;
        Ok(Self { time, text_norm, text_in, image_in, blocks, out_modulation, out })
    }

    pub(super) fn predict(
        &self,
        config: &Config,
        input: Input<'_>,
        parallel: &mut Parallel<'_>,
        scratch: &mut Scratch,
    ) -> Result<Vec<f32>> {
        let d = config.hidden();
        let time = perceptron(&sinusoid(input.timestep, FREQUENCIES), &self.time[0], &self.time[1]);
        let sequence = Sequence::new(config, &input, parallel);
        let [text_rows, image_rows] = sequence.rows.clone();
        let mut x = scratch.take(image_rows.end * d);
        let mut text: Vec<f32> = input
            .text
            .rows(parallel.shard(input.text.height()))
            .iter()
            .flatten()
            .copied()
            .collect();
        rms_norm(ViewMut::new(&mut text, config.text_dim), &self.text_norm, EPSILON);
        self.text_in
            .forward(View::new(&text, config.text_dim), ViewMut::new(&mut x, d).rows(text_rows));
        self.image_in.forward(input.tokens, ViewMut::new(&mut x, d).rows(image_rows.clone()));
        for block in &self.blocks {
            block.forward(&mut x, &time, &sequence, parallel, scratch)?;
        }
        let vectors = modulation(&time, &self.out_modulation);
        let (scale, shift) = vectors.split_at(d);
        let image = View::new(&x, d).rows(image_rows.clone());
        let mut normed = scratch.take(image_rows.len() * d);
        layer_norm(image, EPSILON, &plus_one(scale), shift, ViewMut::new(&mut normed, d));
        let velocity = self.out.apply(View::new(&normed, d));
        scratch.give(normed);
        scratch.give(x);
        Ok(velocity)
    }
}

impl Sequence {
    fn new(config: &Config, input: &Input<'_>, parallel: &Parallel<'_>) -> Self {
        let lengths = [input.text.height(), input.grid.iter().product()];
        let [text, image] = lengths.map(|length| parallel.shard(length));
        let [_, rows, columns] = input.grid;
        // The picture lies around zero; text follows on the diagonal, beyond its corner.
        let behind = (rows / 2).max(columns / 2) as i32;
        let origin = [rows, columns].map(|side| -((side - side / 2) as i32));
        let places = text.clone().map(|token| [behind + token as i32; 3]);
        let places = places.chain(positions(input.grid, image.clone(), origin));
        let table = rope(config, places.collect::<Vec<_>>().into_iter());
        let rows = [0..text.len(), text.len()..text.len() + image.len()];
        let heads = Heads { count: config.heads, dim: config.head_dim };
        Self { heads, lengths, rows, table }
    }
}

impl Block {
    fn load(loader: &mut Loader<'_>, config: &Config) -> Result<Self> {
        let text = Stream::load(
            loader,
            config,
            "txt",
            [
                "add_q_proj",
                "add_k_proj",
                "add_v_proj",
                "norm_added_q",
                "norm_added_k",
                "to_add_out",
            ],
        )?;
        let names = ["to_q", "to_k", "to_v", "norm_q", "norm_k", "to_out.0"];
        Ok(Self { streams: [text, Stream::load(loader, config, "img", names)?] })
    }

    fn forward(
        &self,
        x: &mut [f32],
        time: &[f32],
        sequence: &Sequence,
        parallel: &mut Parallel<'_>,
        scratch: &mut Scratch,
    ) -> Result<()> {
        let d = sequence.heads.width();
        let modulations: [_; 2] = std::array::from_fn(|stream| {
            Modulation::halves(&modulation(time, &self.streams[stream].modulation))
        });
        let mut qkv = take_three(x.len(), scratch);
        for (stream, rows) in sequence.rows.iter().enumerate() {
            let weights = &self.streams[stream];
            let mut normed = scratch.take(rows.len() * d);
            let own = View::new(x, d).rows(rows.clone());
            modulations[stream][0].apply(own, ViewMut::new(&mut normed, d));
            weights.projections.forward(View::new(&normed, d), &mut qkv, rows.clone());
            scratch.give(normed);
            for (norm, buffer) in weights.norms.iter().zip(&mut qkv) {
                let part = &mut buffer[rows.start * d..rows.end * d];
                rms_norm(ViewMut::new(part, sequence.heads.dim), norm, EPSILON);
            }
        }
        for buffer in &mut qkv[..2] {
            sequence.table.apply(ViewMut::new(buffer, d), 0);
        }
        let mut attended = scratch.take(x.len());
        let views = [0, 1, 2].map(|i| View::new(&qkv[i], d));
        let out = ViewMut::new(&mut attended, d);
        parallel.attention(sequence.heads, &sequence.lengths, views, out, scratch)?;
        qkv.into_iter().for_each(|buffer| scratch.give(buffer));
        for (stream, rows) in sequence.rows.iter().enumerate() {
            let (weights, [first, second]) = (&self.streams[stream], &modulations[stream]);
            let y = View::new(&attended, d).rows(rows.clone());
            let own = ViewMut::new(x, d).rows(rows.clone());
            add_projected(own, &first.gate, &weights.out, y, scratch);
            let own = ViewMut::new(x, d).rows(rows.clone());
            weights.feed_forward.add(own, second, scratch);
        }
        scratch.give(attended);
        Ok(())
    }
}

impl Stream {
    /// `names`: projections to queries, keys and values, norms of queries and keys, projection of the result.
    fn load(
        loader: &mut Loader<'_>,
        config: &Config,
        stream: &str,
        [q, k, v, norm_q, norm_k, out]: [&str; 6],
    ) -> Result<Self> {
        let d = config.hidden();
        let modulation = loader.linear(&format!("{stream}_mod.1"), d, 6 * d)?;
        let feed_forward =
            FeedForward::load(&mut loader.below(&format!("{stream}_mlp")), d, config.ffn)?;
        let mut attention = loader.below("attn");
        let projections = Projections::load(&mut attention, [q, k, v], d)?;
        let mut norm = |name: &str| attention.values(&format!("{name}.weight"), [config.head_dim]);
        let norms = [norm(norm_q)?, norm(norm_k)?];
        let out = attention.linear(out, d, d)?;
        Ok(Self { modulation, projections, norms, out, feed_forward })
    }
}
