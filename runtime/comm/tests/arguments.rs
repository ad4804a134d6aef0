//! Arguments are checked before anything moves: every rank may get one wrong and go on with the right call at once.

mod common;

use common::{TRANSPORTS, group, member, on_all, on_lanes, threads, tiny};
use flexdit_comm::check::{Trial, Work};
use flexdit_comm::transport::thread;
use flexdit_comm::{
    Collectives, CommError, DType, Membership, Op, Patience, TypedCollectives as _, WorldConfig,
};
use flexdit_core::{Group, Rank};
use half::{bf16, f16};

type Operate = fn(&mut dyn Collectives) -> Result<(), CommError>;

/// Calls of a group of three that are refused, and what the error says.
fn wrong_calls() -> Vec<(Op, &'static str, Operate)> {
    let mut calls = wrong_moves();
    calls.extend(wrong_sums_and_pairs());
    calls
}

fn wrong_moves() -> Vec<(Op, &'static str, Operate)> {
    vec![
        (Op::Broadcast, "broadcast: root is 3, expected 2", |on| on.broadcast(3, &mut [0; 4])),
        (Op::AllGather, "all_gather: length of the result is 5, expected 6", |on| {
            on.all_gather(&[0; 2], &mut [0; 5])
        }),
        (Op::AllGather, "all_gather: number of counts is 2, expected 3", |on| {
            on.all_gather_ragged(&[0; 2], &[2, 2], &mut [0; 4])
        }),
        (Op::AllGather, "all_gather: number of counts is 4, expected 3", |on| {
            on.all_gather_ragged(&[0; 2], &[2; 4], &mut [0; 8])
        }),
        (Op::AllGather, "all_gather: length of the own share is 2, expected 3", |on| {
            on.all_gather_ragged(&[0; 2], &[3; 3], &mut [0; 9])
        }),
        (Op::AllGather, "all_gather: length of the result is 8, expected 9", |on| {
            on.all_gather_ragged(&[0; 3], &[3; 3], &mut [0; 8])
        }),
        (
            Op::AllToAll,
            "all_to_all: length of a buffer that is cut into equal parts is 7, expected 6",
            |on| on.all_to_all(&[0; 7], &mut [0; 6]),
        ),
        (Op::AllToAll, "all_to_all: length of the result is 9, expected 6", |on| {
            on.all_to_all(&[0; 6], &mut [0; 9])
        }),
        (Op::AllToAll, "all_to_all: number of counts to send is 2, expected 3", |on| {
            on.all_to_all_ragged(&[0; 2], &[1; 2], &mut [0; 3], &[1; 3])
        }),
        (Op::AllToAll, "all_to_all: number of counts to receive is 2, expected 3", |on| {
            on.all_to_all_ragged(&[0; 3], &[1; 3], &mut [0; 2], &[1; 2])
        }),
        (Op::AllToAll, "all_to_all: length of what is sent is 4, expected 3", |on| {
            on.all_to_all_ragged(&[0; 4], &[1; 3], &mut [0; 3], &[1; 3])
        }),
        (Op::AllToAll, "all_to_all: length of the result is 2, expected 3", |on| {
            on.all_to_all_ragged(&[0; 3], &[1; 3], &mut [0; 2], &[1; 3])
        }),
        (Op::AllToAll, "all_to_all: bytes received from itself is 2, expected 1", |on| {
            on.all_to_all_ragged(&[0; 3], &[1; 3], &mut [0; 6], &[2; 3])
        }),
    ]
}

