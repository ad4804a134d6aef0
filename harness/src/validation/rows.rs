//! Errors of the simulator against real runs, their parts, and how far chance alone moves the real figure.

use super::noise::{drift, standard_error, two_runs_apart};
use super::pairs::Pair;
use crate::metrics::stats::{Covers, Interval, of_repeats};
use crate::metrics::{Metric, Summary, metric};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is compared, by name of the metric.
pub const COMPARED: [&str; 5] =
    ["latency_ms_mean", "latency_ms_p50", "latency_ms_p95", "throughput_rps", "slo_attainment"];

/// One metric of one system: simulated against real.
///
/// An error is first that of each seed, of its means over repeats: (simulated - real) / real, of SLO attainment the
/// difference. Then it is the mean over seeds, so every seed weighs the same. Intervals are those of
/// [`of_repeats`](crate::metrics::stats::of_repeats).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The system.
    pub system: String,
    /// The class; `None` for all requests.
    pub class: Option<String>,
    /// The metric.
    pub metric: String,
    /// Mean over seeds of each one's mean over repeats, *simulated*.
    pub simulated: Option<f64>,
    /// The same, *measured*.
    pub real: Option<f64>,
    /// The simulator's error, *derived*.
    pub error: Option<f64>,
    /// Its interval.
    pub error_range: Option<(f64, f64)>,
    /// What is left of the error where each run is simulated at its own tasks' times, *derived*: of event logic and charges,
    /// given the durations.
    pub own: Option<f64>,
    /// Its interval.
    pub own_range: Option<(f64, f64)>,
    /// The error of a simulation at the prices and charges of the experiment's measured profile, which were there
    /// beforehand; `None` where there are none.
    pub profile: Option<f64>,
    /// Its interval.
    pub profile_range: Option<(f64, f64)>,
    /// What the intervals cover; `None` without one.
    pub covers: Option<Covers>,
    /// Seeds that it rests on.
    pub seeds: usize,
    /// Pairs of runs that it rests on.
    pub samples: usize,
    /// Standard error of the real mean by its repeats, as a share of it (of attainment: as it is). An error is evidence
    /// against the simulator only beyond about twice that.
    pub standard_error: Option<f64>,
    /// How far two single real runs of one seed are apart, from one repeat to the next, mean of the sizes; as a share.
    pub two_runs_apart: Option<f64>,
    /// The same with the sign.
    pub drift: Option<f64>,
}

impl Row {
    /// The part of the error that comes from prices: what goes away with the runs' own stage times.
    pub fn of_prices(&self) -> Option<f64> {
        Some(self.error? - self.own?)
    }
}

/// The rows of every system: all requests with every metric, then each class with its mean latency.
pub fn rows(systems: &[String], classes: &[String], pairs: &[Pair]) -> Vec<Row> {
    let mut rows = Vec::new();
    for system in systems {
        let mine: Vec<&Pair> = pairs.iter().filter(|pair| pair.system == *system).collect();
        for name in COMPARED {
            rows.push(row(system, None, name, &mine));
        }
        for class in classes {
            rows.push(row(system, Some(class), COMPARED[0], &mine));
        }
    }
    rows
}

/// One metric of a pair of runs.
struct Values {
    repeat: usize,
    simulated: f64,
    hindsight: f64,
    profile: Option<f64>,
    real: f64,
}

fn row(system: &str, class: Option<&str>, name: &str, pairs: &[&Pair]) -> Row {
    let metric = metric(name).expect("listed");
    let of = |rows: &[Summary]| value(rows, class, metric);
    let mut seeds: BTreeMap<u64, Vec<Values>> = BTreeMap::new();
    for pair in pairs {
        if let (Some(simulated), Some(hindsight), Some(real)) =
            (of(&pair.simulated), of(&pair.hindsight), of(&pair.real))
        {
            let profile = pair.by_profile.as_deref().and_then(of);
            let values = Values { repeat: pair.repeat, simulated, hindsight, profile, real };
            seeds.entry(pair.seed).or_default().push(values);
        }
    }
    let is_share = name == "slo_attainment";
    // Every pair has the value or the error is none: half of the runs have no error of the others.
    let error = |ours: fn(&Values) -> Option<f64>| {
        let runs = |runs: &Vec<Values>| {
            runs.iter().map(|run| Some((ours(run)?, run.real))).collect::<Option<Vec<_>>>()
        };
        let sides: Vec<Vec<(f64, f64)>> = seeds.values().map(runs).collect::<Option<_>>()?;
        let apart = |a: f64, b: f64| if is_share { a - b } else { (a - b) / b };
        of_repeats(&sides, apart)
    };
    let (ours, own) = (error(|run| Some(run.simulated)), error(|run| Some(run.hindsight)));
    let profile = error(|run| run.profile);
    let real: Vec<Vec<(usize, f64)>> = seeds
        .values()
        .map(|runs| runs.iter().map(|run| (run.repeat, run.real)).collect())
        .collect();
    let estimate = |found: &Option<(Interval, Option<Covers>)>| found.map(|(all, _)| all.estimate);
    let range = |found: &Option<(Interval, Option<Covers>)>| found.and_then(|(all, _)| all.range);
    Row {
        system: system.to_owned(),
        class: class.map(str::to_owned),
        metric: name.to_owned(),
        simulated: mean(&seeds, |run| run.simulated),
        real: mean(&seeds, |run| run.real),
        error: estimate(&ours),
        error_range: range(&ours),
        own: estimate(&own),
        own_range: range(&own),
        profile: estimate(&profile),
        profile_range: range(&profile),
        covers: ours.and_then(|(_, covers)| covers),
        seeds: seeds.len(),
        samples: seeds.values().map(Vec::len).sum(),
        standard_error: standard_error(is_share, &real),
        two_runs_apart: two_runs_apart(is_share, &real),
        drift: drift(is_share, &real),
    }
}

