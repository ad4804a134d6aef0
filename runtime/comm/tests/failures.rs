//! What goes wrong is a typed error on every rank that waits, in bounded time, and never success with wrong data.

mod common;

use common::{MakeWorld, TRANSPORTS, World, group, hasty, member, on_all, on_lanes, threads, tiny};
use flexdit_comm::check::{Trial, Work};
use flexdit_comm::{Cause, Collectives, CommError, DType, Lane, TypedCollectives, WorldConfig};
use flexdit_core::{Group, Rank};
use std::time::Duration;

/// An operation as one rank calls it: the task's number, the group, the call.
struct Call {
    sequence: u64,
    ranks: &'static [u16],
    operate: fn(&mut dyn Collectives) -> Result<(), CommError>,
}

impl Call {
    fn run(&self, lane: &mut Lane) -> Result<(), CommError> {
        let member = member(lane, &group(self.ranks));
        lane.begin(self.sequence)?;
        (self.operate)(&mut lane.on(&member))
    }
}

const ALL: &[u16] = &[0, 1, 2, 3];

/// Calls that do not go together: what the others do, and what rank 2 does.
fn mismatches() -> Vec<(&'static str, Call, Call)> {
    let barrier: fn(&mut dyn Collectives) -> _ = |on| on.barrier();
    let gather: fn(&mut dyn Collectives) -> _ = |on| {
        let (share, mut all) = ([7; 90], [0; 360]);
        on.all_gather(&share, &mut all)
    };
    let sum: fn(&mut dyn Collectives) -> _ = |on| on.all_reduce(DType::F32, &mut [0; 200]);
    let call = |operate| Call { sequence: 5, ranks: ALL, operate };
    vec![
        ("another operation", call(barrier), call(gather)),
        ("another operation of no bytes", call(barrier), call(|on| on.all_gather(&[], &mut []))),
        ("another length", call(gather), call(|on| on.all_gather(&[7; 91], &mut [0; 364]))),
        ("shorter by a piece", call(gather), call(|on| on.all_gather(&[7; 26], &mut [0; 104]))),
        ("another type", call(sum), call(|on| on.all_reduce(DType::F16, &mut [0; 200]))),
        (
            "another sum",
            call(sum),
            call(|on| on.reduce_scatter(DType::F32, &[0; 800], &mut [0; 200])),
        ),
        ("another task", call(sum), Call { sequence: 6, ..call(sum) }),
        ("an earlier task", call(sum), Call { sequence: 4, ..call(sum) }),
        ("another order of ranks", call(barrier), Call { ranks: &[0, 2, 1, 3], ..call(barrier) }),
        ("another group", call(gather), Call { ranks: &[2, 3], ..call(gather_of_two) }),
        (
            "an operation more",
            call(barrier),
            call(|on| {
                on.broadcast(2, &mut [])?;
                on.barrier()
            }),
        ),
    ]
}

fn gather_of_two(on: &mut dyn Collectives) -> Result<(), CommError> {
    on.all_gather(&[7; 90], &mut [0; 180])
}

#[test]
fn operations_that_do_not_go_together_fail_on_all_ranks_that_wait() {
    for &make in TRANSPORTS {
        for lend_bytes in [usize::MAX, 0] {
            for (what, others, deviant) in mismatches() {
                let config = WorldConfig { lend_bytes, ..tiny(4) };
                let results = on_lanes(make, &config, |rank, lane| {
                    if rank == 2 { deviant.run(lane) } else { others.run(lane) }
                });
                let mismatch =
                    |result: &Result<_, _>| matches!(result, Err(CommError::Mismatch { .. }));
                assert!(results.iter().any(mismatch), "{what}: {results:?}");
                for result in &results {
                    let told =
                        matches!(result, Err(CommError::Aborted { cause: Cause::Mismatch, .. }));
                    assert!(mismatch(result) || told, "{what}: {results:?}");
                }
            }
        }
    }
}