fn wrong_sums_and_pairs() -> Vec<(Op, &'static str, Operate)> {
    vec![
        (
            Op::RingShift,
            "ring_shift: length of what comes back to its sender is 3, expected 4",
            |on| on.ring_shift(3, &[0; 4], &mut [0; 3]),
        ),
        (
            Op::ReduceScatter,
            "reduce_scatter: element type (bytes cannot be added) is 0, expected 1",
            |on| on.reduce_scatter(DType::Bytes, &[0; 12], &mut [0; 4]),
        ),
        (
            Op::ReduceScatter,
            "reduce_scatter: length of a buffer of whole elements is 6, expected 4",
            |on| on.reduce_scatter(DType::F32, &[0; 18], &mut [0; 6]),
        ),
        (Op::ReduceScatter, "reduce_scatter: length of what is added is 16, expected 12", |on| {
            on.reduce_scatter(DType::F32, &[0; 16], &mut [0; 4])
        }),
        (
            Op::AllReduce,
            "all_reduce: element type (bytes cannot be added) is 0, expected 1",
            |on| on.all_reduce(DType::Bytes, &mut [0; 4]),
        ),
        (
            Op::AllReduce,
            "all_reduce: length of a buffer of whole elements is 3, expected 2",
            |on| on.all_reduce(DType::F16, &mut [0; 3]),
        ),
        (Op::PutGet, "put_get: member is 3, expected 2", |on| on.put(3, &[0])),
        (Op::PutGet, "put_get: member is 3, expected 2", |on| on.get(3, &mut [0])),
        (Op::PutGet, "put_get: member that is oneself (0 no, 1 yes) is 1, expected 0", |on| {
            on.put(on.index(), &[0])
        }),
        (Op::PutGet, "put_get: member that is oneself (0 no, 1 yes) is 1, expected 0", |on| {
            on.get(on.index(), &mut [0])
        }),
    ]
}

#[test]
fn a_wrong_call_moves_nothing_and_the_right_one_works_after_it() {
    for &make in TRANSPORTS {
        on_lanes(make, &tiny(3), |rank, lane| {
            let all = group(&[2, 0, 1]);
            let member = member(lane, &all);
            let trial = Trial::new(Work::AllGather { counts: vec![70; 3] }, 3, 1);
            for (task, (op, text, operate)) in (1..).zip(wrong_calls()) {
                lane.begin(task).expect("in order");
                let mut on = lane.on(&member);
                // Not all get it wrong: who does is no more than late.
                if u64::from(rank) != task % 3 {
                    let error = operate(&mut on).expect_err(text);
                    assert_eq!(error.to_string(), text);
                    let is_argument =
                        matches!(&error, CommError::BadArgument { op: of, .. } if *of == op);
                    assert!(is_argument, "{error:?}");
                }
                trial.run(&mut on).unwrap_or_else(|wrong| panic!("after {text}: {wrong}"));
            }
            assert!(!lane.is_poisoned());
        });
    }
}

#[test]
fn counts_that_overflow_are_wrong_and_nothing_else() {
    let results = on_lanes(threads, &tiny(2), |_, lane| {
        let member = member(lane, &group(&[0, 1]));
        let mut on = lane.on(&member);
        let huge = [usize::MAX, usize::MAX];
        let mut two = [0; 2];
        let gather = on.all_gather_ragged(&[0; 1], &[1, usize::MAX], &mut two);
        let send = on.all_to_all_ragged(&[0; 2], &huge, &mut two, &[1; 2]);
        let receive = on.all_to_all_ragged(&[0; 2], &[1; 2], &mut [0; 2], &huge);
        [gather, send, receive]
    });
    for result in results.iter().flatten() {
        assert!(matches!(result, Err(CommError::BadArgument { .. })), "{result:?}");
    }
}

#[test]
fn a_group_that_is_none_or_not_ones_own_is_refused() {
    let long: Vec<u16> = (0..65).collect();
    let cases: [(&[u16], &str); 7] = [
        (&[], "rank 1: group {} has no rank, or more than 64"),
        (&long, "has no rank, or more than 64"),
        (&[0, 1, 0], "rank 1: group {0,1,0} has a rank twice"),
        (&[1, 1], "rank 1: group {1,1} has a rank twice"),
        (&[1, 4], "rank 1: group {1,4} has a rank outside the world"),
        (&[1, 65_535], "rank 1: group {1,65535} has a rank outside the world"),
        (&[0, 2], "rank 1: group {0,2} does not have the rank that calls"),
    ];
    let mut world = thread::world(&tiny(4)).expect("a world");
    for (ranks, text) in cases {
        let error = world[1].lane(0).member(&group(ranks)).expect_err(text);
        assert!(matches!(&error, CommError::BadGroup { rank: Rank(1), .. }), "{error:?}");
        assert!(error.to_string().ends_with(text), "{error}");
    }
    let whole = Group::consecutive(Rank(0), 64);
    assert!(Membership::new(&whole, Rank(63), 64).is_ok());
}

