//! Configurations of models: what a YAML file may say, and the ones known by name.

use crate::error::{KernelError, Result};
use crate::model::list;
use crate::model::weights::TensorSpec;
use crate::tensor::DType;
use serde::{Deserialize, Serialize};

/// How a transformer joins text and picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// Two streams with weights of their own that attend jointly (Qwen-Image, SD3, FLUX's double blocks).
    DualStream,
    /// One stream that attends to itself, then to the text (Wan).
    Video,
}

/// Sizes of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How text and picture are joined.
    pub family: Family,
    /// Blocks.
    pub layers: usize,
    /// Attention heads.
    pub heads: usize,
    /// Elements of a head.
    pub head_dim: usize,
    /// Inner width of the feed-forward layers.
    pub ffn: usize,
    /// Channels of the latents.
    pub channels: usize,
    /// Frames, rows and columns of a patch.
    pub patch: [usize; 3],
    /// Elements of a text token.
    pub text_dim: usize,
    /// Most text tokens.
    pub text_tokens: usize,
}

/// Configurations known by name.
///
/// # Source
/// The published ones: configuration files of Qwen-Image and of Wan2.2 (`wan2.2-a14b` is one of its two experts). Tiny,
/// small and thin ones are ours.
pub const PRESETS: [(&str, Config); 8] = [
    ("tiny-image", ours(Family::DualStream, 2, 8, 16, 64)),
    ("tiny-video", ours(Family::Video, 2, 8, 24, 64)),
    ("small-image", ours(Family::DualStream, 4, 8, 64, 256)),
    ("thin-image", ours(Family::DualStream, 24, 8, 8, 64)),
    ("small-video", ours(Family::Video, 4, 8, 64, 256)),
    ("qwen-image", published(Family::DualStream, 60, 24, 12_288, 16, 3584)),
    ("wan2.2-ti2v-5b", published(Family::Video, 30, 24, 14_336, 48, 4096)),
    ("wan2.2-a14b", published(Family::Video, 40, 40, 13_824, 16, 4096)),
];

const fn ours(
    family: Family,
    layers: usize,
    heads: usize,
    head_dim: usize,
    text_dim: usize,
) -> Config {
    Config {
        family,
        layers,
        heads,
        head_dim,
        ffn: 4 * heads * head_dim,
        channels: 4,
        patch: [1, 2, 2],
        text_dim,
        text_tokens: 64,
    }
}

const fn published(
    family: Family,
    layers: usize,
    heads: usize,
    ffn: usize,
    channels: usize,
    text_dim: usize,
) -> Config {
    let patch = [1, 2, 2];
    Config {
        family,
        layers,
        heads,
        head_dim: 128,
        ffn,
        channels,
        patch,
        text_dim,
        text_tokens: 512,
    }
}

impl Config {
    /// The configuration of this name.
    pub fn preset(name: &str) -> Option<Self> {
        PRESETS.iter().find(|(known, _)| *known == name).map(|(_, config)| config.clone())
    }

    /// Whether the preset of this name is ours, made for random weights, and not a published one.
    pub fn is_ours(name: &str) -> bool {
        ["tiny-", "small-", "thin-"].iter().any(|ours| name.starts_with(ours))
    }

    /// Elements of a row of activations.
    pub fn hidden(&self) -> usize {
        self.heads * self.head_dim
    }

    /// Elements of a latent token.
    pub fn width(&self) -> usize {
        self.channels * self.patch.iter().product::<usize>()
    }

    /// How a head is shared out to frames, rows and columns by the rotary embedding.
    ///
    /// # Source
    /// Qwen-Image: 16, 56, 56 of 128; Wan: two sixths each to rows and columns, the rest to frames. Parts are even.
    pub fn rope_axes(&self) -> [usize; 3] {
        let dim = self.head_dim;
        let side = match self.family {
            Family::DualStream => (dim - dim / 8) / 4 * 2,
            Family::Video => dim / 6 * 2,
        };
        [dim - 2 * side, side, side]
    }

    /// Checks that a model can be made of it.
    ///
    /// # Errors
    /// [`KernelError::Config`] with the key that is wrong.
    pub fn check(&self) -> Result<()> {
        let positive = [
            ("transformer.layers", self.layers),
            ("transformer.heads", self.heads),
            ("transformer.channels", self.channels),
            ("transformer.patch", self.patch.iter().product()),
            ("transformer.text_tokens", self.text_tokens),
        ];
        for (key, got) in positive {
            if got == 0 {
                return Err(KernelError::Config { key, got, expected: "at least 1".into() });
            }
        }
        for (key, got) in [
            ("transformer.ffn", self.ffn),
            ("transformer.text_dim", self.text_dim),
            ("transformer.channels", self.width()),
        ] {
            if got < 2 {
                return Err(KernelError::Config {
                    key,
                    got,
                    expected: "a width of at least 2".into(),
                });
            }
        }
        if self.head_dim < 8 || !self.head_dim.is_multiple_of(2) {
            let expected = "an even number from 8 on".into();
            let (key, got) = ("transformer.head_dim", self.head_dim);
            return Err(KernelError::Config { key, got, expected });
        }
        Ok(())
    }

    /// Every tensor of the model, named as in diffusers.
    pub fn tensors(&self) -> Vec<TensorSpec> {
        list::tensors(self)
    }

    /// Number of parameters.
    pub fn parameters(&self) -> u64 {
        self.tensors().iter().map(TensorSpec::elements).sum()
    }

    /// Bytes that the weights need if matrices are kept as `storage` (vectors are always f32).
    pub fn weight_bytes(&self, storage: DType) -> u64 {
        let bytes = |spec: &TensorSpec| {
            let dtype = if spec.is_matrix() { storage } else { DType::F32 };
            spec.elements() * dtype.bytes() as u64
        };
        self.tensors().iter().map(bytes).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_sizes_have_the_published_parameters() {
        // In billions, as published with the models: 20 (20.4 with embedders), 5 and 14.
        for (name, low, high) in [
            ("qwen-image", 20.3, 20.5),
            ("wan2.2-ti2v-5b", 4.95, 5.05),
            ("wan2.2-a14b", 14.0, 14.4),
        ] {
            let config = Config::preset(name).expect("listed");
            let billions = config.parameters() as f64 / 1e9;
            assert!((low..high).contains(&billions), "{name}: {billions}");
            assert_eq!(config.rope_axes().iter().sum::<usize>(), 128);
            assert!(config.weight_bytes(DType::Bf16) as f64 / 1e9 > 2.0 * billions);
        }
        assert_eq!(Config::preset("qwen-image").expect("listed").rope_axes(), [16, 56, 56]);
        assert_eq!(Config::preset("wan2.2-a14b").expect("listed").rope_axes(), [44, 42, 42]);
    }

    #[test]
    fn presets_are_sound_and_survive_yaml() {
        for (name, config) in &PRESETS {
            config.check().expect(name);
            assert!(config.rope_axes().iter().all(|axis| *axis >= 2 && axis % 2 == 0), "{name}");
            let yaml = serde_yaml::to_string(config).expect("plain data");
            assert_eq!(serde_yaml::from_str::<Config>(&yaml).expect("just written"), *config);
        }
    }

    #[test]
    fn a_senseless_configuration_is_refused_with_its_key() {
        let sound = Config::preset("tiny-image").expect("listed");
        let error = Config { head_dim: 15, ..sound.clone() }.check().unwrap_err().to_string();
        assert_eq!(
            error,
            "model configuration: transformer.head_dim is 15, expected an even number from 8 on"
        );
        assert!(Config { layers: 0, ..sound }.check().is_err());
    }
}
