//! From a prompt and a seed to a picture: text encoder, transformer, solver and VAE decoder as one, stage by stage.
//!
//! Owns how the stages follow each other and what passes between them; which ranks run a stage, and what is moved
//! between stages, is the caller's. Every function acts for one rank; ranks of a group call the same one and
//! meet in their exchange. Invariant: context, tokens and picture have the same bits for every Ulysses degree, every CFG
//! degree and every split of the decoder, and for any change of these between steps.

mod config;
mod guided;
mod memory;
mod picture;

pub use config::Config;
pub use guided::{Branches, Context};
pub use memory::Memory;
pub use picture::{gather, rgb, rgb_into};

use crate::cpu::Scratch;
use crate::cpu::patch::Patching;
use crate::error::Result;
use crate::exchange::Exchange;
use crate::model::{Model, Parallel, WeightSource};
use crate::random::Stream;
use crate::solver::{Schedule, Solver, State};
use crate::tensor::Tensor;
use crate::text::{Encoder, Tokenizer, random_tokens};
use crate::vae::{Decoder, Rows};

/// What a picture shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prompt<'a> {
    /// A text.
    Text {
        /// Its words.
        text: &'a str,
        /// Tokens at the most, those of the template's end and the one that ends it included.
        most: usize,
    },
    /// A text of which only the number of tokens is known; the seed stands for the rest.
    Random {
        /// Stands for the words.
        seed: u64,
        /// How many.
        tokens: usize,
    },
}

impl<'a> Prompt<'a> {
    /// A text of as many tokens as the transformer takes.
    pub const fn text(text: &'a str) -> Self {
        Self::Text { text, most: usize::MAX }
    }
}

/// A request's latents on one rank, and what its solver carries along.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    /// The rank's tokens, row by row.
    pub tokens: Vec<f32>,
    /// The solver's state of the same tokens.
    pub state: State,
}

/// All weights of a model, for any number of requests and ranks.
///
/// ```
/// use flexdit_kernels::Alone;
/// use flexdit_kernels::cpu::Scratch;
/// use flexdit_kernels::model::{Parallel, Seeded};
/// use flexdit_kernels::pipeline::{Branches, Config, Context, Pipeline, Prompt, rgb};
/// let config = Config::preset("tiny-image").expect("listed");
/// let mut weights = [Seeded::new(1); 3];
/// let pipeline = Pipeline::load(&config, weights.each_mut().map(|w| w as _))?;
/// let (mut scratch, mut alone) = (Scratch::default(), Parallel::alone());
/// let grid = config.grid([1, 32, 48])?;
/// let text = pipeline.encode(Prompt::text("a lighthouse"), &mut scratch)?;
/// let solver = pipeline.solver(4, grid);
/// let mut progress = pipeline.noise(7, grid, 0..6);
/// for _ in 0..4 {
///     let context = Context { with: &text, without: None };
///     let branches = Branches::Plain;
///     pipeline.step(&solver, grid, context, branches, &mut progress, &mut alone, &mut scratch)?;
/// }
/// let rows = pipeline.rows(grid, 1, 0);
/// let picture = pipeline.decode(progress.tokens, grid, &rows, &mut Alone, &mut scratch)?;
/// assert_eq!(rgb(&picture).len(), 32 * 48 * 3);
/// # Ok::<(), flexdit_kernels::KernelError>(())
/// ```
#[derive(Debug)]
pub struct Pipeline {
    config: Config,
    tokenizer: Tokenizer,
    encoder: Encoder,
    transformer: Model,
    decoder: Decoder,
}

impl Pipeline {
    /// The pipeline with weights of text encoder, transformer and VAE from one source each, and the tokenizer that needs
    /// no file.
    ///
    /// # Errors
    /// As [`Config::check`]; whatever a source says of a missing or misshapen tensor.
    pub fn load(config: &Config, sources: [&mut dyn WeightSource; 3]) -> Result<Self> {
        config.check()?;
        let [text, transformer, vae] = sources;
        Ok(Self {
            tokenizer: Tokenizer::hash(&config.text),
            encoder: Encoder::load(&config.text, text, config.storage)?,
            transformer: Model::load(&config.transformer, transformer, config.storage)?,
            decoder: Decoder::load(&config.vae, vae)?,
            config: config.clone(),
        })
    }

    /// The same with another tokenizer.
    #[must_use]
    pub fn with_tokenizer(self, tokenizer: Tokenizer) -> Self {
        Self { tokenizer, ..self }
    }

    /// Its configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The tokens of a prompt, with those that the encoder skips; longer ones are cut to what the transformer takes.
    ///
    /// # Errors
    /// As [`Tokenizer::tokens`].
    ///
    /// # Panics
    /// If a random prompt has no tokens.
    pub fn tokens(&self, prompt: Prompt<'_>) -> Result<Vec<u32>> {
        let (config, takes) = (&self.config.text, self.config.transformer.text_tokens);
        match prompt {
            Prompt::Text { text, most } => self.tokenizer.tokens(config, text, most.min(takes)),
            Prompt::Random { seed, tokens } => {
                Ok(random_tokens(seed, tokens.min(takes) + config.skip, config.vocabulary))
            }
        }
    }

