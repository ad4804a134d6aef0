//! What a pipeline is made of, as it stands in a YAML file, and the presets.

use crate::error::{KernelError, Result};
use crate::solver::{Dynamic, Method, Shift};
use crate::tensor::DType;
use crate::{model, text, vae};
use serde::{Deserialize, Serialize};

/// Text encoder, transformer, VAE decoder and solver that belong together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The text encoder.
    pub text: text::Config,
    /// The transformer.
    pub transformer: model::Config,
    /// The VAE decoder.
    pub vae: vae::Config,
    /// The solver.
    pub method: Method,
    /// How far the schedule is shifted to high noise.
    pub shift: Shift,
    /// How matrices of text encoder and transformer are kept.
    pub storage: DType,
}

impl Config {
    /// The configuration of this name, one of [`model::PRESETS`]: ours in f32, published ones in bf16.
    ///
    /// ```
    /// use flexdit_kernels::pipeline::Config;
    /// let config = Config::preset("qwen-image").expect("listed");
    /// // 20.4 billion parameters of the transformer and 7.1 of the text encoder, in two bytes each.
    /// assert_eq!(config.weight_bytes() / 1_000_000_000, 55);
    /// ```
    pub fn preset(name: &str) -> Option<Self> {
        let transformer = model::Config::preset(name)?;
        let ours = model::Config::is_ours(name);
        let image = transformer.family == model::Family::DualStream;
        let shift = match (name, image) {
            ("qwen-image", _) => Shift::Dynamic(Dynamic::QWEN_IMAGE),
            // Wan2.2's configurations (`sample_shift`): 12 for text to video of A14B, 5 for the 5B.
            ("wan2.2-a14b", _) => Shift::Constant(12.0),
            (_, true) => Shift::Constant(3.0),
            (_, false) => Shift::Constant(5.0),
        };
        Some(Self {
            text: text::Config::preset(name)?,
            vae: vae::Config::preset(name)?,
            method: if image { Method::Euler } else { Method::Unipc },
            shift,
            storage: if ours { DType::F32 } else { DType::Bf16 },
            transformer,
        })
    }

    /// Checks every part, and that the parts fit each other.
    ///
    /// # Errors
    /// [`KernelError::Config`] with the first key that is wrong.
    pub fn check(&self) -> Result<()> {
        self.text.check()?;
        self.transformer.check()?;
        self.vae.check()?;
        let fit = |key: &'static str, got: usize, expected: usize, of: &str| {
            let expected_text = format!("{expected}, {of}");
            let error = KernelError::Config { key, got, expected: expected_text };
            if got == expected { Ok(()) } else { Err(error) }
        };
        let transformer = &self.transformer;
        fit("text.hidden", self.text.hidden, transformer.text_dim, "the transformer's text_dim")?;
        let channels = transformer.channels;
        fit(
            "vae.latent_channels",
            self.vae.latent_channels,
            channels,
            "the transformer's channels",
        )?;
        self.shift.check(self.method)
    }

    /// Bytes of all weights, which the ranks of a process share.
    pub fn weight_bytes(&self) -> u64 {
        let matrices = self.text.weight_bytes(self.storage);
        matrices + self.transformer.weight_bytes(self.storage) + self.vae.weight_bytes()
    }

    /// Tokens of a picture along frames, rows and columns. Pixels that fill no whole token are cut off, first by the VAE,
    /// then by the patch, as pipelines do; [`Config::made`] is what is left.
    ///
    /// # Errors
    /// [`KernelError::Picture`] if the VAE cannot make it, or nothing is left of a side.
    pub fn grid(&self, [frames, height, width]: [usize; 3]) -> Result<[usize; 3]> {
        let latents = self.vae.latents(frames, height, width)?;
        let (down, patch) = (self.vae.down(), self.transformer.patch);
        for (axis, what) in ["frames", "pixel rows", "pixel columns"].into_iter().enumerate() {
            let got = [frames, height, width][axis];
            if axis == 0 && !latents[axis].is_multiple_of(patch[axis]) {
                let expected = format!("a multiple of {}", down[axis] * patch[axis]);
                return Err(KernelError::Picture { what, got, expected });
            }
            if latents[axis] < patch[axis] {
                let expected = format!("at least {}", down[axis] * patch[axis]);
                return Err(KernelError::Picture { what, got, expected });
            }
        }
        Ok([0, 1, 2].map(|axis| latents[axis] / patch[axis]))
    }

    /// Frames, pixel rows and pixel columns that are made where these are asked for.
    ///
    /// # Errors
    /// As [`Config::grid`].
    ///
    /// ```
    /// use flexdit_kernels::pipeline::Config;
    /// let config = Config::preset("wan2.2-ti2v-5b").expect("listed");
    /// assert_eq!(config.made([81, 720, 1280])?, [81, 704, 1280]);
    /// # Ok::<(), flexdit_kernels::KernelError>(())
    /// ```
    pub fn made(&self, asked: [usize; 3]) -> Result<[usize; 3]> {
        let (grid, patch) = (self.grid(asked)?, self.transformer.patch);
        Ok(self.vae.picture([0, 1, 2].map(|axis| grid[axis] * patch[axis])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_every_preset_fit() {
        for (name, _) in model::PRESETS {
            let config = Config::preset(name).expect("a preset of every part");
            config.check().expect("sound");
            let yaml = serde_yaml::to_string(&config).expect("plain data");
            assert_eq!(serde_yaml::from_str::<Config>(&yaml).expect("just written"), config);
        }
    }

    #[test]
    fn tokens_of_published_shapes_are_the_published_ones() {
        let tokens = |name: &str, picture| -> usize {
            let grid = Config::preset(name).expect("listed").grid(picture);
            grid.expect("a picture").iter().product()
        };
        assert_eq!(tokens("qwen-image", [1, 1024, 1024]), 4096);
        assert_eq!(tokens("wan2.2-a14b", [81, 480, 832]), 21 * 30 * 52);
        assert_eq!(tokens("wan2.2-ti2v-5b", [81, 720, 1280]), 18_480);
    }

    #[test]
    fn pixels_that_fill_no_token_are_cut_off_and_none_left_is_refused() {
        let config = Config::preset("qwen-image").expect("listed");
        assert_eq!(config.made([1, 1032, 1039]).expect("a picture"), [1, 1024, 1024]);
        // A latent row, but no token.
        let error = config.grid([1, 15, 1024]).unwrap_err().to_string();
        assert_eq!(error, "the VAE makes no picture of 15 pixel rows: expected at least 16");
        assert!(config.grid([1, 0, 1024]).is_err() && config.grid([2, 16, 0]).is_err());
    }

    #[test]
    fn parts_that_do_not_fit_are_refused() {
        let mut config = Config::preset("tiny-image").expect("listed");
        config.vae.latent_channels = 16;
        assert_eq!(
            config.check().unwrap_err().to_string(),
            "model configuration: vae.latent_channels is 16, expected 4, the transformer's channels"
        );
        let config = Config::preset("tiny-video").expect("listed");
        let refused =
            |shift: Shift| Config { shift, ..config.clone() }.check().unwrap_err().to_string();
        assert_eq!(
            refused(Shift::Constant(-1.0)),
            "model configuration: shift.constant is -1, expected a finite number above 0"
        );
        // Its first level is 1, where UniPC's logarithm of signal to noise is infinite.
        let error = refused(Shift::Dynamic(Dynamic::QWEN_IMAGE));
        assert!(
            error.starts_with("model configuration: method is unipc, expected euler"),
            "{error}"
        );
    }
}
