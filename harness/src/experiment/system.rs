//! The systems compared: one kind each, with its parameters.

use crate::workload::Named;
use schemars::JsonSchema;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// A system under test: a name and one kind.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct SystemSpec {
    /// What tables, plots and checks call it; unique in the experiment.
    pub name: String,
    /// How its ranks talk to each other. Default on real ranks: communicators for fixed pipelines (made at start-up),
    /// group-free for lanes and elastic systems. In virtual time it decides which price of forming groups applies;
    /// default there: `costs.group_setup`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collectives: Option<CollectiveKind>,
    /// What it is.
    #[serde(flatten)]
    pub kind: SystemKind,
}

/// How the ranks of a group talk to each other.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum CollectiveKind {
    /// A group is a value: any task may name any ranks.
    GroupFree,
    /// A group has to make a communicator before its first collective, and keeps it.
    Communicators,
}

/// What a system is.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SystemKind {
    /// Equal groups made at start-up; a request runs on one from text encode to VAE decode, first in,
    /// first out, the whole group held throughout.
    FixedPipeline(FixedPipeline),
    /// The fixed pipeline on one group of all ranks.
    Legacy(Legacy),
    /// Fixed pipelines with each class at its best static degree, the world cut by offered work.
    Rssp(Rssp),
    /// Fixed pipelines in pools, each for some classes.
    ClassMap(ClassMap),
    /// Equal groups that run task by task; a request keeps its lane, its degree never changes.
    Lanes(Lanes),
    /// The best of all static layouts on this workload, found by running them.
    BestStatic(BestStatic),
    /// Task-level scheduling; a request's ranks and degree may change at every task boundary.
    Elastic(Elastic),
}

/// Names of the kinds, in the order of the documentation.
pub(crate) const KINDS: [&str; 7] =
    ["fixed-pipeline", "legacy", "rssp", "class-map", "lanes", "best-static", "elastic"];

impl SystemKind {
    /// Whether it decides task by task, and so says what becomes of every copy of a request's state.
    pub const fn is_task_level(&self) -> bool {
        matches!(self, Self::Lanes(_) | Self::Elastic(_))
    }

    /// The key that selects it.
    pub const fn key(&self) -> &'static str {
        match self {
            Self::FixedPipeline(_) => KINDS[0],
            Self::Legacy(_) => KINDS[1],
            Self::Rssp(_) => KINDS[2],
            Self::ClassMap(_) => KINDS[3],
            Self::Lanes(_) => KINDS[4],
            Self::BestStatic(_) => KINDS[5],
            Self::Elastic(_) => KINDS[6],
        }
    }
}

/// Equal groups that run whole requests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FixedPipeline {
    /// Ranks of each group; divides the world.
    #[schemars(range(min = 1))]
    pub degree: u16,
    /// How an arriving request is bound to a group; default least-work.
    #[serde(default)]
    pub routing: Routing,
    /// Whether all ranks of a group run text encode and VAE decode; default: the first, the others wait.
    #[serde(default)]
    pub replicated: bool,
}

/// How an arriving request is bound to a group.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Routing {
    /// The group with the least estimated unfinished work.
    #[default]
    LeastWork,
    /// Each group in turn.
    RoundRobin,
    /// Least work among the groups listed for the request's class (numbered from 0); other classes
    /// may use every group.
    ClassMap(Named<Vec<u16>>),
}

/// One group of all ranks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Legacy {
    /// Whether all ranks run text encode and VAE decode; default: the first, the others wait.
    pub replicated: bool,
}

/// Each class at its best static degree.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rssp {
    /// Degree of each class; classes left out get the degree at which they are fastest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub degrees: Option<Named<u16>>,
    /// Whether all ranks of a group run text encode and VAE decode.
    pub replicated: bool,
}

/// Fixed pipelines in pools.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClassMap {
    /// The pools; together at most the world.
    pub pools: Vec<ClassPool>,
    /// Whether all ranks of a group run text encode and VAE decode.
    #[serde(default)]
    pub replicated: bool,
}

