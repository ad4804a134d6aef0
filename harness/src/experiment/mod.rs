//! The experiment file: its keys, what they mean, and whether they make sense together.
//!
//! Owns every key outside `workload:`. Does not read profiles or build workloads. Invariant: an
//! [`Experiment`] that [`Loaded::read`] returns has passed every check.

mod charges;
mod choice;
mod cluster;
mod costs;
pub mod expect;
mod feasible;
mod load;
mod measured;
mod profile;
mod real;
pub mod schema;
mod system;
mod validate;

pub use choice::{OneOrMany, Switch};
pub use cluster::{Cluster, Estimates};
pub use costs::{
    Costs, Faults, FirstUse, GroupSetup, Jitter, Migration, Occupy, Outage, SetupProfile, SlowRank,
    Stragglers,
};
pub use expect::Expectation;
pub use feasible::check_workload;
pub use load::{Loaded, Point};
pub use profile::{ProfileFormat, ProfileImport, ProfileRef};
pub use real::{RankKind, Real, Weights};
pub use system::{
    BestStatic, ClassMap, ClassPool, CollectiveKind, Elastic, FixedPipeline, LanePolicy, Lanes,
    Legacy, ParamValue, Routing, Rssp, SystemKind, SystemSpec,
};

use crate::workload::Named;
use crate::workload::WorkloadSpec;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A comparison of systems on one workload: what runs, on what, at what charges.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Experiment {
    /// What the experiment is called: the results folder and the report carry it.
    pub name: String,
    /// What it shows, in a sentence or two; printed in the report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// One run of every system per seed; systems are compared seed by seed. Default 1, 2, 3.
    #[serde(default = "default_seeds")]
    pub seeds: Vec<u64>,
    /// The machine.
    pub cluster: Cluster,
    /// The model that serves every request; or give `models`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The models of a mixed workload; each class then names one. Every rank holds all weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub models: Option<Vec<String>>,
    /// What each stage costs: a profile, an import, or a list of them (say, one per model).
    pub profile: OneOrMany<ProfileRef>,
    /// What arrives, when, and by when it is due.
    pub workload: WorkloadSpec,
    /// The systems compared; the first is the one that ratios refer to.
    pub systems: Vec<SystemSpec>,
    /// What the simulator charges beside the stages' own durations.
    #[serde(default)]
    pub costs: Costs,
    /// What policies believe, where it differs from what is charged.
    #[serde(default)]
    pub estimates: Estimates,
    /// How the experiment runs on real ranks (`flexdit run --engine cpu`); without effect in virtual time.
    #[serde(default, skip_serializing_if = "Real::is_default")]
    pub real: Real,
    /// Keys to vary, each with its values; every combination is run. A key is a dotted path as in
    /// `workload.target_load`, with list entries by index or by name (`systems.elastic.elastic.policy`).
    #[serde(default, skip_serializing_if = "Named::is_empty")]
    pub sweep: Named<Vec<serde_json::Value>>,
    /// Checks on the results, as `elastic.slo_attainment > baseline.slo_attainment * 1.2`, over means of
    /// the seeds, at every point of a sweep. A failed check makes the program exit with 1.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expect: Vec<String>,
}

impl Experiment {
    /// Names of the models, in order; `model` is a list of one.
    pub fn model_names(&self) -> Vec<&str> {
        match (&self.model, &self.models) {
            (Some(model), _) => vec![model],
            (None, Some(models)) => models.iter().map(String::as_str).collect(),
            (None, None) => Vec::new(),
        }
    }
}

fn default_seeds() -> Vec<u64> {
    vec![1, 2, 3]
}
