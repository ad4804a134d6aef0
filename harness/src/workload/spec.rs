//! The `workload:` section of an experiment, as written in YAML.
//!
//! Owns names, types, units and documentation of its keys (the JSON Schema is made from them).
//! Whether the values make sense together is checked when the workload is built.

use super::named::Named;
use crate::quantity::Duration;
use core::fmt;
use flexdit_core::Nanos;
use schemars::JsonSchema;
use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What arrives, when, and by when it is due. Give either `arrivals` (generated) or `import`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkloadSpec {
    /// Request classes by name, in the order tables show them. Left out: the paper's S, M, L of the
    /// experiment's model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<Named<ClassSpec>>,
    /// How requests spread over the classes. Left out: the classes' shares if given, else the
    /// profile's mix of each phase, else uniform.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mix: Option<MixSpec>,
    /// When requests arrive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arrivals: Option<ArrivalSpec>,
    /// Scale all rates by one factor so that the expected offered load is this: expected work on
    /// one rank over world x active window. Above 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_load: Option<f64>,
    /// Where deadlines come from. Left out: alpha x T_single with each class's `alpha`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slo: Option<SloSpec>,
    /// When clients give up waiting: the request is cancelled then, stops at its next step boundary and has no result. Left
    /// out: never. Needs arrivals that are known before the run, so no closed loop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_timeout: Option<ClientTimeout>,
    /// Denoising steps between two rescheduling points, for classes that do not say; default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chunk_steps: Option<u32>,
    /// Take every request from a file instead of generating them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub import: Option<ImportSpec>,
}

impl WorkloadSpec {
    /// Files that the section names, relative to the experiment.
    pub fn input_files(&self) -> Vec<PathBuf> {
        let trace = match &self.arrivals {
            Some(ArrivalSpec::Trace(trace)) => Some(trace.path.clone()),
            _ => None,
        };
        self.import.iter().map(|import| import.path.clone()).chain(trace).collect()
    }
}

/// When a client gives up waiting for its request.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ClientTimeout {
    /// At the deadline; a request without one waits for ever.
    Deadline,
    /// After this many times the time from arrival to deadline. Above 0.
    Deadlines(f64),
    /// So long after the arrival.
    After(Duration),
}

/// One kind of request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClassSpec {
    /// The model that serves it; needed only when the experiment has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Height in pixels.
    pub height: u32,
    /// Width in pixels.
    pub width: u32,
    /// Frames; default 1, an image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frames: Option<u32>,
    /// Denoising steps; default: those of the model's published pipeline, 50 for most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<u32>,
    /// Text tokens of the prompt; default 512, or the model's most if that is less.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text_tokens: Option<u32>,
    /// Whether guidance runs two forwards a step; default: as the model's usual requests do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guidance: Option<bool>,
    /// Part of the requests that are of this class; shares are divided by their sum. Give all or
    /// none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
    /// Deadline = arrival + alpha x T_single. Default 1.5, 2, 6 for classes S, M, L, otherwise 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alpha: Option<f64>,
    /// Larger is more important; default 100, 50, 0 for S, M, L, otherwise 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    /// Whether a policy may pause or demote it; default: only class L.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preemptible: Option<bool>,
    /// Denoising steps between two rescheduling points; default: the workload's `chunk_steps`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chunk_steps: Option<u32>,
}

/// How requests spread over the classes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MixSpec {
    /// The profile's own mix of each phase, for classes called S, M, L.
    Phases,
    /// Each class's `share`.
    Shares,
    /// Every class alike.
    Uniform,
    /// In proportion to exp(tokens / the largest class's tokens), as TetriServe's skewed mix.
    Skewed,
}

