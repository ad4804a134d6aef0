//! Questions that tables and pictures ask of a [`ReportInput`].

use super::input::{ReportInput, Role, SystemNote};
use crate::metrics::Summary;
use crate::metrics::stats::{self, Interval};
use crate::plot::palette::{SERIES, Stroke};
use crate::record::RankTime;
use flexdit_core::Nanos;

/// One column of the metrics.
pub type Metric = fn(&Summary) -> Option<f64>;

/// Completed per second.
pub fn throughput(row: &Summary) -> Option<f64> {
    row.throughput_rps
}

/// Completed on time per second.
pub fn goodput(row: &Summary) -> Option<f64> {
    row.goodput_rps
}

/// Mean latency in seconds.
pub fn latency_s(row: &Summary) -> Option<f64> {
    row.latency_ms_mean.map(|ms| ms / 1e3)
}

/// 95th percentile of latency in seconds.
pub fn p95_s(row: &Summary) -> Option<f64> {
    row.latency_ms_p95.map(|ms| ms / 1e3)
}

/// 99th percentile of latency in seconds.
pub fn p99_s(row: &Summary) -> Option<f64> {
    row.latency_ms_p99.map(|ms| ms / 1e3)
}

/// SLO attainment.
pub fn attainment(row: &Summary) -> Option<f64> {
    row.slo_attainment
}

/// One minus SLO attainment.
pub fn violations(row: &Summary) -> Option<f64> {
    row.slo_attainment.map(|attainment| 1.0 - attainment)
}

/// Completed over all requests.
pub fn completion(row: &Summary) -> Option<f64> {
    (row.requests > 0).then(|| row.completed as f64 / row.requests as f64)
}

/// Busy rank-time over world x makespan.
pub fn utilisation(row: &Summary) -> Option<f64> {
    row.utilisation
}

/// Latency over the latency alone on one rank.
pub fn slowdown(row: &Summary) -> Option<f64> {
    row.slowdown_mean
}

/// A metric's key as words with its unit: `latency_ms_mean` becomes "mean latency (ms)".
pub fn metric_words(key: &str) -> String {
    let words = match key {
        "slo_attainment" => "SLO attainment",
        "violation_rate" => "violation rate",
        "latency_ms_mean" => "mean latency (ms)",
        "latency_ms_p50" => "p50 latency (ms)",
        "latency_ms_p95" => "p95 latency (ms)",
        "latency_ms_p99" => "p99 latency (ms)",
        "throughput_rps" => "throughput (req/s)",
        "goodput_rps" => "goodput (req/s)",
        "makespan_s" => "makespan (s)",
        "gpu_time_s" => "GPU-time (rank s)",
        key => key,
    };
    words.to_owned()
}

impl ReportInput {
    /// The rows of a system at a point, over all requests or one class, in seed order.
    pub fn rows(&self, point: usize, system: &str, class: Option<&str>) -> Vec<&Summary> {
        let wanted = |row: &&Summary| {
            row.point == point && row.system == system && row.class.as_deref() == class
        };
        let mut rows: Vec<&Summary> = self.metrics.iter().filter(wanted).collect();
        let order = |seed| self.seeds.iter().position(|&s| s == seed).unwrap_or(usize::MAX);
        rows.sort_by_key(|row| order(row.seed));
        rows
    }

    /// Mean of a metric over the seeds that define it, with its interval.
    pub fn mean(
        &self,
        point: usize,
        system: &str,
        class: Option<&str>,
        metric: Metric,
    ) -> Option<Interval> {
        let rows = self.rows(point, system, class);
        let values: Vec<f64> = rows.into_iter().filter_map(metric).collect();
        stats::mean(&values)
    }

    /// Mean of a metric over the seeds that define it.
    pub fn average(
        &self,
        point: usize,
        system: &str,
        class: Option<&str>,
        metric: Metric,
    ) -> Option<f64> {
        let rows = self.rows(point, system, class);
        let values: Vec<f64> = rows.into_iter().filter_map(metric).collect();
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    }

    /// As [`ReportInput::average`], but `None` if any seed does not define it: for percentiles that
    /// need many samples, where the seeds that have them are not a fair choice.
    pub fn average_of_all(
        &self,
        point: usize,
        system: &str,
        class: Option<&str>,
        metric: Metric,
    ) -> Option<f64> {
        let rows = self.rows(point, system, class);
        rows.into_iter().all(|row| metric(row).is_some()).then_some(())?;
        self.average(point, system, class, metric)
    }

