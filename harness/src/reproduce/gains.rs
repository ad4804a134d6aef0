//! The gains over fixed parallelism: the three headline figures, and every campaign behind them.

use super::row::{Row, Verdict};
use super::runs::{ONE_RANK, Ran};
use crate::metrics::stats::Interval;
use crate::report::{change, times, with_interval};
use serde::Serialize;

/// The system whose gains are reported: chosen before any result, because it is the paper's main policy.
pub const ELASTIC: &str = "edf-best-fit";
/// The same policy with one guard against overload, reported beside it per campaign.
pub const GUARDED: &str = "edf-hopeless-last";
/// The paper's baseline: one group of all ranks, first in, first out.
pub const BASELINE: &str = "paper-baseline";

/// A headline figure.
struct Gain {
    claim: &'static str,
    what: &'static str,
    metric: &'static str,
    /// The published ratio of elastic to fixed.
    published: f64,
    text: &'static str,
    /// The metric that says how far a lower bound is, and what it bounds.
    bound: (&'static str, &'static str),
}

const GAINS: [Gain; 3] = [
    Gain {
        claim: "throughput",
        what: "throughput, best campaign",
        metric: "throughput_rps",
        published: 6.01,
        text: "6.01x",
        bound: ("makespan_over_bound", "makespan"),
    },
    Gain {
        claim: "latency",
        what: "mean latency, best campaign",
        metric: "latency_ms_mean",
        published: 0.05,
        text: "-95 %",
        bound: ("latency_over_bound", "mean latency"),
    },
    Gain {
        claim: "violations",
        what: "SLO violations, best campaign",
        metric: "violation_rate",
        published: 0.10,
        text: "-90 %",
        bound: ("", ""),
    },
];

/// The row of the headline figure `claim`: the largest gain over all campaigns that were run.
pub fn headline(claim: &'static str, ran: &[&Ran]) -> Vec<Row> {
    let gain = GAINS.iter().find(|gain| gain.claim == claim).expect("a headline claim");
    let mut row = Row::new(claim, gain.what, gain.text);
    let improvement = |ratio: f64| if gain.published > 1.0 { ratio - 1.0 } else { 1.0 - ratio };
    let found = |ran: &&Ran| ran.ratio(0, ELASTIC, BASELINE, gain.metric);
    let mut all: Vec<(&Ran, Interval)> =
        ran.iter().filter_map(|ran| Some((*ran, found(ran)?))).collect();
    all.sort_by(|a, b| improvement(b.1.estimate).total_cmp(&improvement(a.1.estimate)));
    let Some(&(best, ratio)) = all.first() else { return vec![row] };
    let show = if gain.published > 1.0 { times } else { change };
    row.ours = joined(Some(ratio), show);
    let against = best.over_best_static(0, ELASTIC, gain.metric);
    row.best_static = joined(against, show);
    row.at = format!("{} ({}, {BASELINE})", best.name, best.machine);
    row.seeds = best.seeds;
    row.verdict = Verdict::of_share(improvement(ratio.estimate) / improvement(gain.published));
    row.value = Some(ratio.into());
    row.static_value = against.map(Into::into);
    row.why = why(gain, best, &all);
    vec![row]
}

fn why(gain: &Gain, best: &Ran, all: &[(&Ran, Interval)]) -> String {
    let show = if gain.published > 1.0 { times } else { change };
    let median = all[all.len() / 2].1.estimate;
    let worst = all[all.len() - 1];
    let mut why = format!(
        "{} over {} campaigns: median {}, least {} ({}).",
        ELASTIC,
        all.len(),
        show(median),
        show(worst.1.estimate),
        worst.0.name
    );
    if let Some((layout, _)) = best.best_static(0, gain.metric) {
        why += &format!(" The best static layout at this figure is {layout}.");
    }
    let (metric, what) = gain.bound;
    if let Some(over) = best.mean(0, ELASTIC, metric) {
        why += &format!(" Its {what} is {over:.2}x a lower bound that no scheduler can beat.");
    }
    why + match gain.claim {
        "throughput" => {
            " In an open loop nobody completes more than arrives: the ratio is what the baseline \
             loses, mostly by running small images on all ranks, not what elasticity wins."
        }
        "latency" => {
            " Under overload latency is mostly queueing, which grows with the length of the run, so \
             this ratio depends on how far above its capacity the baseline is driven."
        }
        _ => "",
    }
}

