//! Whole groups of a world of four under random schedules: every operation against the oracle, and after a failure a
//! reset, a barrier, and no rank left behind. A failure names its seed.

use super::kit::Kit;
use super::memory::PIECE;
use super::on::On;
use super::shuttle::Shuttle;
use super::world::{Actor, Setting, Wait};
use crate::check::{Dice, Trial, Work, Wrong};
use crate::dtype::DType;
use crate::error::CommError;
use crate::memory::RankState;
use crate::rules::Sound;
use shuttle::scheduler::RandomScheduler;
use std::sync::Arc;

/// Ranks of the world.
const RANKS: u16 = 4;

/// One operation of some ranks.
#[derive(Clone, Debug)]
struct Task {
    group: Vec<u16>,
    trial: Trial,
}

/// What one rank does instead of its part of one task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    /// It is asked to give up.
    Asked,
    /// It has no patience.
    Hurries,
    /// It is gone.
    Leaves,
}

/// Everything that one seed draws but the schedule.
#[derive(Clone, Debug)]
struct Plan {
    setting: Setting,
    tasks: Vec<Task>,
    /// Who does what at which task.
    fault: (u16, usize, Fault),
}

impl Plan {
    fn draw(seed: u64, may_fail: bool) -> Self {
        let mut dice = Dice::new(seed, 0);
        let setting = Setting {
            ranks: RANKS.into(),
            depth: dice.pick(&[1, 2]),
            lines: dice.pick(&[1, 1, 2, 3]),
            pieces: dice.pick(&[1, 2, 3]),
            wait: if may_fail { Wait::Nap } else { dice.pick(&[Wait::Poll, Wait::Nap]) },
            failures: may_fail,
            resets: may_fail,
            loans: dice.once_in(2),
            ..Setting::TINY
        };
        let count = 3 + dice.below(4);
        let tasks: Vec<Task> = (0..count).map(|_| Task::draw(&mut dice)).collect();
        let kind = dice.pick(&[Fault::None, Fault::Asked, Fault::Hurries, Fault::Leaves]);
        let kind = if may_fail { kind } else { Fault::None };
        let fault = (dice.below(RANKS.into()) as u16, dice.below(count), kind);
        Self { setting, tasks, fault }
    }

    /// One rank's part. Whoever fails, and whoever is through, resets with all that are left.
    fn run(&self, mut rank: Actor<Shuttle, Sound>) {
        let me = rank.me.0;
        let (who, when, what) = self.fault;
        for (at, task) in self.tasks.iter().enumerate() {
            if (me, at) == (who, when) {
                match what {
                    Fault::None => {}
                    Fault::Asked => rank.memory.abort(rank.me),
                    Fault::Hurries => rank.memory.hurry(true),
                    Fault::Leaves => return rank.memory.leave(rank.me, RankState::Lost),
                }
            }
            rank.task(at as u64 + 1);
            match task.run(&mut rank) {
                Ok(()) => {}
                Err(Wrong::Failed(error)) if what != Fault::None => {
                    assert!(!matches!(error, CommError::Mismatch { .. }), "{error}");
                    break;
                }
                Err(wrong) => panic!("task {at}: {wrong}"),
            }
        }
        if what != Fault::None {
            rank.memory.hurry(false);
            let left = (0..RANKS).filter(|rank| (*rank, Fault::Leaves) != (who, what));
            let left: Vec<u16> = left.collect();
            // Refused while who will leave may still read what this one sent.
            let mut result = rank.reset(&left);
            while matches!(result, Err(CommError::BadGroup { .. })) && what == Fault::Leaves {
                Shuttle::give_way();
                result = rank.reset(&left);
            }
            assert_eq!(result, Ok(()));
            rank.task(100);
            assert_eq!(rank.barrier(&left), Ok(()));
            let all = rank.all_gather(&left, &[me as u8; 3]);
            let expected = left.iter().flat_map(|rank| [*rank as u8; 3]).collect();
            assert_eq!(all, Ok(expected));
        }
    }
}

impl Task {
    fn draw(dice: &mut Dice) -> Self {
        let mut group: Vec<u16> = (0..RANKS).collect();
        dice.shuffle(&mut group);
        group.truncate(2 + dice.below(3));
        let degree = group.len();
        let mut size = || dice.pick(&[0, 1, 3, PIECE, PIECE + 1, 3 * PIECE]);
        let works = [
            Work::Barrier,
            Work::Broadcast { root: 1, bytes: size() },
            Work::AllGather { counts: (0..degree).map(|_| size()).collect() },
            Work::AllToAll {
                counts: (0..degree).map(|_| (0..degree).map(|_| size()).collect()).collect(),
            },
            Work::RingShift { by: 1, bytes: (0..degree).map(|_| size()).collect() },
            Work::ReduceScatter { dtype: DType::F32, elements: size() / 4 },
            Work::AllReduce { dtype: DType::Bf16, elements: size() / 2 },
            Work::PutGet { from: 1, to: 0, bytes: size() },
        ];
        let work = dice.pick(&works);
        Self { trial: Trial::new(work, degree, dice.bits()), group }
    }

    fn run<K: Kit>(&self, rank: &mut Actor<K, Sound>) -> Result<(), Wrong> {
        if !self.group.contains(&rank.me.0) {
            return Ok(());
        }
        let member = rank.member(&self.group);
        let result = self.trial.run(&mut On { lane: &mut rank.lane, member: &member });
        rank.memory.end_loans(rank.me);
        result
    }
}

/// One schedule of one plan.
fn check(seed: u64, may_fail: bool) {
    let plan = Arc::new(Plan::draw(seed, may_fail));
    let scheduler = RandomScheduler::new_from_seed(seed, 1);
    let runner = shuttle::Runner::new(scheduler, shuttle::Config::default());
    runner.run(move || {
        let plan = Arc::clone(&plan);
        let setting = plan.setting;
        setting.run::<Shuttle, Sound>(move |rank| plan.run(rank));
    });
}

#[test]
fn overlapping_groups_give_what_the_oracle_gives() {
    (0..2000).for_each(|seed| check(seed, false));
}

#[test]
fn whoever_fails_all_that_are_left_begin_anew() {
    (0..2000).for_each(|seed| check(seed, true));
}
