//! What only real ranks need to know.

use crate::input::{Document, InputError, suggestion};
use crate::workload::Named;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// How an experiment runs on real ranks. Times of the workload are real times there: shorten a run by fewer requests,
/// fewer steps or smaller shapes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Real {
    /// Where weights come from; default seed 1.
    pub weights: Weights,
    /// Files of model configurations by model, relative to the experiment: what is computed in place of the model's own
    /// configuration, as those under `workloads/models/`. Tokens, heads, channels and text must be the model's.
    #[serde(skip_serializing_if = "Named::is_empty")]
    pub configs: Named<PathBuf>,
    /// Texts that requests show, in turn by their ordinals, each cut to its class's `text_tokens`; left out: random tokens,
    /// as many as the class has. With weights of a folder its tokenizer makes tokens of them, else a stand-in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub prompts: Vec<String>,
    /// What guided requests with `prompts` keep away from; default empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub negative_prompt: String,
    /// Whether each rank keeps to one core; default true. Where the system refuses, the run goes on and says so.
    pub pin: bool,
    /// What a rank is; default `threads`.
    pub ranks: RankKind,
}

/// What a rank is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RankKind {
    /// A thread of the program. All share one copy of the weights.
    #[default]
    Threads,
    /// A process of its own, with weights of its own: the run outlives one that ends or is killed. Linux only.
    Processes,
}

impl Default for Real {
    fn default() -> Self {
        Self {
            weights: Weights::default(),
            configs: Named::default(),
            prompts: Vec::new(),
            negative_prompt: String::new(),
            pin: true,
            ranks: RankKind::Threads,
        }
    }
}

impl Real {
    /// Whether everything is at its default.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Whether models loaded for the one serve the other.
    pub fn computes_as(&self, other: &Self) -> bool {
        let parts =
            |real: &Self| (real.weights.clone(), real.configs.clone(), real.prompts.clone());
        parts(self) == parts(other) && self.negative_prompt == other.negative_prompt
    }

    /// Checks what can be without reading files, against the experiment's models.
    ///
    /// # Errors
    /// A configuration of another model, an empty prompt, a negative prompt alone.
    pub(super) fn check(&self, models: &[&str], document: &Document) -> Result<(), InputError> {
        for (model, _) in self.configs.iter() {
            if !models.contains(&model) {
                let (message, hint) = suggestion("model of the experiment", model, models);
                let error = document.error(&format!("real.configs.{model}"), message);
                return Err(InputError { hint, ..error });
            }
        }
        if let Some(index) = self.prompts.iter().position(|text| text.trim().is_empty()) {
            let key = format!("real.prompts[{index}]");
            return Err(document.error(&key, "expected a text, got an empty one"));
        }
        if self.prompts.is_empty() && !self.negative_prompt.is_empty() {
            let message = "expected `real.prompts` beside it: without, requests show random tokens";
            return Err(document.error("real.negative_prompt", message));
        }
        Ok(())
    }
}

/// Where weights come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Weights {
    /// Random, from this seed: pictures show nothing, arithmetic and times are those of the model.
    Seed(u64),
    /// safetensors files, relative to the experiment: one folder for each model, called as it.
    Folder(PathBuf),
}

impl Default for Weights {
    fn default() -> Self {
        Self::Seed(1)
    }
}