/// Estimate and interval in one text.
pub fn joined(value: Option<Interval>, show: impl Fn(f64) -> String) -> String {
    let (text, detail) = with_interval(value, show);
    detail.map_or(text.clone(), |detail| format!("{text} {detail}"))
}

/// The gains of one elastic system in one campaign.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Campaign {
    /// The experiment.
    pub experiment: String,
    /// Ranks and GPU.
    pub machine: String,
    /// The elastic system.
    pub system: String,
    /// Seeds.
    pub seeds: usize,
    /// SLO attainment of the baseline, of the best static layout and of the elastic system.
    pub attainment: [Option<f64>; 3],
    /// Throughput, mean latency and violations over those of the baseline.
    pub baseline: [String; 3],
    /// The same over the best static layout, the best one by each metric.
    pub best_static: [String; 3],
}

/// What changing degrees adds to the order of the policy and to moving requests between single ranks.
pub fn degrees(claim: &'static str, ran: &[&Ran]) -> Vec<Row> {
    let metrics = [("mean latency", "latency_ms_mean"), ("SLO violations", "violation_rate")];
    let row = |(what, metric): (&str, &str)| {
        let mut row = Row::new(claim, &format!("{what}: all degrees over one rank"), "none");
        let found = |ran: &Ran| ran.ratio(0, ELASTIC, ONE_RANK, metric);
        let mut all: Vec<(&Ran, Interval)> =
            ran.iter().filter_map(|ran| Some((*ran, found(ran)?))).collect();
        all.sort_by(|a, b| a.1.estimate.total_cmp(&b.1.estimate));
        let (Some(best), Some(worst)) = (all.first(), all.last()) else { return row };
        let better = |one: &&(&Ran, Interval)| one.1.range.is_some_and(|(_, high)| high < 1.0);
        row.ours = format!("median {}", change(all[all.len() / 2].1.estimate));
        row.at = format!("{} campaigns (same policy on single ranks)", all.len());
        row.seeds = best.0.seeds;
        row.why = format!(
            "From {} ({}) to {} ({}); better beyond the interval in {} of {}. The policy held at one \
             rank keeps its order by deadline and may move a request at every step, which no static \
             layout does: what it gains over the best static layout is not owed to degrees.",
            change(best.1.estimate),
            best.0.name,
            change(worst.1.estimate),
            worst.0.name,
            all.iter().filter(better).count(),
            all.len(),
        );
        row
    };
    metrics.map(row).into()
}

/// The elastic systems in one campaign; a system that the experiment lacks has no entry.
pub fn campaign(ran: &Ran) -> Vec<Campaign> {
    let entry = |system: &str| {
        ran.mean(0, system, "throughput_rps")?;
        let cells = |ratio: &dyn Fn(&str) -> Option<Interval>| {
            [
                joined(ratio("throughput_rps"), times),
                joined(ratio("latency_ms_mean"), change),
                joined(ratio("violation_rate"), change),
            ]
        };
        let attainment = "slo_attainment";
        let best = ran.best_static(0, attainment);
        let best = best.map(|(_, values)| values.iter().sum::<f64>() / values.len() as f64);
        Some(Campaign {
            experiment: ran.name.clone(),
            machine: ran.machine.clone(),
            system: system.to_owned(),
            seeds: ran.seeds,
            attainment: [ran.mean(0, BASELINE, attainment), best, ran.mean(0, system, attainment)],
            baseline: cells(&|metric| ran.ratio(0, system, BASELINE, metric)),
            best_static: cells(&|metric| ran.over_best_static(0, system, metric)),
        })
    };
    [ELASTIC, GUARDED, ONE_RANK].into_iter().filter_map(entry).collect()
}
