//! The `expect:` checks of an experiment against its results.

use crate::experiment::expect::{Reference, Verdict};
use crate::experiment::{Expectation, Experiment};
use crate::metrics::{Summary, metric};
use std::fmt;

/// How one check came out at one sweep point.
#[derive(Clone, Debug, PartialEq)]
pub struct Checked {
    /// The check as written.
    pub text: String,
    /// Index of the sweep point.
    pub point: usize,
    /// Both sides, or the metric that is not defined in every seed.
    pub verdict: Result<Verdict, Reference>,
}

impl Checked {
    /// Whether the check holds; a metric that is not defined fails it.
    pub fn holds(&self) -> bool {
        self.verdict.as_ref().is_ok_and(|verdict| verdict.holds)
    }
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.holds() { "holds" } else { "fails" };
        write!(f, "{word}: {}", self.text)?;
        match &self.verdict {
            Ok(verdict) => write!(f, " ({} against {})", verdict.left, verdict.right),
            Err(reference) => write!(f, " ({reference} is not defined)"),
        }
    }
}

/// Evaluates every check at every point over means of the seeds. `overall` and `classes` are the rows
/// of summary.csv and classes.csv.
pub fn evaluate(
    experiment: &Experiment,
    points: usize,
    overall: &[Summary],
    classes: &[Summary],
) -> Vec<Checked> {
    let mut all = Vec::new();
    for point in 0..points {
        for text in &experiment.expect {
            // Checks were parsed when the experiment was read.
            let Ok(check) = text.parse::<Expectation>() else { continue };
            let verdict = check.evaluate(|reference| {
                let rows = if reference.class.is_some() { classes } else { overall };
                let mine = rows.iter().filter(|row| {
                    row.point == point
                        && row.system == reference.system
                        && row.class == reference.class
                });
                metric(&reference.metric)?.mean(mine)
            });
            all.push(Checked { text: text.clone(), point, verdict });
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::Loaded;
    use crate::input::Document;

    #[test]
    fn checks_compare_means_over_seeds_at_each_point() {
        let text = "
name: test
cluster: {world: 2, gpu: h20}
model: qwen-image
profile: p.yaml
workload: {arrivals: {phased: short}}
systems: [{name: a, legacy: {}}, {name: b, elastic: {policy: edf-greedy}}]
expect: [b.slo_attainment > a.slo_attainment, b.L.completed >= 3, a.latency_ms_p99 > 0]
";
        let document = Document::parse("a.yaml", text).unwrap();
        let loaded = Loaded::from_document(document, Default::default()).unwrap();
        let row = |system: &str, point, attainment| Summary {
            system: system.to_owned(),
            point,
            slo_attainment: Some(attainment),
            ..Summary::default()
        };
        let overall = [
            row("a", 0, 0.4),
            row("a", 0, 0.6),
            row("b", 0, 0.5),
            row("b", 0, 0.7),
            row("a", 1, 0.5),
            row("b", 1, 0.5),
        ];
        let class = Summary { class: Some("L".to_owned()), completed: 3, ..row("b", 0, 1.0) };
        let checked = evaluate(loaded.first(), 2, &overall, &[class]);
        let lines: Vec<String> = checked.iter().map(Checked::to_string).collect();
        assert_eq!(
            lines,
            [
                "holds: b.slo_attainment > a.slo_attainment (0.6 against 0.5)",
                "holds: b.L.completed >= 3 (3 against 3)",
                "fails: a.latency_ms_p99 > 0 (a.latency_ms_p99 is not defined)",
                "fails: b.slo_attainment > a.slo_attainment (0.5 against 0.5)",
                "fails: b.L.completed >= 3 (b.L.completed is not defined)",
                "fails: a.latency_ms_p99 > 0 (a.latency_ms_p99 is not defined)",
            ]
        );
    }
}
