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

/// Mean and deviation of the latents of Wan2.2-TI2V-5B.
///
/// # Source
/// `Wan2_2_VAE` in `wan/modules/vae2_2.py` of Wan-Video/Wan2.2; the same in the configuration file of its VAE.
const MEAN_48: [f32; 48] = [
    -0.2289, -0.0052, -0.1323, -0.2339, -0.2799, 0.0174, 0.1838, 0.1557, -0.1382, 0.0542, 0.2813,
    0.0891, 0.1570, -0.0098, 0.0375, -0.1825, -0.2246, -0.1207, -0.0698, 0.5109, 0.2665, -0.2108,
    -0.2158, 0.2502, -0.2055, -0.0322, 0.1109, 0.1567, -0.0729, 0.0899, -0.2799, -0.1230, -0.0313,
    -0.1649, 0.0117, 0.0723, -0.2839, -0.2083, -0.0520, 0.3748, 0.0152, 0.1957, 0.1433, -0.2944,
    0.3573, -0.0548, -0.1681, -0.0667,
];
const DEVIATION_48: [f32; 48] = [
    0.4765, 1.0364, 0.4514, 1.1677, 0.5313, 0.4990, 0.4818, 0.5013, 0.8158, 1.0344, 0.5894, 1.0901,
    0.6885, 0.6165, 0.8454, 0.4978, 0.5759, 0.3523, 0.7135, 0.6804, 0.5833, 1.4146, 0.8986, 0.5659,
    0.7069, 0.5338, 0.4889, 0.4917, 0.4069, 0.4999, 0.6866, 0.4093, 0.5709, 0.6065, 0.6415, 0.4944,
    0.5726, 1.2042, 0.5458, 1.6887, 0.3971, 1.0600, 0.3943, 0.5537, 0.5444, 0.4089, 0.7468, 0.7744,
];

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
    /// `tiny`, `small` and `thin` ones are ours, for random weights; the others are published.
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
            "tiny-image" | "thin-image" => sized(4, 4, 0, false),
            "tiny-video" => sized(4, 4, 0, true),
            "small-image" => sized(4, 24, 1, false),
            "small-video" => sized(4, 24, 1, true),
            "qwen-image" => published(false),
            "wan2.2-ti2v-5b" => Self {
                patch: 2,
                shortcut: true,
                latent_mean: MEAN_48.to_vec(),
                latent_deviation: DEVIATION_48.to_vec(),
                ..sized(48, 256, 2, true)
            },
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

    /// Latent frames, rows and columns of a picture. Pixels that fill no whole latent pixel are cut off, as pipelines do.
    ///
    /// # Errors
    /// [`KernelError::Picture`] if nothing is left of a side, or if frames are not one more than a multiple of what latents
    /// shrink by.
    ///
    /// ```
    /// use flexdit_kernels::vae::Config;
    /// let config = Config::preset("wan2.2-ti2v-5b").expect("a preset");
    /// assert_eq!(config.latents(81, 720, 1280)?, [21, 45, 80]);
    /// assert_eq!(config.latents(81, 730, 1280)?, [21, 45, 80]);
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
            if got < down {
                return refuse(got, what, format!("at least {down}"));
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
        let refused = config.latents(1, 7, 64).unwrap_err().to_string();
        assert_eq!(refused, "the VAE makes no picture of 7 pixel rows: expected at least 8");
        assert_eq!(config.picture(config.latents(3, 64, 72).expect("a picture")), [3, 64, 72]);
        assert_eq!(config.picture(config.latents(3, 71, 79).expect("a picture")), [3, 64, 72]);
        config.temporal.pop();
        let refused = config.check().unwrap_err().to_string();
        assert_eq!(
            refused,
            "model configuration: vae.temporal is 2, expected one entry fewer than levels"
        );
    }
}
