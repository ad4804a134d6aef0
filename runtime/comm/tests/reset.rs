//! After every kind of failure the ranks that stay agree to begin anew, and collectives that follow give what the oracle
//! gives.

mod common;

use common::{LONG, MakeWorld, SHORT, TRANSPORTS, World, attempt, group, on_all, threads, tiny};
use flexdit_comm::check::{Dice, Trial, Work};
use flexdit_comm::{Cause, Collectives as _, CommError, DType, Endpoint, Lane, Op, WorldConfig};
use flexdit_core::{Group, Rank};
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Trials of every way in which data moves, for `degree` members.
fn trials(degree: usize) -> Vec<Trial> {
    let works = [
        Work::AllToAll { counts: vec![vec![130; degree]; degree] },
        Work::AllReduce { dtype: DType::F32, elements: 50 },
        Work::Barrier,
        Work::AllGather { counts: vec![65; degree] },
    ];
    works.into_iter().map(|work| Trial::new(work, degree, 11)).collect()
}

/// Agrees a reset and puts the lane to the trials, from task `first` on.
fn recover(lane: &mut Lane, group: &Group, first: u64) {
    let member = lane.member(group).expect("a member");
    lane.reset(&member).unwrap_or_else(|error| panic!("{error}"));
    assert!(!lane.is_poisoned());
    for (sequence, trial) in (first..).zip(&trials(group.len())) {
        attempt(lane, sequence, group, trial);
    }
}

/// Makes the lane fail together with the other ranks of the group, in a way that `kind` chooses.
fn fail(lane: &mut Lane, group: &Group, task: u64, kind: u64) {
    let member = lane.member(group).expect("a member");
    lane.begin(task).expect("in order");
    let index = member.index();
    let mut on = lane.on(&member);
    let result = match kind % 3 {
        // Nothing fits.
        0 => on.all_gather(&vec![1; index + 1], &mut vec![0; (index + 1) * group.len()]),
        // One member does something else.
        1 if index == 1 => on.barrier(),
        1 => on.all_reduce(DType::Bf16, &mut [0; 300]),
        // Everybody sends to the next one, nobody receives, and windows stay full.
        _ => (0..9).try_for_each(|_| on.put((index + 1) % group.len(), &[3; 64])),
    };
    assert!(result.is_err() && lane.is_poisoned(), "{result:?}");
}

#[test]
fn lanes_that_failed_again_and_again_work_after_each_reset() {
    for &make in TRANSPORTS {
        for (ranks, lend_bytes) in [(2, usize::MAX), (4, usize::MAX), (3, 0)] {
            let all: Vec<u16> = (0..ranks as u16).rev().collect();
            let all = group(&all);
            // The third way to fail ends with the time-out.
            let config = WorldConfig { lend_bytes, ..tiny(ranks) };
            on_all(make, &config, |mut end| {
                let lane = end.lane(0);
                for round in 0..60 {
                    fail(lane, &all, round * 10 + 1, round % 2);
                    recover(lane, &all, round * 10 + 2);
                }
            });
        }
    }
}

/// Resets with little patience: a member that the machine keeps from running in time makes all try again.
struct Together {
    everybody: Barrier,
    failures: AtomicUsize,
}

impl Together {
    fn new(ranks: usize) -> Self {
        Self { everybody: Barrier::new(ranks), failures: AtomicUsize::new(0) }
    }

    fn reset(&self, lane: &mut Lane, group: &Group) {
        let member = lane.member(group).expect("a member");
        loop {
            let before = self.failures.load(Ordering::SeqCst);
            self.everybody.wait();
            if lane.reset(&member).is_err() {
                self.failures.fetch_add(1, Ordering::SeqCst);
            }
            self.everybody.wait();
            if self.failures.load(Ordering::SeqCst) == before {
                return;
            }
            self.everybody.wait();
        }
    }
}

#[test]
fn lanes_that_timed_out_work_after_a_reset() {
    for &make in TRANSPORTS {
        let config = WorldConfig { timeout: SHORT, ..tiny(3) };
        let all = group(&[0, 1, 2]);
        let together = Together::new(3);
        on_all(make, &config, |mut end| {
            let lane = end.lane(0);
            for round in 0..3 {
                fail(lane, &all, round * 10 + 1, 2);
                together.reset(lane, &all);
            }
            let lane = end.lane(0);
            let member = lane.member(&all).expect("a member");
            let mut sum = [0; 40];
            lane.begin(100).expect("in order");
            lane.on(&member).all_reduce(DType::F32, &mut sum).expect("a lane that works");
        });
    }
}

