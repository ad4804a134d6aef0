//! The cross-attention video transformer, written out once more from the architecture, on one rank.

use super::model::{Given, Names, modulated, sequence_positions, split_six};
use super::number::Bounded;
use super::ops::{self, Matrix};
use crate::cpu::Heads;
use crate::error::Result;
use crate::model::{Config, WeightSource};

/// The prediction for a whole sequence, with bounds.
///
/// # Errors
/// As the source.
pub fn predict(config: &Config, source: &mut dyn WeightSource, input: Given<'_>) -> Result<Matrix> {
    let d = config.hidden();
    let mut names = Names(source);
    let time = ops::sinusoid(input.timestep, 256);
    let time = names.linear("condition_embedder.time_embedder.linear_1", &time, d)?.map(ops::silu);
    let time = names.linear("condition_embedder.time_embedder.linear_2", &time, d)?;
    let vectors = names.linear("condition_embedder.time_proj", &time.map(ops::silu), 6 * d)?;
    let text = Matrix::exact(input.text);
    let text = names.linear("condition_embedder.text_embedder.linear_1", &text, d)?.map(ops::gelu);
    let text = names.linear("condition_embedder.text_embedder.linear_2", &text, d)?;

    let [t, h, w] = config.patch;
    let kernel = [d, config.channels, t, h, w];
    let mut x = names.linear_of("patch_embedding", input.tokens, kernel)?;
    let positions = sequence_positions(input.grid, [0; 3]);
    let heads = Heads { count: config.heads, dim: config.head_dim };
    for layer in 0..config.layers {
        let block = format!("blocks.{layer}");
        let table = names.values(&format!("{block}.scale_shift_table"), [1, 6, d])?;
        let six = vectors.row(0).iter().zip(table).map(|(v, t)| *v + Bounded::from(t)).collect();
        let parts = split_six(&Matrix::from_rows(6 * d, [six]));

        let y = modulated(&x, &parts[0], &parts[1]);
        let mut turned = |name: &str, norm: &str| {
            let y = names.linear(&format!("{block}.attn1.{name}"), &y, d)?;
            let norm = names.values(&format!("{block}.attn1.{norm}.weight"), [d])?;
            Result::Ok(ops::rope(&ops::rms_norm(&y, &norm, 1e-6), &config.rope_axes(), &positions))
        };
        let (q, k) = (turned("to_q", "norm_q")?, turned("to_k", "norm_k")?);
        let v = names.linear(&format!("{block}.attn1.to_v"), &y, d)?;
        let y = ops::attention(heads, &q, &k, &v);
        let y = names.linear(&format!("{block}.attn1.to_out.0"), &y, d)?;
        x = ops::add_gated(&x, &parts[2], &y);

        let weight = names.numbers(&format!("{block}.norm2.weight"), d)?;
        let bias = names.numbers(&format!("{block}.norm2.bias"), d)?;
        let y = ops::layer_norm(&x, 1e-6, &weight, &bias);
        let mut normed = |name: &str, norm: &str, from: &Matrix| {
            let y = names.linear(&format!("{block}.attn2.{name}"), from, d)?;
            let norm = names.values(&format!("{block}.attn2.{norm}.weight"), [d])?;
            Result::Ok(ops::rms_norm(&y, &norm, 1e-6))
        };
        let (q, k) = (normed("to_q", "norm_q", &y)?, normed("to_k", "norm_k", &text)?);
        let v = names.linear(&format!("{block}.attn2.to_v"), &text, d)?;
        let y = ops::attention(heads, &q, &k, &v);
        let y = names.linear(&format!("{block}.attn2.to_out.0"), &y, d)?;
        x = ops::add(&x, &y);

        let y = modulated(&x, &parts[3], &parts[4]);
        let y = names.feed_forward(&format!("{block}.ffn"), &y, config.ffn, d)?;
        x = ops::add_gated(&x, &parts[5], &y);
    }
    let table = names.values("scale_shift_table", [1, 2, d])?;
    let add = |row: &[f32]| -> Vec<Bounded> {
        row.iter().zip(time.row(0)).map(|(t, v)| Bounded::from(*t) + *v).collect()
    };
    let y = modulated(&x, &add(&table[..d]), &add(&table[d..]));
    let y = names.linear("proj_out", &y, config.width())?;
    // From (frame, row, column, channel) inside a token to (channel, frame, row, column).
    let area = t * h * w;
    let rows = y.rows().map(|row| {
        let channel = |c: usize| (0..area).map(move |place| row[place * config.channels + c]);
        (0..config.channels).flat_map(channel).collect()
    });
    Ok(Matrix::from_rows(config.width(), rows))
}