#[test]
fn a_mismatch_names_both_messages_and_the_group() {
    let results = on_lanes(threads, &tiny(2), |rank, lane| {
        let member = member(lane, &group(&[1, 0]));
        lane.begin(7)?;
        let mut on = lane.on(&member);
        on.broadcast(0, &mut [1; 16])?;
        if rank == 0 {
            on.all_reduce_of(&mut [1.0_f32; 3])
        } else {
            on.ring_shift(1, &[0; 4], &mut [0; 5])
        }
    });
    let wrong: Vec<String> =
        results.iter().map(|result| result.clone().unwrap_err().to_string()).collect();
    let key = |text: &str| text.split("in group ").nth(1).unwrap_or("")[..16].to_owned();
    let seen = [
        format!(
            "rank 0, lane 0, all_reduce 7.1 of {{1,0}}: rank 1 is in another operation: here all_reduce 7.1 of 12 \
             bytes (f32) in group {0}; there ring_shift 7.1 of 4 bytes (bytes) in group {0}",
            key(&wrong[0])
        ),
        format!(
            "rank 1, lane 0, ring_shift 7.1 of {{1,0}}: rank 0 is in another operation: here ring_shift 7.1 of 5 \
             bytes (bytes) in group {0}; there all_reduce 7.1 of 12 bytes (f32) in group {0}",
            key(&wrong[1])
        ),
        "rank 0, lane 0, all_reduce 7.1 of {1,0}: rank 1 gave up: its operation was not its peer's"
            .to_owned(),
        "rank 1, lane 0, ring_shift 7.1 of {1,0}: rank 0 gave up: its operation was not its peer's"
            .to_owned(),
    ];
    assert!(wrong.iter().all(|text| seen.contains(text)), "{wrong:#?}");
    assert!(wrong.iter().any(|text| text.contains("in another operation")), "{wrong:#?}");
}

#[test]
fn what_was_put_is_got_as_it_is_or_not_at_all() {
    for &make in TRANSPORTS {
        let results = on_lanes(make, &tiny(2), |rank, lane| {
            let member = member(lane, &group(&[0, 1]));
            lane.begin(1)?;
            let mut on = lane.on(&member);
            if rank == 0 {
                on.put(1, &[9; 50])?;
                on.put(1, &[8; 51])
            } else {
                let mut data = [0; 50];
                on.get(0, &mut data)?;
                assert_eq!(data, [9; 50]);
                let wrong = on.get(0, &mut data);
                assert_eq!(data, [9; 50], "nothing of a wrong message is used");
                wrong
            }
        });
        // The sender had room and is done.
        assert_eq!(results[0], Ok(()));
        assert!(matches!(results[1], Err(CommError::Mismatch { .. })), "{results:?}");
    }
}

#[test]
fn a_stray_message_is_found_at_the_next_contact() {
    for &make in TRANSPORTS {
        let results = on_lanes(make, &tiny(2), |rank, lane| {
            let member = member(lane, &group(&[0, 1]));
            lane.begin(1)?;
            // Both put, and neither gets.
            lane.on(&member).put(usize::from(1 - rank), &[0; 8])?;
            lane.begin(2)?;
            lane.on(&member).barrier()
        });
        for result in &results {
            assert!(
                matches!(
                    result,
                    Err(CommError::Mismatch { .. }
                        | CommError::Aborted { cause: Cause::Mismatch, .. })
                ),
                "{results:?}"
            );
        }
    }
}

/// Who each rank takes for the root, and of how many bytes.
const ROOTS: [(&[usize], usize); 6] = [
    (&[0, 1], 8),
    (&[0, 1], 20_000),
    (&[1, 0], 8),
    (&[1, 0, 0], 8),
    (&[0, 1, 0], 20_000),
    (&[0, 0, 2], 8),
];