#[test]
fn ranks_reset_at_different_times_and_their_operations_wait_for_each_other() {
    for &make in TRANSPORTS {
        for seed in 0..20 {
            let all = group(&[2, 0, 3, 1]);
            on_all(make, &tiny(4), |mut end| {
                let mut dice = Dice::new(seed, u64::from(end.rank().0));
                let lane = end.lane(0);
                for round in 0..4 {
                    fail(lane, &all, round * 10 + 1, 0);
                    (0..dice.below(40)).for_each(|_| std::thread::yield_now());
                    recover(lane, &all, round * 10 + 2);
                }
            });
        }
    }
}

/// Ends of a world by name.
fn three(make: MakeWorld, config: &WorldConfig) -> ([Endpoint; 3], World) {
    let mut world = make(config);
    let mut ends = world.ends.drain(..);
    let three = std::array::from_fn(|_| ends.next().expect("an end"));
    drop(ends);
    (three, world)
}

#[test]
fn survivors_of_a_lost_rank_go_on_without_it() {
    for &make in TRANSPORTS {
        for panics in [false, true] {
            let ([mut zero, mut one, mut two], _world) = three(make, &tiny(3));
            let (all, rest) = (group(&[0, 1, 2]), group(&[1, 0]));
            // Something stays in the window that the lost rank never reads.
            let member = zero.lane(0).member(&all).expect("a member");
            zero.lane(0).on(&member).put(2, &[1; 100]).expect("room");
            let lost = std::thread::spawn(move || {
                two.lane(0).begin(1).expect("in order");
                if panics {
                    std::panic::resume_unwind(Box::new("a failure that a test makes"));
                }
            });
            let _ = lost.join();
            std::thread::scope(|scope| {
                for end in [&mut zero, &mut one] {
                    let (all, rest) = (&all, &rest);
                    scope.spawn(move || {
                        let lane = end.lane(0);
                        let member = lane.member(all).expect("a member");
                        lane.begin(2).expect("in order");
                        let error = lane.on(&member).barrier().unwrap_err();
                        let blames_the_loss = match &error {
                            CommError::PeerLost { peer, .. } => *peer == Rank(2),
                            CommError::Aborted { cause, .. } => *cause == Cause::PeerLost,
                            _ => false,
                        };
                        assert!(blames_the_loss, "{error:?}");
                        // With the lost rank there is no reset.
                        let error = lane.reset(&member).unwrap_err();
                        let CommError::PeerLost { place, peer: Rank(2) } = &error else {
                            panic!("{error:?}")
                        };
                        assert_eq!(place.op, Op::Reset);
                        recover(lane, rest, 3);
                        // A group with the lost rank fails as before.
                        lane.begin(50).expect("in order");
                        assert!(lane.on(&member).barrier().is_err());
                        recover(lane, rest, 60);
                    });
                }
            });
        }
    }
}

#[test]
fn a_reset_may_not_leave_out_a_rank_that_may_still_read() {
    for &make in TRANSPORTS {
        let ([mut zero, mut one, mut two], _world) = three(make, &tiny(3));
        let (all, rest) = (group(&[0, 1, 2]), group(&[0, 1]));
        let whole = zero.lane(0).member(&all).expect("a member");
        zero.lane(0).on(&whole).put(2, &[5; 70]).expect("room");
        std::thread::scope(|scope| {
            scope.spawn(|| fail(zero.lane(0), &rest, 1, 0));
            scope.spawn(|| fail(one.lane(0), &rest, 1, 0));
        });
        let pair = zero.lane(0).member(&rest).expect("a member");
        let error = zero.lane(0).reset(&pair).unwrap_err();
        assert_eq!(
            error.to_string(),
            "rank 0: group {0,1} leaves out a rank that may still read what this one sent"
        );
        assert!(zero.lane(0).is_poisoned());
        // What was sent before the failure arrives; then there is nothing to be read.
        let member = two.lane(0).member(&all).expect("a member");
        let mut data = [0; 70];
        two.lane(0).on(&member).get(0, &mut data).expect("what was put");
        assert_eq!(data, [5; 70]);
        std::thread::scope(|scope| {
            scope.spawn(|| recover(zero.lane(0), &rest, 2));
            scope.spawn(|| recover(one.lane(0), &rest, 2));
        });
        // Rank 2 never failed, and works with both.
        std::thread::scope(|scope| {
            for end in [&mut zero, &mut one, &mut two] {
                let all = &all;
                scope.spawn(move || {
                    for (sequence, trial) in (90..).zip(&trials(3)) {
                        attempt(end.lane(0), sequence, all, trial);
                    }
                });
            }
        });
    }
}

