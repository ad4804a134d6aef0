//! The experiment's `expect:` checks on its results.

use crate::campaign::Finished;
use crate::experiment::Expectation;
use crate::metrics::summary::overall;
use crate::metrics::{Summary, metric};
use crate::record::SweepPoint;

/// One check at one sweep point, carried out.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// The check as written, with the sweep point if there are several.
    pub text: String,
    /// Both sides' values, or the metric that has none.
    pub found: String,
    /// Whether it holds.
    pub holds: bool,
}

/// Carries out every check at every sweep point, on means over the seeds.
pub fn checks(finished: &Finished) -> Vec<Check> {
    let rows: Vec<Summary> = finished.campaign.runs.iter().map(overall).collect();
    let mut all = Vec::new();
    for (point, setting) in finished.settings.iter().enumerate() {
        for text in &setting.experiment.expect {
            let check: Expectation = text.parse().expect("validated with the experiment");
            let verdict = check.evaluate(|wanted| {
                let rows = rows.iter().filter(|r| r.point == point && r.system == wanted.system);
                metric(&wanted.metric)?.mean(rows)
            });
            let text = format!("{text}{}", at(&finished.campaign.points[point]));
            all.push(match verdict {
                Ok(verdict) => {
                    let found = format!("{:.6} against {:.6}", verdict.left, verdict.right);
                    Check { text, found, holds: verdict.holds }
                }
                Err(missing) => {
                    let found = format!("{}.{} is not defined", missing.system, missing.metric);
                    Check { text, found, holds: false }
                }
            });
        }
    }
    all
}

fn at(point: &SweepPoint) -> String {
    let values: Vec<String> = point.0.iter().map(|(key, value)| format!("{key}={value}")).collect();
    if values.is_empty() { String::new() } else { format!(" at {}", values.join(", ")) }
}
