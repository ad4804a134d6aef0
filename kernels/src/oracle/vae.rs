//! The VAE decoder, written out once more from the architecture: all frames at once, on one rank.

use super::model::Names;
use super::number::Bounded;
use super::ops::{self, Matrix};
use super::volume::Volume;
use crate::cpu::Heads;
use crate::error::Result;
use crate::model::WeightSource;
use crate::tensor::Shape;
use crate::vae::Config;

/// The picture of latents, a pixel per row, before it is clamped to -1..=1.
///
/// # Errors
/// As the source.
pub fn decode(config: &Config, source: &mut dyn WeightSource, latents: &Volume) -> Result<Matrix> {
    let mut oracle = Oracle(Names(source));
    let widest = config.base_channels * config.multipliers.last().copied().unwrap_or(1);
    let x = scaled(config, latents);
    let x = oracle.conv("post_quant_conv", &x, config.latent_channels, [1; 3])?;
    let x = oracle.conv("decoder.conv_in", &x, widest, [3; 3])?;
    let x = oracle.residual("decoder.mid_block.resnets.0", &x, widest)?;
    let x = oracle.attention("decoder.mid_block.attentions.0", &x)?;
    let mut x = oracle.residual("decoder.mid_block.resnets.1", &x, widest)?;
    for (index, factor) in config.multipliers.iter().rev().enumerate() {
        let level = format!("decoder.up_blocks.{index}");
        let channels = factor * config.base_channels;
        let kept = x.clone();
        for block in 0..=config.residual_blocks {
            x = oracle.residual(&format!("{level}.resnets.{block}"), &x, channels)?;
        }
        if let Some(doubles) = config.temporal.get(index) {
            x = oracle.up(&level, &x, *doubles, config.shortcut)?;
            if config.shortcut {
                x = x.plus(&kept.repeated(channels, if *doubles { 2 } else { 1 }));
            }
        }
    }
    let x = oracle.norm("decoder.norm_out", &x, 3)?.activated();
    let x = oracle.conv("decoder.conv_out", &x, 3 * config.patch * config.patch, [3; 3])?;
    Ok(unpatched(&x, config.patch).pixels().clone())
}

struct Oracle<'a>(Names<'a>);

impl Oracle<'_> {
    fn conv(
        &mut self,
        name: &str,
        x: &Volume,
        outputs: usize,
        kernel: [usize; 3],
    ) -> Result<Volume> {
        let [t, h, w] = kernel;
        self.conv_of(name, x, kernel, [outputs, x.channels(), t, h, w].into())
    }

    fn conv_of(
        &mut self,
        name: &str,
        x: &Volume,
        kernel: [usize; 3],
        shape: Shape,
    ) -> Result<Volume> {
        let weight = self.0.values(&format!("{name}.weight"), shape)?;
        let bias = self.0.values(&format!("{name}.bias"), [shape.axes()[0]])?;
        Ok(x.convolved(kernel, &weight, &bias))
    }

    fn norm(&mut self, name: &str, x: &Volume, ones: usize) -> Result<Volume> {
        let shape = [x.channels(), 1, 1, 1];
        let gamma = self.0.values(&format!("{name}.gamma"), Shape::new(&shape[..=ones]))?;
        Ok(x.normalised(&gamma))
    }

    fn residual(&mut self, name: &str, x: &Volume, outputs: usize) -> Result<Volume> {
        let y = self.norm(&format!("{name}.norm1"), x, 3)?.activated();
        let y = self.conv(&format!("{name}.conv1"), &y, outputs, [3; 3])?;
        let y = self.norm(&format!("{name}.norm2"), &y, 3)?.activated();
        let y = self.conv(&format!("{name}.conv2"), &y, outputs, [3; 3])?;
        if x.channels() == outputs {
            return Ok(y.plus(x));
        }
        Ok(y.plus(&self.conv(&format!("{name}.conv_shortcut"), x, outputs, [1; 3])?))
    }

    fn attention(&mut self, name: &str, x: &Volume) -> Result<Volume> {
        let channels = x.channels();
        let mut rows: Option<Matrix> = None;
        for frame in 0..x.sizes()[0] {
            let y = self.norm(&format!("{name}.norm"), &x.frames(frame, 1), 2)?;
            let shape = [3 * channels, channels, 1, 1];
            let qkv = self.0.linear_of(&format!("{name}.to_qkv"), y.pixels(), shape)?;
            let part = |index: usize| {
                let columns = index * channels..(index + 1) * channels;
                Matrix::from_rows(channels, qkv.rows().map(|row| row[columns.clone()].to_vec()))
            };
            let heads = Heads { count: 1, dim: channels };
            let y = ops::attention(heads, &part(0), &part(1), &part(2));
            let y = self.0.linear_of(&format!("{name}.proj"), &y, [channels, channels, 1, 1])?;
            rows = Some(rows.map_or_else(|| y.clone(), |above| above.above(&y)));
        }
        Ok(x.plus(&x.with(rows.expect("at least one frame"))))
    }

    /// The end of a level: frames double but for the first, then rows and columns.
    fn up(&mut self, level: &str, x: &Volume, doubles: bool, same: bool) -> Result<Volume> {
        let name = format!("{level}.{}", if same { "upsampler" } else { "upsamplers.0" });
        let channels = x.channels();
        let (first, count) = (x.frames(0, 1), x.sizes()[0] - 1);
        let x = if doubles && count > 0 {
            let rest = x.frames(1, count);
            let rest = self.conv(&format!("{name}.time_conv"), &rest, 2 * channels, [3, 1, 1])?;
            first.before(&rest.unfolded())
        } else {
            x.clone()
        };
        let outputs = if same { channels } else { channels / 2 };
        let shape = [outputs, channels, 3, 3].into();
        self.conv_of(&format!("{name}.resample.1"), &x.enlarged(), [1, 3, 3], shape)
    }
}

/// Latents at their own mean and deviation.
fn scaled(config: &Config, latents: &Volume) -> Volume {
    let of = |list: &[f32], channel: usize, none: f32| {
        Bounded::from(list.get(channel).copied().unwrap_or(none))
    };
    Volume::from_fn(latents.sizes(), latents.channels(), |place| {
        let values = latents.at(place).iter().enumerate().map(|(channel, value)| {
            let deviation = of(&config.latent_deviation, channel, 1.0);
            *value * deviation + of(&config.latent_mean, channel, 0.0)
        });
        values.collect()
    })
}

/// Pixels that hold `patch` x `patch` of three colours, ordered (colour, column, row), as pixels of three.
fn unpatched(x: &Volume, patch: usize) -> Volume {
    let [frames, rows, columns] = x.sizes();
    Volume::from_fn([frames, rows * patch, columns * patch], 3, |[f, r, c]| {
        let pixel = x.at([f, r / patch, c / patch]);
        (0..3).map(|colour| pixel[(colour * patch + c % patch) * patch + r % patch]).collect()
    })
}