#[test]
fn tasks_go_on_where_they_were_after_a_number_that_is_refused() {
    on_lanes(threads, &tiny(2), |_, lane| {
        let (rank, all) = (lane.rank(), group(&[0, 1]));
        let refused = |sequence, last| Err(CommError::OutOfOrder { rank, lane: 0, sequence, last });
        assert_eq!(lane.begin(0), refused(0, 0));
        assert_eq!(lane.begin(5), Ok(()));
        assert_eq!(lane.begin(5), refused(5, 5));
        assert_eq!(lane.begin(4), refused(4, 5));
        let text = format!("{rank}: lane 0: task 4 after task 5, but one order must hold for all");
        assert_eq!(lane.begin(4).unwrap_err().to_string(), text);
        let member = member(lane, &all);
        lane.on(&member).barrier().expect("task 5");
        assert_eq!(lane.begin(u64::MAX), Ok(()));
        lane.on(&member).barrier().expect("the last task");
        assert_eq!(lane.begin(u64::MAX), refused(u64::MAX, u64::MAX));
    });
}

#[test]
fn settings_out_of_range_make_no_world() {
    let good = tiny(2);
    let cases: Vec<(WorldConfig, &str)> = vec![
        (WorldConfig { ranks: 0, ..good.clone() }, "1 to 64 ranks"),
        (WorldConfig { ranks: 65, ..good.clone() }, "1 to 64 ranks"),
        (WorldConfig { lanes: 0, ..good.clone() }, "1 to 16 lanes"),
        (WorldConfig { lanes: 17, ..good.clone() }, "1 to 16 lanes"),
        (WorldConfig { depth: 0, ..good.clone() }, "the depth of an edge"),
        (WorldConfig { depth: 3, ..good.clone() }, "the depth of an edge"),
        (WorldConfig { depth: 128, ..good.clone() }, "the depth of an edge"),
        (WorldConfig { piece_bytes: 0, ..good.clone() }, "a piece is"),
        (WorldConfig { piece_bytes: 65, ..good.clone() }, "a piece is"),
        (WorldConfig { piece_bytes: usize::MAX - 63, ..good.clone() }, "a piece is"),
        (WorldConfig { window_bytes: 64, ..good.clone() }, "a window is"),
        (WorldConfig { window_bytes: 0, ..good.clone() }, "a window is"),
        (WorldConfig { window_bytes: 129, ..good.clone() }, "a window is"),
        (WorldConfig { window_bytes: 1 << 41, ..good.clone() }, "at most 2^40 bytes"),
        (WorldConfig { arena_bytes: (1 << 40) + 1, ..good.clone() }, "at most 2^40 bytes"),
    ];
    let patience = Patience { spins: u32::MAX, yields: 0 };
    let restless = WorldConfig { patience, ..good.clone() };
    // More than any address space has.
    let huge = WorldConfig { ranks: 64, lanes: 16, window_bytes: 1 << 40, ..good };
    let cases = cases
        .into_iter()
        .chain([(restless, "at most 2^20 times"), (huge, "no memory for 64 heaps of 175")]);
    for (config, text) in cases {
        match thread::world(&config) {
            Err(CommError::BadWorld(why)) => assert!(why.contains(text), "{why}: {text}"),
            other => panic!("{text}: {other:?}"),
        }
    }
}

#[test]
fn settings_at_their_limits_make_a_world_that_works() {
    let good = tiny(2);
    for config in [
        WorldConfig { ranks: 1, lanes: 16, depth: 64, ..good.clone() },
        WorldConfig { depth: 1, piece_bytes: 64, window_bytes: 128, ..good.clone() },
        WorldConfig { patience: Patience { spins: 0, yields: 0 }, nonce: u64::MAX, ..good.clone() },
        WorldConfig { arena_bytes: 1, lend_bytes: 0, ..good },
    ] {
        let all = Group::consecutive(Rank(0), config.ranks);
        let trial =
            Trial::new(Work::AllReduce { dtype: DType::F32, elements: 99 }, config.ranks, 2);
        on_all(threads, &config, |mut end| {
            for mut lane in end.take_lanes() {
                common::attempt(&mut lane, 1, &all, &trial);
            }
        });
    }
}

