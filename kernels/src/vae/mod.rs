//! A causal 3-D convolutional VAE decoder: latents become pictures or videos, alone or with the rows split over ranks.
//!
//! After the VAE of Wan 2.1, which Qwen-Image shares, and that of Wan 2.2: causal convolutions in time, RMS norm per
//! pixel, SiLU, residual blocks, one attention over all pixels of a frame at the lowest resolution, then levels
//! that double rows and columns, and for videos frames. Latent frames go through one at a time and every causal convolution
//! remembers two frames, so memory does not grow with a video's length. Weights are f32, as published decoders run.
//!
//! **Split over ranks** (patch parallel): each rank holds whole rows of tokens. Before every 3 x 3 convolution it fetches
//! one row of that resolution from each neighbour; the one attention gathers keys and values. Decoding overlapping
//! patches alone would need the receptive field as overlap (more than 100 pixel rows on each side even without the
//! attention, which sees everything) and could not give the same picture. With exchanged rows nothing is computed
//! twice, and the picture is **bit-identical** for every number of ranks and every split, also odd ones and ranks
//! without rows: each pixel is the same sum in the same order.

mod block;
mod config;
mod conv;
mod frame;
mod level;
mod list;
mod memory;
mod rows;
mod run;
mod whole;

pub use config::Config;
pub use rows::Rows;
pub(crate) use whole::{causal_convolution, pixel_norm};

use crate::cpu::Scratch;
use crate::error::{KernelError, Result};
use crate::exchange::Exchange;
use crate::model::weights::{Loader, WeightSource};
use crate::tensor::{DType, Tensor};
use block::{Attention, Causal, Residual, causal, conv, gamma};
use conv::Conv;
use frame::Frame;
use level::{Level, Plan};
use run::Run;

/// Channels of a picture: red, green, blue.
const COLOURS: usize = 3;

/// A decoder with its weights.
///
/// ```
/// use flexdit_kernels::cpu::Scratch;
/// use flexdit_kernels::model::Seeded;
/// use flexdit_kernels::vae::{Config, Decoder, Rows};
/// use flexdit_kernels::{Alone, Tensor};
/// let config = Config::preset("tiny-video").expect("a preset");
/// let decoder = Decoder::load(&config, &mut Seeded::new(1))?;
/// let latents = Tensor::zeros([4, 2, 3, 4]);
/// let rows = Rows::new(3, 1, 1, 0);
/// let picture = decoder.decode(&latents, &rows, &mut Alone, &mut Scratch::default())?;
/// assert_eq!(picture.shape().axes(), [5, 24, 32, 3]);
/// # Ok::<(), flexdit_kernels::KernelError>(())
/// ```
#[derive(Debug)]
pub struct Decoder {
    config: Config,
    /// Mixes the channels of each latent pixel.
    first: Conv,
    input: Causal,
    middle: (Residual, Attention, Residual),
    levels: Vec<Level>,
    norm: Vec<f32>,
    output: Causal,
    histories: usize,
}