/// Equal groups for some classes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClassPool {
    /// Ranks of each group.
    #[schemars(range(min = 1))]
    pub degree: u16,
    /// How many groups.
    #[schemars(range(min = 1))]
    pub groups: u16,
    /// The classes served; left out: every class that no pool names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<String>,
}

/// Lanes of one degree.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lanes {
    /// Order of the requests of a lane.
    pub policy: LanePolicy,
    /// Ranks of each lane; divides the world.
    #[schemars(range(min = 1))]
    pub degree: u16,
    /// Whether a request's next task is queued behind the one in flight, so that ranks do not wait for
    /// the control plane; default false. Not with srtf, which decides at every boundary.
    #[serde(default)]
    pub run_ahead: bool,
}

/// Order of the requests of a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LanePolicy {
    /// First come, first served.
    Fcfs,
    /// Least estimated work first, not preemptive.
    Sjf,
    /// Least remaining work first, decided anew at every task boundary.
    Srtf,
}

impl LanePolicy {
    /// The name in the registry of policies.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fcfs => "fcfs",
            Self::Sjf => "sjf",
            Self::Srtf => "srtf",
        }
    }
}

/// The best of all static layouts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BestStatic {
    /// The column of summary.csv that decides; default slo_attainment, ties by latency_ms_mean.
    #[serde(default = "attainment")]
    pub metric: String,
}

fn attainment() -> String {
    "slo_attainment".to_owned()
}

/// Task-level scheduling by a policy of the registry. Keys other than these are its parameters:
/// `flexdit policies` lists them.
#[derive(Clone, Debug, PartialEq, JsonSchema)]
pub struct Elastic {
    /// The policy.
    pub policy: String,
    /// Tasks that a rank may have queued behind the one it runs, if the policy asks; default 1.
    pub credits: Option<u8>,
    /// Most requests in the system at once, later ones are rejected; default 1048576.
    #[schemars(range(min = 1))]
    pub admission: Option<u64>,
    /// Times a request may fail and be tried again; default 3.
    pub retries: Option<u8>,
    /// Degrees that the policy may give a denoise task; default: those of the cluster. `[1]` leaves
    /// task-level scheduling without elastic parallelism.
    pub degrees: Option<Vec<u16>>,
    /// The policy's own parameters.
    #[serde(flatten)]
    pub params: BTreeMap<String, ParamValue>,
}

/// A parameter's value as written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ParamValue {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// Text: a name or a quantity with its unit.
    Text(String),
}

impl fmt::Display for ParamValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => value.fmt(f),
            Self::Int(value) => value.fmt(f),
            Self::Float(value) => value.fmt(f),
            Self::Text(value) => value.fmt(f),
        }
    }
}

impl<'de> Deserialize<'de> for SystemSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameAndKind;
        impl<'de> Visitor<'de> for NameAndKind {
            type Value = SystemSpec;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map with `name` and one kind of system")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<SystemSpec, A::Error> {
                let (mut name, mut collectives) = (None, None);
                let mut kind: Option<SystemKind> = None;
                while let Some(KindKey(key)) = map.next_key()? {
                    if key == "name" {
                        name = Some(map.next_value()?);
                        continue;
                    }
                    if key == "collectives" {
                        collectives = Some(map.next_value()?);
                        continue;
                    }
                    let next = read_kind(key, &mut map)?;
                    if let Some(first) = kind.replace(next) {
                        return Err(A::Error::custom(format_args!(
                            "expected one kind of system, got both `{}` and `{key}`",
                            first.key()
                        )));
                    }
                }
                let name = name.ok_or_else(|| A::Error::missing_field("name"))?;
                let kind = kind.ok_or_else(|| {
                    A::Error::custom(format_args!(
                        "expected one of `{}`, got none",
                        KINDS.join("`, `")
                    ))
                })?;
                Ok(SystemSpec { name, collectives, kind })
            }
        }
        deserializer.deserialize_any(NameAndKind)
    }
}