/// Mean over seeds of each one's mean over repeats.
fn mean(seeds: &BTreeMap<u64, Vec<Values>>, of: fn(&Values) -> f64) -> Option<f64> {
    let each = |runs: &Vec<Values>| runs.iter().map(of).sum::<f64>() / runs.len() as f64;
    let all = seeds.values().map(each).sum::<f64>();
    (!seeds.is_empty()).then(|| all / seeds.len() as f64)
}

fn value(rows: &[Summary], class: Option<&str>, metric: &Metric) -> Option<f64> {
    (metric.get)(rows.iter().find(|row| row.class.as_deref() == class)?)
}

#[cfg(test)]
mod tests {
    use super::super::prices::Origins;
    use super::*;
    use flexdit_sim::Charges;

    /// A pair whose figures are (mean latency, attainment): simulated, in hindsight, real.
    fn pair(repeat: usize, seed: u64, figures: [(f64, f64); 3]) -> Pair {
        let [simulated, hindsight, real] = figures.map(|(mean, attained)| {
            vec![Summary {
                latency_ms_mean: Some(mean),
                slo_attainment: Some(attained),
                ..Summary::default()
            }]
        });
        Pair {
            repeat,
            system: "one".to_owned(),
            seed,
            charges: Charges::free(),
            origins: Origins::default(),
            by_profile: None,
            simulated,
            hindsight,
            real,
            elsewhere: 0,
            cores: Vec::new(),
            others: None,
        }
    }

    fn four() -> [Pair; 4] {
        [
            pair(0, 1, [(110.0, 0.9), (101.0, 1.0), (100.0, 1.0)]),
            pair(0, 2, [(800.0, 0.8), (799.0, 0.8), (800.0, 0.8)]),
            pair(1, 1, [(112.0, 0.9), (103.0, 1.0), (102.0, 1.0)]),
            pair(1, 2, [(820.0, 0.8), (821.0, 0.8), (820.0, 0.9)]),
        ]
    }

    #[test]
    fn an_error_is_that_of_each_seed_first_and_seeds_weigh_the_same() {
        let found = rows(&["one".into()], &[], &four());
        let by = |name: &str| found.iter().find(|row| row.metric == name).expect("compared");
        let mean = by("latency_ms_mean");
        assert_eq!((mean.seeds, mean.samples), (2, 4));
        assert_eq!((mean.simulated, mean.real), (Some(460.5), Some(455.5)));
        // The first seed is 10 / 101 off, the second one exact; a ratio of all means would say 1 %.
        assert!((mean.error.unwrap() - 5.0 / 101.0).abs() < 1e-12);
        assert!((mean.own.unwrap() - 0.5 / 101.0).abs() < 1e-12);
        assert!((mean.of_prices().unwrap() - 4.5 / 101.0).abs() < 1e-12);
        assert_eq!((mean.profile, mean.profile_range), (None, None));
        let share = by("slo_attainment");
        assert!((share.error.unwrap() + 0.075).abs() < 1e-12);
        assert_eq!(by("latency_ms_p95").error, None);
    }

    #[test]
    fn two_seeds_with_repeats_have_an_interval_of_these_seeds_alone() {
        let found = rows(&["one".into()], &[], &four());
        assert_eq!(found[0].covers, Some(Covers::Repeats));
        let (low, high) = found[0].error_range.unwrap();
        assert!((low - 0.5 * 10.0 / 102.0).abs() < 1e-12, "{low}");
        assert!((high - 0.5 * 10.0 / 100.0).abs() < 1e-12, "{high}");
        // Three repeats of two seeds are six pairs, and no five seeds.
        let mut six: Vec<Pair> = four().into();
        six.extend([1, 2].map(|seed| Pair { repeat: 2, ..four()[seed as usize - 1].clone() }));
        assert_eq!(rows(&["one".into()], &[], &six)[0].covers, Some(Covers::Repeats));
        let five = [1, 2, 3, 4, 5].map(|seed| Pair { seed, ..four()[0].clone() });
        assert_eq!(rows(&["one".into()], &[], &five)[0].covers, Some(Covers::Seeds));
    }

    #[test]
    fn the_profiles_error_stands_beside_where_every_run_has_one() {
        let with = |pair: Pair| {
            let latency = pair.real[0].latency_ms_mean.map(|mean| 1.25 * mean);
            let row = Summary { latency_ms_mean: latency, ..Summary::default() };
            Pair { by_profile: Some(vec![row]), ..pair }
        };
        let mut pairs = four().map(with);
        let found = rows(&["one".into()], &[], &pairs);
        assert!((found[0].profile.unwrap() - 0.25).abs() < 1e-12);
        assert!((found[0].error.unwrap() - 5.0 / 101.0).abs() < 1e-12, "that of tours stays");
        pairs[3].by_profile = None;
        assert_eq!(rows(&["one".into()], &[], &pairs)[0].profile, None);
    }

    #[test]
    fn an_interrupt_leaves_errors_without_interval_and_noise() {
        let found =
            rows(&["one".into()], &[], &[pair(0, 1, [(90.0, 1.0), (99.0, 1.0), (100.0, 1.0)])]);
        let row = &found[0];
        assert!((row.error.unwrap() + 0.1).abs() < 1e-12);
        assert_eq!((row.samples, row.error_range, row.covers), (1, None, None));
        assert_eq!((row.standard_error, row.two_runs_apart, row.drift), (None, None, None));
    }
}
