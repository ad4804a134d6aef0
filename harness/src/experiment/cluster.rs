//! The machine, and what policies believe of it.

use super::choice::OneOrMany;
use super::profile::ProfileRef;
use crate::quantity::Size;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The machine that serves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cluster {
    /// Number of ranks (GPUs); 1 to 1024.
    #[schemars(range(min = 1, max = 1024))]
    pub world: u16,
    /// The GPU: h20, h100, h200, h800, a100, l20, b200 or gb200. Decides memory, link and which costs apply. Or `cpu`:
    /// ranks are cores of the machine at hand, of which nothing is published: memory counts if `memory` is given, and
    /// virtual time needs `costs.migration.bandwidth`.
    pub gpu: String,
    /// Ranks of one node, consecutive; default: the whole world. Copies between nodes take
    /// `costs.migration.inter_node_bandwidth`; a task over several nodes counts as extrapolated, since
    /// profiles price one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub ranks_per_node: Option<u16>,
    /// Memory of one rank; default: the GPU's; for `cpu` none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Size>,
    /// Degrees that a policy may give a denoise task, ascending; default: powers of two up to the
    /// world, and the world. Those that a model cannot run are left out for that model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub degrees: Option<Vec<u16>>,
    /// Degrees that a policy may give a patch-parallel VAE decode, ascending; default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patch_degrees: Option<Vec<u8>>,
}

/// What policies believe. The simulator charges by `profile` and `costs` whatever stands here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Estimates {
    /// Profiles that estimates are taken from; default: the experiment's own, so that estimates are
    /// right but for jitter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<OneOrMany<ProfileRef>>,
    /// Every estimate is multiplied by this; above 0, default 1.
    pub bias: f64,
}

impl Default for Estimates {
    fn default() -> Self {
        Self { profile: None, bias: 1.0 }
    }
}