/// When requests arrive.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ArrivalSpec {
    /// Poisson arrivals whose rate and mix change by phase: a profile's name, or a map.
    #[schemars(with = "PhasedSchema")]
    Phased(PhasedSpec),
    /// Poisson arrivals at one rate.
    Poisson(PoissonSpec),
    /// Gamma-distributed gaps: bursty above a coefficient of variation of 1, regular below.
    Gamma(GammaSpec),
    /// Users that send a series of requests and then fall silent.
    Sessions(SessionsSpec),
    /// Everything at time 0.
    Batch(BatchSpec),
    /// A fixed number of requests in the system: the next arrives when one ends.
    Closed(ClosedSpec),
    /// Groups of requests at equal distances.
    Waves(WavesSpec),
    /// Arrival times of a file, combined with the class mix.
    Trace(TraceSpec),
}

/// Named phase profiles of the paper's generator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProfileName {
    /// 600 s: warm-up, mid load, press, drain.
    Short,
    /// 3600 s in five phases of changing rate and mix.
    Tridentserve,
    /// 1800 s with two bursts of short requests over a background of long ones.
    ForegroundBurst,
    /// 1500 s: long requests first, a pause, then a burst of short ones.
    InflightBurst,
}

/// Poisson arrivals by phase.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PhasedSpec {
    /// A named profile; or give `phases`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<ProfileName>,
    /// Phases in order, the first from time 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phases: Option<Vec<PhaseSpec>>,
    /// Multiplies every rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_scale: Option<f64>,
    /// Stretches the phase boundaries to this total and leaves the rates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<Duration>,
}

/// The map form of [`PhasedSpec`].
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Phased")]
struct PhasedMap {
    /// A named profile (its rates are for 8 ranks and scale with the world); or give `phases`.
    profile: Option<ProfileName>,
    /// Phases in order, the first from time 0; their rates are for 8 ranks, as a profile's.
    phases: Option<Vec<PhaseSpec>>,
    /// Multiplies every rate; default 1.
    rate_scale: Option<f64>,
    /// Stretches the phase boundaries to this total and leaves the rates.
    duration: Option<Duration>,
}

/// What the schema says of `phased`.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only the schema is made from it")]
enum PhasedSchema {
    /// The profile's name.
    Name(ProfileName),
    /// The profile and how to scale it, or phases.
    Map(PhasedMap),
}

impl<'de> Deserialize<'de> for PhasedSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameOrMap;
        impl<'de> Visitor<'de> for NameOrMap {
            type Value = PhasedSpec;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a profile's name or a map")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<PhasedSpec, E> {
                let profile = ProfileName::deserialize(StrDeserializer::new(name))?;
                Ok(PhasedSpec { profile: Some(profile), ..PhasedSpec::default() })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<PhasedSpec, A::Error> {
                let map = PhasedMap::deserialize(MapAccessDeserializer::new(map))?;
                Ok(PhasedSpec {
                    profile: map.profile,
                    phases: map.phases,
                    rate_scale: map.rate_scale,
                    duration: map.duration,
                })
            }
        }
        deserializer.deserialize_any(NameOrMap)
    }
}

/// One phase of constant rate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PhaseSpec {
    /// When it ends, from the start of the workload.
    pub until: Duration,
    /// Requests a minute at 8 ranks; 0 is a pause.
    pub per_min: f64,
    /// Share of each class; left out: the workload's mix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mix: Option<Named<f64>>,
}

/// Poisson arrivals at one rate. Ends after `requests` or `duration`, whichever is given or comes
/// first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PoissonSpec {
    /// Requests a minute, whatever the world; may be left out if there is a `target_load`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_min: Option<f64>,
    /// Stop after this many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<u32>,
    /// Stop at this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<Duration>,
}

/// Gamma-distributed gaps. Ends as Poisson arrivals do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GammaSpec {
    /// Requests a minute on average; may be left out if there is a `target_load`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_min: Option<f64>,
    /// Coefficient of variation of the gaps: 1 is Poisson, 3 is bursty. From 0.05 to 20.
    pub cv: f64,
    /// Stop after this many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<u32>,
    /// Stop at this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<Duration>,
}

