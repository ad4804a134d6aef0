//! What the colours of a request may be, whoever computed it: the kernels' oracle on the request's own noise and prompt.

use super::{Dit, DitError};
use crate::tokens::Tokens;
use flexdit_core::Request;
use flexdit_kernels::cpu::Scratch;
use flexdit_kernels::oracle::pipeline::{self as oracle, Colours};
use flexdit_kernels::{DType, View};

/// Multiply-adds of the largest request that is computed in f64 with deviations: half a minute of one core at the most.
pub const JUDGED: u64 = 20_000_000_000;

impl Dit {
    /// The colours of a request with their derived tolerance; `None` if that would take more than [`JUDGED`] multiply-adds, or
    /// weights are kept as bf16, which the oracle does not round to.
    ///
    /// # Errors
    /// As [`Dit::check_shape`]; whatever the weights' source says.
    pub fn colours(&self, request: &Request) -> Result<Option<Colours>, DitError> {
        let shape = &request.shape;
        self.check_shape(shape)?;
        let (model, grid) = (self.model(shape)?, self.grid(shape)?);
        let config = model.pipeline.config();
        let texts = self.texts(request, &mut Scratch::default())?;
        let noise = self.noise(request, &Tokens::all(grid.map(|length| length as u32)))?;
        let request = oracle::Request {
            noise: View::new(&noise, model.width()),
            grid,
            with: texts[0].view(),
            without: texts.get(1).map(|text| (text.view(), model.scale())),
            steps: shape.steps as usize,
        };
        if config.storage != DType::F32 || request.multiply_adds(config) > JUDGED {
            return Ok(None);
        }
        let colours = model.source.with_parts(|[_, transformer, vae]| {
            oracle::colours(config, [transformer, vae], request)
        });
        Ok(Some(colours.map_err(|error| model.source.failed(error))?))
    }
}
