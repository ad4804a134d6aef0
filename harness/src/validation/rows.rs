//! Errors of the simulator against real runs, their parts, and the noise between two real runs.

use super::pairs::Pair;
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
    /// Mean over pairs, *simulated*.
    pub simulated: Option<f64>,
    /// Mean over pairs, *measured*.
    pub real: Option<f64>,
    /// The simulator's error, *derived*.
    pub error: Option<f64>,
    /// Its interval.
    pub error_range: Option<(f64, f64)>,
    /// What is left of the error where each run is simulated at its own tasks' times, *derived*.
    pub own: Option<f64>,
    /// Its interval.
    pub own_range: Option<(f64, f64)>,
    /// Pairs that it rests on.
    pub samples: usize,
    /// Mean absolute difference of two real runs of one seed, as a share of the first (of attainment: the difference): what no
    /// simulator can be expected to beat.
    pub noise: Option<f64>,
    /// Signed difference of the second real run from the first over all seeds.
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

/// One metric of a pair: simulated, in hindsight, real.
type Values = (f64, f64, f64);

fn row(system: &str, class: Option<&str>, name: &str, pairs: &[&Pair]) -> Row {
    let metric = metric(name).expect("listed");
    let of = |rows: &[Summary]| value(rows, class, metric);
    let values = |pair: &&&Pair| -> Option<(usize, u64, Values)> {
        let values = (of(&pair.simulated)?, of(&pair.hindsight)?, of(&pair.real)?);
        Some((pair.repeat, pair.seed, values))
    };
    let found: Vec<(usize, u64, Values)> = pairs.iter().filter_map(|pair| values(&pair)).collect();
    let all = |part: fn(&Values) -> f64| -> Vec<f64> {
        found.iter().map(|(_, _, values)| part(values)).collect()
    };
    let (ours, hindsight, theirs) = (all(|v| v.0), all(|v| v.1), all(|v| v.2));
    let is_share = name == "slo_attainment";
    let error = apart(is_share, &ours, &theirs);
    let own = apart(is_share, &hindsight, &theirs);
    let real: Vec<(usize, u64, f64)> =
        found.iter().map(|(repeat, seed, values)| (*repeat, *seed, values.2)).collect();
    let (noise, drift) = noise(is_share, &real);
    let mean = |values: &[f64]| {
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    };
    Row {
        system: system.to_owned(),
        class: class.map(str::to_owned),
        metric: name.to_owned(),
        simulated: mean(&ours),
        real: mean(&theirs),
        error: error.map(|error| error.estimate),
        error_range: error.and_then(|error| error.range),
        own: own.map(|own| own.estimate),
        own_range: own.and_then(|own| own.range),
        samples: found.len(),
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

/// How far real runs of one seed are apart from one repeat to the next: in size, and with the sign. Runs are (repeat, seed, value).
fn noise(is_share: bool, real: &[(usize, u64, f64)]) -> (Option<f64>, Option<f64>) {
    let next = |(repeat, seed, value): &(usize, u64, f64)| {
        let (.., next) = real.iter().find(|other| (other.0, other.1) == (repeat + 1, *seed))?;
        Some((*value, *next))
    };
    let pairs: Vec<(f64, f64)> = real.iter().filter_map(next).collect();
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

fn value(rows: &[Summary], class: Option<&str>, metric: &Metric) -> Option<f64> {
    (metric.get)(rows.iter().find(|row| row.class.as_deref() == class)?)
}

#[cfg(test)]
mod tests {
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
        let (system, charges, elsewhere) = ("one".to_owned(), Charges::free(), 0);
        Pair { repeat, system, seed, charges, simulated, hindsight, real, elsewhere }
    }

    #[test]
    fn errors_are_shares_of_the_real_figure_and_noise_is_between_real_runs() {
        let pairs = [
            pair(0, 1, [(110.0, 0.9), (101.0, 1.0), (100.0, 1.0)]),
            pair(0, 2, [(220.0, 0.8), (199.0, 0.8), (200.0, 0.8)]),
            pair(1, 1, [(112.0, 0.9), (103.0, 1.0), (102.0, 1.0)]),
            pair(1, 2, [(222.0, 0.8), (201.0, 0.8), (196.0, 0.9)]),
        ];
        let found = rows(&["one".into()], &[], &pairs);
        let by = |name: &str| found.iter().find(|row| row.metric == name).expect("compared");
        let mean = by("latency_ms_mean");
        assert_eq!((mean.simulated, mean.real, mean.samples), (Some(166.0), Some(149.5), 4));
        let error = 166.0 / 149.5 - 1.0;
        assert!((mean.error.unwrap() - error).abs() < 1e-12);
        assert!((mean.own.unwrap() - (151.0 / 149.5 - 1.0)).abs() < 1e-12);
        assert!((mean.of_prices().unwrap() - (166.0 - 151.0) / 149.5).abs() < 1e-12);
        assert!((mean.noise.unwrap() - 0.02).abs() < 1e-12);
        assert!((mean.drift.unwrap() - (298.0 / 300.0 - 1.0)).abs() < 1e-12);
        assert_eq!(mean.error_range, None);
        let share = by("slo_attainment");
        assert!((share.error.unwrap() + 0.075).abs() < 1e-12);
        assert!((share.noise.unwrap() - 0.05).abs() < 1e-12);
        assert_eq!(by("latency_ms_p95").error, None);
    }

    #[test]
    fn noise_is_from_one_repeat_to_the_next() {
        let real = [(0, 1, 100.0), (0, 2, 50.0), (1, 1, 110.0), (2, 1, 99.0), (1, 2, 50.0)];
        let (noise, drift) = noise(false, &real);
        assert!((noise.unwrap() - 0.2 / 3.0).abs() < 1e-12);
        assert!((drift.unwrap() - (259.0 / 260.0 - 1.0)).abs() < 1e-12);
    }

    #[test]
    fn an_interrupt_leaves_errors_without_a_noise() {
        let found =
            rows(&["one".into()], &[], &[pair(0, 1, [(90.0, 1.0), (99.0, 1.0), (100.0, 1.0)])]);
        assert!((found[0].error.unwrap() + 0.1).abs() < 1e-12);
        assert_eq!((found[0].samples, found[0].noise, found[0].drift), (1, None, None));
    }
}
