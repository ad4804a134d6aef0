//! The dual-stream transformer, written out once more from the architecture, on one rank.

use super::model::{Given, Names, modulated, sequence_positions, split_six};
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
    let time = names.linear("time_text_embed.timestep_embedder.linear_1", &time, d)?.map(ops::silu);
    let time = names.linear("time_text_embed.timestep_embedder.linear_2", &time, d)?;
    let norm = names.values("txt_norm.weight", [config.text_dim])?;
    let text = ops::rms_norm(&Matrix::exact(input.text), &norm, 1e-6);
    let mut text = names.linear("txt_in", &text, d)?;
    let mut image = names.linear("img_in", input.tokens, d)?;

    let [_, rows, columns] = input.grid;
    let behind = (rows / 2).max(columns / 2) as i32;
    let mut positions: Vec<Vec<i32>> =
        (0..text.height() as i32).map(|token| vec![behind + token; 3]).collect();
    let centre = [0, rows.div_ceil(2) as i32, columns.div_ceil(2) as i32];
    positions.extend(sequence_positions(input.grid, centre));

    let heads = Heads { count: config.heads, dim: config.head_dim };
    for layer in 0..config.layers {
        let block = format!("transformer_blocks.{layer}");
        let active = time.map(ops::silu);
        let text_parts = split_six(&names.linear(&format!("{block}.txt_mod.1"), &active, 6 * d)?);
        let image_parts =
            split_six(&names.linear(&format!("{block}.img_mod.1"), &active, 6 * d)?);
        let normed_text = modulated(&text, &text_parts[0], &text_parts[1]);
        let normed_image = modulated(&image, &image_parts[0], &image_parts[1]);
        let mut joint = |text_name: &str, image_name: &str, norms: Option<[&str; 2]>| {
            let name = |part: &str| format!("{block}.attn.{part}");
            let mut text = names.linear(&name(text_name), &normed_text, d)?;
            let mut image = names.linear(&name(image_name), &normed_image, d)?;
            if let Some(norms) = norms {
                text = names.head_norm(&name(norms[0]), &text, heads.dim)?;
                image = names.head_norm(&name(norms[1]), &image, heads.dim)?;
                let both = text.above(&image);
                return Ok(ops::rope(&both, &config.rope_axes(), &positions));
            }
            Result::Ok(text.above(&image))
        };
        let q = joint("add_q_proj", "to_q", Some(["norm_added_q", "norm_q"]))?;
        let k = joint("add_k_proj", "to_k", Some(["norm_added_k", "norm_k"]))?;
        let v = joint("add_v_proj", "to_v", None)?;
        let (text_out, image_out) = ops::attention(heads, &q, &k, &v).split(text.height());
        let text_out = names.linear(&format!("{block}.attn.to_add_out"), &text_out, d)?;
        let image_out = names.linear(&format!("{block}.attn.to_out.0"), &image_out, d)?;
        text = ops::add_gated(&text, &text_parts[2], &text_out);
        image = ops::add_gated(&image, &image_parts[2], &image_out);
        for (stream, x, parts) in
            [("txt", &mut text, &text_parts), ("img", &mut image, &image_parts)]
        {
            let y = modulated(x, &parts[3], &parts[4]);
            let y = names.feed_forward(&format!("{block}.{stream}_mlp"), &y, config.ffn, d)?;
            *x = ops::add_gated(x, &parts[5], &y);
        }
    }
    let last = names.linear("norm_out.linear", &time.map(ops::silu), 2 * d)?;
    let (scale, shift) = last.row(0).split_at(d);
    let image = modulated(&image, shift, scale);
    names.linear("proj_out", &image, config.width())
}
