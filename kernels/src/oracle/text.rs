//! The text encoders, written out once more from their architectures.

use super::model::Names;
use super::number::Bounded;
use super::ops::{self, Matrix};
use crate::cpu::Heads;
use crate::error::Result;
use crate::model::WeightSource;
use crate::text::{BUCKETS, Config, Family, bucket};
use crate::view::View;

/// The embeddings of a text, with bounds.
///
/// # Errors
/// As the source.
pub fn encode(config: &Config, source: &mut dyn WeightSource, tokens: &[u32]) -> Result<Matrix> {
    let mut oracle = Oracle { names: Names(source), config };
    let (table, last) = match config.family {
        Family::Decoder => ("model.embed_tokens.weight", "model.norm"),
        Family::T5 => ("shared.weight", "encoder.final_layer_norm"),
    };
    let table = oracle.names.values(table, [config.vocabulary, config.hidden])?;
    let rows = tokens.iter().map(|token| {
        let first = *token as usize * config.hidden;
        table[first..first + config.hidden].iter().map(|x| Bounded::from(*x)).collect()
    });
    let mut x = Matrix::from_rows(config.hidden, rows);
    for layer in 0..config.layers {
        let fed = match config.family {
            Family::Decoder => {
                let block = format!("model.layers.{layer}");
                x = ops::add(&x, &oracle.decoder_attention(&block, &x)?);
                let y = oracle.norm(&format!("{block}.post_attention_layernorm"), &x)?;
                let gate = oracle.linear(&format!("{block}.mlp.gate_proj"), &y, config.ffn)?;
                let factor = oracle.linear(&format!("{block}.mlp.up_proj"), &y, config.ffn)?;
                let y = multiply(&gate.map(ops::silu), &factor);
                oracle.linear(&format!("{block}.mlp.down_proj"), &y, config.hidden)?
            }
            Family::T5 => {
                let block = format!("encoder.block.{layer}.layer");
                x = ops::add(&x, &oracle.t5_attention(&block, &x)?);
                let y = oracle.norm(&format!("{block}.1.layer_norm"), &x)?;
                let dense = format!("{block}.1.DenseReluDense");
                let gate = oracle.linear(&format!("{dense}.wi_0"), &y, config.ffn)?;
                let factor = oracle.linear(&format!("{dense}.wi_1"), &y, config.ffn)?;
                let y = multiply(&gate.map(ops::gelu), &factor);
                oracle.linear(&format!("{dense}.wo"), &y, config.hidden)?
            }
        };
        x = ops::add(&x, &fed);
    }
    let x = oracle.norm(last, &x)?;
    Ok(x.split(config.skip).1)
}

struct Oracle<'a> {
    names: Names<'a>,
    config: &'a Config,
}

impl Oracle<'_> {
    fn norm(&mut self, name: &str, x: &Matrix) -> Result<Matrix> {
        let weight = self.names.values(&format!("{name}.weight"), [x.columns()])?;
        Ok(ops::rms_norm(x, &weight, 1e-6))
    }

    /// A linear layer without bias.
    fn linear(&mut self, name: &str, x: &Matrix, outputs: usize) -> Result<Matrix> {
        let weight = self.names.values(&format!("{name}.weight"), [outputs, x.columns()])?;
        Ok(ops::linear(x, View::new(&weight, x.columns()), None))
    }

    fn decoder_attention(&mut self, block: &str, x: &Matrix) -> Result<Matrix> {
        let config = self.config;
        let (all, some) = (config.heads * config.head_dim, config.kv_heads * config.head_dim);
        let y = self.norm(&format!("{block}.input_layernorm"), x)?;
        let attention = format!("{block}.self_attn");
        let q = self.names.linear(&format!("{attention}.q_proj"), &y, all)?;
        let k = self.names.linear(&format!("{attention}.k_proj"), &y, some)?;
        let v = self.names.linear(&format!("{attention}.v_proj"), &y, some)?;
        let (q, k) = (turned(&q, config.head_dim), turned(&k, config.head_dim));
        let heads = Heads { count: config.heads, dim: config.head_dim };
        let scale = Bounded::constant(1.0 / libm::sqrt(heads.dim as f64)).rounded(2);
        let times = config.heads / config.kv_heads;
        let y = attend(heads, times, scale, [&q, &k, &v], |_, query, key| {
            (key <= query).then_some(Bounded::from(0.0))
        });
        self.linear(&format!("{attention}.o_proj"), &y, config.hidden)
    }

    fn t5_attention(&mut self, block: &str, x: &Matrix) -> Result<Matrix> {
        let config = self.config;
        let heads = Heads { count: config.heads, dim: config.head_dim };
        let y = self.norm(&format!("{block}.0.layer_norm"), x)?;
        let attention = format!("{block}.0.SelfAttention");
        let q = self.linear(&format!("{attention}.q"), &y, heads.width())?;
        let k = self.linear(&format!("{attention}.k"), &y, heads.width())?;
        let v = self.linear(&format!("{attention}.v"), &y, heads.width())?;
        let name = format!("{attention}.relative_attention_bias.weight");
        let table = self.names.values(&name, [BUCKETS, config.heads])?;
        let y = attend(heads, 1, Bounded::from(1.0), [&q, &k, &v], |head, query, key| {
            let bucket = bucket(key as isize - query as isize);
            Some(Bounded::from(table[bucket * config.heads + head]))
        });
        self.linear(&format!("{attention}.o"), &y, config.hidden)
    }
}