#[test]
fn settings_that_ranks_share_change_the_hash_and_their_own_do_not() {
    let good = tiny(4);
    let same = WorldConfig {
        timeout: common::SHORT,
        lend_bytes: 1,
        patience: Patience { spins: 1, yields: 1 },
        ..good.clone()
    };
    assert_eq!(good.hash(), same.hash());
    for other in [
        WorldConfig { ranks: 5, ..good.clone() },
        WorldConfig { lanes: 3, ..good.clone() },
        WorldConfig { depth: 4, ..good.clone() },
        WorldConfig { window_bytes: 192, ..good.clone() },
        WorldConfig { piece_bytes: 128, window_bytes: 256, ..good.clone() },
        WorldConfig { arena_bytes: 64, ..good.clone() },
        WorldConfig { nonce: 1, ..good.clone() },
    ] {
        assert_ne!(good.hash(), other.hash(), "{other:?}");
    }
}

/// A slice of elements from small whole numbers.
fn of<T>(from: impl Fn(f32) -> T, numbers: &[u8]) -> Vec<T> {
    numbers.iter().map(|number| from(f32::from(*number))).collect()
}

/// Every typed operation among two members, with sums that any type can hold.
fn typed<T: flexdit_comm::Element>(on: &mut impl Collectives, from: fn(f32) -> T, adds: bool) {
    let me = on.index() as u8;
    let mut data = of(from, if me == 1 { &[5, 6, 7] } else { &[0; 3] });
    on.broadcast_of(1, &mut data).expect("a broadcast");
    assert_eq!(data, of(from, &[5, 6, 7]));
    let mut all = of(from, &[0; 4]);
    on.all_gather_of(&of(from, &[me, me + 2]), &mut all).expect("a gathering");
    assert_eq!(all, of(from, &[0, 2, 1, 3]));
    on.all_to_all_of(&of(from, &[me, me, me + 8, me + 8]), &mut all).expect("an exchange");
    assert_eq!(all, of(from, if me == 0 { &[0, 0, 1, 1] } else { &[8, 8, 9, 9] }));
    let mut shifted = of(from, &[0]);
    on.ring_shift_of(1, &of(from, &[me + 3]), &mut shifted).expect("a shift");
    assert_eq!(shifted, of(from, &[4 - me]));
    if !adds {
        return;
    }
    let mut share = of(from, &[0; 2]);
    on.reduce_scatter_of(&of(from, &[1, 2, 3, me]), &mut share).expect("shares of a sum");
    assert_eq!(share, of(from, if me == 0 { &[2, 4] } else { &[6, 1] }));
    let mut sum = of(from, &[me, 7]);
    on.all_reduce_of(&mut sum).expect("a sum");
    assert_eq!(sum, of(from, &[1, 14]));
}

#[test]
fn elements_move_and_add_as_their_bytes_do() {
    for &make in TRANSPORTS {
        on_lanes(make, &tiny(2), |_, lane| {
            let member = member(lane, &group(&[0, 1]));
            lane.begin(1).expect("in order");
            let mut on = lane.on(&member);
            typed::<u8>(&mut on, |x| x as u8, false);
            typed::<f32>(&mut on, |x| x, true);
            typed::<bf16>(&mut on, bf16::from_f32, true);
            typed::<f16>(&mut on, f16::from_f32, true);
        });
    }
}

#[test]
fn tensors_in_the_heap_are_lent_and_their_room_is_given_back() {
    for &make in TRANSPORTS {
        let config = WorldConfig { arena_bytes: 8192, lend_bytes: 0, ..tiny(3) };
        on_all(make, &config, |mut end| {
            let all = group(&[1, 2, 0]);
            let member = end.lane(0).member(&all).expect("a member");
            for task in 1..50 {
                let mut mine = end.allocate(333).expect("room");
                assert!(mine.iter().all(|byte| *byte == 0), "zeroed, whatever was there before");
                assert!(mine.as_ptr().addr().is_multiple_of(64));
                mine.fill(member.index() as u8 + task);
                let mut gathered = end.allocate(999).expect("room");
                let lane = end.lane(0);
                lane.begin(u64::from(task)).expect("in order");
                lane.on(&member).all_gather(&mine, &mut gathered).expect("a gathering");
                for (at, share) in gathered.chunks(333).enumerate() {
                    assert!(share.iter().all(|byte| *byte == at as u8 + task));
                }
            }
            let whole = end.allocate(8192).expect("all room was given back");
            let text =
                format!("{}: no 1 bytes in a row are free in its arena of 8192 bytes", end.rank());
            assert_eq!(end.allocate(1).unwrap_err().to_string(), text);
            drop(whole);
            assert!(end.allocate(8193).is_err() && end.allocate(0).is_ok());
        });
    }
}
