//! Every operation over groups of every shape and messages of every kind of size.

use super::{config, group, with_ranks};
use crate::communicator::Communicator;
use flexdit_comm::{Collectives, DType, TypedCollectives};
use flexdit_core::Group;

/// World of every test here.
const WORLD: usize = 8;

/// One, pairs, gaps, reversed, full, and degrees that are no power of two.
fn shapes() -> Vec<Group> {
    let ranks: [&[u16]; 8] = [
        &[5],
        &[0, 1],
        &[7, 2],
        &[0, 2, 7],
        &[6, 4, 1, 0],
        &[1, 3, 5, 7, 0],
        &[7, 6, 5, 4, 3, 2, 1, 0],
        &[0, 1, 2, 3, 4, 5, 6, 7],
    ];
    ranks.map(group).into()
}

/// Bytes of a message: none, one, odd, more than a buffer, more than a socket takes.
const SIZES: [usize; 6] = [0, 1, 63, 4096, 70_001, (1 << 20) + 3];

/// Byte `at` of what the member at `from` sends to the one at `to`.
fn byte(from: usize, to: usize, at: usize) -> u8 {
    (from * 131 + to * 31 + at * 7 + (at >> 8)) as u8
}

fn message(from: usize, to: usize, bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| byte(from, to, at)).collect()
}

/// Runs `body` by all members of every shape, each with a communicator over it.
fn with_members(body: impl Fn(&mut Communicator) + Sync) {
    for group in shapes() {
        let ranks: Vec<u16> = group.iter().map(|rank| rank.0).collect();
        with_ranks(WORLD, &ranks, config(), |mut joined| {
            let mut communicator = joined.create(&group).expect("a communicator");
            body(&mut communicator);
            communicator.destroy().expect("all destroy it");
        });
    }
}

#[test]
fn a_broadcast_gives_all_what_the_root_has() {
    with_members(|member| {
        for (nth, bytes) in SIZES.into_iter().enumerate() {
            let root = nth % member.degree();
            let mut data = message(member.index(), 0, bytes);
            member.broadcast(root, &mut data).expect("a broadcast");
            assert!(data == message(root, 0, bytes), "{bytes} bytes from {root}");
        }
    });
}

#[test]
fn an_all_gather_puts_all_shares_in_group_order() {
    with_members(|member| {
        let (own, degree) = (member.index(), member.degree());
        for bytes in SIZES {
            // Ragged: the last has nothing, the first all.
            let count = |from: usize| bytes / (from + 1) * usize::from(from + 1 < degree.max(2));
            let counts: Vec<usize> = (0..degree).map(count).collect();
            let mut all = vec![0xee; counts.iter().sum()];
            member.all_gather_ragged(&message(own, 0, counts[own]), &counts, &mut all).expect("");
            let expected: Vec<u8> = (0..degree).flat_map(|i| message(i, 0, counts[i])).collect();
            assert!(all == expected, "{bytes} bytes ragged");
            let mut all = vec![0xee; bytes * degree];
            member.all_gather(&message(own, 1, bytes), &mut all).expect("an all-gather");
            let expected: Vec<u8> = (0..degree).flat_map(|i| message(i, 1, bytes)).collect();
            assert!(all == expected, "{bytes} bytes");
        }
    });
}

#[test]
fn an_all_to_all_gives_everybody_their_shares() {
    with_members(|member| {
        let (own, degree) = (member.index(), member.degree());
        for bytes in SIZES {
            let send: Vec<u8> = (0..degree).flat_map(|to| message(own, to, bytes)).collect();
            let mut receive = vec![0xee; bytes * degree];
            member.all_to_all(&send, &mut receive).expect("an all-to-all");
            let expected: Vec<u8> = (0..degree).flat_map(|i| message(i, own, bytes)).collect();
            assert!(receive == expected, "{bytes} bytes each");
            // Ragged: only those whose places add up to an even number, and of different lengths.
            let count = |from, to| if (from + to) % 2 == 0 { bytes / (to + 1) } else { from };
            let sends: Vec<usize> = (0..degree).map(|to| count(own, to)).collect();
            let receives: Vec<usize> = (0..degree).map(|from| count(from, own)).collect();
            let send: Vec<u8> = (0..degree).flat_map(|to| message(own, to, sends[to])).collect();
            let mut receive = vec![0xee; receives.iter().sum()];
            member.all_to_all_ragged(&send, &sends, &mut receive, &receives).expect("ragged");
            let expected = (0..degree).flat_map(|from| message(from, own, receives[from]));
            assert!(receive == expected.collect::<Vec<u8>>(), "{bytes} bytes ragged");
        }
    });
}

