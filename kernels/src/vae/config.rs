//! What a VAE decoder is made of, as it stands in a YAML file, and the presets.

use super::list;
use crate::error::{KernelError, Result};
use crate::model::TensorSpec;

/// A decoder after the VAE of Wan 2.1 (which Qwen-Image shares) or, with `shortcut`, of Wan 2.2.
///
/// # Source
/// Model cards and configuration files of Wan 2.1, Wan 2.2 and Qwen-Image.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Channels of the latents.
    pub latent_channels: usize,
    /// Channels at full resolution, before `multipliers`.
    pub base_channels: usize,
    /// Factor of the channels per level, full resolution first. Between two levels rows and columns double.
    pub multipliers: Vec<usize>,
    /// Residual blocks per level of the encoder; the decoder has one more.
    pub residual_blocks: usize,
    /// Whether frames double, too, after each level, lowest resolution first; one fewer than levels.
    pub temporal: Vec<bool>,
    /// Rows and columns of a picture that one pixel of the last level holds.
    #[serde(default = "one")]
    pub patch: usize,
    /// Whether every level passes its input on, repeated, around its blocks (Wan 2.2).
    #[serde(default)]
    pub shortcut: bool,
    /// Mean of each latent channel, added before decoding; empty: 0.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub latent_mean: Vec<f32>,
    /// Deviation of each latent channel, multiplied before decoding; empty: 1.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub latent_deviation: Vec<f32>,
}

fn one() -> usize {
    1
}

/// Mean and deviation of the latents of Wan 2.1 and Qwen-Image.
const MEAN_16: [f32; 16] = [
    -0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508, 0.4134, -0.0715, 0.5517,
    -0.3632, -0.1922, -0.9497, 0.2503, -0.2921,
];
const DEVIATION_16: [f32; 16] = [
    2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743, 3.2687, 2.1526, 2.8652, 1.5579,
    1.6382, 1.1253, 2.8251, 1.9160,
];

impl Config {
    /// The configuration that belongs to the transformer of this name, one of [`PRESETS`](crate::model::PRESETS).
    /// `tiny` and `small` ones are ours, for random weights; the others are published.
    /// Latents of images are smaller by (1, 8, 8), of videos by (4, 8, 8), of wan2.2-ti2v-5b by (4, 16, 16).
    pub fn preset(name: &str) -> Option<Self> {
        let sized =
            |latent_channels: usize, base_channels: usize, blocks: usize, video: bool| Self {
                latent_channels,
                base_channels,
                multipliers: vec![1, 2, 4, 4],
                residual_blocks: blocks,
                temporal: vec![video, video, false],
                patch: 1,
                shortcut: false,
                latent_mean: Vec::new(),
                latent_deviation: Vec::new(),
            };
        let published = |video: bool| Self {
            latent_mean: MEAN_16.to_vec(),
            latent_deviation: DEVIATION_16.to_vec(),
            ..sized(16, 96, 2, video)
        };
        Some(match name {
            "tiny-image" => sized(4, 4, 0, false),
            "tiny-video" => sized(4, 4, 0, true),
            "small-image" => sized(4, 24, 1, false),
            "small-video" => sized(4, 24, 1, true),
            "qwen-image" => published(false),
            "wan2.2-ti2v-5b" => Self { patch: 2, shortcut: true, ..sized(48, 256, 2, true) },
            "wan2.2-a14b" => published(true),
            _ => return None,
        })
    }

    /// How much smaller latents are than pictures: frames, rows, columns.
    pub fn down(&self) -> [usize; 3] {
        let frames = 1 << self.temporal.iter().filter(|doubles| **doubles).count();
        let space = self.patch << self.temporal.len();
        [frames, space, space]
    }

