//! What only real ranks need to know.

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
        Self { weights: Weights::default(), pin: true, ranks: RankKind::Threads }
    }
}

impl Real {
    /// Whether everything is at its default.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
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