#[test]
fn lent_memory_is_not_read_after_its_lender_gave_up() {
    for &make in TRANSPORTS {
        let config = WorldConfig { lend_bytes: 0, arena_bytes: 4096, timeout: SHORT, ..tiny(3) };
        let ([mut zero, mut one, mut two], _world) = three(make, &config);
        let (all, rest) = (group(&[0, 1, 2]), group(&[0, 1]));
        let mut data = zero.allocate(200).expect("room");
        data.fill(6);
        let whole = zero.lane(0).member(&all).expect("a member");
        let error = zero.lane(0).on(&whole).put(2, &data).unwrap_err();
        assert!(matches!(&error, CommError::Timeout { missing, .. } if missing == &group(&[2])));
        data.fill(7);
        let pair = zero.lane(0).member(&rest).expect("a member");
        let error = zero.lane(0).reset(&pair).unwrap_err();
        assert!(matches!(error, CommError::BadGroup { .. }), "{error:?}");
        let member = two.lane(0).member(&all).expect("a member");
        let mut got = [0; 200];
        let error = two.lane(0).on(&member).get(0, &mut got).unwrap_err();
        assert!(
            matches!(error, CommError::Aborted { by: Rank(0), cause: Cause::Timeout, .. }),
            "{error:?}"
        );
        assert_eq!(got, [0; 200]);
        let together = Together::new(3);
        std::thread::scope(|scope| {
            for end in [&mut zero, &mut one, &mut two] {
                scope.spawn(|| together.reset(end.lane(0), &all));
            }
        });
    }
}

#[test]
fn a_rank_left_out_of_a_reset_is_refused_until_it_takes_part_in_one() {
    for &make in TRANSPORTS {
        let ([mut zero, mut one, mut two], _world) = three(make, &tiny(3));
        let (all, rest) = (group(&[0, 1, 2]), group(&[1, 0]));
        std::thread::scope(|scope| {
            for end in [&mut zero, &mut one, &mut two] {
                scope.spawn(|| fail(end.lane(0), &all, 1, 0));
            }
        });
        // What failed staged bytes for rank 2, which has not read them: it must agree.
        let pair = zero.lane(0).member(&rest).expect("a member");
        assert!(matches!(zero.lane(0).reset(&pair), Err(CommError::BadGroup { .. })));
        std::thread::scope(|scope| {
            for end in [&mut zero, &mut one, &mut two] {
                scope.spawn(|| recover(end.lane(0), &all, 2));
            }
        });
        // Barriers leave nothing to be read.
        std::thread::scope(|scope| {
            for end in [&mut zero, &mut one, &mut two] {
                let all = &all;
                scope.spawn(move || {
                    let aborter = end.aborter();
                    let lane = end.lane(0);
                    let member = lane.member(all).expect("a member");
                    lane.begin(30).expect("in order");
                    if lane.rank() == Rank(2) {
                        aborter.abort(0);
                        return lane.on(&member).get(0, &mut []).unwrap_err();
                    }
                    lane.on(&member).barrier().unwrap_err()
                });
            }
        });
        std::thread::scope(|scope| {
            for end in [&mut zero, &mut one] {
                let (all, rest) = (&all, &rest);
                scope.spawn(move || {
                    let lane = end.lane(0);
                    recover(lane, rest, 40);
                    let member = lane.member(all).expect("a member");
                    let refused = lane.on(&member).barrier().unwrap_err();
                    assert_eq!(refused, CommError::Poisoned { rank: lane.rank(), lane: 0 });
                    assert!(!lane.is_poisoned(), "the others may go on");
                });
            }
        });
        std::thread::scope(|scope| {
            for end in [&mut zero, &mut one, &mut two] {
                scope.spawn(|| recover(end.lane(0), &all, 60));
            }
        });
    }
}

#[test]
fn a_member_that_does_not_come_to_a_reset_is_named() {
    let config = WorldConfig { timeout: SHORT, ..tiny(2) };
    let World { mut ends, .. } = threads(&config);
    let all = group(&[0, 1]);
    let lane = ends[0].lane(0);
    let member = lane.member(&all).expect("a member");
    match lane.reset(&member).unwrap_err() {
        CommError::Timeout { place, missing, graph, .. } => {
            assert_eq!((place.op, missing), (Op::Reset, group(&[1])));
            assert!(graph.contains("rank 0 in reset 0.0 waits for {1}"), "{graph}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(lane.on(&member).barrier(), Err(CommError::Poisoned { rank: Rank(0), lane: 0 }));
}

#[test]
fn the_other_lanes_go_on_while_one_is_reset() {
    for &make in TRANSPORTS {
        let all = group(&[1, 0]);
        let config = WorldConfig { timeout: LONG, ..tiny(2) };
        on_all(make, &config, |mut end| {
            let mut lanes = end.take_lanes();
            let (first, second) = lanes.split_at_mut(1);
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    for round in 0..30 {
                        fail(&mut first[0], &all, round * 10 + 1, round % 2);
                        recover(&mut first[0], &all, round * 10 + 2);
                    }
                });
                scope.spawn(|| {
                    let trials = trials(2);
                    for sequence in 1..200_u64 {
                        let trial = &trials[sequence as usize % trials.len()];
                        attempt(&mut second[0], sequence, &all, trial);
                    }
                });
            });
        });
    }
}
