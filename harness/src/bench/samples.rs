//! The ranks' samples joined: what a turn took is what its slowest member took.

use super::measure::RankSamples;
use super::plan::Plan;

/// Ranks that start later than this after the agreed instant make the turn a late one.
pub const LATE_NS: u64 = 2_000;

/// One turn, over all its members.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TurnResult {
    /// Time of the slowest member; 0 if there was nothing to do.
    pub nanos: u64,
    /// Whether a member started late.
    pub late: bool,
    /// Bytes checked.
    pub checked: u64,
    /// Bytes that were wrong.
    pub wrong: u64,
}

/// One result per turn of the plan.
pub fn join(plan: &Plan, ranks: &[RankSamples]) -> Vec<TurnResult> {
    let mut turns = vec![TurnResult::default(); plan.turns.len()];
    for sample in ranks.iter().flat_map(|rank| &rank.samples) {
        let turn = &mut turns[sample.turn as usize];
        turn.nanos = turn.nanos.max(sample.nanos);
        turn.late |= sample.late > LATE_NS;
        turn.checked += sample.checked;
        turn.wrong += sample.wrong;
    }
    turns
}

/// Bytes checked and found wrong, added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Checked {
    /// Bytes that were compared with what they had to be.
    pub bytes: u64,
    /// Those that differed.
    pub wrong: u64,
}

impl Checked {
    /// Adds turns.
    pub fn add(&mut self, turns: &[TurnResult]) {
        self.bytes += turns.iter().map(|turn| turn.checked).sum::<u64>();
        self.wrong += turns.iter().map(|turn| turn.wrong).sum::<u64>();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::measure::Sample;
    use crate::bench::plan::Act;
    use flexdit_core::{Group, Rank};

    #[test]
    fn a_turn_takes_as_long_as_its_slowest_member() {
        let mut plan = Plan::new(3, 0);
        let group = plan.group(Group::consecutive(Rank(0), 2));
        plan.turn(group, Act::Form);
        plan.turn(group, Act::Release);
        let sample = |turn, nanos, late, wrong| Sample { turn, nanos, late, checked: 8, wrong };
        let rank = |samples: &[Sample]| RankSamples { pinned: true, samples: samples.to_vec() };
        let ranks = [
            rank(&[sample(0, 50, 9, 0), sample(1, 7, 0, 0)]),
            rank(&[sample(0, 80, LATE_NS + 1, 3), sample(1, 5, 0, 0)]),
            rank(&[]),
        ];
        let turns = join(&plan, &ranks);
        assert_eq!(turns[0], TurnResult { nanos: 80, late: true, checked: 16, wrong: 3 });
        assert_eq!(turns[1], TurnResult { nanos: 7, late: false, checked: 16, wrong: 0 });
        let mut checked = Checked::default();
        checked.add(&turns);
        assert_eq!(checked, Checked { bytes: 32, wrong: 3 });
    }
}
