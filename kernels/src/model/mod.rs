//! Whole diffusion transformers of two families, over a sequence that may be split over ranks.
//!
//! A model is immutable and holds no request: one copy serves every worker. Invariant: the prediction for a token has the
//! same bits for every Ulysses degree (see [`parallel`]); ring degrees agree within rounding.

mod block;
mod config;
mod dual_stream;
mod list;
mod memory;
pub mod parallel;
mod video;
pub mod weights;

pub use config::{Config, Family, PRESETS};
pub use memory::Split;
pub use parallel::Parallel;
pub use weights::{Seeded, TensorSpec, WeightSource};

use crate::cpu::Scratch;
use crate::cpu::rope::RopeTable;
use crate::error::{KernelError, Result};
use crate::tensor::{DType, Shape};
use crate::view::View;
use dual_stream::DualStream;
use video::Video;

/// What one call of a model is given.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// This rank's tokens `[shard, width]`: shard `parallel.part()` of `parallel.degree()` of the grid's, ragged.
    pub tokens: View<'a>,
    /// The whole text embedding `[text tokens, text_dim]`, on every rank.
    pub text: View<'a>,
    /// Noise level times 1000, as [`crate::solver::Solver::timestep`] gives it.
    pub timestep: f32,
    /// Tokens of the whole along frames, rows and columns.
    pub grid: [usize; 3],
}

/// A diffusion transformer with its weights.
///
/// ```
/// use flexdit_kernels::cpu::Scratch;
/// use flexdit_kernels::model::{Config, Input, Model, Parallel, Seeded};
/// use flexdit_kernels::{DType, View};
/// let config = Config::preset("tiny-image").expect("listed");
/// let model = Model::load(&config, &mut Seeded::new(7), DType::F32)?;
/// let (tokens, text) = (vec![0.5; 4 * config.width()], vec![0.1; 3 * config.text_dim]);
/// let (tokens, text) = (View::new(&tokens, config.width()), View::new(&text, config.text_dim));
/// let input = Input { tokens, text, timestep: 900.0, grid: [1, 2, 2] };
/// let velocity = model.predict(input, &mut Parallel::alone(), &mut Scratch::default())?;
/// assert_eq!(velocity.len(), 4 * config.width());
/// # Ok::<(), flexdit_kernels::KernelError>(())
/// ```
#[derive(Debug)]
pub struct Model {
    config: Config,
    family: Blocks,
}

#[derive(Debug)]
enum Blocks {
    DualStream(DualStream),
    Video(Video),
}

impl Model {
    /// The model with weights from `source`, its matrices kept as `storage`.
    ///
    /// # Errors
    /// As [`Config::check`]; whatever the source says of a missing or misshapen tensor.
    pub fn load(config: &Config, source: &mut dyn WeightSource, storage: DType) -> Result<Self> {
        config.check()?;
        let family = match config.family {
            Family::DualStream => Blocks::DualStream(DualStream::load(config, source, storage)?),
            Family::Video => Blocks::Video(Video::load(config, source, storage)?),
        };
        Ok(Self { config: config.clone(), family })
    }

    /// Its configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The velocity (noise minus picture) predicted for this rank's tokens, `[shard, width]`.
    ///
    /// # Errors
    /// [`KernelError::Heads`] if the Ulysses degree does not divide the heads; [`KernelError::Shape`] and
    /// [`KernelError::Tokens`] for inputs that do not fit; [`KernelError::Exchange`] if another rank was lost.
    pub fn predict(
        &self,
        input: Input<'_>,
        parallel: &mut Parallel<'_>,
        scratch: &mut Scratch,
    ) -> Result<Vec<f32>> {
        self.check(&input, parallel)?;
        match &self.family {
            Blocks::DualStream(model) => model.predict(&self.config, input, parallel, scratch),
            Blocks::Video(model) => model.predict(&self.config, input, parallel, scratch),
        }
    }

    fn check(&self, input: &Input<'_>, parallel: &Parallel<'_>) -> Result<()> {
        let config = &self.config;
        parallel.check_heads(config.heads)?;
        let (total, text) = (input.grid.iter().product(), input.text.height());
        let least_most = |what, got, least, most| {
            let wrong = got < least || got > most;
            if wrong { Err(KernelError::Tokens { what, got, least, most }) } else { Ok(()) }
        };
        least_most("latent", total, 1, usize::MAX)?;
        least_most("text", text, 1, config.text_tokens)?;
        let expect = |what: &str, view: View<'_>, expected: Shape| {
            let got = Shape::new(&[view.height(), view.columns()]);
            let error = KernelError::Shape { what: what.into(), got, expected };
            if got == expected { Ok(()) } else { Err(error) }
        };
        let shard = parallel.shard(total).len();
        expect("tokens", input.tokens, [shard, config.width()].into())?;
        expect("text", input.text, [text, config.text_dim].into())
    }
}

/// Positions of the tokens in `range` of a grid, frame by frame, row by row, with rows and columns counted from `origin`.
fn positions(
    grid: [usize; 3],
    range: std::ops::Range<usize>,
    origin: [i32; 2],
) -> impl ExactSizeIterator<Item = [i32; 3]> {
    let [_, rows, columns] = grid;
    range.map(move |token| {
        let (frame, rest) = (token / (rows * columns), token % (rows * columns));
        let (row, column) = (rest / columns, rest % columns);
        [frame as i32, row as i32 + origin[0], column as i32 + origin[1]]
    })
}

/// Positions as a table for a configuration's heads.
fn rope(config: &Config, positions: impl ExactSizeIterator<Item = [i32; 3]>) -> RopeTable {
    RopeTable::new(config.rope_axes(), positions)
}

#[cfg(test)]
mod tests;
