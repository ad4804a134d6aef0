//! Names and shapes of all tensors of a model, without making any: parameter counts and memory of the largest models come
//! from here. A test holds it against what loading asks for.

use crate::cpu::embed::FREQUENCIES;
use crate::model::config::{Config, Family};
use crate::model::weights::TensorSpec;
use crate::tensor::Shape;

/// All tensors of a model.
pub(super) fn tensors(config: &Config) -> Vec<TensorSpec> {
    let mut list = List::default();
    match config.family {
        Family::DualStream => dual_stream(config, &mut list),
        Family::Video => video(config, &mut list),
    }
    list.0
}

#[derive(Default)]
struct List(Vec<TensorSpec>);

impl List {
    fn one(&mut self, name: String, shape: impl Into<Shape>) {
        self.0.push(TensorSpec { name, shape: shape.into() });
    }

    fn linear(&mut self, name: &str, inputs: usize, outputs: usize) {
        self.one(format!("{name}.weight"), [outputs, inputs]);
        self.one(format!("{name}.bias"), [outputs]);
    }
}

fn dual_stream(config: &Config, list: &mut List) {
    let (d, width) = (config.hidden(), config.width());
    list.linear("time_text_embed.timestep_embedder.linear_1", FREQUENCIES, d);
    list.linear("time_text_embed.timestep_embedder.linear_2", d, d);
    list.one("txt_norm.weight".into(), [config.text_dim]);
    list.linear("img_in", width, d);
    list.linear("txt_in", config.text_dim, d);
    for layer in 0..config.layers {
        let block = format!("transformer_blocks.{layer}");
        for stream in ["img", "txt"] {
            list.linear(&format!("{block}.{stream}_mod.1"), d, 6 * d);
            list.linear(&format!("{block}.{stream}_mlp.net.0.proj"), d, config.ffn);
            list.linear(&format!("{block}.{stream}_mlp.net.2"), config.ffn, d);
        }
        for name in [
            "to_q",
            "to_k",
            "to_v",
            "add_q_proj",
            "add_k_proj",
            "add_v_proj",
            "to_out.0",
            "to_add_out",
        ] {
            list.linear(&format!("{block}.attn.{name}"), d, d);
        }
        for name in ["norm_q", "norm_k", "norm_added_q", "norm_added_k"] {
            list.one(format!("{block}.attn.{name}.weight"), [config.head_dim]);
        }
    }
    list.linear("norm_out.linear", d, 2 * d);
    list.linear("proj_out", d, width);
}

fn video(config: &Config, list: &mut List) {
    let d = config.hidden();
    let [t, h, w] = config.patch;
    list.one("patch_embedding.weight".into(), [d, config.channels, t, h, w]);
    list.one("patch_embedding.bias".into(), [d]);
    list.linear("condition_embedder.time_embedder.linear_1", FREQUENCIES, d);
    list.linear("condition_embedder.time_embedder.linear_2", d, d);
    list.linear("condition_embedder.time_proj", d, 6 * d);
    list.linear("condition_embedder.text_embedder.linear_1", config.text_dim, d);
    list.linear("condition_embedder.text_embedder.linear_2", d, d);
    for layer in 0..config.layers {
        let block = format!("blocks.{layer}");
        list.one(format!("{block}.scale_shift_table"), [1, 6, d]);
        for attention in ["attn1", "attn2"] {
            for name in ["to_q", "to_k", "to_v", "to_out.0"] {
                list.linear(&format!("{block}.{attention}.{name}"), d, d);
            }
            for name in ["norm_q", "norm_k"] {
                list.one(format!("{block}.{attention}.{name}.weight"), [d]);
            }
        }
        list.one(format!("{block}.norm2.weight"), [d]);
        list.one(format!("{block}.norm2.bias"), [d]);
        list.linear(&format!("{block}.ffn.net.0.proj"), d, config.ffn);
        list.linear(&format!("{block}.ffn.net.2"), config.ffn, d);
    }
    list.one("scale_shift_table".into(), [1, 2, d]);
    list.linear("proj_out", d, config.width());
}
