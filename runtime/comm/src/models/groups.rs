//! Operations of whole groups, through the real engine: barriers, overlapping groups, global order, every kind of operation.

use super::check::{explore, refute};
use super::kit::Loom;
use super::memory::PIECE;
use super::mutants::{Acknowledged, Counts, Observe, Publish, Room};
use super::world::{Actor, Setting, Wait};
use crate::rules::{Rules, Sound};

type Model<R> = Actor<Loom, R>;

/// Everybody writes between barriers what everybody else reads after them.
fn barriers<R: Rules + Send + 'static>(ranks: u16, rounds: u8) {
    let wait = if ranks == 2 { Wait::Poll } else { Wait::Nap };
    let setting = Setting { ranks: ranks.into(), wait, ..Setting::TINY };
    setting.run(move |mut rank: Model<R>| {
        let all: Vec<u16> = (0..ranks).collect();
        rank.task(1);
        for round in 1..=rounds {
            rank.memory.fill(rank.me, round);
            rank.barrier(&all).expect("all come");
            for other in &all {
                let seen = rank.memory.peek(flexdit_core::Rank(*other));
                assert_eq!(seen, round, "what was written before the barrier");
            }
            rank.barrier(&all).expect("all come");
        }
    });
}

#[test]
fn nobody_leaves_a_barrier_before_all_have_come() {
    explore(Some(3), || barriers::<Sound>(2, 2));
    explore(Some(1), || barriers::<Sound>(3, 1));
    let reasons = ["Causality violation", "what was written"];
    refute(&reasons, None, || barriers::<Publish>(2, 1));
    refute(&reasons, None, || barriers::<Observe>(2, 1));
    let reasons = ["Causality violation", "what was written", "all come: Mismatch"];
    refute(&reasons, None, || barriers::<Counts>(2, 2));
}

/// Rank 1 sends from the same room and slots in {0,1}, {1,2}, {0,1}.
fn reuse<R: Rules + Send + 'static>(setting: Setting) {
    setting.run(|mut rank: Model<R>| {
        let groups: [[u16; 2]; 3] = [[0, 1], [1, 2], [0, 1]];
        for (task, group) in (1..).zip(groups) {
            if !group.contains(&rank.me.0) {
                continue;
            }
            rank.task(task);
            let root = group.iter().position(|rank| *rank == 1).expect("rank 1");
            let mut data = [if rank.me.0 == 1 { task as u8 } else { 0 }; PIECE];
            rank.broadcast(&group, root, &mut data).expect("broadcast");
            assert_eq!(data, [task as u8; PIECE], "the bytes of this task");
        }
    });
}

#[test]
fn groups_share_slots_and_room_without_a_trace() {
    let setting = Setting { ranks: 3, wait: Wait::Nap, ..Setting::TINY };
    for (depth, pieces) in [(1, 1), (1, 2), (2, 1)] {
        let setting = Setting { depth, pieces, ..setting };
        explore(Some(1), move || reuse::<Sound>(setting));
    }
    let reasons = ["Causality violation", "the bytes of this task"];
    let setting = Setting { depth: 2, ..setting };
    refute(&reasons, None, move || reuse::<Room>(setting));
    refute(&reasons, None, move || reuse::<Acknowledged>(setting));
}

/// Rank 0 sends to both others, twice, from the same room.
fn readers<R: Rules + Send + 'static>() {
    let setting = Setting { ranks: 3, depth: 2, wait: Wait::Nap, ..Setting::TINY };
    setting.run(|mut rank: Model<R>| {
        for task in 1..=2 {
            rank.task(task);
            let mut data = [if rank.me.0 == 0 { task as u8 } else { 0 }; PIECE];
            rank.broadcast(&[0, 1, 2], 0, &mut data).expect("broadcast");
            assert_eq!(data, [task as u8; PIECE], "the bytes of this task");
        }
    });
}

#[test]
fn room_is_free_when_its_last_reader_has_acknowledged() {
    explore(Some(1), readers::<Sound>);
    let reasons = ["Causality violation", "the bytes of this task"];
    refute(&reasons, Some(1), readers::<Room>);
}

/// Three pairs, each rank in two of them, in the order that `order` gives it.
fn pairs(order: [[u64; 2]; 3]) {
    let setting = Setting { ranks: 3, wait: Wait::Sleep, ..Setting::TINY };
    setting.run(move |mut rank: Model<Sound>| {
        for task in order[rank.me.index()] {
            rank.task(task);
            let pair = [[0, 1], [1, 2], [0, 2]][task as usize];
            rank.barrier(&pair).expect("both come");
        }
    });
}

