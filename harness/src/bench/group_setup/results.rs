//! The results of the group-setup benchmark as data, and what is looked up in them.

use super::rows::Row;
use super::schedule::{History, Phase};
use super::spec::Spec;
use crate::bench::goal::{Goal, crowding};
use crate::bench::launch::Contestant;
use crate::bench::provenance::Provenance;
use crate::bench::samples::Checked;
use crate::bench::statistics::{Statistics, time};
use crate::report;
use serde::{Deserialize, Serialize};

/// Forming a group locally should take no longer.
const FORM_NS: f64 = 100.0;
/// The first collective on a never-used tuple over one on a group in use.
const FIRST_OVER_STEADY: f64 = 1.2;

/// Everything that the benchmark found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// What produced it.
    pub provenance: Provenance,
    /// What was asked for.
    pub spec: Spec,
    /// Two readings of the clock with nothing between them.
    pub clock_ns: f64,
    /// What was timed.
    pub rows: Vec<Row>,
    /// Data that was checked.
    pub checked: Checked,
}

/// One world, degree and contestant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    /// Ranks of the world.
    pub world: usize,
    /// Ranks of the group.
    pub degree: usize,
    /// Who.
    pub contestant: Contestant,
}

impl At {
    /// `group-free, threads; world 8, degree 2`.
    pub fn words(&self) -> String {
        let Self { world, degree, contestant } = self;
        format!("{}; world {world}, degree {degree}", contestant.words())
    }
}

impl Results {
    /// Every world, degree and contestant, in this order.
    pub fn places(&self) -> Vec<At> {
        let mut places: Vec<At> = Vec::new();
        for Row { key, .. } in &self.rows {
            let at = At { world: key.world, degree: key.degree, contestant: key.contestant };
            if !places.contains(&at) {
                places.push(at);
            }
        }
        places.sort_by_key(|at| (at.world, at.degree, at.contestant));
        places
    }

    /// The row of a place.
    pub fn row(&self, at: At, phase: Phase, history: History) -> Option<&Row> {
        self.rows.iter().find(|row| {
            let key = row.key;
            let here = At { world: key.world, degree: key.degree, contestant: key.contestant };
            (here, key.phase, key.history) == (at, phase, history)
        })
    }

    /// The times of a row.
    pub fn time(&self, at: At, phase: Phase, history: History) -> Option<&Statistics> {
        self.row(at, phase, history).map(|row| &row.time)
    }

    /// Forming a group on a warm world: many in a row where that is possible, else one by one.
    pub fn forming(&self, at: At) -> Option<&Statistics> {
        let many = self.time(at, Phase::FormMany, History::Used);
        many.or_else(|| self.time(at, Phase::Form, History::NewTuple))
    }

    /// First collective on a never-used tuple over steady state; derived.
    pub fn first_over_steady(&self, at: At) -> Option<f64> {
        let first = self.time(at, Phase::First, History::NewTuple)?;
        let steady = self.time(at, Phase::Steady, History::Used)?;
        Some(first.p50_ns / steady.p50_ns)
    }

    /// First collective on a never-used tuple over the first on a used group after its members were elsewhere: what is
    /// left when caches are as cold on both sides; derived.
    pub fn first_over_return(&self, at: At) -> Option<f64> {
        let first = self.time(at, Phase::First, History::NewTuple)?;
        let again = self.time(at, Phase::Return, History::Used)?;
        Some(first.p50_ns / again.p50_ns)
    }

    /// What a change to a never-used group costs before anything is done: forming and first collective.
    pub fn change(&self, at: At) -> Option<f64> {
        Some(self.time(at, Phase::FormAndFirst, History::NewTuple)?.p50_ns)
    }

    /// Each group-free contestant beside each communicator at the same world and degree.
    pub fn pairs(&self) -> Vec<(At, At)> {
        let places = self.places();
        let free = places.iter().filter(|at| at.contestant.is_group_free());
        free.flat_map(|free| {
            let others = places.iter().filter(|at| !at.contestant.is_group_free());
            let same = others.filter(|at| (at.world, at.degree) == (free.world, free.degree));
            same.map(|other| (*free, *other))
        })
        .collect()
    }

    /// Communicator over group-free, form and first collective, at never-used tuples; derived.
    pub fn ratio(&self, (free, other): (At, At)) -> Option<f64> {
        Some(self.change(other)? / self.change(free)?)
    }

    /// The goals, each at the place where it fares worst.
    pub fn goals(&self) -> Vec<Goal> {
        let mut goals = Vec::new();
        for contestant in Contestant::ALL.into_iter().filter(|one| one.is_group_free()) {
            let places: Vec<At> =
                self.places().into_iter().filter(|at| at.contestant == contestant).collect();
            if places.is_empty() {
                continue;
            }
            goals.push(self.worst(
                "forming a group takes 100 ns or less",
                &places,
                FORM_NS,
                |at| Some(self.forming(at)?.p50_ns),
                time,
            ));
            let cores = self.provenance.machine.cores;
            let (own, shared): (Vec<At>, Vec<At>) =
                places.into_iter().partition(|at| at.degree <= cores);
            for places in [own, shared] {
                goals.push(self.worst(
                    "first collective on a never-used tuple within 1.2x of steady state",
                    &places,
                    FIRST_OVER_STEADY,
                    |at| self.first_over_steady(at),
                    report::times,
                ));
                goals.push(self.worst(
                    "the same against a used group to which its members return (caches as cold)",
                    &places,
                    FIRST_OVER_STEADY,
                    |at| self.first_over_return(at),
                    report::times,
                ));
            }
        }
        goals.retain(|goal| goal.found.is_some());
        goals
    }

    fn worst(
        &self,
        goal: &str,
        places: &[At],
        limit: f64,
        figure: impl Fn(At) -> Option<f64>,
        show: impl Fn(f64) -> String,
    ) -> Goal {
        let figures = places.iter().filter_map(|at| Some((*at, figure(*at)?)));
        let worst = figures.max_by(|a, b| a.1.total_cmp(&b.1));
        let cores = self.provenance.machine.cores as f64;
        Goal {
            goal: goal.to_owned(),
            at: worst.map_or_else(String::new, |(at, _)| at.words()),
            limit,
            at_least: false,
            found: worst.map(|worst| worst.1),
            shown: worst.map_or_else(String::new, |worst| show(worst.1)),
            remark: worst.map_or_else(String::new, |(at, _)| crowding(at.degree as f64 / cores)),
        }
    }
}
