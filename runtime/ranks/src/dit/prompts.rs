//! What requests show: texts of the experiment, or random tokens of which only the number is known.

use super::{Dit, DitError, Model, branches, mix};
use flexdit_core::{Request, RequestId};
use flexdit_kernels::Tensor;
use flexdit_kernels::pipeline::Prompt;
use serde::{Deserialize, Serialize};

/// The texts that the requests of a run show.
///
/// ```
/// use flexdit_core::RequestId;
/// use flexdit_ranks::dit::Prompts;
/// let texts = vec!["a red fox".to_owned(), "the sea".to_owned()];
/// let prompts = Prompts { texts, negative: String::new() };
/// assert_eq!(prompts.of(RequestId(5)), Some("the sea"));
/// assert_eq!(Prompts::default().of(RequestId(5)), None);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prompts {
    /// The texts, which requests take in turn by their ordinals; none: random tokens stand for words.
    pub texts: Vec<String>,
    /// What guided requests keep away from.
    pub negative: String,
}

impl Prompts {
    /// The text of a request; `None` if random tokens stand for it.
    pub fn of(&self, request: RequestId) -> Option<&str> {
        let turn = request.index().checked_rem(self.texts.len())?;
        Some(&self.texts[turn])
    }

    /// Checks that every text gives a model something to attend to.
    pub(super) fn check(&self, model: &Model) -> Result<(), DitError> {
        let skip = model.pipeline.config().text.skip;
        for text in &self.texts {
            let tokens = model.pipeline.tokens(Prompt::text(text));
            let tokens = tokens.map_err(|error| model.source.failed(error))?;
            if tokens.len() <= skip {
                return Err(DitError::Prompt {
                    model: model.source.name.clone(),
                    text: text.clone(),
                });
            }
        }
        Ok(())
    }
}

impl Dit {
    /// The texts of the run.
    pub fn prompts(&self) -> &Prompts {
        &self.prompts
    }

    /// The prompt of a branch: the request's words, or its negative ones.
    pub(super) fn prompt(&self, request: &Request, branch: usize) -> Prompt<'_> {
        let tokens = request.shape.text_tokens as usize;
        match self.prompts.of(request.id) {
            Some(text) if branch == 0 => Prompt::Text { text, most: tokens },
            Some(_) => Prompt::Text { text: &self.prompts.negative, most: tokens },
            None => {
                let seed = mix(self.seed(request.id).wrapping_add(branch as u64 + 1));
                Prompt::Random { seed, tokens }
            }
        }
    }

    /// The texts of the branches as the transformer takes them, from `values`: for each branch as many rows as the shape has
    /// text tokens, of which a shorter prompt fills the first.
    pub(super) fn unpack(
        &self,
        request: &Request,
        values: &[f32],
    ) -> Result<Vec<Tensor>, DitError> {
        let pipeline = &self.model(&request.shape)?.pipeline;
        let (dim, skip) = (pipeline.config().transformer.text_dim, pipeline.config().text.skip);
        let count = branches(&request.shape);
        let text = |(branch, values): (usize, &[f32])| {
            let rows = match self.prompt(request, branch) {
                Prompt::Random { tokens, .. } => tokens,
                prompt @ Prompt::Text { .. } => pipeline.tokens(prompt)?.len().saturating_sub(skip),
            };
            let values = values[..rows * dim].to_vec();
            Ok(pipeline.padded(Tensor::new("text", [rows, dim], values)?)?)
        };
        values.chunks_exact(values.len() / count).enumerate().map(text).collect()
    }
}