impl Decoder {
    /// The decoder with weights from `source`.
    ///
    /// # Errors
    /// As [`Config::check`]; whatever the source says of a missing or misshapen tensor.
    pub fn load(config: &Config, source: &mut dyn WeightSource) -> Result<Self> {
        config.check()?;
        let mut loader = Loader::new(source, DType::F32);
        let mut histories = 0;
        let (channels, widest) = (config.latent_channels, config.widest());
        let first = conv(&mut loader, "post_quant_conv", [channels; 2], [1; 3])?;
        let mut loader = loader.below("decoder");
        let input = causal(&mut loader, "conv_in", [channels, widest], [3; 3], &mut histories)?;
        let mut residual = |loader: &mut Loader<'_>, index: usize| {
            let mut below = loader.below(&format!("mid_block.resnets.{index}"));
            Residual::load(&mut below, [widest; 2], &mut histories)
        };
        let before = residual(&mut loader, 0)?;
        let attention = Attention::load(&mut loader.below("mid_block.attentions.0"), widest)?;
        let after = residual(&mut loader, 1)?;
        let mut levels = Vec::new();
        let mut last = widest;
        for (index, channels) in config.levels().into_iter().enumerate() {
            let plan = Plan {
                channels,
                blocks: config.residual_blocks + 1,
                up: config.temporal.get(index).copied(),
                repeat: config.shortcut,
            };
            let mut below = loader.below(&format!("up_blocks.{index}"));
            levels.push(Level::load(&mut below, plan, &mut histories)?);
            last = channels[1];
        }
        let norm = gamma(&mut loader, "norm_out", last, 3)?;
        let colours = COLOURS * config.patch * config.patch;
        let output = causal(&mut loader, "conv_out", [last, colours], [3; 3], &mut histories)?;
        let (config, middle) = (config.clone(), (before, attention, after));
        Ok(Self { config, first, input, middle, levels, norm, output, histories })
    }

    /// Its configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Bytes of its weights.
    pub fn bytes(&self) -> usize {
        let (before, attention, after) = &self.middle;
        let ends = self.first.bytes() + self.input.conv.bytes() + self.output.conv.bytes();
        let levels: usize = self.levels.iter().map(Level::bytes).sum();
        let middle = before.bytes() + attention.bytes() + after.bytes();
        ends + middle + levels + size_of_val(&self.norm[..])
    }

    /// This rank's rows of the picture, `[frames, pixel rows, pixel columns, 3]` in -1..=1, from its rows of the latents
    /// `[channels, frames, rows, columns]`. `rows` splits the rows of the whole latents over the members of `exchange`.
    ///
    /// # Errors
    /// [`KernelError::Shape`] if the latents are not the rank's rows; [`KernelError::NotFinite`] if a value of the picture
    /// is not; [`KernelError::Exchange`] if another rank was lost.
    ///
    /// # Panics
    /// If `rows` has not one part for every member.
    pub fn decode(
        &self,
        latents: &Tensor,
        rows: &Rows,
        exchange: &mut dyn Exchange,
        scratch: &mut Scratch,
    ) -> Result<Tensor> {
        assert_eq!(rows.parts(), exchange.degree(), "one part of the rows for each member");
        let axes = latents.shape();
        let [_, frames, _, columns] = *axes.axes() else {
            let expected = [self.config.latent_channels, 1, rows.mine().len(), 1].into();
            return Err(KernelError::Shape { what: "latents".into(), got: axes, expected });
        };
        let expected = [self.config.latent_channels, frames, rows.mine().len(), columns];
        latents.expect("latents", expected)?;
        let [frames_out, _, columns_out] = self.config.picture([frames.max(1), 1, columns]);
        let rows_out = rows.mine().len() * self.config.down()[1];
        let elements = frames_out * rows_out * columns_out * COLOURS;
        let data = Vec::with_capacity(elements);
        let mut picture = Picture { data, patch: self.config.patch, finite: true };
        let mut run = Run::new(rows.clone(), self.histories, frames == 1, exchange, scratch);
        for frame in 0..frames {
            run.first = frame == 0;
            let x = self.latent_frame(latents, frame, &mut run);
            self.frame(x, &mut run, &mut picture)?;
        }
        run.end();
        if !picture.finite {
            return Err(KernelError::NotFinite("the decoded picture"));
        }
        Tensor::new("picture", [frames_out, rows_out, columns_out, COLOURS], picture.data)
    }

    /// A frame of the latents at their own mean and deviation, channels mixed.
    fn latent_frame(&self, latents: &Tensor, frame: usize, run: &mut Run<'_>) -> Frame {
        let [channels, frames, rows, columns] = *latents.shape().axes() else {
            unreachable!("checked at the begin")
        };
        let mut x = Frame::take(rows, columns, channels, run.scratch);
        for channel in 0..channels {
            let mean = self.config.latent_mean.get(channel).copied().unwrap_or(0.0);
            let deviation = self.config.latent_deviation.get(channel).copied().unwrap_or(1.0);
            for row in 0..rows {
                let begin = ((channel * frames + frame) * rows + row) * columns;
                let values = &latents.data()[begin..begin + columns];
                let pixels = x.row_mut(row).chunks_exact_mut(channels);
                for (pixel, value) in pixels.zip(values) {
                    pixel[channel] = value.mul_add(deviation, mean);
                }
            }
        }
        let mut mixed = run.apply(&self.first, x);
        mixed.clear_border();
        mixed
    }

    /// One latent frame through the decoder.
    fn frame(&self, x: Frame, run: &mut Run<'_>, picture: &mut Picture) -> Result<()> {
        let (before, attention, after) = &self.middle;
        let x = self.input.next(x, run)?;
        let x = before.next(x, run)?;
        let x = attention.next(x, run)?;
        let x = after.next(x, run)?;
        self.level(0, x, run, picture)
    }

    /// One frame of level `index` through that level and all after it.
    fn level(
        &self,
        index: usize,
        x: Frame,
        run: &mut Run<'_>,
        picture: &mut Picture,
    ) -> Result<()> {
        let Some(level) = self.levels.get(index) else {
            let active = x.active(&self.norm, run.scratch);
            x.give(run.scratch);
            let colours = self.output.next(active, run)?;
            picture.push(&colours);
            colours.give(run.scratch);
            return Ok(());
        };
        level.next(x, run, &mut |frame, run| self.level(index + 1, frame, run, picture))
    }
}

/// Frames of the picture as they come.
struct Picture {
    data: Vec<f32>,
    patch: usize,
    /// Whether all values were.
    finite: bool,
}

impl Picture {
    /// Adds a frame. A pixel of it holds `patch` x `patch` pixels of the picture, its channels ordered by (colour,
    /// column, row) inside.
    fn push(&mut self, frame: &Frame) {
        let patch = self.patch;
        for row in 0..frame.rows() * patch {
            for pixel in frame.row(row / patch).chunks_exact(COLOURS * patch * patch) {
                self.finite &= pixel.iter().all(|x| x.is_finite());
                for column in 0..patch {
                    self.data.extend((0..COLOURS).map(|colour| {
                        let channel = (colour * patch + column) * patch + row % patch;
                        pixel[channel].clamp(-1.0, 1.0)
                    }));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