    /// Latent frames, rows and columns of a picture.
    ///
    /// # Errors
    /// [`KernelError::Picture`] if the VAE cannot make it: sides must be multiples of what latents shrink by, frames one
    /// more than a multiple.
    ///
    /// ```
    /// use flexdit_kernels::vae::Config;
    /// let config = Config::preset("wan2.2-ti2v-5b").expect("a preset");
    /// assert_eq!(config.latents(81, 720, 1280)?, [21, 45, 80]);
    /// let error = config.latents(80, 720, 1280).unwrap_err();
    /// assert_eq!(error.to_string(), "the VAE makes no picture of 80 frames: expected 1 more than a multiple of 4");
    /// # Ok::<(), flexdit_kernels::KernelError>(())
    /// ```
    pub fn latents(&self, frames: usize, height: usize, width: usize) -> Result<[usize; 3]> {
        let [down_frames, down_rows, down_columns] = self.down();
        let refuse = |got: usize, what: &'static str, expected: String| {
            Err(KernelError::Picture { what, got, expected })
        };
        if frames == 0 || !(frames - 1).is_multiple_of(down_frames) {
            let expected = match down_frames {
                1 => "1 or more".into(),
                _ => format!("1 more than a multiple of {down_frames}"),
            };
            return refuse(frames, "frames", expected);
        }
        for (got, what, down) in
            [(height, "pixel rows", down_rows), (width, "pixel columns", down_columns)]
        {
            if got == 0 || !got.is_multiple_of(down) {
                return refuse(got, what, format!("a multiple of {down}"));
            }
        }
        Ok([1 + (frames - 1) / down_frames, height / down_rows, width / down_columns])
    }

    /// Frames, rows and columns of the picture of these latents.
    pub fn picture(&self, [frames, rows, columns]: [usize; 3]) -> [usize; 3] {
        let [down_frames, down_rows, down_columns] = self.down();
        [1 + (frames - 1) * down_frames, rows * down_rows, columns * down_columns]
    }

    /// Channels going into and out of each level, lowest resolution first.
    pub(super) fn levels(&self) -> Vec<[usize; 2]> {
        let channels = self.multipliers.iter().rev().map(|factor| factor * self.base_channels);
        let mut before = self.widest();
        let step = |out: usize| {
            let level = [before, out];
            before = if self.shortcut { out } else { out / 2 };
            level
        };
        channels.map(step).collect()
    }

    /// Channels of the middle.
    pub(super) fn widest(&self) -> usize {
        self.base_channels * self.multipliers.last().copied().unwrap_or(1)
    }

    /// Every tensor of the decoder, named as in diffusers.
    pub fn tensors(&self) -> Vec<TensorSpec> {
        list::tensors(self)
    }

    /// Bytes that the weights need.
    pub fn weight_bytes(&self) -> u64 {
        self.tensors().iter().map(|spec| spec.elements() * 4).sum()
    }

    /// Checks that the configuration makes sense.
    ///
    /// # Errors
    /// [`KernelError::Config`] names the first key that does not.
    pub fn check(&self) -> Result<()> {
        let refuse = |key: &'static str, got: usize, expected: &str| {
            Err(KernelError::Config { key, got, expected: expected.into() })
        };
        let levels = self.multipliers.len();
        if !(1..=6).contains(&levels) {
            return refuse("vae.multipliers", levels, "1 to 6 levels");
        }
        if let Some(factor) = self.multipliers.iter().find(|factor| !(1..=16).contains(*factor)) {
            return refuse("vae.multipliers", *factor, "factors from 1 to 16");
        }
        if self.temporal.len() != levels - 1 {
            return refuse("vae.temporal", self.temporal.len(), "one entry fewer than levels");
        }
        let even = self.base_channels.is_multiple_of(2) && (2..=4096).contains(&self.base_channels);
        if !even {
            return refuse("vae.base_channels", self.base_channels, "an even number, 2 to 4096");
        }
        if !(2..=1024).contains(&self.latent_channels) {
            return refuse("vae.latent_channels", self.latent_channels, "2 to 1024");
        }
        if self.residual_blocks > 16 {
            return refuse("vae.residual_blocks", self.residual_blocks, "at most 16");
        }
        if !(1..=4).contains(&self.patch) {
            return refuse("vae.patch", self.patch, "1 to 4");
        }
        for (key, list) in [
            ("vae.latent_mean", &self.latent_mean),
            ("vae.latent_deviation", &self.latent_deviation),
        ] {
            if ![0, self.latent_channels].contains(&list.len()) {
                return refuse(key, list.len(), "no number, or one for each latent channel");
            }
            if !list.iter().all(|x| x.is_finite()) {
                return refuse(key, list.len(), "finite numbers");
            }
        }
        self.check_levels()
    }

    /// Checks channel counts that halve or repeat between levels.
    fn check_levels(&self) -> Result<()> {
        let levels = self.levels();
        let (last, inner) = levels.split_last().expect("at least one level");
        let refuse = |got: usize, expected: &str| {
            Err(KernelError::Config { key: "vae.multipliers", got, expected: expected.into() })
        };
        if last[1] < 2 {
            return refuse(last[1], "two channels or more at every level");
        }
        for ([inputs, outputs], doubles) in inner.iter().zip(&self.temporal) {
            let copies = outputs * if *doubles { 8 } else { 4 };
            if self.shortcut && !copies.is_multiple_of(*inputs) {
                return refuse(*inputs, "channels that divide those of the next level, repeated");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_make_sense_and_shrink_as_published() {
        for (name, _) in crate::model::PRESETS {
            Config::preset(name).expect("listed").check().expect("sound");
        }
        let down = |name: &str| Config::preset(name).expect("listed").down();
        assert_eq!([down("qwen-image"), down("wan2.2-a14b")], [[1, 8, 8], [4, 8, 8]]);
        assert_eq!([down("wan2.2-ti2v-5b"), down("tiny-video")], [[4, 16, 16], [4, 8, 8]]);
        assert!(Config::preset("wan").is_none());
    }

    #[test]
    fn channels_halve_between_levels_unless_there_is_a_shortcut() {
        let levels = |name: &str| Config::preset(name).expect("listed").levels();
        assert_eq!(levels("wan2.2-a14b"), [[384, 384], [192, 384], [192, 192], [96, 96]]);
        assert_eq!(levels("wan2.2-ti2v-5b"), [[1024, 1024], [1024, 1024], [1024, 512], [512, 256]]);
    }

    #[test]
    fn what_cannot_be_made_is_refused_by_name() {
        let mut config = Config::preset("tiny-image").expect("listed");
        let refused = config.latents(1, 60, 64).unwrap_err().to_string();
        assert_eq!(refused, "the VAE makes no picture of 60 pixel rows: expected a multiple of 8");
        assert_eq!(config.picture(config.latents(3, 64, 72).expect("a picture")), [3, 64, 72]);
        config.temporal.pop();
        let refused = config.check().unwrap_err().to_string();
        assert_eq!(
            refused,
            "model configuration: vae.temporal is 2, expected one entry fewer than levels"
        );
    }
}