#[test]
fn ranks_that_name_different_roots_do_not_wait_for_the_time_out() {
    for &make in TRANSPORTS {
        for (roots, bytes) in ROOTS {
            let everybody: Vec<u16> = (0..roots.len() as u16).collect();
            let config = WorldConfig { lend_bytes: 0, ..WorldConfig::new(roots.len()) };
            let results = on_lanes(make, &config, |rank, lane| {
                let member = member(lane, &group(&everybody));
                lane.begin(1)?;
                lane.on(&member)
                    .broadcast(roots[usize::from(rank)], &mut vec![rank as u8; bytes])?;
                lane.begin(2)?;
                lane.on(&member).barrier()
            });
            let found = |result: &Result<(), CommError>| {
                matches!(result, Err(CommError::Roots { .. } | CommError::Mismatch { .. }))
            };
            assert!(results.iter().any(found), "{roots:?}: {results:?}");
            let told = |result| {
                found(result)
                    || matches!(result, Err(CommError::Aborted { cause: Cause::Mismatch, .. }))
            };
            assert!(results.iter().all(told), "{roots:?}: {results:?}");
        }
    }
}

#[test]
fn a_lane_whose_thread_panics_fails_for_its_peers_and_the_others_go_on() {
    for &make in TRANSPORTS {
        let results = on_all(make, &tiny(2), |mut end| {
            let (rank, mut lanes) = (end.rank().0, end.take_lanes());
            let member = member(&lanes[0], &group(&[0, 1]));
            let mut second = lanes.pop().expect("two lanes");
            let panics = std::thread::scope(|scope| {
                let thread = scope.spawn(|| {
                    second.begin(1)?;
                    second.on(&member).barrier()?;
                    let mut held = second;
                    assert!(rank != 0, "this panic is wanted");
                    held.on(&member).barrier()
                });
                thread.join()
            });
            for sequence in 1..4 {
                lanes[0].begin(sequence).expect("in order");
                lanes[0].on(&member).barrier().expect("the other lane goes on");
            }
            panics.map_err(|_| ())
        });
        assert_eq!(results[0], Err(()));
        let is_told = |error: &CommError| {
            matches!(error, CommError::Aborted { by: Rank(0), cause: Cause::Asked, .. })
        };
        assert!(matches!(&results[1], Ok(Err(error)) if is_told(error)), "{results:?}");
    }
}

#[test]
fn a_time_out_names_the_missing_ranks_alone() {
    for &make in TRANSPORTS {
        for lend_bytes in [usize::MAX, 0] {
            let config = WorldConfig { lend_bytes, ..hasty(4) };
            let results = on_lanes(make, &config, |rank, lane| {
                let member = member(lane, &group(&[3, 0, 2, 1]));
                lane.begin(1)?;
                if rank == 2 {
                    return Ok(());
                }
                let (mine, mut all) = ([rank as u8; 100], [0; 400]);
                lane.on(&member).all_gather(&mine, &mut all)
            });
            let mut timed_out = 0;
            for (rank, result) in results.iter().enumerate().filter(|(rank, _)| *rank != 2) {
                match result {
                    Err(CommError::Timeout { place, missing, waited, graph: text }) => {
                        timed_out += 1;
                        assert_eq!(place.rank, Rank(rank as u16));
                        assert_eq!(
                            (place.sequence, place.group.clone()),
                            (1, group(&[3, 0, 2, 1]))
                        );
                        assert_eq!(missing, &group(&[2]), "{results:#?}");
                        assert!(*waited >= config.timeout, "{waited:?}");
                        let line = format!("rank {rank} in all_gather 1.0 waits for {{2}}");
                        assert!(text.contains(&line) && !text.contains("cycle"), "{text}");
                    }
                    Err(CommError::Aborted { cause: Cause::Timeout, .. }) => {}
                    other => panic!("{other:?}"),
                }
            }
            assert!(timed_out > 0, "{results:?}");
        }
    }
}

/// Each of three ranks begins with another pair: no order of all operations has every rank's own order in it.
fn triangle(make: MakeWorld, timeout: Duration) -> Vec<CommError> {
    let pairs: [&[u16]; 3] = [&[0, 1], &[1, 2], &[2, 0]];
    on_lanes(make, &WorldConfig { timeout, ..tiny(3) }, |rank, lane| {
        let member = member(lane, &group(pairs[usize::from(rank)]));
        lane.begin(u64::from(rank) + 1).expect("in order");
        lane.on(&member).barrier().expect_err("nobody can go on")
    })
}

