//! Denoising: a chunk of steps on one rank of a task.

use super::link::{Link, Shared};
use super::{Dit, DitError, Model};
use crate::compute::{ComputeError, Job, Output};
use crate::peers::Peers;
use flexdit_kernels::cpu::Scratch;
use flexdit_kernels::model::Parallel;
use flexdit_kernels::pipeline::{Branches, Context, Progress};
use flexdit_kernels::solver::State;
use half::bf16;
use half::slice::HalfFloatSliceExt;
use std::cell::RefCell;

/// A rank's place: branch by ring turn by Ulysses lane, the lane fastest.
#[derive(Clone, Copy)]
struct Place {
    ulysses: usize,
    ring: usize,
    branch: usize,
    turn: usize,
    lane: usize,
}

impl Place {
    fn new(job: &Job<'_>) -> Self {
        let [ulysses, ring] =
            [job.task.parallelism.ulysses, job.task.parallelism.ring].map(usize::from);
        let place = job.index % (ulysses * ring);
        let branch = job.index / (ulysses * ring);
        Self { ulysses, ring, branch, turn: place / ulysses, lane: place % ulysses }
    }

    /// The place of another rank among the computing ones.
    fn of(self, branch: usize, turn: usize, lane: usize) -> usize {
        (branch * self.ring + turn) * self.ulysses + lane
    }

    fn parallel<'a>(self, peers: &'a Shared<'_, '_>) -> Parallel<'a> {
        let lanes = (0..self.ulysses).map(|lane| self.of(self.branch, self.turn, lane));
        let turns = (0..self.ring).map(|turn| self.of(self.branch, turn, self.lane));
        Parallel::new(Link::new(peers, lanes, self.lane), Link::new(peers, turns, self.turn))
    }

    /// The two ranks with these tokens, the prompt's first.
    fn pair<'s, 'p, 'a>(self, peers: &'s Shared<'p, 'a>) -> Link<'s, 'p, 'a> {
        let places = (0..2).map(|branch| self.of(branch, self.turn, self.lane));
        Link::new(peers, places, self.branch)
    }
}

impl Dit {
    /// Steps of a task, from the rows of this rank's tokens to those rows.
    pub(super) fn denoise(
        &self,
        job: &Job<'_>,
        peers: &mut Peers<'_>,
    ) -> Result<Output, ComputeError> {
        let shape = &job.request.shape;
        let (model, grid) = (self.model(shape)?, self.grid(shape)?);
        let mut kept = self.scratch_of(job);
        let scratch = &mut kept.scratch;
        let embeddings: &[bf16] = job.whole(0).as_slice();
        let mut wide = vec![0.0; embeddings.len()];
        embeddings.convert_to_f32_slice(&mut wide);
        let texts = self.unpack(job.request, &wide)?;
        let context = Context { with: &texts[0], without: texts.get(1) };
        let solver = model.pipeline.solver(shape.steps as usize, grid);
        let (place, peers) = (Place::new(job), RefCell::new(peers));
        let (mut parallel, mut pair) = (place.parallel(&peers), place.pair(&peers));
        let mut progress = resume(model, job, scratch);
        for step in 0..job.task.steps {
            job.step(step)?;
            let branches = match (shape.guidance, job.task.parallelism.cfg) {
                (false, _) => Branches::Plain,
                (true, 1) => Branches::InTurn { scale: model.scale() },
                (true, _) => Branches::Apart { scale: model.scale(), exchange: &mut pair },
            };
            model.pipeline.step(
                &solver,
                grid,
                context,
                branches,
                &mut progress,
                &mut parallel,
                scratch,
            )?;
        }
        finite(&progress.tokens, job.task.first_step + job.task.steps)?;
        leave(model, job, progress, scratch)
    }
}

/// Refuses latents that overflowed: the decode would tell much later, and not when it happened.
pub(super) fn finite(latents: &[f32], steps: u32) -> Result<(), DitError> {
    if latents.iter().all(|x| x.is_finite()) {
        return Ok(());
    }
    Err(DitError::NotFinite { what: "latents", after: format!("denoising step {steps}") })
}

/// What the task before left, in buffers of this rank.
fn resume(model: &Model, job: &Job<'_>, scratch: &mut Scratch) -> Progress {
    let mut take = |tensor: usize| {
        let rows: &[f32] = job.rows_of(tensor);
        let mut buffer = scratch.take(rows.len());
        buffer.copy_from_slice(rows);
        buffer
    };
    let tokens = take(0);
    let history = (1..=model.history()).map(take).collect();
    let method = model.pipeline.config().method;
    Progress { tokens, state: State::resume(method, job.task.first_step as usize, history) }
}

/// Latents and history as rows of the output; the buffers go back.
fn leave(
    model: &Model,
    job: &Job<'_>,
    progress: Progress,
    scratch: &mut Scratch,
) -> Result<Output, ComputeError> {
    let Progress { tokens, state } = progress;
    let method = model.pipeline.config().method;
    let history = state.into_history(method, tokens.len());
    let mut rows = Vec::with_capacity(1 + history.len());
    for tensor in std::iter::once(tokens).chain(history) {
        let bytes: &[u8] = bytemuck::cast_slice(&tensor);
        let mut row = job.memory().builder(bytes.len())?;
        row.push(bytes);
        rows.push(row.finish());
        scratch.give(tensor);
    }
    Ok(Output { rows, whole: Vec::new() })
}