    /// A metric of one system over that of another, paired by seed; `None` when the other is 0.
    pub fn ratio(&self, point: usize, a: &str, b: &str, metric: Metric) -> Option<Interval> {
        let other = self.rows(point, b, None);
        let pairs = self.rows(point, a, None).into_iter().filter_map(|row| {
            let twin = other.iter().find(|twin| twin.seed == row.seed)?;
            Some((metric(row)?, metric(twin)?))
        });
        let (a, b): (Vec<f64>, Vec<f64>) = pairs.unzip();
        stats::ratio(&a, &b)
    }

    /// Where a system's rank-time went at a point, all seeds pooled: cause and share of
    /// world x makespan.
    pub fn rank_time(&self, point: usize, system: &str) -> Option<Vec<(&'static str, f64)>> {
        let rows = self.rows(point, system, None);
        let times: Vec<RankTime> = rows.iter().filter_map(|row| row.rank_time).collect();
        let total: f64 = times.iter().map(|time| time.total().as_secs_f64()).sum();
        let pooled = |(i, (name, _)): (usize, (&'static str, Nanos))| {
            let part: f64 = times.iter().map(|time| time.parts()[i].1.as_secs_f64()).sum();
            (name, part / total)
        };
        let names = RankTime::default().parts();
        (total > 0.0).then(|| names.into_iter().enumerate().map(pooled).collect())
    }

    /// The systems of a role, in the experiment's order.
    pub fn of_role(&self, role: Role) -> impl Iterator<Item = &SystemNote> {
        self.systems.iter().filter(move |system| system.role == role)
    }

    /// The systems that pictures show, at most `most`: one of each baseline, then elastic ones, then
    /// the rest; in the order of their roles.
    pub fn shown(&self, most: usize) -> Vec<&SystemNote> {
        let first = |note: &SystemNote| self.of_role(note.role).next() == Some(note);
        let place = |note: &SystemNote| match note.role {
            Role::Other => 3,
            Role::Elastic => 1,
            _ if first(note) => 0,
            _ => 2,
        };
        let mut systems: Vec<&SystemNote> = self.systems.iter().collect();
        systems.sort_by_key(|note| place(note));
        systems.truncate(most);
        systems.sort_by_key(|note| note.role);
        systems
    }

    /// "2 more systems are in the tables. " when pictures leave some out, else nothing.
    pub fn left_out(&self, most: usize) -> String {
        match self.systems.len().saturating_sub(most) {
            0 => String::new(),
            1 => "One more system is in the tables. ".to_owned(),
            n => format!("{n} more systems are in the tables. "),
        }
    }

    /// How pictures draw a system: the same in every picture.
    pub fn stroke(&self, system: &str) -> Stroke {
        let order = self.shown(SERIES.len());
        let index = order.iter().position(|note| note.name == system).unwrap_or(0);
        Stroke::of(index, order.get(index).is_some_and(|note| note.role == Role::Elastic))
    }

    /// A sweep point in words: "target_load 1.2"; empty without a sweep.
    pub fn point_name(&self, point: usize) -> String {
        let parts = self.points.get(point).into_iter().flatten();
        parts.map(|(key, value)| format!("{key} {value}")).collect::<Vec<_>>().join(", ")
    }

    /// How many seeds, in words.
    pub fn seed_words(&self) -> String {
        match self.seeds.len() {
            1 => "1 seed".to_owned(),
            n => format!("{n} seeds"),
        }
    }

    /// What stands in brackets beside a mean or a ratio.
    pub fn interval_words(&self) -> String {
        match self.seeds.len() < stats::MIN_SEEDS {
            true => format!("no interval: fewer than {} seeds", stats::MIN_SEEDS),
            false => "95 % bootstrap interval".to_owned(),
        }
    }

    /// What these marks of a picture are, if there are any.
    pub fn drawn_interval_words(&self, marks: &str) -> String {
        let words = self.interval_words();
        match self.seeds.len() < stats::MIN_SEEDS {
            true => words,
            false => format!("{marks}: {words}"),
        }
    }
}
