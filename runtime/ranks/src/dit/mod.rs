//! Diffusion transformers behind the driver: the kernels' pipelines as a [`Compute`].
//!
//! Owns the models' weights, each rank's buffers, and what a request's noise and prompt are: they follow from the seed and the
//! texts of the run and the request's ordinal. Knows no placement and no time. Invariant: a request's picture has the same bits for
//! every Ulysses degree, CFG degree and split of the decoder, and for any change of these between chunks; ring degrees agree
//! within the tolerance that [`Dit::colours`] derives.

mod denoise;
mod error;
mod judge;
mod link;
mod load;
mod picture;
mod prompts;
mod serial;
mod stages;
mod warm_up;

pub use error::DitError;
pub use judge::JUDGED;
pub use load::{Source, Weights};
pub use picture::Picture;
pub use prompts::Prompts;

use crate::artifact::{RowTensor, State, WholeTensor};
use crate::compute::{Compute, ComputeError, Job, Output};
use crate::memory::{Buffer, RankMemory};
use crate::peers::Peers;
use crate::tokens::Tokens;
use flexdit_core::{Bytes, Group, Parallelism, Rank, Request, RequestId, Shape, Stage};
use flexdit_kernels::cpu::Scratch;
use flexdit_kernels::model::{Family, Split};
use flexdit_kernels::pipeline::{Memory, Pipeline};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes of one value of a text embedding: rounded to bf16 once, after encoding.
const EMBEDDING_BYTES: usize = 2;
/// Names of the row tensors: latents, then what the solver carries.
const ROWS: [&str; 4] = ["latents", "prediction", "earlier prediction", "sample"];

/// A model with its weights.
#[derive(Debug)]
struct Model {
    source: Source,
    pipeline: Pipeline,
}

impl Model {
    /// Strength of guidance.
    ///
    /// # Source
    /// The published pipelines' defaults: 4 for Qwen-Image, 5 for Wan.
    fn scale(&self) -> f32 {
        match self.pipeline.config().transformer.family {
            Family::DualStream => 4.0,
            Family::Video => 5.0,
        }
    }

    /// Elements of a latent token.
    fn width(&self) -> usize {
        self.pipeline.config().transformer.width()
    }

    /// Solver tensors beside the latents.
    fn history(&self) -> usize {
        self.pipeline.config().method.history()
    }
}

/// The models of a run: weights for all ranks, buffers for each.
///
/// ```
/// use flexdit_core::model::{MODELS, model};
/// use flexdit_core::{Request, RequestId, Shape};
/// use flexdit_ranks::dit::{Dit, Source};
/// let dit = Dit::load(&[Source::seeded("tiny-image", 7)?], 1)?;
/// let shape = Shape { height: 32, width: 48, frames: 1, text_tokens: 5, steps: 2, ..Shape::default() };
/// # let request = Request { id: RequestId(0), class: flexdit_core::ClassId(0), shape, chunk_steps: 1, priority: 0,
/// #     preemptible: false, arrival: flexdit_core::Nanos(0), deadline: None, t_single: None };
/// // What any run on any ranks must give.
/// let picture = dit.serial(&request)?;
/// assert_eq!((picture.height, picture.width, picture.rgb.len()), (32, 48, 32 * 48 * 3));
/// # Ok::<(), flexdit_ranks::dit::DitError>(())
/// ```
pub struct Dit {
    models: Arc<[Model]>,
    prompts: Arc<Prompts>,
    seed: u64,
    slots: Vec<Mutex<Slot>>,
}

impl fmt::Debug for Dit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.models.iter().map(|model| model.source.name.as_str()).collect();
        f.debug_struct("Dit").field("models", &names).field("seed", &self.seed).finish()
    }
}

/// What a rank keeps between tasks.
#[derive(Debug, Default)]
struct Slot {
    scratch: Scratch,
    /// What was foretold of the hungriest of its tasks.
    foretold: u64,
}

/// Bytes of buffers that a rank keeps for its next task at the most, of those foretold of the hungriest of its tasks: buffers of
/// tasks of other shapes and layouts have room beside its. With less, small tasks would ask the system for pages again and again.
pub const fn kept(foretold: u64) -> u64 {
    foretold + foretold / 2
}

