//! What the simulator charges beside the stages' own durations. Every default is stated in the report.

use super::choice::Switch;
use crate::quantity::{Bandwidth, Duration};
use flexdit_core::Nanos;
use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;

/// What the simulator charges beside the stages' own durations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Costs {
    /// A profile that `flexdit profile` wrote, relative to the experiment: what it measured beside the stages stands for every
    /// key below that is left out (migration, group set-up, launch, control plane).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measured: Option<PathBuf>,
    /// Moving a request's state between ranks.
    pub migration: Migration,
    /// Forming the group of a multi-rank task.
    pub group_setup: GroupSetup,
    /// Making communicators, for systems with `collectives: communicators`: `first_use`, or a profile of communicators.
    /// Default: `group_setup`, if that is one of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub communicator_setup: Option<GroupSetup>,
    /// Overhead on every rank of a task before it computes; default 5us.
    pub launch: Duration,
    /// Time from when a task could begin on all its ranks until it does; queueing ahead does not hide it.
    /// `0` (the default): none.
    pub start_delay: Duration,
    /// Time from a decision to the arrival of its commands at the ranks; default 10us.
    pub control_plane: Duration,
    /// Time that one decision takes, added to the control plane; `0` (the default): none.
    pub planning: Duration,
    /// Random spread of stage durations; default off.
    pub jitter: Switch<Jitter>,
    /// Occasional slow tasks; default off.
    pub stragglers: Switch<Stragglers>,
    /// Ranks that fail and come back; default off.
    pub faults: Switch<Faults>,
    /// Whether a rank's memory bounds what may run on it; default true.
    pub memory: bool,
}

impl Default for Costs {
    fn default() -> Self {
        Self {
            measured: None,
            migration: Migration::default(),
            group_setup: GroupSetup::default(),
            communicator_setup: None,
            launch: Duration(Nanos::from_micros(5)),
            start_delay: Duration::default(),
            control_plane: Duration(Nanos::from_micros(10)),
            planning: Duration::default(),
            jitter: Switch::Off,
            stragglers: Switch::Off,
            faults: Switch::Off,
            memory: true,
        }
    }
}

/// Moving a request's state between ranks: latency + bytes / bandwidth for each copy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Migration {
    /// Fixed part of every copy; default 100us.
    pub latency: Duration,
    /// Bytes a second between two ranks; default: the GPU's link.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bandwidth: Option<Bandwidth>,
    /// Bytes a second between ranks of different nodes (see `cluster.ranks_per_node`); default
    /// 50GB/s, one 400 Gbit/s adapter a GPU.
    pub inter_node_bandwidth: Bandwidth,
    /// Which ranks a copy keeps busy; default both.
    pub occupy: Occupy,
}

impl Default for Migration {
    fn default() -> Self {
        let latency = Duration(Nanos::from_micros(100));
        let inter_node_bandwidth = Bandwidth(50e9);
        Self { latency, bandwidth: None, inter_node_bandwidth, occupy: Occupy::Both }
    }
}

/// Which ranks a copy keeps busy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Occupy {
    /// The rank that sends and the rank that pulls.
    #[default]
    Both,
    /// The rank that pulls; the sender goes on computing.
    Destination,
}

/// When forming a group costs time. Groups that a system builds at start-up never do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GroupSetup {
    /// Never.
    Free,
    /// Every multi-rank task pays this (group-free collectives).
    PerUse(Duration),
    /// A denoise task pays this when its rank set differs from that of its request's last one, whatever
    /// their widths; the first one pays if it has several ranks (a reconfiguration).
    Fixed(Duration),
    /// The first task on a rank set pays this (communicators); later ones find it in a cache.
    FirstUse(FirstUse),
    /// What `flexdit bench group-setup --write-costs` measured, by the number of ranks: at every use for group-free
    /// collectives, at the first use of a rank set for communicators.
    Profile(SetupProfile),
}

/// Measured prices of forming groups.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetupProfile {
    /// The file, relative to the experiment.
    pub file: PathBuf,
    /// Whose prices: `group-free-thread`, `group-free-process`, `communicator-tcp` or `mpi`.
    pub contestant: String,
    /// How many communicators are kept, least recently used out first; `0` (the default): all.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub capacity: u32,
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}

impl Default for GroupSetup {
    fn default() -> Self {
        Self::PerUse(Duration(Nanos::from_micros(60)))
    }
}

/// Price of a communicator and how many are kept: `778ms`, or `{time: 778ms, capacity: 64}`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(with = "FirstUseSchema")]
pub struct FirstUse {
    /// What making one takes.
    pub time: Duration,
    /// How many are kept, least recently used out first; default: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity: Option<u32>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "FirstUse")]
struct FirstUseMap {
    /// What making a communicator takes.
    time: Duration,
    /// How many are kept, least recently used out first; default: all.
    capacity: Option<u32>,
}

#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "only the schema is made from it")]
enum FirstUseSchema {
    /// What making a communicator takes; all are kept.
    Time(Duration),
    /// With the number kept.
    Map(FirstUseMap),
}

impl<'de> Deserialize<'de> for FirstUse {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TimeOrMap;
        impl<'de> Visitor<'de> for TimeOrMap {
            type Value = FirstUse;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration such as 778ms, or `{time, capacity}`")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<FirstUse, E> {
                let time = text.parse().map_err(E::custom)?;
                Ok(FirstUse { time, capacity: None })
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<FirstUse, A::Error> {
                let map = FirstUseMap::deserialize(MapAccessDeserializer::new(map))?;
                Ok(FirstUse { time: map.time, capacity: map.capacity })
            }
        }
        deserializer.deserialize_any(TimeOrMap)
    }
}

/// Stage durations are multiplied by a log-normal factor of mean 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Jitter {
    /// Coefficient of variation of the factor; above 0, at most 1.
    pub cv: f64,
}

/// Some steps, or all work of some ranks, take longer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Stragglers {
    /// Chance that a step (or a text encode or VAE decode) is slow; 0 to 1, default 0.
    pub probability: f64,
    /// A slow step's duration is multiplied by this; at least 1, default 1.
    pub factor: f64,
    /// Ranks that are always slow; the slowest rank of a group sets its pace.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub slow_ranks: Vec<SlowRank>,
}

impl Default for Stragglers {
    fn default() -> Self {
        Self { probability: 0.0, factor: 1.0, slow_ranks: Vec::new() }
    }
}

/// A rank that is always slow.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SlowRank {
    /// Which.
    pub rank: u16,
    /// Durations are multiplied by this; at least 1.
    pub factor: f64,
}

/// Ranks fail, lose what they hold, and come back empty.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Faults {
    /// Mean time between two failures of one rank (exponential); left out: only `outages`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mtbf: Option<Duration>,
    /// Mean time until a rank that failed at random is back (exponential); needed with `mtbf`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repair: Option<Duration>,
    /// Outages at given times.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub outages: Vec<Outage>,
}

/// A rank is down for a while.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Outage {
    /// Which.
    pub rank: u16,
    /// When it fails, from the start of the run.
    pub down: Duration,
    /// When it is back.
    pub up: Duration,
}
