//! What the check of a claim says.

use crate::metrics::stats::Interval;
use serde::Serialize;

/// How a claim fared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// At least the published value.
    Reached,
    /// At least half of the published improvement, or in some of the cases.
    Partly,
    /// Less.
    NotReached,
    /// Cannot be checked by a simulation, or not yet: what it would take is said.
    Open,
}

impl Verdict {
    /// As in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reached => "reached",
            Self::Partly => "partly",
            Self::NotReached => "not reached",
            Self::Open => "open",
        }
    }

    /// By the share of the published improvement that was found.
    pub fn of_share(share: f64) -> Self {
        match share {
            share if share >= 1.0 => Self::Reached,
            share if share >= 0.5 => Self::Partly,
            _ => Self::NotReached,
        }
    }

    /// Reached if `holds`.
    pub const fn of(holds: bool) -> Self {
        if holds { Self::Reached } else { Self::NotReached }
    }
}

/// A number with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Value {
    /// The estimate over all seeds.
    pub estimate: f64,
    /// Lower end; `None` without an interval.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
}

impl From<Interval> for Value {
    fn from(interval: Interval) -> Self {
        Self {
            estimate: interval.estimate,
            low: interval.range.map(|(low, _)| low),
            high: interval.range.map(|(_, high)| high),
        }
    }
}

/// One line of the table: a claim checked in one way.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// The claim's name.
    pub claim: &'static str,
    /// What is claimed, in a few words.
    pub what: String,
    /// The published value.
    pub published: String,
    /// Ours, against the paper's fixed pipeline where the claim is a comparison.
    pub ours: String,
    /// The same against the best static layout.
    pub best_static: String,
    /// Workload, machine and baseline of our value.
    pub at: String,
    /// Seeds it rests on; 0 if nothing was run.
    pub seeds: usize,
    /// How it fared.
    pub verdict: Verdict,
    /// Why, in a sentence or two.
    pub why: String,
    /// Our value as a number.
    pub value: Option<Value>,
    /// The value against the best static layout as a number.
    pub static_value: Option<Value>,
}

impl Row {
    /// A row of a claim that has only texts so far.
    pub fn new(claim: &'static str, what: &str, published: &str) -> Self {
        Self {
            claim,
            what: what.to_owned(),
            published: published.to_owned(),
            ours: "-".to_owned(),
            best_static: "-".to_owned(),
            at: "-".to_owned(),
            seeds: 0,
            verdict: Verdict::Open,
            why: String::new(),
            value: None,
            static_value: None,
        }
    }
}