#[test]
fn a_cycle_of_pairs_blocks_and_times_out_with_the_cycle_in_the_error() {
    let expected = "who waits for whom:\
                    \n  rank 0 in barrier 1.0 waits for {1}\
                    \n  rank 1 in barrier 2.0 waits for {2}\
                    \n  rank 2 in barrier 3.0 waits for {0}\
                    \n  a cycle: 0 -> 1 -> 2 -> 0";
    for &make in TRANSPORTS {
        // Whoever times out before the others have come to wait cannot know of them: then all get more time.
        let mut timeouts = (0..8).map(|doubled| Duration::from_millis(100 << doubled));
        let found = timeouts.any(|timeout| {
            let wrong = triangle(make, timeout);
            let is_expected = |error: &CommError| match error {
                CommError::Timeout { graph, .. } => graph == expected,
                CommError::Aborted { cause: Cause::Timeout, .. } => false,
                other => panic!("{other:?}"),
            };
            wrong.iter().any(is_expected)
        });
        assert!(found, "no rank saw the cycle");
    }
}

#[test]
fn a_cycle_that_the_numbers_of_tasks_forbid_is_refused_by_the_rank_that_would_close_it() {
    let results = on_lanes(threads, &hasty(2), |_, lane| {
        lane.begin(3)?;
        lane.begin(2)
    });
    for (rank, result) in results.iter().enumerate() {
        let refused =
            CommError::OutOfOrder { rank: Rank(rank as u16), lane: 0, sequence: 2, last: 3 };
        assert_eq!(result, &Err(refused));
    }
}

#[test]
fn an_aborter_makes_a_waiting_rank_give_up_and_its_peers_learn_it() {
    for &make in TRANSPORTS {
        let World { ends, keeper: _keeper } = make(&tiny(3));
        let mut ends = ends.into_iter();
        let [mut zero, mut one, mut two] = std::array::from_fn(|_| ends.next().expect("an end"));
        let (pair, rest) = (group(&[0, 2]), group(&[0, 1]));
        let aborter = zero.aborter();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // Rank 2 does not come. The other lane is not concerned.
                let member = zero.lane(0).member(&pair).expect("a member");
                let error = zero.lane(0).on(&member).get(1, &mut [0; 4]).unwrap_err();
                assert!(
                    matches!(&error, CommError::Aborted { by: Rank(0), cause: Cause::Asked, .. }),
                    "{error:?}"
                );
                assert_eq!(
                    error.to_string(),
                    "rank 0, lane 0, put_get 0.0 of {0,2}: rank 0 gave up: it was asked to"
                );
                let member = zero.lane(1).member(&rest).expect("a member");
                zero.lane(1).on(&member).barrier().expect("a lane that works");
            });
            scope.spawn(|| {
                let member = one.lane(0).member(&rest).expect("a member");
                let error = one.lane(0).on(&member).barrier().unwrap_err();
                assert!(
                    matches!(&error, CommError::Aborted { by: Rank(0), cause: Cause::Asked, .. }),
                    "{error:?}"
                );
                let member = one.lane(1).member(&rest).expect("a member");
                one.lane(1).on(&member).barrier().expect("a lane that works");
            });
            aborter.abort(0);
        });
        assert!(!two.lane(0).is_poisoned());
    }
}