/// A rank's buffers during a task; they go back at its end, as many as it may [keep](kept).
struct Kept<'a> {
    dit: &'a Dit,
    rank: Rank,
    shape: Shape,
    parallelism: Parallelism,
    /// Bytes at the task's begin.
    begin: usize,
    scratch: Scratch,
}

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        let mut slot = self.dit.slot(self.rank);
        // Only seldom: buffers soon fit all tasks.
        if self.scratch.bytes() > self.begin {
            let memory = self.dit.memory(&self.shape, self.parallelism);
            slot.foretold = slot.foretold.max(memory.map_or(0, |memory| memory.rank));
            self.scratch.shed(kept(slot.foretold));
        }
        if slot.scratch.bytes() <= self.scratch.bytes() {
            slot.scratch = std::mem::take(&mut self.scratch);
        }
    }
}

/// A bijection on 64 bits in which every input bit changes about half of the output.
///
/// # Source
/// The finaliser of SplitMix64.
fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// Buffers of every rank that a world may have.
fn empty() -> Vec<Mutex<Slot>> {
    (0..Group::MAX).map(|_| Mutex::default()).collect()
}

/// Forwards a step.
fn branches(shape: &Shape) -> usize {
    if shape.guidance { 2 } else { 1 }
}

/// Frames, pixel rows and pixel columns.
fn pixels(shape: &Shape) -> [usize; 3] {
    [shape.frames, shape.height, shape.width].map(|length| length as usize)
}

impl Dit {
    /// The models in the order of the experiment's table; `seed` is the run's, of which noise and prompts of all
    /// requests are made.
    ///
    /// # Errors
    /// [`DitError::Load`] with the model's name and what the kernels say of its configuration or its weights.
    pub fn load(sources: &[Source], seed: u64) -> Result<Self, DitError> {
        Self::prompted(sources, seed, Prompts::default())
    }

    /// The same with texts for the requests to show. A model whose weights come from a folder with a tokenizer uses that.
    ///
    /// # Errors
    /// As [`Dit::load`]; a tokenizer that cannot be read; [`DitError::Prompt`] for a text without a token.
    pub fn prompted(sources: &[Source], seed: u64, prompts: Prompts) -> Result<Self, DitError> {
        let load = |source: &Source| {
            let model = source.load(&prompts)?;
            prompts.check(&model)?;
            Ok(model)
        };
        let models = sources.iter().map(load).collect::<Result<_, DitError>>()?;
        Ok(Self { models, prompts: Arc::new(prompts), seed, slots: empty() })
    }

    /// The same models and texts for a run of another seed, with buffers of its own.
    pub fn for_seed(&self, seed: u64) -> Self {
        let (models, prompts) = (Arc::clone(&self.models), Arc::clone(&self.prompts));
        Self { models, prompts, seed, slots: empty() }
    }

    /// The seed of a request's noise: what a picture's metadata names.
    pub fn seed(&self, request: RequestId) -> u64 {
        mix(mix(self.seed).wrapping_add(u64::from(request.0)))
    }

    /// Checks that a shape can be made, whatever the ranks.
    ///
    /// # Errors
    /// [`DitError`]: a model that is not there, a size that the VAE or the patches cannot make, too few or too many text
    /// tokens, no steps.
    pub fn check_shape(&self, shape: &Shape) -> Result<(), DitError> {
        let config = self.model(shape)?.pipeline.config();
        config.grid(pixels(shape))?;
        let (got, most) = (shape.text_tokens, config.transformer.text_tokens);
        if !(1..=most).contains(&(got as usize)) {
            return Err(DitError::Text { got, most });
        }
        if shape.steps == 0 { Err(DitError::Steps) } else { Ok(()) }
    }

    /// Checks that a shape can be made with this split.
    ///
    /// # Errors
    /// As [`Dit::check_shape`]; [`DitError::Kernels`] if the Ulysses degree does not divide the heads, [`DitError::Cfg`] if
    /// there are not as many branches.
    pub fn check(&self, shape: &Shape, parallelism: Parallelism) -> Result<(), DitError> {
        self.check_shape(shape)?;
        let heads = self.model(shape)?.pipeline.config().transformer.heads;
        let degree = usize::from(parallelism.ulysses);
        if degree == 0 || !heads.is_multiple_of(degree) {
            return Err(flexdit_kernels::KernelError::Heads { heads, degree }.into());
        }
        let cfg = parallelism.cfg;
        if cfg == 1 || (cfg == 2 && shape.guidance) { Ok(()) } else { Err(DitError::Cfg(cfg)) }
    }

    /// Bytes of weights, which all ranks share.
    pub fn weight_bytes(&self) -> Bytes {
        Bytes(self.models.iter().map(|model| model.pipeline.config().weight_bytes()).sum())
    }