/// A key of a system: its own type, so that an unknown one is refused at the key's place.
struct KindKey(&'static str);

impl<'de> Deserialize<'de> for KindKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const KEYS: &[&str] = &[
            "name",
            "collectives",
            KINDS[0],
            KINDS[1],
            KINDS[2],
            KINDS[3],
            KINDS[4],
            KINDS[5],
            KINDS[6],
        ];
        let key = String::deserialize(deserializer)?;
        let known = KEYS.iter().find(|known| **known == key);
        known.map(|known| Self(known)).ok_or_else(|| D::Error::unknown_field(&key, KEYS))
    }
}

fn read_kind<'de, A: MapAccess<'de>>(key: &str, map: &mut A) -> Result<SystemKind, A::Error> {
    Ok(match key {
        "fixed-pipeline" => SystemKind::FixedPipeline(map.next_value()?),
        "legacy" => SystemKind::Legacy(map.next_value()?),
        "rssp" => SystemKind::Rssp(map.next_value()?),
        "class-map" => SystemKind::ClassMap(map.next_value()?),
        "lanes" => SystemKind::Lanes(map.next_value()?),
        "best-static" => SystemKind::BestStatic(map.next_value()?),
        _ => SystemKind::Elastic(map.next_value()?),
    })
}

impl Serialize for Elastic {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("policy", &self.policy)?;
        if let Some(credits) = self.credits {
            map.serialize_entry("credits", &credits)?;
        }
        if let Some(admission) = self.admission {
            map.serialize_entry("admission", &admission)?;
        }
        if let Some(degrees) = &self.degrees {
            map.serialize_entry("degrees", degrees)?;
        }
        if let Some(retries) = self.retries {
            map.serialize_entry("retries", &retries)?;
        }
        for (name, value) in &self.params {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Elastic {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PolicyAndParams;
        impl<'de> Visitor<'de> for PolicyAndParams {
            type Value = Elastic;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map with `policy` and its parameters")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Elastic, A::Error> {
                let mut degrees = None;
                let (mut policy, mut credits, mut admission, mut retries) =
                    (None, None, None, None);
                let mut params = BTreeMap::new();
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "policy" => policy = Some(map.next_value()?),
                        "credits" => credits = map.next_value()?,
                        "admission" => admission = map.next_value()?,
                        "degrees" => degrees = map.next_value()?,
                        "retries" => retries = map.next_value()?,
                        _ => {
                            let Scalar(value) = map.next_value()?;
                            params.insert(key, value);
                        }
                    }
                }
                let policy = policy.ok_or_else(|| A::Error::missing_field("policy"))?;
                Ok(Elastic { policy, credits, admission, retries, degrees, params })
            }
        }
        deserializer.deserialize_any(PolicyAndParams)
    }
}

/// A parameter's value, refused with words rather than "no variant matched".
struct Scalar(ParamValue);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl Visitor<'_> for Any {
            type Value = Scalar;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, true, false or text")
            }
            fn visit_bool<E>(self, value: bool) -> Result<Scalar, E> {
                Ok(Scalar(ParamValue::Bool(value)))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Scalar, E> {
                Ok(Scalar(ParamValue::Int(value)))
            }
            fn visit_u64<E: Error>(self, value: u64) -> Result<Scalar, E> {
                let value =
                    i64::try_from(value).map_err(|_| E::custom("the number is too large"))?;
                self.visit_i64(value)
            }
            fn visit_f64<E>(self, value: f64) -> Result<Scalar, E> {
                Ok(Scalar(ParamValue::Float(value)))
            }
            fn visit_str<E>(self, value: &str) -> Result<Scalar, E> {
                Ok(Scalar(ParamValue::Text(value.to_owned())))
            }
        }
        deserializer.deserialize_any(Any)
    }
}
