//! Everything a report says, as plain data: written beside the report as `report.json`, so that a
//! folder can be rendered again or set beside others without its runs.

use crate::metrics::Summary;
use crate::plot::Figures;
use crate::real::{OverheadRow, RankRow};
use flexdit_core::Bytes;
use serde::{Deserialize, Serialize};

/// Where a number comes from; printed beside every number of a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Label {
    /// Timed on a machine.
    Measured,
    /// Computed in virtual time from a cost table.
    #[default]
    Simulated,
    /// Printed in a paper or its artifact.
    Published,
    /// Worked out from other numbers.
    Derived,
}

impl Label {
    /// The word that is printed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Measured => "measured",
            Self::Simulated => "simulated",
            Self::Published => "published",
            Self::Derived => "derived",
        }
    }
}

/// What a system is in the comparison.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Elastic: a subject, compared with each of the baselines below.
    Elastic,
    /// The paper's fixed pipeline: one group of all ranks, FIFO.
    PaperBaseline,
    /// The best static layout of this workload.
    BestStatic,
    /// The best static degree per class.
    BestPerClass,
    /// A task-level policy held to one degree: what is left when elastic parallelism is switched off.
    OneDegree,
    /// Any other static system: shown, not compared with.
    #[default]
    Other,
}

impl Role {
    /// How tables name it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Elastic => "elastic",
            Self::PaperBaseline => "paper's fixed pipeline",
            Self::BestStatic => "best static layout",
            Self::BestPerClass => "best static degree per class",
            Self::OneDegree => "task-level policy at one degree",
            Self::Other => "static",
        }
    }

    /// The three baselines that every comparison needs, in the order of the tables.
    pub const BASELINES: [Self; 3] = [Self::PaperBaseline, Self::BestStatic, Self::BestPerClass];

    /// All that an elastic system is compared with where the experiment has it.
    pub const COMPARED: [Self; 4] =
        [Self::PaperBaseline, Self::BestStatic, Self::BestPerClass, Self::OneDegree];
}

/// One system of the experiment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SystemNote {
    /// Name in the experiment.
    pub name: String,
    /// What it is, with its layout, in words: "one group of 4 ranks, FIFO".
    pub description: String,
    /// What it is in the comparison.
    pub role: Role,
}

/// A named value with its label: "world", "4 x H20", published.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Fact {
    /// What it is.
    pub name: String,
    /// Its value, with a unit.
    pub value: String,
    /// Where it comes from; `None` for a choice of the experiment.
    pub label: Option<Label>,
}

/// One static layout tried by the search for the best one, best first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RankingRow {
    /// The layout in words: "4 x SP1, least work first".
    pub layout: String,
    /// Its mean over seeds of [`Ranking::metric`].
    pub value: f64,
    /// Lowest over seeds.
    pub low: f64,
    /// Highest over seeds.
    pub high: f64,
    /// Mean over seeds of SLO attainment.
    pub slo_attainment: Option<f64>,
    /// Mean over seeds of mean latency.
    pub latency_ms_mean: Option<f64>,
    /// Mean over seeds of throughput.
    pub throughput_rps: Option<f64>,
}

/// The search over static layouts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ranking {
    /// What was ranked by, as a key: `slo_attainment`, `latency_ms_mean`, ..
    pub metric: String,
    /// Whether a smaller value is better.
    pub smaller_is_better: bool,
    /// Every layout tried, best first.
    pub rows: Vec<RankingRow>,
}

/// One system's distance to one lower bound.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BoundRow {
    /// Index into [`ReportInput::points`].
    pub point: usize,
    /// The system's name.
    pub system: String,
    /// What is bounded: "makespan", "mean latency", "violations".
    pub quantity: String,
    /// Unit of both values: "s", "requests".
    pub unit: String,
    /// What the system reached, mean over seeds.
    pub value: f64,
    /// The bound, mean over seeds.
    pub bound: f64,
    /// Which bound and why it holds: "work over world", "SRPT relaxation".
    pub argument: String,
    /// Whether no schedule can beat it (a proof), or it is only an estimate.
    pub proof: bool,
}

/// One assumption or charge of the simulation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Charge {
    /// What is charged: "group set-up".
    pub name: String,
    /// How much, with unit and mode: "60 us per use".
    pub value: String,
    /// Whether the experiment left it at its default.
    pub is_default: bool,
    /// Where the value comes from.
    pub label: Option<Label>,
    /// Source or reason, one sentence; may be empty.
    pub note: String,
}

/// Where step times come from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ProfileNote {
    /// Which entries: "qwen-image, h20, denoise step, SP 1, 2, 4".
    pub name: String,
    /// Citation or derivation.
    pub source: String,
    /// What kind of number that is.
    pub label: Option<Label>,
    /// Range it holds in, with unit: "1,024-9,216 tokens"; may be empty.
    pub range: String,
    /// Whether a price outside that range was used in this experiment.
    pub extrapolated: bool,
}

/// What real ranks measured beside latencies, at the headline's sweep point.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MeasuredNote {
    /// One row a system.
    pub overheads: Vec<OverheadRow>,
    /// One row a rank.
    pub ranks: Vec<RankRow>,
    /// Bytes of weights, which all ranks share that are threads, and each has that is a process.
    pub weights: Bytes,
    /// Whether ranks were processes.
    #[serde(default)]
    pub processes: bool,
}

/// Everything one report says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ReportInput {
    /// The experiment's name.
    pub name: String,
    /// Title; the name is used when empty.
    pub title: String,
    /// What was compared and how, in plain words; one paragraph each. The renderer adds the result.
    pub lead: Vec<String>,
    /// Label of every metric below.
    pub label: Label,
    /// The workload and the cluster: model, GPU, world, arrivals, load, SLO, seeds.
    pub setup: Vec<Fact>,
    /// Class names in the workload's order.
    pub classes: Vec<String>,
    /// Systems in the experiment's order.
    pub systems: Vec<SystemNote>,
    /// Seeds in the experiment's order.
    pub seeds: Vec<u64>,
    /// Sweep points, `(key, value as written)` each; one, empty, without a sweep.
    pub points: Vec<Vec<(String, String)>>,
    /// The point that the headline, the per-class table and the pictures of single runs show.
    pub headline_point: usize,
    /// Metrics per (point, system, seed), over all requests and per class.
    pub metrics: Vec<Summary>,
    /// The search for the best static layout, if one was made.
    pub ranking: Option<Ranking>,
    /// Distances to lower bounds.
    pub bounds: Vec<BoundRow>,
    /// Every assumption and charge, defaults included.
    pub charges: Vec<Charge>,
    /// What real ranks measured; `None` in virtual time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured: Option<MeasuredNote>,
    /// Where step times come from; on real ranks, what policies believe of them.
    pub profiles: Vec<ProfileNote>,
    /// What a reader must know before trusting a figure: fallbacks, illegal decisions, too few seeds.
    /// The renderer adds those that the metrics show (unfinished requests, fewer than five seeds).
    pub warnings: Vec<String>,
    /// Versions, revision, hashes.
    pub provenance: Vec<Fact>,
    /// Commands that make this report again, in order.
    pub rerun: Vec<String>,
    /// Data of the pictures.
    pub figures: Figures,
}
