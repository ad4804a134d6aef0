//! Goals: what this project asks of its collectives, as ratios within one run, and whether a run meets them.

use crate::report::Table;
use serde::{Deserialize, Serialize};

/// How a goal fared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Met.
    Reached,
    /// Not met.
    Missed,
    /// This run has no figure for it.
    NotMeasured,
}

impl Verdict {
    /// As in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reached => "reached",
            Self::Missed => "missed",
            Self::NotMeasured => "not measured",
        }
    }
}

/// One goal with its figure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Goal {
    /// What is asked.
    pub goal: String,
    /// Where it was measured: contestant, world, degree.
    pub at: String,
    /// The limit, as a number in the unit of `found`.
    pub limit: f64,
    /// Whether `found` must be at least the limit; else at most.
    pub at_least: bool,
    /// What was found; `None` if nothing was.
    pub found: Option<f64>,
    /// The figure in words.
    pub shown: String,
    /// What a reader needs to judge it; may be empty.
    pub remark: String,
}

impl Goal {
    /// Whether it is met.
    pub fn verdict(&self) -> Verdict {
        match self.found {
            None => Verdict::NotMeasured,
            Some(found) if self.at_least && found >= self.limit => Verdict::Reached,
            Some(found) if !self.at_least && found <= self.limit => Verdict::Reached,
            Some(_) => Verdict::Missed,
        }
    }
}

/// The goals as a table.
pub fn table(goals: &[Goal]) -> Table {
    let caption = "Goals (limits are this project's own; figures derived from measured ones)";
    let columns = ["goal", "at", "#found", "verdict", "remark"];
    let mut table = Table::new(caption, &columns);
    for goal in goals {
        table.row(vec![
            goal.goal.clone().into(),
            goal.at.clone().into(),
            if goal.found.is_some() { goal.shown.clone().into() } else { "-".into() },
            goal.verdict().name().into(),
            goal.remark.clone().into(),
        ]);
    }
    table
}

/// What is said of a figure whose members share cores.
pub fn crowding(ranks_per_core: f64) -> String {
    if ranks_per_core <= 1.0 {
        return String::new();
    }
    format!("{ranks_per_core:.1} members per core: they take turns on the processor")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_met_at_its_limit_and_open_without_a_figure() {
        let goal = |at_least, found| Goal {
            goal: "x".into(),
            at: String::new(),
            limit: 2.0,
            at_least,
            found,
            shown: String::new(),
            remark: String::new(),
        };
        assert_eq!(goal(false, Some(2.0)).verdict(), Verdict::Reached);
        assert_eq!(goal(false, Some(2.1)).verdict(), Verdict::Missed);
        assert_eq!(goal(true, Some(2.1)).verdict(), Verdict::Reached);
        assert_eq!(goal(true, Some(1.9)).verdict(), Verdict::Missed);
        assert_eq!(goal(true, None).verdict(), Verdict::NotMeasured);
    }
}