/// Attention in which `extra` is added to a score, or nothing is attended to; `times` heads share keys and values.
fn attend(
    heads: Heads,
    times: usize,
    scale: Bounded,
    [q, k, v]: [&Matrix; 3],
    extra: impl Fn(usize, usize, usize) -> Option<Bounded>,
) -> Matrix {
    let dim = heads.dim;
    let rows = q.rows().enumerate().map(|(query, q)| {
        let head = |head: usize| {
            let (mine, theirs) = (head * dim, head / times * dim);
            let seen = (0..k.height()).filter_map(|key| Some((key, extra(head, query, key)?)));
            let seen: Vec<(usize, Bounded)> = seen.collect();
            let score = |(key, extra): &(usize, Bounded)| {
                let keys = k.row(*key)[theirs..theirs + dim].iter().copied();
                Bounded::dot(q[mine..mine + dim].iter().copied().zip(keys), 1) * scale + *extra
            };
            let scores: Vec<Bounded> = seen.iter().map(score).collect();
            let top = scores.iter().map(|s| s.value).fold(f64::NEG_INFINITY, f64::max);
            let span = scores.iter().map(|s| top - s.value).fold(0.0, f64::max);
            let weights: Vec<Bounded> = scores.iter().map(|s| s.weight(top, span, 1)).collect();
            let sum = Bounded::sum(weights.iter().copied(), 2);
            let column = |column: usize| {
                let values = seen.iter().map(|(key, _)| v.row(*key)[theirs + column]);
                (Bounded::dot(weights.iter().copied().zip(values), 2) / sum).rounded(2)
            };
            (0..dim).map(column).collect::<Vec<_>>()
        };
        (0..heads.count).flat_map(head).collect()
    });
    Matrix::from_rows(heads.width(), rows)
}

/// Every head turned by the token's position: element i with element i + dim/2, by base 1,000,000.
fn turned(x: &Matrix, dim: usize) -> Matrix {
    let half = dim / 2;
    let rows = x.rows().enumerate().map(|(position, row)| {
        let head = |head: &[Bounded]| -> Vec<Bounded> {
            let angle =
                |i: usize| position as f64 * libm::pow(1_000_000.0, -2.0 * i as f64 / dim as f64);
            let turn = |i: usize| {
                let [cos, sin] = [libm::cos(angle(i)), libm::sin(angle(i))].map(Bounded::constant);
                let (a, b) = (head[i], head[i + half]);
                [a * cos - b * sin, b * cos + a * sin]
            };
            let pairs: Vec<[Bounded; 2]> = (0..half).map(turn).collect();
            let part = |which: usize| pairs.iter().map(move |pair| pair[which]);
            part(0).chain(part(1)).collect()
        };
        row.chunks_exact(dim).flat_map(head).collect()
    });
    Matrix::from_rows(x.columns(), rows)
}

/// Element by element.
fn multiply(x: &Matrix, y: &Matrix) -> Matrix {
    let rows = x.rows().zip(y.rows()).map(|(x, y)| x.iter().zip(y).map(|(x, y)| *x * *y).collect());
    Matrix::from_rows(x.columns(), rows)
}