#[test]
fn a_ring_shift_moves_data_by_any_number_of_places() {
    with_members(|member| {
        let (own, degree) = (member.index(), member.degree());
        for bytes in SIZES {
            for by in [0, 1, degree - 1, degree, degree + 1] {
                let from = (own + degree * 2 - by) % degree;
                let mut receive = vec![0xee; bytes];
                member.ring_shift(by, &message(own, by, bytes), &mut receive).expect("a shift");
                assert!(receive == message(from, by, bytes), "{bytes} bytes by {by}");
            }
        }
    });
}

#[test]
fn put_and_get_involve_two_members_alone() {
    with_members(|member| {
        let (own, degree) = (member.index(), member.degree());
        if degree == 1 {
            return;
        }
        for (nth, bytes) in SIZES.into_iter().enumerate() {
            let (from, to) = (nth % degree, (nth + 1) % degree);
            for back in [false, true] {
                let (from, to) = if back { (to, from) } else { (from, to) };
                if own == from {
                    member.put(to, &message(from, to, bytes)).expect("a put");
                } else if own == to {
                    let mut data = vec![0xee; bytes];
                    member.get(from, &mut data).expect("a get");
                    assert!(data == message(from, to, bytes), "{bytes} bytes");
                }
            }
        }
        member.barrier().expect("counters of collectives still agree");
    });
}

/// Values whose sum depends on the order of the additions.
fn value(member: usize, at: usize) -> f32 {
    let sign = if (member + at).is_multiple_of(2) { 1.0 } else { -1.0 };
    sign * (1.0 + (at % 97) as f32 / 3.0) * 10_f32.powi((member * 3 % 8) as i32)
}

fn values(dtype: DType, member: usize, elements: usize) -> Vec<u8> {
    let mut bytes = vec![0; elements * dtype.size()];
    let values: Vec<f32> = (0..elements).map(|at| value(member, at)).collect();
    flexdit_comm::reduce::round(dtype, &values, &mut bytes);
    bytes
}

/// The sum of all members' values, in group order, rounded once.
fn sum(dtype: DType, degree: usize, elements: usize) -> Vec<u8> {
    let mut sum = vec![0.0; elements];
    for member in 0..degree {
        flexdit_comm::reduce::accumulate(dtype, &mut sum, &values(dtype, member, elements));
    }
    let mut bytes = vec![0; elements * dtype.size()];
    flexdit_comm::reduce::round(dtype, &sum, &mut bytes);
    bytes
}

const NUMBERS: [DType; 3] = [DType::F32, DType::Bf16, DType::F16];

#[test]
fn an_all_reduce_has_the_bits_of_the_ordered_sum() {
    with_members(|member| {
        for dtype in NUMBERS {
            for elements in SIZES.map(|bytes| bytes.div_ceil(4)) {
                let mut data = values(dtype, member.index(), elements);
                member.all_reduce(dtype, &mut data).expect("an all-reduce");
                assert!(data == sum(dtype, member.degree(), elements), "{dtype:?} {elements}");
            }
        }
    });
}

#[test]
fn a_reduce_scatter_gives_each_its_share_of_the_ordered_sum() {
    with_members(|member| {
        let (own, degree) = (member.index(), member.degree());
        for dtype in NUMBERS {
            for elements in SIZES.map(|bytes| bytes / 8) {
                let mut share = vec![0xee; elements * dtype.size()];
                let send = values(dtype, own, elements * degree);
                member.reduce_scatter(dtype, &send, &mut share).expect("a reduce-scatter");
                let all = sum(dtype, degree, elements * degree);
                assert!(share == all[own * share.len()..][..share.len()], "{dtype:?} {elements}");
            }
        }
    });
}

#[test]
fn elements_go_as_bytes_go() {
    with_members(|member| {
        let mut all = vec![0.0_f32; member.degree()];
        member.all_gather_of(&[member.index() as f32 + 0.5], &mut all).expect("an all-gather");
        assert!(all.iter().enumerate().all(|(i, x)| *x == i as f32 + 0.5));
    });
}

#[test]
fn thousands_of_operations_in_a_row_stay_in_step() {
    with_ranks(WORLD, &[0, 1, 2], config(), |mut joined| {
        let mut member = joined.create(&group(&[2, 0, 1])).expect("a communicator");
        for round in 0..2000_u32 {
            member.barrier().expect("a barrier");
            let mut data = (round * u32::from(member.index() == 1)).to_le_bytes();
            member.broadcast(1, &mut data).expect("a broadcast");
            assert_eq!(data, round.to_le_bytes());
        }
    });
}