#[test]
fn one_global_order_never_blocks_and_a_cycle_does() {
    explore(Some(1), || pairs([[0, 2], [0, 1], [1, 2]]));
    // Each pair agrees on its only operation, and yet nobody's first can end.
    refute(&["deadlock"], None, || pairs([[0, 2], [1, 0], [2, 1]]));
}

/// Every kind of operation once on {1,0} of a world of three.
fn every_operation(setting: Setting) {
    setting.run(|mut rank: Model<Sound>| {
        let me = rank.me.0;
        if me == 2 {
            return;
        }
        let pair = [1, 0];
        rank.task(1);
        let (mine, theirs) = ([me as u8; 8], [1 - me as u8; 8]);
        rank.barrier(&pair).expect("barrier");
        let all = rank.all_gather(&pair, &mine).expect("all-gather");
        assert_eq!(all, [[1_u8; 8], [0; 8]].concat());
        let got = rank.all_to_all(&pair, &[mine, mine].concat()).expect("all-to-all");
        assert_eq!(got, [[1_u8; 8], [0; 8]].concat());
        let mut data = mine;
        rank.broadcast(&pair, 0, &mut data).expect("broadcast");
        assert_eq!(data, [1; 8]);
        let sum = rank.reduce_scatter(&pair, &[f32::from(me), 1.0]).expect("reduce-scatter");
        assert_eq!(sum, [if me == 1 { 1.0 } else { 2.0 }]);
        rank.task(2);
        if me == 0 {
            rank.put(1, &mine).expect("put");
        } else {
            assert_eq!(rank.get(0, 8).expect("get"), theirs);
        }
    });
}

#[test]
fn only_edges_between_members_are_touched() {
    let setting = Setting { ranks: 3, forbidden: 0b100, ..Setting::TINY };
    explore(Some(1), move || every_operation(setting));
    // The check itself: rank 2 may be touched, rank 1 may not.
    let setting = Setting { forbidden: 0b010, ..setting };
    refute(&["is none of the group's"], None, move || every_operation(setting));
}

/// An all-gather of three, an all-to-all of two, pieces and all, through one slot and one piece of room.
fn gather(setting: Setting, length: usize) {
    setting.run(move |mut rank: Model<Sound>| {
        rank.task(1);
        let mine = vec![rank.me.0 as u8; length];
        let all = rank.all_gather(&[2, 0, 1], &mine).expect("all-gather");
        assert_eq!(all, [vec![2; length], vec![0; length], vec![1; length]].concat());
    });
}

fn exchange(setting: Setting, share: usize) {
    setting.run(move |mut rank: Model<Sound>| {
        for task in 1..3 {
            rank.task(task);
            let value = |from: u16, to: u16| (from * 2 + to) as u8 + 4 * task as u8;
            let (me, send) = (rank.me.0, |to| vec![value(rank.me.0, to); share]);
            let sent = [send(0), send(1)].concat();
            let got = rank.all_to_all(&[0, 1], &sent).expect("all-to-all");
            assert_eq!(got, [vec![value(0, me); share], vec![value(1, me); share]].concat());
        }
    });
}

#[test]
fn all_to_all_of_two_and_all_gather_of_three() {
    for (depth, pieces) in [(1, 1), (2, 2)] {
        let setting = Setting { depth, pieces, ..Setting::TINY };
        explore(Some(2), move || exchange(setting, PIECE));
        explore(Some(1), move || exchange(setting, PIECE + 3));
    }
    let setting = Setting { ranks: 3, wait: Wait::Nap, ..Setting::TINY };
    explore(Some(1), move || gather(setting, PIECE));
}

/// Empty messages take rank 1's slot to rank 0 and no room, so that its first share finds no slot.
fn reduce_behind_messages() {
    let setting = Setting { ranks: 3, wait: Wait::Nap, ..Setting::TINY };
    setting.run(|mut rank: Model<Sound>| {
        rank.task(1);
        match rank.me.0 {
            0 => assert!(rank.get(1, 0).expect("received").is_empty()),
            1 => rank.put(0, &[]).expect("sent"),
            _ => {}
        }
        rank.task(2);
        let sum = rank.reduce_scatter(&[0, 1, 2], &[1.0, 2.0, 3.0]).expect("all add");
        assert_eq!(sum, [3.0 * (f32::from(rank.me.0) + 1.0)]);
    });
}

#[test]
fn reductions_end_whatever_was_sent_before() {
    explore(Some(1), reduce_behind_messages);
}
