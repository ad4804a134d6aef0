//! Errors of the simulator against real runs, and the noise between two real runs.

use crate::metrics::stats::{Interval, difference, ratio};
use crate::metrics::{Metric, Summary, metric};
use serde::{Deserialize, Serialize};

/// What is compared, by name of the metric.
pub const COMPARED: [&str; 5] =
    ["latency_ms_mean", "latency_ms_p50", "latency_ms_p95", "throughput_rps", "slo_attainment"];

/// One metric of one system: simulated against real.
///
/// Errors are relative, (simulated - real) / real; those of SLO attainment are differences. Samples are pairs of runs of
/// one seed; intervals are 95 % bootstrap intervals over them, with five or more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The system.
    pub system: String,
    /// The class; `None` for all requests.
    pub class: Option<String>,
    /// The metric.
    pub metric: String,
    /// Mean over seeds, *simulated*.
    pub simulated: Option<f64>,
    /// Mean over seeds and repeats, *measured*.
    pub real: Option<f64>,
    /// The simulator's error, *derived*.
    pub error: Option<f64>,
    /// Its interval.
    pub error_range: Option<(f64, f64)>,
    /// Pairs that it rests on.
    pub samples: usize,
    /// Mean absolute difference of two real runs of one seed, as a share of the first (of attainment: the difference): what no
    /// simulator can be expected to beat.
    pub noise: Option<f64>,
    /// Signed difference of the second real run from the first over all seeds.
    pub drift: Option<f64>,
}

/// The rows of every system: all requests with every metric, then each class with its mean latency.
pub fn rows(
    systems: &[String],
    classes: &[String],
    simulated: &[Summary],
    real: &[Vec<Summary>],
) -> Vec<Row> {
    let mut rows = Vec::new();
    for system in systems {
        for name in COMPARED {
            rows.push(row(system, None, name, simulated, real));
        }
        for class in classes {
            rows.push(row(system, Some(class), COMPARED[0], simulated, real));
        }
    }
    rows
}

fn row(
    system: &str,
    class: Option<&str>,
    name: &str,
    simulated: &[Summary],
    real: &[Vec<Summary>],
) -> Row {
    let metric = metric(name).expect("listed");
    let ours = values(simulated, system, class, metric);
    let theirs: Vec<_> = real.iter().map(|rows| values(rows, system, class, metric)).collect();
    let (mut a, mut b) = (Vec::new(), Vec::new());
    for repeat in &theirs {
        for (seed, value) in repeat {
            if let Some((_, other)) = ours.iter().find(|(other, _)| other == seed) {
                a.push(*other);
                b.push(*value);
            }
        }
    }
    let is_share = name == "slo_attainment";
    let error = apart(is_share, &a, &b);
    let (noise, drift) = match &theirs[..] {
        [first, second, ..] => noise(is_share, first, second),
        _ => (None, None),
    };
    let mean = |values: &[f64]| {
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    };
    Row {
        system: system.to_owned(),
        class: class.map(str::to_owned),
        metric: name.to_owned(),
        simulated: mean(&a),
        real: mean(&b),
        error: error.map(|error| error.estimate),
        error_range: error.and_then(|error| error.range),
        samples: b.len(),
        noise,
        drift,
    }
}

/// How far `a` is from `b`: as a share of `b`, or as a difference.
fn apart(is_share: bool, a: &[f64], b: &[f64]) -> Option<Interval> {
    if is_share {
        return difference(a, b);
    }
    let found = ratio(a, b)?;
    let range = found.range.map(|(low, high)| (low - 1.0, high - 1.0));
    Some(Interval { estimate: found.estimate - 1.0, range, ..found })
}

fn noise(
    is_share: bool,
    first: &[(u64, f64)],
    second: &[(u64, f64)],
) -> (Option<f64>, Option<f64>) {
    let pairs: Vec<(f64, f64)> = first
        .iter()
        .filter_map(|(seed, a)| {
            let (_, b) = second.iter().find(|(other, _)| other == seed)?;
            Some((*a, *b))
        })
        .collect();
    let size = |(a, b): &(f64, f64)| match is_share {
        true => Some((b - a).abs()),
        false => (*a != 0.0).then(|| ((b - a) / a).abs()),
    };
    let sizes: Option<Vec<f64>> = pairs.iter().map(size).collect();
    let noise = sizes.filter(|sizes| !sizes.is_empty());
    let noise = noise.map(|sizes| sizes.iter().sum::<f64>() / sizes.len() as f64);
    let (a, b): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
    (noise, apart(is_share, &b, &a).map(|drift| drift.estimate))
}

fn values(rows: &[Summary], system: &str, class: Option<&str>, metric: &Metric) -> Vec<(u64, f64)> {
    let of = |row: &&Summary| row.system == system && row.class.as_deref() == class;
    rows.iter().filter(of).filter_map(|row| Some((row.seed, (metric.get)(row)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(seed: u64, mean: f64, attained: f64) -> Summary {
        Summary {
            system: "one".into(),
            seed,
            latency_ms_mean: Some(mean),
            slo_attainment: Some(attained),
            ..Summary::default()
        }
    }

    #[test]
    fn errors_are_shares_of_the_real_figure_and_noise_is_between_real_runs() {
        let simulated = [summary(1, 110.0, 0.9), summary(2, 220.0, 0.8)];
        let first = vec![summary(1, 100.0, 1.0), summary(2, 200.0, 0.8)];
        let second = vec![summary(1, 102.0, 1.0), summary(2, 196.0, 0.9)];
        let found = rows(&["one".into()], &[], &simulated, &[first, second]);
        let by = |name: &str| found.iter().find(|row| row.metric == name).expect("compared");
        let mean = by("latency_ms_mean");
        assert_eq!((mean.simulated, mean.real, mean.samples), (Some(165.0), Some(149.5), 4));
        assert!((mean.error.unwrap() - (165.0 / 149.5 - 1.0)).abs() < 1e-12);
        assert!((mean.noise.unwrap() - 0.02).abs() < 1e-12);
        assert!((mean.drift.unwrap() - (298.0 / 300.0 - 1.0)).abs() < 1e-12);
        assert_eq!(mean.error_range, None);
        let share = by("slo_attainment");
        assert!((share.error.unwrap() + 0.075).abs() < 1e-12);
        assert!((share.noise.unwrap() - 0.05).abs() < 1e-12);
        assert_eq!(by("latency_ms_p95").error, None);
    }
}
