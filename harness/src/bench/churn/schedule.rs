//! What one world of the churn benchmark goes through.

use super::spec::Spec;
use crate::bench::launch::Contestant;
use crate::bench::plan::{Act, Plan};
use crate::bench::tuples::{self, Ranks};
use flexdit_core::{Group, Rank};
use serde::{Deserialize, Serialize};

/// Which groups the operations of a sample run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Another random ordered group each time, formed when its turn comes and released after.
    Churn,
    /// One group, formed beforehand.
    Fixed,
    /// As many disjoint groups as fit the world, formed beforehand, one after the other.
    Disjoint,
}

impl Mode {
    /// Every mode.
    pub const ALL: [Self; 3] = [Self::Churn, Self::Fixed, Self::Disjoint];

    /// As in files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Churn => "churn",
            Self::Fixed => "fixed",
            Self::Disjoint => "disjoint",
        }
    }
}

/// The plan of one fresh world, and which mode each turn samples; `None` for turns that prepare.
///
/// Each mode is gone through once before it is sampled.
pub fn schedule(
    spec: &Spec,
    ranks: Ranks,
    degree: usize,
    contestant: Contestant,
    round: usize,
) -> (Plan, Vec<Option<Mode>>) {
    let Ranks { world, .. } = ranks;
    let ops = spec.ops_of(contestant);
    let seed = spec.seed ^ (round as u64 + 1) << 32;
    let mut plan = Plan::new(world, seed);
    let everybody = plan.group(Group::consecutive(Rank(0), world));
    let disjoint: Vec<u32> = (0..world / degree)
        .map(|at| plan.group(Group::consecutive(Rank((at * degree) as u16), degree)))
        .collect();
    for &group in &disjoint {
        plan.turn(group, Act::Form);
    }
    let mut marks = vec![None; disjoint.len()];
    let (op, bytes) = (spec.op, spec.op.rounded(spec.bytes, degree));
    for sample in 0..=spec.samples {
        for mode in Mode::ALL {
            let groups: Vec<u32> = match mode {
                Mode::Churn => {
                    let seed = seed ^ (sample as u64 + 1) << 48;
                    let groups = tuples::churn(ranks, degree, ops, seed);
                    groups.into_iter().map(|group| plan.group(group)).collect()
                }
                Mode::Fixed => vec![disjoint[0]; ops],
                Mode::Disjoint => (0..ops).map(|at| disjoint[at % disjoint.len()]).collect(),
            };
            let form = mode == Mode::Churn;
            plan.turn(everybody, Act::Stream { op, bytes, groups, form });
            marks.push((sample > 0).then_some(mode));
        }
    }
    for &group in &disjoint {
        plan.turn(group, Act::Release);
        marks.push(None);
    }
    (plan, marks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_modes_have_the_same_number_of_operations() {
        let spec = Spec { ops: 10, samples: 2, ..Spec::quick() };
        let ranks = Ranks { world: 5, cores: 5 };
        let (plan, marks) = schedule(&spec, ranks, 2, Contestant::GroupFreeThread, 0);
        assert_eq!(plan.turns.len(), marks.len());
        let sampled = |mode| marks.iter().filter(|mark| **mark == Some(mode)).count();
        assert_eq!(Mode::ALL.map(sampled), [2, 2, 2]);
        let mut disjoint = 0;
        for (turn, mark) in plan.turns.iter().zip(&marks) {
            let Act::Stream { groups, form, .. } = &turn.act else { continue };
            assert_eq!((groups.len(), plan.groups[turn.group as usize].len()), (10, 5));
            if *mark == Some(Mode::Disjoint) {
                disjoint = groups.iter().max().copied().unwrap_or(0);
            }
            let churn = groups
                .windows(2)
                .all(|pair| plan.groups[pair[0] as usize] != plan.groups[pair[1] as usize]);
            assert_eq!(*form, mark.is_none_or(|mark| mark == Mode::Churn) && churn && *form);
        }
        assert_eq!(disjoint, 2, "two groups of two fit a world of five");
    }
}
