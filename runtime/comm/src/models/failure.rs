//! Ranks that give up, are asked to, or leave: nobody who waits for them hangs, and what they had sent arrives.

use super::check::{explore, refute};
use super::kit::Loom;
use super::memory::PIECE;
use super::mutants::Poison;
use super::world::{Actor, Setting, Wait};
use crate::error::{Cause, CommError};
use crate::memory::RankState;
use crate::rules::{Rules, Sound};
use flexdit_core::Rank;

type Model<R> = Actor<Loom, R>;

const SETTING: Setting = Setting { wait: Wait::Sleep, failures: true, ..Setting::TINY };

#[test]
fn who_waits_for_a_rank_that_gives_up_gives_up() {
    let setting = Setting { ranks: 3, ..SETTING };
    // 0 runs out of time, 1 waits for 0, 2 waits for 1.
    let model = move || {
        setting.run(|mut rank: Model<Sound>| {
            rank.task(1);
            rank.memory.hurry(rank.me.0 == 0);
            let from = [1, 0, 1][rank.me.index()];
            match (rank.me.0, rank.get(from, 8)) {
                (0, Err(CommError::Timeout { missing, .. })) => assert_eq!(&missing[..], [Rank(1)]),
                (0, Err(CommError::Aborted { by: Rank(1), .. })) => {}
                (me, Err(CommError::Aborted { by, cause, .. })) => {
                    assert_eq!((by, cause), (Rank(me - 1), Cause::Timeout));
                }
                (_, other) => panic!("nobody sent: {other:?}"),
            }
        });
    };
    explore(Some(2), model);
}

#[test]
fn who_is_asked_to_gives_up() {
    let model = || {
        SETTING.run(|mut rank: Model<Sound>| {
            rank.task(1);
            if rank.me.0 == 1 {
                rank.memory.abort(Rank(0));
                return;
            }
            let error = rank.get(1, 8).expect_err("nobody sends");
            assert!(matches!(error, CommError::Aborted { by: Rank(0), cause: Cause::Asked, .. }));
        });
    };
    explore(None, model);
}

#[test]
fn what_a_rank_had_sent_before_it_left_arrives() {
    for state in [RankState::Closed, RankState::Lost] {
        let model = move || {
            SETTING.run(move |mut rank: Model<Sound>| {
                rank.task(1);
                if rank.me.0 == 1 {
                    rank.put(0, &[7; 8]).expect("sent");
                    rank.memory.leave(Rank(1), state);
                    return;
                }
                assert_eq!(rank.get(1, 8).expect("sent before"), [7; 8]);
                let error = rank.get(1, 8).expect_err("gone");
                assert!(matches!(error, CommError::PeerLost { peer: Rank(1), .. }));
            });
        };
        explore(Some(3), model);
    }
}

#[test]
fn what_a_rank_had_sent_before_it_failed_arrives() {
    let model = || {
        SETTING.run(|mut rank: Model<Sound>| {
            rank.task(1);
            if rank.me.0 == 1 {
                rank.put(0, &[7; 8]).expect("sent");
                rank.memory.hurry(true);
                rank.get(0, 8).expect_err("nobody sends");
                return;
            }
            assert_eq!(rank.get(1, 8).expect("sent before"), [7; 8]);
            let error = rank.get(1, 8).expect_err("failed");
            assert!(matches!(error, CommError::Aborted { by: Rank(1), .. }));
        });
    };
    explore(Some(3), model);
}

/// Rank 0 fails with rank 1, and goes to rank 2.
fn fail<R: Rules + Send + 'static>() {
    let setting = Setting { ranks: 3, ..SETTING };
    setting.run(|mut rank: Model<R>| {
        if rank.me.0 == 0 {
            rank.task(1);
            rank.memory.hurry(true);
            rank.get(1, 8).expect_err("nobody sends");
            rank.assert_poisoned(&[0, 1]);
            rank.assert_poisoned(&[0, 2]);
        }
    });
}

#[test]
fn a_failed_lane_refuses_work() {
    explore(None, fail::<Sound>);
    refute(&["refused"], None, fail::<Poison>);
}

/// Rank 1 never reads what rank 0 staged for it, since it leaves or fails; rank 0 needs the room for rank 2.
fn room(fails: bool) {
    let setting = Setting { ranks: 3, ..SETTING };
    setting.run(move |mut rank: Model<Sound>| {
        rank.task(1);
        match rank.me.0 {
            0 => {
                rank.put(1, &[7; PIECE]).expect("there is room");
                let sent = rank.put(2, &[8; PIECE]);
                match sent {
                    Err(CommError::Aborted { by, .. }) if fails => assert_eq!(by, Rank(1)),
                    sent => assert_eq!(sent, Ok(()), "nobody can read any more"),
                }
            }
            1 if fails => {
                rank.memory.hurry(true);
                rank.get(2, 8).expect_err("nobody sends");
            }
            1 => rank.memory.leave(Rank(1), RankState::Lost),
            _ => match rank.get(0, PIECE) {
                Err(CommError::Aborted { by, .. }) if fails => assert_eq!(by, Rank(0)),
                got => assert_eq!(got, Ok(vec![8; PIECE]), "it was sent"),
            },
        }
    });
}

#[test]
fn room_does_not_wait_for_ranks_that_are_gone() {
    explore(Some(2), || room(false));
    explore(Some(2), || room(true));
}
