//! Text encoders: from tokens to what a transformer attends to.
//!
//! Two families, as published models use them: Qwen2.5's language model (Qwen-Image) and the encoder of UMT5 (Wan). Owns
//! arithmetic and tokenizers. A text is encoded by one rank, without padding: where pipelines pad and mask, the
//! masked tokens change nothing for the real ones, so they are left out here. What a transformer attends to beyond
//! them ([`Config::pad`]) the pipeline adds. Invariant: the result hangs on tokens and weights alone.

mod bias;
mod block;
mod config;
mod list;
mod memory;
mod token;

pub use bias::{BUCKETS, bucket};
pub use config::{Config, Family};
pub use token::{HashTokens, Tokenizer, random_tokens};

use crate::cpu::Scratch;
use crate::cpu::norm::rms_norm;
use crate::cpu::rope::RopeTable;
use crate::error::{KernelError, Result};
use crate::model::weights::{Loader, WeightSource};
use crate::tensor::{DType, Tensor};
use crate::view::ViewMut;
use bias::DistanceBias;
use block::Block;
use half::bf16;
use half::slice::HalfFloatSliceExt;

/// Added under the root of every norm.
const EPSILON: f32 = 1e-6;
/// Base of the rotary frequencies of Qwen2.5.
const BASE: f64 = 1_000_000.0;

/// A text encoder with its weights.
///
/// ```
/// use flexdit_kernels::DType;
/// use flexdit_kernels::cpu::Scratch;
/// use flexdit_kernels::model::Seeded;
/// use flexdit_kernels::text::{Config, Encoder, HashTokens};
/// let config = Config::preset("tiny-video").expect("listed");
/// let tokens = HashTokens::new(config.vocabulary).tokens("A fox in the snow.", 64);
/// let encoder = Encoder::load(&config, &mut Seeded::new(1), DType::F32)?;
/// let text = encoder.encode(&tokens, &mut Scratch::default())?;
/// assert_eq!(text.shape().axes(), [7, 64]);
/// # Ok::<(), flexdit_kernels::KernelError>(())
/// ```
#[derive(Debug)]
pub struct Encoder {
    config: Config,
    /// `[vocabulary, hidden]`.
    table: Table,
    blocks: Vec<Block>,
    norm: Vec<f32>,
}

#[derive(Debug)]
enum Table {
    F32(Vec<f32>),
    Bf16(Vec<bf16>),
}

/// What all blocks need to know of the tokens' places.
#[derive(Debug)]
enum Places {
    /// Angles of the rotary embedding.
    Rotary(RopeTable),
    /// Distances; what they add differs from layer to layer.
    Distances(usize),
}

impl Encoder {
    /// The encoder with weights from `source`, its matrices kept as `storage`.
    ///
    /// # Errors
    /// As [`Config::check`]; whatever the source says of a missing or misshapen tensor.
    pub fn load(config: &Config, source: &mut dyn WeightSource, storage: DType) -> Result<Self> {
        config.check()?;
        let mut loader = Loader::new(source, storage);
        let (table, blocks, norm) = match config.family {
            Family::Decoder => ("model.embed_tokens.weight", "model.layers", "model.norm.weight"),
            Family::T5 => ("shared.weight", "encoder.block", "encoder.final_layer_norm.weight"),
        };
        let table = loader.values(table, [config.vocabulary, config.hidden])?;
        let table = match storage {
            DType::F32 => Table::F32(table),
            DType::Bf16 => Table::Bf16(table.into_iter().map(bf16::from_f32).collect()),
        };
        let load =
            |layer: usize| Block::load(config, &mut loader.below(&format!("{blocks}.{layer}")));
        let blocks = (0..config.layers).map(load).collect::<Result<_>>()?;
        let norm = loader.values(norm, [config.hidden])?;
        Ok(Self { config: config.clone(), table, blocks, norm })
    }

    /// Its configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Bytes of its weights.
    pub fn bytes(&self) -> usize {
        let table = match &self.table {
            Table::F32(table) => size_of_val(&table[..]),
            Table::Bf16(table) => size_of_val(&table[..]),
        };
        let blocks: usize = self.blocks.iter().map(Block::bytes).sum();
        table + blocks + size_of_val(&self.norm[..])
    }

    /// The embeddings `[tokens, hidden]` of a text, without those of the template's begin.
    ///
    /// # Errors
    /// [`KernelError::Tokens`] if nothing is left after the template's begin; [`KernelError::Token`] for a token that is
    /// not in the vocabulary.
    pub fn encode(&self, tokens: &[u32], scratch: &mut Scratch) -> Result<Tensor> {
        let (skip, hidden) = (self.config.skip, self.config.hidden);
        if tokens.len() <= skip {
            let (got, least) = (tokens.len(), skip + 1);
            return Err(KernelError::Tokens { what: "text", got, least, most: usize::MAX });
        }
        let mut x = self.look_up(tokens)?;
        let places = match self.config.family {
            Family::Decoder => {
                let places = (0..tokens.len()).map(|token| [token as i32]);
                Places::Rotary(RopeTable::with_base(BASE, [self.config.head_dim], places))
            }
            Family::T5 => Places::Distances(tokens.len()),
        };
        for block in &self.blocks {
            block.apply(&self.config, &places, &mut x, scratch);
        }
        rms_norm(ViewMut::new(&mut x, hidden), &self.norm, EPSILON);
        let kept = x.split_off(skip * hidden);
        Tensor::new("text", [tokens.len() - skip, hidden], kept)
    }

    /// The rows of the table.
    fn look_up(&self, tokens: &[u32]) -> Result<Vec<f32>> {
        let hidden = self.config.hidden;
        let mut rows = vec![0.0; tokens.len() * hidden];
        for (token, row) in tokens.iter().zip(rows.chunks_exact_mut(hidden)) {
            let known = usize::try_from(*token).ok().filter(|id| *id < self.config.vocabulary);
            let vocabulary = self.config.vocabulary;
            let id = known.ok_or(KernelError::Token { id: *token, vocabulary })?;
            match &self.table {
                Table::F32(table) => row.copy_from_slice(&table[id * hidden..(id + 1) * hidden]),
                Table::Bf16(table) => {
                    table[id * hidden..(id + 1) * hidden].convert_to_f32_slice(row);
                }
            }
        }
        Ok(rows)
    }
}

#[cfg(test)]
mod tests;