#[test]
fn a_panic_loses_the_rank_and_every_waiting_peer_learns_it() {
    for &make in TRANSPORTS {
        let World { ends, keeper: _keeper } = make(&tiny(4));
        let all = group(&[0, 1, 2, 3]);
        let results: Vec<Option<CommError>> = std::thread::scope(|scope| {
            let run = |mut end: flexdit_comm::Endpoint| {
                let all = &all;
                scope.spawn(move || {
                    let member = end.lane(0).member(all).expect("a member");
                    end.lane(0).on(&member).barrier().expect("all have come");
                    if end.rank() == Rank(1) {
                        std::panic::resume_unwind(Box::new("a failure that a test makes"));
                    }
                    end.lane(0).on(&member).barrier().unwrap_err()
                })
            };
            let ranks: Vec<_> = ends.into_iter().map(run).collect();
            ranks.into_iter().map(|rank| rank.join().ok()).collect()
        });
        assert_eq!(results[1], None);
        let lost = |error: &Option<CommError>| {
            matches!(error, Some(CommError::PeerLost { peer: Rank(1), .. }))
        };
        let told = |error: &Option<CommError>| {
            matches!(error, Some(CommError::Aborted { cause: Cause::PeerLost, .. }))
                // The others left when they had failed.
                || matches!(error, Some(CommError::PeerLost { .. }))
        };
        assert!(results.iter().any(lost), "{results:?}");
        for rank in [0, 2, 3] {
            assert!(told(&results[rank]), "{results:?}");
        }
    }
}

#[test]
fn what_a_rank_sent_before_it_left_still_arrives() {
    for &make in TRANSPORTS {
        let config = WorldConfig { depth: 4, window_bytes: 512, ..tiny(3) };
        let World { ends, keeper: _keeper } = make(&config);
        let mut ends = ends.into_iter();
        let [mut zero, mut one, mut two] = std::array::from_fn(|_| ends.next().expect("an end"));
        let all = group(&[0, 1, 2]);
        let member = zero.lane(0).member(&all).expect("a member");
        for byte in 1..=4 {
            zero.lane(0).on(&member).put(1, &[byte; 60]).expect("room");
        }
        drop(zero);
        let member = one.lane(0).member(&all).expect("a member");
        for byte in 1..=4 {
            let mut data = [0; 60];
            one.lane(0).on(&member).get(0, &mut data).expect("what was sent");
            assert_eq!(data, [byte; 60]);
        }
        let gone = one.lane(0).on(&member).get(0, &mut [0; 60]).unwrap_err();
        assert!(matches!(gone, CommError::PeerLost { peer: Rank(0), .. }), "{gone:?}");
        assert!(gone.to_string().ends_with("rank 0 is gone"), "{gone}");
        let member = two.lane(0).member(&all).expect("a member");
        let gone = two.lane(0).on(&member).get(0, &mut [0; 60]).unwrap_err();
        assert!(matches!(gone, CommError::PeerLost { peer: Rank(0), .. }), "{gone:?}");
    }
}

#[test]
fn a_failed_lane_refuses_work_and_the_others_do_it() {
    for &make in TRANSPORTS {
        on_all(make, &tiny(2), |mut end| {
            let all = group(&[0, 1]);
            let member = end.lane(0).member(&all).expect("a member");
            let own = Trial::new(Work::AllReduce { dtype: DType::F32, elements: 70 }, 2, 3);
            for round in 1..4 {
                let rank = end.rank();
                let lane = end.lane(0);
                assert_eq!(lane.is_poisoned(), round > 1);
                lane.begin(round).expect("in order");
                let error = if rank == Rank(0) {
                    lane.on(&member).barrier()
                } else {
                    lane.on(&member).all_gather(&[1], &mut [0; 2])
                };
                let error = error.expect_err("a failed lane");
                if round > 1 {
                    assert_eq!(error, CommError::Poisoned { rank, lane: 0 });
                }
                own.run(&mut end.lane(1).on(&member)).expect("a lane that works");
            }
            for operate in every_operation() {
                let refused = operate(&mut end.lane(0).on(&member));
                assert_eq!(refused, Err(CommError::Poisoned { rank: end.rank(), lane: 0 }));
            }
            let alone = Group::single(end.rank());
            let alone = end.lane(0).member(&alone).expect("a member");
            for operate in every_operation_alone() {
                let refused = operate(&mut end.lane(0).on(&alone));
                assert_eq!(refused, Err(CommError::Poisoned { rank: end.rank(), lane: 0 }));
            }
        });
    }
}

