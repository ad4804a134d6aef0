//! What a measured profile says beside its prices: the machine, the spread of samples, and what tasks cost beside
//! their stages.

use crate::experiment::CollectiveKind;
use crate::quantity::{Bandwidth, Duration};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a profile was measured on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MeasuredSpec {
    /// The machine.
    pub machine: String,
    /// The day (UTC) of the first sample.
    pub date: String,
    /// Version of flexdit.
    pub flexdit: String,
    /// Ranks; those that a task left free did the same work for another request.
    pub world: u16,
    /// Whether every rank kept to a core.
    pub pinned: bool,
    /// Whether the program was built with optimisation: if not, the numbers say nothing about kernels.
    pub optimised: bool,
    /// Denoising steps of a task.
    pub chunk_steps: u32,
    /// Tours of every shape.
    pub rounds: u32,
    /// How ranks talked to each other; default group-free.
    #[serde(default = "group_free")]
    pub collectives: CollectiveKind,
    /// Share of the cores' capacity that other programs, or the host, took during the tours; left out if not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub others: Option<f64>,
}

fn group_free() -> CollectiveKind {
    CollectiveKind::GroupFree
}

/// How the samples of one size were spread, in the file's unit of time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SpreadSpec {
    /// The size.
    pub size: f64,
    /// How many samples.
    pub n: usize,
    /// Mean of all of them.
    pub mean: f64,
    /// One in ten is below.
    pub p10: f64,
    /// Median.
    pub p50: f64,
    /// One in ten is above.
    pub p90: f64,
    /// How many lie beyond five times the median; they count like the others. Default 0.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub far: usize,
    /// How many the price leaves out, in files of earlier versions, which did so; default 0.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub left_out: usize,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// What tasks cost beside their stages, measured in the same run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChargesSpec {
    /// Overhead on every rank of a task before it computes.
    pub launch: Duration,
    /// From the end of what a decision waited for until the task that it starts begins: report, decision and wake-up.
    pub control_plane: Duration,
    /// Copies between ranks; left out if no state moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migration: Option<CopySpec>,
    /// Forming groups in a task, group-free, by the number of ranks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub group_setup: Vec<SetupSpec>,
}

/// What a copy between two ranks takes: latency + bytes / bandwidth, on the rank that pulls; the other goes on computing.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CopySpec {
    /// Fixed part of a copy.
    pub latency: Duration,
    /// Bytes a second.
    pub bandwidth: Bandwidth,
}

/// What a group of so many ranks takes to form.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetupSpec {
    /// Ranks of the group.
    pub ranks: u16,
    /// Its price.
    pub time: Duration,
}