    /// The embedding `[text tokens, text_dim]` of a prompt, [padded](Pipeline::padded).
    ///
    /// # Errors
    /// As [`Encoder::encode`] and [`Pipeline::tokens`].
    ///
    /// # Panics
    /// If a random prompt has no tokens.
    pub fn encode(&self, prompt: Prompt<'_>, scratch: &mut Scratch) -> Result<Tensor> {
        self.padded(self.encoder.encode(&self.tokens(prompt)?, scratch)?)
    }

    /// A text as the transformer takes it: where the model [pads](crate::text::Config::pad), rows of zeros follow up to its
    /// `text_tokens`.
    ///
    /// # Errors
    /// [`crate::KernelError::Length`] never: rows are whole.
    pub fn padded(&self, text: Tensor) -> Result<Tensor> {
        let (rows, dim) = (self.config.transformer.text_tokens, text.shape().columns());
        if !self.config.text.pad || text.data().len() >= rows * dim {
            return Ok(text);
        }
        let mut data = text.into_data();
        data.resize(rows * dim, 0.0);
        Tensor::new("text", [rows, dim], data)
    }

    /// The solver of a request for a picture of these tokens.
    ///
    /// # Panics
    /// If there are no steps.
    pub fn solver(&self, steps: usize, grid: [usize; 3]) -> Solver {
        let schedule = Schedule::shifted(steps, &self.config.shift, grid.iter().product());
        Solver::new(self.config.method, schedule)
    }

    /// The tokens in `range` before the first step: noise that hangs on the request's seed alone.
    ///
    /// # Panics
    /// If the range ends beyond the grid.
    pub fn noise(&self, seed: u64, grid: [usize; 3], range: std::ops::Range<usize>) -> Progress {
        let width = self.config.transformer.width();
        let all = Stream::new(seed, "latents").normal(grid.iter().product::<usize>() * width);
        let tokens = all[range.start * width..range.end * width].to_vec();
        Progress { tokens, state: State::default() }
    }

    /// Takes one step with this rank's tokens: shard `parallel.part()` of `parallel.degree()` of the grid's, ragged.
    ///
    /// # Errors
    /// As [`Model::predict`]; [`crate::KernelError::Exchange`] if the other branch was lost.
    ///
    /// # Panics
    /// If all steps are done, or guidance is asked for without a second text.
    #[expect(clippy::too_many_arguments, reason = "what a step hangs on, each of another owner")]
    pub fn step(
        &self,
        solver: &Solver,
        grid: [usize; 3],
        context: Context<'_>,
        branches: Branches<'_>,
        progress: &mut Progress,
        parallel: &mut Parallel<'_>,
        scratch: &mut Scratch,
    ) -> Result<()> {
        let timestep = solver.timestep(&progress.state);
        let call = guided::Call { model: &self.transformer, grid, timestep };
        let tokens = &progress.tokens;
        let velocity = guided::velocity(&call, context, branches, tokens, parallel, scratch)?;
        solver.step(&mut progress.tokens, &velocity, &mut progress.state);
        Ok(())
    }

    /// How the decoder's ranks share the rows of a picture: whole rows of tokens, ragged, seen by rank `index`.
    ///
    /// # Panics
    /// If `index` is not below `parts`.
    pub fn rows(&self, grid: [usize; 3], parts: usize, index: usize) -> Rows {
        let unit = self.config.transformer.patch[1];
        Rows::new(grid[1] * unit, unit, parts, index)
    }

    /// This rank's rows of the picture, `[frames, pixel rows, pixel columns, 3]` in -1..=1, from its rows of tokens of
    /// every frame. See [`gather`] and [`rgb`].
    ///
    /// # Errors
    /// [`crate::KernelError::Length`] if the tokens are not those rows; as [`Decoder::decode`].
    ///
    /// # Panics
    /// If `rows` has not one part for every member of `exchange`.
    pub fn decode(
        &self,
        tokens: Vec<f32>,
        grid: [usize; 3],
        rows: &Rows,
        exchange: &mut dyn Exchange,
        scratch: &mut Scratch,
    ) -> Result<Tensor> {
        let transformer = &self.config.transformer;
        let mine = rows.mine().len() / transformer.patch[1];
        let grid = [grid[0], mine, grid[2]];
        let patching = Patching { channels: transformer.channels, grid, patch: transformer.patch };
        let tokens = Tensor::new("tokens", [patching.tokens(), patching.width()], tokens)?;
        self.decoder.decode(&patching.unpatchify(&tokens)?, rows, exchange, scratch)
    }
}

#[cfg(test)]
mod rings;
#[cfg(test)]
mod tests;