type Operate = fn(&mut dyn Collectives) -> Result<(), CommError>;

/// Every operation of two members.
fn every_operation() -> [Operate; 10] {
    [
        |on| on.barrier(),
        |on| on.broadcast(0, &mut [0; 4]),
        |on| on.all_gather(&[0; 4], &mut [0; 8]),
        |on| on.all_to_all(&[0; 8], &mut [0; 8]),
        |on| on.ring_shift(1, &[0; 4], &mut [0; 4]),
        |on| on.reduce_scatter(DType::F32, &[0; 8], &mut [0; 4]),
        |on| on.all_reduce(DType::F32, &mut [0; 4]),
        |on| on.all_reduce(DType::F32, &mut [0; 40_000]),
        |on| on.put(1 - on.index(), &[0; 4]),
        |on| on.get(1 - on.index(), &mut [0; 4]),
    ]
}

/// Every operation that a group of one has.
fn every_operation_alone() -> [Operate; 7] {
    [
        |on| on.barrier(),
        |on| on.broadcast(0, &mut [0; 4]),
        |on| on.all_gather(&[0; 4], &mut [0; 4]),
        |on| on.all_to_all(&[0; 4], &mut [0; 4]),
        |on| on.ring_shift(1, &[0; 4], &mut [0; 4]),
        |on| on.reduce_scatter(DType::F32, &[0; 4], &mut [0; 4]),
        |on| on.all_reduce(DType::F32, &mut [0; 4]),
    ]
}

#[test]
fn a_sender_without_room_names_the_reader_that_keeps_it() {
    for &make in TRANSPORTS {
        let results = on_lanes(make, &hasty(3), |rank, lane| {
            let (slow, quick) = (member_if(lane, &[0, 2]), member_if(lane, &[0, 1]));
            lane.begin(1)?;
            if rank == 0 {
                // Fills the window with what rank 2 does not read.
                lane.on(&slow.expect("a member")).put(1, &[0; 128])?;
                lane.on(&quick.expect("a member")).put(1, &[0; 10])
            } else if rank == 1 {
                lane.on(&quick.expect("a member")).get(0, &mut [0; 10])
            } else {
                Ok(())
            }
        });
        match (&results[0], &results[1]) {
            (Err(CommError::Timeout { missing, .. }), Err(_)) => assert_eq!(missing, &group(&[2])),
            (
                Err(CommError::Aborted { by: Rank(1), .. }),
                Err(CommError::Timeout { missing, graph, .. }),
            ) => {
                assert_eq!(missing, &group(&[0]));
                assert!(graph.contains("rank 0 in put_get 1.0 waits for {2}"), "{graph}");
            }
            other => panic!("{other:?}"),
        }
    }
}

fn member_if(lane: &Lane, ranks: &[u16]) -> Option<flexdit_comm::Membership> {
    lane.member(&group(ranks)).ok()
}

#[test]
fn room_for_a_rank_that_left_without_reading_is_used_again() {
    for &make in TRANSPORTS {
        let World { ends, keeper: _keeper } = make(&tiny(3));
        let mut ends = ends.into_iter();
        let [mut zero, mut one, mut two] = std::array::from_fn(|_| ends.next().expect("an end"));
        let all = group(&[0, 1, 2]);
        let member = zero.lane(0).member(&all).expect("a member");
        zero.lane(0).on(&member).put(2, &[0; 128]).expect("room");
        assert!(!two.lane(0).is_poisoned());
        drop(two);
        let trial = Trial::new(Work::AllToAll { counts: vec![vec![500; 2]; 2] }, 2, 1);
        let pair = group(&[0, 1]);
        std::thread::scope(|scope| {
            for end in [&mut zero, &mut one] {
                let (trial, pair) = (&trial, &pair);
                scope.spawn(move || {
                    (1..20).for_each(|task| common::attempt(end.lane(0), task, pair, trial));
                });
            }
        });
    }
}
