//! What one world of the group-setup benchmark goes through, and what each turn of it means.

use super::spec::Spec;
use crate::bench::plan::{Act, Plan};
use crate::bench::tuples::{self, Ranks};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Groups that are used before members return to an earlier one: then they were away for as long as those of a new group.
const RETURN_AFTER: usize = 3;

/// What was timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Forming the group or its descriptor, once, between two readings of the clock.
    Form,
    /// The same many times in a row, divided by how many; only where forming contacts nobody.
    FormMany,
    /// The first collective on a group.
    First,
    /// Forming plus first collective: what a change of groups costs before anything is done.
    FormAndFirst,
    /// A collective on a group in use.
    Steady,
    /// The first collective on a group that was used before, after its members were elsewhere.
    Return,
    /// Giving the group up.
    Release,
}

impl Phase {
    /// Every phase.
    pub const ALL: [Self; 7] = [
        Self::Form,
        Self::FormMany,
        Self::First,
        Self::FormAndFirst,
        Self::Steady,
        Self::Return,
        Self::Release,
    ];

    /// As in files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Form => "form",
            Self::FormMany => "form-many",
            Self::First => "first",
            Self::FormAndFirst => "form-and-first",
            Self::Steady => "steady",
            Self::Return => "return",
            Self::Release => "release",
        }
    }
}

/// What was in use before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum History {
    /// Nothing: the first thing in a fresh world.
    Cold,
    /// Groups of other degrees, none of this one.
    NewDegree,
    /// Groups of this degree, not this tuple.
    NewTuple,
    /// This very group.
    Used,
}

impl History {
    /// Every history.
    pub const ALL: [Self; 4] = [Self::Cold, Self::NewDegree, Self::NewTuple, Self::Used];

    /// As in files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cold => "cold",
            Self::NewDegree => "new-degree",
            Self::NewTuple => "new-tuple",
            Self::Used => "used",
        }
    }

    /// `cold` or `warm`.
    pub const fn temperature(self) -> &'static str {
        if matches!(self, Self::Cold) { "cold" } else { "warm" }
    }
}

/// What a turn stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Ranks of the group.
    pub degree: usize,
    /// What is timed.
    pub phase: Phase,
    /// What was in use before.
    pub history: History,
    /// How often it is done in the turn.
    pub count: u32,
}

/// The plan of one fresh world, number `life`, and the mark of each turn; `None` for turns that only settle.
///
/// Which degree comes first, cold, goes round with the number.
pub fn schedule(spec: &Spec, ranks: Ranks, life: usize) -> (Plan, Vec<Option<Mark>>) {
    let Ranks { world, .. } = ranks;
    let mut plan = Plan::new(world, spec.seed ^ (life as u64 + 1) << 32);
    let mut marks = Vec::new();
    let degrees: Vec<usize> = spec.degrees.iter().copied().filter(|d| *d <= world).collect();
    let name = format!("group-setup/{life}");
    for turn in 0..degrees.len() {
        let degree = degrees[(turn + life) % degrees.len()];
        let groups = tuples::distinct(ranks, degree, spec.tuples, spec.seed, &name);
        // Groups stay until some others were used, so that their members can return to them.
        let mut kept = VecDeque::new();
        for (place, group) in groups.into_iter().enumerate() {
            let history = match (turn, place) {
                (0, 0) => History::Cold,
                (_, 0) => History::NewDegree,
                _ => History::NewTuple,
            };
            let group = plan.group(group);
            let bytes = spec.op.rounded(spec.bytes, degree);
            let run = || Act::Run { op: spec.op, bytes, count: 1, warm: false };
            let mut push = |group, act, mark: Option<(Phase, History, u32)>| {
                plan.turn(group, act);
                marks.push(mark.map(|(phase, history, count)| Mark {
                    degree,
                    phase,
                    history,
                    count,
                }));
            };
            push(group, Act::Form, Some((Phase::Form, history, 1)));
            push(group, run(), Some((Phase::First, history, 1)));
            push(group, run(), None);
            for _ in 0..spec.steady {
                push(group, run(), Some((Phase::Steady, History::Used, 1)));
            }
            let many = (Phase::FormMany, History::Used, spec.many);
            push(group, Act::FormMany(spec.many), Some(many));
            kept.push_back(group);
            if kept.len() > RETURN_AFTER {
                let earlier = kept.pop_front().expect("several are kept");
                // Wakes them, as forming wakes the members of a new group.
                push(earlier, Act::FormMany(1), None);
                push(earlier, run(), Some((Phase::Return, History::Used, 1)));
                push(earlier, Act::Release, Some((Phase::Release, History::Used, 1)));
            }
        }
        for group in kept {
            plan.turn(group, Act::Release);
            marks.push(None);
        }
    }
    (plan, marks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::plan::Turn;
    use std::collections::BTreeSet;

    #[test]
    fn a_world_meets_every_degree_and_each_tuple_once() {
        let spec = Spec { degrees: vec![2, 3, 8], tuples: 5, steady: 2, ..Spec::quick() };
        let (plan, marks) = schedule(&spec, Ranks { world: 4, cores: 4 }, 1);
        assert_eq!(plan.turns.len(), marks.len());
        let firsts: Vec<(usize, History)> = marks
            .iter()
            .flatten()
            .filter(|mark| mark.phase == Phase::First)
            .map(|mark| (mark.degree, mark.history))
            .collect();
        let mut expected = vec![(3, History::Cold)];
        expected.extend([(3, History::NewTuple); 4]);
        expected.push((2, History::NewDegree));
        expected.extend([(2, History::NewTuple); 4]);
        assert_eq!(firsts, expected, "life 1 begins with the second degree; 8 does not fit");
        assert_eq!(plan.groups.iter().collect::<BTreeSet<_>>().len(), 10);
        let steady = marks.iter().flatten().filter(|mark| mark.phase == Phase::Steady).count();
        assert_eq!(steady, 20);
    }

    #[test]
    fn members_return_to_a_used_group_when_three_others_were_used() {
        let spec = Spec { degrees: vec![2], tuples: 5, steady: 1, ..Spec::quick() };
        let (plan, marks) = schedule(&spec, Ranks { world: 4, cores: 4 }, 0);
        let told = |phase: Phase| -> Vec<u32> {
            let turns = plan.turns.iter().zip(&marks);
            let marked = turns.filter(|(_, mark)| mark.is_some_and(|mark| mark.phase == phase));
            marked.map(|(turn, _)| turn.group).collect()
        };
        assert_eq!(told(Phase::First), [0, 1, 2, 3, 4]);
        assert_eq!(told(Phase::Return), [0, 1]);
        assert_eq!(told(Phase::Release), [0, 1], "of those in use just before");
        let is_run = |turn: &&Turn| matches!(turn.act, Act::Run { .. });
        let run: Vec<u32> = plan.turns.iter().filter(is_run).map(|turn| turn.group).collect();
        assert_eq!(run[9..14], [3, 3, 3, 0, 4], "{run:?}");
        let released = plan.turns.iter().filter(|turn| turn.act == Act::Release).count();
        assert_eq!(released, 5, "nothing is kept");
    }

    #[test]
    fn every_degree_comes_first_in_some_world() {
        let spec = Spec::default();
        let cold: BTreeSet<usize> = (0..3)
            .filter_map(|life| {
                schedule(&spec, Ranks { world: 8, cores: 2 }, life).1[0].map(|mark| mark.degree)
            })
            .collect();
        assert_eq!(cold, BTreeSet::from([2, 4, 8]));
    }
}