    /// What a request of this shape needs at these degrees, artifacts left out: *derived*.
    ///
    /// # Errors
    /// As [`Dit::check_shape`].
    pub fn memory(&self, shape: &Shape, parallelism: Parallelism) -> Result<Memory, DitError> {
        self.check_shape(shape)?;
        let config = self.model(shape)?.pipeline.config();
        let [ulysses, ring, patch] = [parallelism.ulysses, parallelism.ring, parallelism.patch]
            .map(|degree| usize::from(degree.max(1)));
        let split = Split { ulysses, ring };
        Ok(config.memory(pixels(shape), shape.text_tokens as usize, split, patch)?)
    }

    /// Bytes of buffers that a rank keeps for its next task: the most that its tasks have used at one time.
    pub fn scratch_bytes(&self, rank: Rank) -> Bytes {
        Bytes(self.slot(rank).scratch.bytes() as u64)
    }

    /// The model of a shape.
    fn model(&self, shape: &Shape) -> Result<&Model, DitError> {
        self.models.get(shape.model.index()).ok_or(DitError::Unknown(shape.model))
    }

    fn slot(&self, rank: Rank) -> MutexGuard<'_, Slot> {
        self.slots[rank.index()].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A rank's buffers, taken out: nobody waits for a lock while others wait for him, also if two drivers share the models.
    fn scratch_of(&self, job: &Job<'_>) -> Kept<'_> {
        self.scratch_for(job.rank, job.request.shape, job.task.parallelism)
    }

    fn scratch_for(&self, rank: Rank, shape: Shape, parallelism: Parallelism) -> Kept<'_> {
        let scratch = std::mem::take(&mut self.slot(rank).scratch);
        Kept { dit: self, rank, shape, parallelism, begin: scratch.bytes(), scratch }
    }

    /// Latent tokens along frames, rows and columns.
    fn grid(&self, shape: &Shape) -> Result<[usize; 3], DitError> {
        Ok(self.model(shape)?.pipeline.config().grid(pixels(shape))?)
    }

    /// The rows of some tokens before the first step.
    fn noise(&self, request: &Request, tokens: &Tokens) -> Result<Vec<f32>, DitError> {
        let (model, grid) = (self.model(&request.shape)?, self.grid(&request.shape)?);
        let all = 0..grid.iter().product();
        let noise = model.pipeline.noise(self.seed(request.id), grid, all).tokens;
        if tokens.len() as usize * model.width() == noise.len() {
            return Ok(noise);
        }
        let range = |(start, end)| start as usize * model.width()..end as usize * model.width();
        let ranges = tokens.ranges().iter().copied().map(range);
        Ok(ranges.flat_map(|range| noise[range].iter().copied()).collect())
    }
}

impl Compute for Dit {
    fn state(&self, shape: &Shape) -> Result<State, ComputeError> {
        self.check_shape(shape)?;
        let model = self.model(shape)?;
        let grid = self.grid(shape)?.map(|length| length as u32);
        let row_bytes = model.width() * size_of::<f32>();
        let names = ROWS.into_iter().take(1 + model.history());
        let rows = names.map(|name| RowTensor { name, row_bytes }).collect();
        let values = shape.text_tokens as usize * model.pipeline.config().transformer.text_dim;
        let bytes = branches(shape) * values * EMBEDDING_BYTES;
        Ok(State { grid, rows, whole: vec![WholeTensor { name: "embeddings", bytes }] })
    }

    fn run(&self, job: &Job<'_>, peers: &mut Peers<'_>) -> Result<Output, ComputeError> {
        match job.task.stage {
            Stage::TextEncode => self.encode(job),
            Stage::Denoise => self.denoise(job, peers),
            Stage::VaeDecode => self.decode(job, peers),
        }
    }

    fn initial(
        &self,
        request: &Request,
        tokens: &Tokens,
        memory: &Arc<RankMemory>,
    ) -> Result<Vec<Buffer>, ComputeError> {
        let noise = self.noise(request, tokens)?;
        let bytes = noise.len() * size_of::<f32>();
        let mut latents = memory.builder(bytes)?;
        latents.push(bytemuck::cast_slice(&noise));
        let mut rows = vec![latents.finish()];
        for _ in 0..self.model(&request.shape)?.history() {
            rows.push(memory.zeroed(bytes)?);
        }
        Ok(rows)
    }

    fn warm_up(&self, rank: Rank, shapes: &[Shape]) -> Result<(), ComputeError> {
        for shape in self.hungriest(shapes) {
            self.rehearse(rank, shape)?;
        }
        Ok(())
    }

    fn kept(&self, rank: Rank) -> Bytes {
        self.scratch_bytes(rank)
    }
}
