//! Arithmetic with a flaw, to show that a flaw is found.

use flexdit_core::{Request, Shape, Stage};
use flexdit_ranks::{Buffer, Compute, ComputeError, Job, Output, Peers, RankMemory, State, Tokens};
use std::sync::Arc;

/// The same arithmetic, but for the sign of one latent value wherever several ranks denoise: the result then depends on
/// the degree, as it would after a mistake in sequence parallelism.
pub struct Flawed(pub Arc<dyn Compute>);

impl Compute for Flawed {
    fn state(&self, shape: &Shape) -> Result<State, ComputeError> {
        self.0.state(shape)
    }

    fn run(&self, job: &Job<'_>, peers: &mut Peers<'_>) -> Result<Output, ComputeError> {
        let mut output = self.0.run(job, peers)?;
        if job.task.stage == Stage::Denoise
            && job.task.parallelism.degree() > 1
            && job.index == 0
            && let Some(value) = output.rows[0].as_mut_slice::<f32>().first_mut()
        {
            *value = -*value;
        }
        Ok(output)
    }

    fn initial(
        &self,
        request: &Request,
        tokens: &Tokens,
        memory: &Arc<RankMemory>,
    ) -> Result<Vec<Buffer>, ComputeError> {
        self.0.initial(request, tokens, memory)
    }
}