/// Users that send requests a while apart for some time, then are silent, then start again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionsSpec {
    /// How many users.
    pub users: u32,
    /// Shortest and longest gap between two requests of an active user; default 30 s and 100 s.
    #[serde(default = "session_gap")]
    pub gap: [Duration; 2],
    /// How long a user stays active; default 1 h.
    #[serde(default = "hour")]
    pub active: Duration,
    /// How long the user is silent then; default 1 h.
    #[serde(default = "hour")]
    pub silent: Duration,
    /// When the workload ends. Each user's first session starts at a random instant of one
    /// active-silent cycle before the start.
    pub duration: Duration,
}

/// Everything at time 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchSpec {
    /// How many; classes are drawn from the mix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<u32>,
    /// How many of each class, exactly; interleaved by share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<Named<u32>>,
}

/// A fixed number of requests in the system.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClosedSpec {
    /// Requests in the system at any time, until none is left to send.
    pub concurrency: u32,
    /// How many in all.
    pub requests: u32,
}

/// Groups of requests at equal distances.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WavesSpec {
    /// How many waves.
    pub waves: u32,
    /// Requests a wave, of the classes in turn.
    pub size: u32,
    /// From one wave to the next.
    pub gap: Duration,
}

/// Arrival times of a file, combined with the class mix.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TraceSpec {
    /// The file's format: `mooncake` (JSON lines, `timestamp` in ms) or `csv` (column
    /// `arrival_ms`).
    pub format: TraceFormat,
    /// The file, relative to the experiment.
    pub path: PathBuf,
    /// Keep only this many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<u32>,
}

/// Every request from a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportSpec {
    /// The file's format.
    pub format: TraceFormat,
    /// The file, relative to the experiment.
    pub path: PathBuf,
    /// Take the client's deadline (GF-DiT) instead of the server's.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub client_deadline: bool,
}

/// Trace file formats.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum TraceFormat {
    /// The JSON workload of the GF-DiT artifact.
    GfDit,
    /// Trace text of vLLM-Omni and TridentServe: `Request(key=value, ...)` a line.
    VllmOmni,
    /// JSON lines with `timestamp` in milliseconds: arrival times only.
    Mooncake,
    /// Comma-separated values with a header: `arrival_ms` and the request's fields, or a class.
    Csv,
}

/// Where deadlines come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SloSpec {
    /// No request carries a deadline.
    None,
    /// Arrival + alpha x T_single.
    Alpha(AlphaSlo),
    /// Arrival + a class's entry of a table.
    Table(TableSlo),
    /// Arrival + k x an estimate.
    Estimate(EstimateSlo),
}

/// Deadline = arrival + alpha x T_single + constant, with T_single of the profile at one rank.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AlphaSlo {
    /// Alpha by class; overrides the classes' own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alpha: Option<Named<f64>>,
    /// What no policy controls (network, client); the paper uses 5 s for video, 1 s for images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<Duration>,
}

/// Deadline = arrival + scale x the class's time, as TetriServe's targets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TableSlo {
    /// Target latency of every class.
    pub latency: Named<Duration>,
    /// Multiplies every target; default 1.
    #[serde(default = "one")]
    pub scale: f64,
}

/// Deadline = arrival + factor x estimate, as vLLM-Omni's warm-up targets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EstimateSlo {
    /// Multiplies the estimate; vLLM-Omni uses 3.
    pub factor: f64,
    /// The class whose T_single is measured at warm-up; others are estimated from it in proportion
    /// to pixels x frames x steps. Left out: each class's own T_single.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

fn one() -> f64 {
    1.0
}

fn hour() -> Duration {
    Duration(Nanos::from_secs(3600))
}

fn session_gap() -> [Duration; 2] {
    [Duration(Nanos::from_secs(30)), Duration(Nanos::from_secs(100))]
}

/// Refuses what is not a finite number above 0.
pub(super) fn positive(value: f64) -> Result<(), String> {
    if value.is_finite() && value > 0.0 {
        return Ok(());
    }
    Err(format!("expected a number above 0, got {value}"))
}

/// Refuses what is not a finite number of at least 0.
pub(super) fn not_negative(value: f64) -> Result<(), String> {
    if value.is_finite() && value >= 0.0 {
        return Ok(());
    }
    Err(format!("expected a number of at least 0, got {value}"))
}
