//! A request from prompt to picture in one thread, without driver and ranks: what every run must give.

use super::denoise::finite;
use super::{Dit, DitError, Picture, branches, pixels};
use crate::tokens::Tokens;
use flexdit_core::Request;
use flexdit_kernels::cpu::Scratch;
use flexdit_kernels::model::Parallel;
use flexdit_kernels::pipeline::{Branches, Context, Progress, rgb};
use flexdit_kernels::solver::State;
use flexdit_kernels::{Alone, Tensor};
use half::bf16;

impl Dit {
    /// The embeddings of all branches.
    pub(super) fn texts(
        &self,
        request: &Request,
        scratch: &mut Scratch,
    ) -> Result<Vec<Tensor>, DitError> {
        let pipeline = &self.model(&request.shape)?.pipeline;
        let text = |branch| {
            let text = pipeline.encode(self.prompt(request, branch), scratch)?;
            // Embeddings travel in half the bytes.
            let rounded = text.data().iter().map(|x| bf16::from_f32(*x).to_f32()).collect();
            Ok(Tensor::new("text", text.shape(), rounded)?)
        };
        (0..branches(&request.shape)).map(text).collect()
    }

    /// The picture of a request, computed here and now.
    ///
    /// # Errors
    /// As [`Dit::check_shape`]; whatever the kernels say.
    pub fn serial(&self, request: &Request) -> Result<Picture, DitError> {
        self.compute(request, &mut Scratch::default())
    }

    /// The same with these buffers.
    pub(super) fn compute(
        &self,
        request: &Request,
        scratch: &mut Scratch,
    ) -> Result<Picture, DitError> {
        let shape = &request.shape;
        self.check_shape(shape)?;
        let (model, grid) = (self.model(shape)?, self.grid(shape)?);
        let pipeline = &model.pipeline;
        let texts = self.texts(request, scratch)?;
        let context = Context { with: &texts[0], without: texts.get(1) };
        let all = Tokens::all(grid.map(|length| length as u32));
        let tokens = self.noise(request, &all)?;
        let mut progress = Progress { tokens, state: State::default() };
        let (solver, mut alone) = (pipeline.solver(shape.steps as usize, grid), Parallel::alone());
        for step in 0..shape.steps {
            let branches = match shape.guidance {
                false => Branches::Plain,
                true => Branches::InTurn { scale: model.scale() },
            };
            let (progress, alone) = (&mut progress, &mut alone);
            pipeline.step(&solver, grid, context, branches, progress, alone, scratch)?;
            finite(&progress.tokens, step + 1)?;
        }
        let rows = pipeline.rows(grid, 1, 0);
        let picture = pipeline.decode(progress.tokens, grid, &rows, &mut Alone, scratch)?;
        let [frames, height, width] = pipeline.config().made(pixels(shape))?.map(|n| n as u32);
        Ok(Picture { frames, height, width, rgb: rgb(&picture) })
    }
}
