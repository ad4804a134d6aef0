//! The stages before and after denoising: text encoding on one rank, decoding by rows.

use super::link::Link;
use super::{Dit, DitError, EMBEDDING_BYTES, branches};
use crate::compute::{Compute, ComputeError, Job, Output};
use crate::peers::Peers;
use flexdit_kernels::pipeline::rgb_into;
use half::bf16;
use half::slice::HalfFloatSliceExt;
use std::cell::RefCell;

impl Dit {
    /// Embeddings of every branch, and the noise to begin with.
    pub(super) fn encode(&self, job: &Job<'_>) -> Result<Output, ComputeError> {
        let rows = self.initial(job.request, job.tokens, job.memory())?;
        let model = self.model(&job.request.shape)?;
        let mut kept = self.scratch_of(job);
        let scratch = &mut kept.scratch;
        let bytes = job.state.whole[0].bytes;
        let mut whole = job.zeroed(bytes)?;
        let count = branches(&job.request.shape);
        let parts = whole.as_mut_slice::<bf16>().chunks_exact_mut(bytes / EMBEDDING_BYTES / count);
        for (branch, part) in parts.enumerate() {
            let text = model.pipeline.encode(self.prompt(job.request, branch), scratch)?;
            if !text.data().iter().all(|x| x.is_finite()) {
                let after = "text encode".to_owned();
                return Err(DitError::NotFinite { what: "text embeddings", after }.into());
            }
            // A short prompt fills the first rows; rows of zeros beyond are made again where they are needed.
            let count = part.len().min(text.data().len());
            part[..count].convert_from_f32_slice(&text.data()[..count]);
        }
        Ok(Output { rows, whole: vec![whole] })
    }

    /// This rank's rows of the picture, as colours in bytes.
    pub(super) fn decode(
        &self,
        job: &Job<'_>,
        peers: &mut Peers<'_>,
    ) -> Result<Output, ComputeError> {
        let shape = &job.request.shape;
        let (model, grid) = (self.model(shape)?, self.grid(shape)?);
        let mut kept = self.scratch_of(job);
        let scratch = &mut kept.scratch;
        let patches = usize::from(job.task.parallelism.patch);
        let (first, index) = (job.index / patches * patches, job.index % patches);
        let rows = model.pipeline.rows(grid, patches, index);
        let peers = RefCell::new(peers);
        let mut link = Link::new(&peers, first..first + patches, index);
        let tokens = job.rows_of::<f32>(0).to_vec();
        let picture = model.pipeline.decode(tokens, grid, &rows, &mut link, scratch)?;
        let mut bytes = job.zeroed(picture.data().len())?;
        rgb_into(&picture, bytes.as_bytes_mut());
        Ok(Output { rows: Vec::new(), whole: vec![bytes] })
    }
}
