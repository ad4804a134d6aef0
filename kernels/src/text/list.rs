//! Names and shapes of all tensors of a text encoder, without making any. A test holds it against what loading asks for.

use super::bias::BUCKETS;
use super::config::{Config, Family};
use crate::model::TensorSpec;
use crate::tensor::Shape;

/// All tensors of an encoder.
pub(super) fn tensors(config: &Config) -> Vec<TensorSpec> {
    let mut list = List(Vec::new());
    match config.family {
        Family::Decoder => decoder(config, &mut list),
        Family::T5 => t5(config, &mut list),
    }
    list.0
}

struct List(Vec<TensorSpec>);

impl List {
    fn one(&mut self, name: impl Into<String>, shape: impl Into<Shape>) {
        self.0.push(TensorSpec { name: name.into(), shape: shape.into() });
    }
}

fn decoder(config: &Config, list: &mut List) {
    let d = config.hidden;
    let (all, some) = (config.heads * config.head_dim, config.kv_heads * config.head_dim);
    list.one("model.embed_tokens.weight", [config.vocabulary, d]);
    for layer in 0..config.layers {
        let block = format!("model.layers.{layer}");
        list.one(format!("{block}.input_layernorm.weight"), [d]);
        for (name, width) in [("q_proj", all), ("k_proj", some), ("v_proj", some)] {
            list.one(format!("{block}.self_attn.{name}.weight"), [width, d]);
            list.one(format!("{block}.self_attn.{name}.bias"), [width]);
        }
        list.one(format!("{block}.self_attn.o_proj.weight"), [d, all]);
        list.one(format!("{block}.post_attention_layernorm.weight"), [d]);
        list.one(format!("{block}.mlp.gate_proj.weight"), [config.ffn, d]);
        list.one(format!("{block}.mlp.up_proj.weight"), [config.ffn, d]);
        list.one(format!("{block}.mlp.down_proj.weight"), [d, config.ffn]);
    }
    list.one("model.norm.weight", [d]);
}

fn t5(config: &Config, list: &mut List) {
    let (d, all) = (config.hidden, config.heads * config.head_dim);
    list.one("shared.weight", [config.vocabulary, d]);
    for layer in 0..config.layers {
        let block = format!("encoder.block.{layer}.layer");
        for name in ["q", "k", "v"] {
            list.one(format!("{block}.0.SelfAttention.{name}.weight"), [all, d]);
        }
        list.one(format!("{block}.0.SelfAttention.o.weight"), [d, all]);
        let bias = "relative_attention_bias";
        list.one(format!("{block}.0.SelfAttention.{bias}.weight"), [BUCKETS, config.heads]);
        list.one(format!("{block}.0.layer_norm.weight"), [d]);
        for name in ["wi_0", "wi_1"] {
            list.one(format!("{block}.1.DenseReluDense.{name}.weight"), [config.ffn, d]);
        }
        list.one(format!("{block}.1.DenseReluDense.wo.weight"), [d, config.ffn]);
        list.one(format!("{block}.1.layer_norm.weight"), [d]);
    }
    list.one("encoder.final_layer_norm.weight", [d]);
}
