//! What a text encoder is made of, as it stands in a YAML file, and the presets.

use super::list;
use crate::error::{KernelError, Result};
use crate::model::TensorSpec;
use crate::tensor::DType;
use serde::{Deserialize, Serialize};

/// How a text encoder attends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// A language model read as an encoder (Qwen2.5): rotary positions, each token attends to itself and those before
    /// it, biases on queries, keys and values, SwiGLU.
    Decoder,
    /// The encoder of UMT5: a learnt bias per head and distance in every layer, all tokens attend to all, scores not
    /// scaled, no biases, gated GELU.
    T5,
}

/// Sizes of a text encoder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How it attends.
    pub family: Family,
    /// Blocks.
    pub layers: usize,
    /// Attention heads.
    pub heads: usize,
    /// Heads of keys and values, each of which serves several heads of queries; as `heads` for T5.
    pub kv_heads: usize,
    /// Elements of a head.
    pub head_dim: usize,
    /// Elements of a token; what the transformer calls `text_dim`.
    pub hidden: usize,
    /// Inner width of the feed-forward layers.
    pub ffn: usize,
    /// Number of tokens known.
    pub vocabulary: usize,
    /// What surrounds a prompt, which stands for `{}`; empty: nothing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub template: String,
    /// Tokens at the begin that are encoded but not passed on: those of the template.
    #[serde(default)]
    pub skip: usize,
    /// Whether rows of zeros fill a text up to the transformer's `text_tokens`, and are attended to as words are (Wan).
    #[serde(default)]
    pub pad: bool,
}

/// What surrounds a prompt of Qwen-Image, and how many tokens stand before it.
///
/// # Source
/// diffusers' `QwenImagePipeline`: `prompt_template_encode` and `prompt_template_encode_start_idx`.
const QWEN_TEMPLATE: &str = "<|im_start|>system\nDescribe the image by detailing the color, shape, size, texture, \
    quantity, text, spatial relationships of the objects and background:<|im_end|>\n<|im_start|>user\n{}<|im_end|>\n\
    <|im_start|>assistant\n";
const QWEN_SKIP: usize = 34;

impl Config {
    /// The configuration that belongs to the transformer of this name, one of [`PRESETS`](crate::model::PRESETS).
    /// `tiny`, `small` and `thin` ones are ours, for random weights; the others are published:
    /// Qwen2.5-VL-7B's language model for Qwen-Image, UMT5-XXL for Wan.
    ///
    /// # Source
    /// Configuration files of those models; diffusers' `WanPipeline`, which fills texts up with zeros.
    pub fn preset(name: &str) -> Option<Self> {
        let ours = |family: Family, layers: usize, heads: usize, hidden: usize| Self {
            family,
            layers,
            heads,
            kv_heads: if family == Family::T5 { heads } else { heads / 2 },
            head_dim: hidden / heads,
            hidden,
            ffn: 2 * hidden,
            vocabulary: 16 * hidden,
            template: String::new(),
            skip: 0,
            pad: false,
        };
        Some(match name {
            "tiny-image" | "thin-image" => ours(Family::Decoder, 2, 4, 64),
            "tiny-video" => ours(Family::T5, 2, 4, 64),
            "small-image" => ours(Family::Decoder, 4, 8, 256),
            "small-video" => ours(Family::T5, 4, 8, 256),
            "qwen-image" => Self {
                kv_heads: 4,
                head_dim: 128,
                ffn: 18_944,
                vocabulary: 152_064,
                template: QWEN_TEMPLATE.into(),
                skip: QWEN_SKIP,
                ..ours(Family::Decoder, 28, 28, 3584)
            },
            "wan2.2-ti2v-5b" | "wan2.2-a14b" => {
                let sizes = ours(Family::T5, 24, 64, 4096);
                Self { ffn: 10_240, vocabulary: 256_384, pad: true, ..sizes }
            }
            _ => return None,
        })
    }

    /// Every tensor of the encoder, named as in transformers.
    pub fn tensors(&self) -> Vec<TensorSpec> {
        list::tensors(self)
    }

    /// Bytes that the weights need if matrices are kept as `storage` (vectors are always f32).
    pub fn weight_bytes(&self, storage: DType) -> u64 {
        let bytes = |spec: &TensorSpec| {
            let dtype = if spec.is_matrix() { storage } else { DType::F32 };
            // What T5 adds by distance is small and kept whole.
            let dtype = if spec.name.contains("relative") { DType::F32 } else { dtype };
            spec.elements() * dtype.bytes() as u64
        };
        self.tensors().iter().map(bytes).sum()
    }

    /// Checks that an encoder can be made of it.
    ///
    /// # Errors
    /// [`KernelError::Config`] with the key that is wrong.
    pub fn check(&self) -> Result<()> {
        let refuse = |key: &'static str, got: usize, expected: &str| {
            Err(KernelError::Config { key, got, expected: expected.into() })
        };
        for (key, got) in [
            ("text.layers", self.layers),
            ("text.heads", self.heads),
            ("text.kv_heads", self.kv_heads),
        ] {
            if got == 0 {
                return refuse(key, got, "at least 1");
            }
        }
        for (key, got) in [("text.hidden", self.hidden), ("text.ffn", self.ffn)] {
            if got < 2 {
                return refuse(key, got, "a width of at least 2");
            }
        }
        if self.vocabulary < 8 {
            return refuse("text.vocabulary", self.vocabulary, "at least 8");
        }
        if self.head_dim == 0 || !self.head_dim.is_multiple_of(2) {
            return refuse("text.head_dim", self.head_dim, "an even number");
        }
        if !self.heads.is_multiple_of(self.kv_heads) {
            return refuse("text.kv_heads", self.kv_heads, "a divisor of text.heads");
        }
        if self.family == Family::T5 && self.kv_heads != self.heads {
            return refuse("text.kv_heads", self.kv_heads, "text.heads, as T5 has it");
        }
        if !self.template.is_empty() && self.template.matches("{}").count() != 1 {
            return refuse("text.template", self.template.len(), "a text with {} in it once");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_make_sense_and_survive_yaml() {
        for (name, _) in crate::model::PRESETS {
            let config = Config::preset(name).expect("listed");
            config.check().expect("sound");
            let yaml = serde_yaml::to_string(&config).expect("plain data");
            assert_eq!(serde_yaml::from_str::<Config>(&yaml).expect("just written"), config);
            let transformer = crate::model::Config::preset(name).expect("the same names");
            assert_eq!(config.hidden, transformer.text_dim);
        }
        // 7.1 and 5.7 billion parameters, as published (the former without its head).
        let billions = |name: &str| {
            let config = Config::preset(name).expect("listed");
            config.tensors().iter().map(TensorSpec::elements).sum::<u64>() as f64 / 1e9
        };
        assert!((7.0..7.2).contains(&billions("qwen-image")), "{}", billions("qwen-image"));
        assert!((5.6..5.8).contains(&billions("wan2.2-a14b")), "{}", billions("wan2.2-a14b"));
    }

    #[test]
    fn a_senseless_configuration_is_refused_with_its_key() {
        let sound = Config::preset("tiny-image").expect("listed");
        let refused = |config: Config| config.check().unwrap_err().to_string();
        assert_eq!(
            refused(Config { kv_heads: 3, ..sound.clone() }),
            "model configuration: text.kv_heads is 3, expected a divisor of text.heads"
        );
        assert_eq!(
            refused(Config { template: "draw".into(), ..sound }),
            "model configuration: text.template is 4, expected a text with {} in it once"
        );
    }
}
