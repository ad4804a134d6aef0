//! The reset of a failed lane: the pair goes on with counts that neither has used, and with nothing of what was before.

use super::check::explore;
use super::kit::Loom;
use super::memory::PIECE;
use super::world::{Actor, Setting, Wait};
use crate::error::CommError;
use crate::rules::Sound;

type Model = Actor<Loom, Sound>;

const SETTING: Setting = Setting { wait: Wait::Sleep, resets: true, ..Setting::TINY };

/// Rank 0 sends a message that nobody reads, and fails; both reset. `rounds` times.
fn stale(setting: Setting, rounds: u64) {
    setting.run(move |mut rank: Model| {
        for round in 1..=rounds {
            rank.task(2 * round);
            if rank.me.0 == 0 {
                rank.put(1, &[0xee; 8]).expect("sent");
                rank.memory.hurry(true);
                rank.get(1, 8).expect_err("nobody sends");
                rank.assert_poisoned(&[0, 1]);
                rank.memory.hurry(false);
            }
            assert_eq!(rank.reset(&[0, 1]), Ok(()));
            rank.task(2 * round + 1);
            let data = [round as u8; 8];
            if rank.me.0 == 0 {
                rank.put(1, &data).expect("a new beginning");
            } else {
                assert_eq!(rank.get(0, 8).expect("a new beginning"), data);
            }
        }
    });
}

#[test]
fn a_reset_drops_what_was_not_read() {
    for depth in [1, 2] {
        let setting = Setting { depth, ..SETTING };
        explore(Some(2), move || stale(setting, 1));
    }
    explore(Some(2), || stale(SETTING, 2));
    let setting = Setting { base: u64::MAX - 2, ..SETTING };
    explore(Some(1), move || stale(setting, 2));
}

/// Both fail, each waiting for the other; both reset, and meet. `rounds` times.
fn both_fail(setting: Setting, rounds: u64) {
    setting.run(move |mut rank: Model| {
        let peer = 1 - rank.me.0;
        for round in 1..=rounds {
            rank.task(2 * round);
            rank.memory.hurry(true);
            rank.get(peer, 8).expect_err("nobody sends");
            rank.memory.hurry(false);
            assert_eq!(rank.reset(&[0, 1]), Ok(()));
            rank.task(2 * round + 1);
            rank.barrier(&[0, 1]).expect("the old poison is forgotten");
        }
    });
}

#[test]
fn who_has_ended_a_reset_waits_for_who_has_not() {
    explore(Some(2), || both_fail(SETTING, 1));
    explore(Some(1), || both_fail(SETTING, 2));
}

/// Rank 0's first attempt may run out of time; both try until they have met.
fn retry() {
    SETTING.run(|mut rank: Model| {
        rank.task(1);
        if rank.me.0 == 0 {
            rank.memory.hurry(true);
            rank.get(1, 8).expect_err("nobody sends");
        }
        let mut task = 2;
        loop {
            if let Err(error) = rank.reset(&[0, 1]) {
                assert!(matches!(error, CommError::Timeout { .. }), "{error}");
                rank.memory.hurry(false);
                continue;
            }
            rank.memory.hurry(false);
            // A tag that fits whatever number of attempts the other had.
            rank.task(task);
            task = 2;
            if rank.barrier(&[0, 1]).is_ok() {
                break;
            }
        }
    });
}

#[test]
fn an_attempt_that_failed_does_not_spoil_the_next() {
    explore(Some(2), retry);
}

/// Rank 0 was healthy. Its attempt runs out of time; rank 1's may have succeeded with it.
fn fail_to_reset() {
    SETTING.run(|mut rank: Model| {
        rank.memory.hurry(true);
        if rank.reset(&[0, 1]).is_err() {
            rank.assert_poisoned(&[0, 1]);
        }
    });
}

#[test]
fn a_reset_that_fails_fails_the_lane() {
    explore(Some(3), fail_to_reset);
}

/// Rank 0 gives up sending to rank 1, which is late, and resets with rank 2 alone.
fn leave_out(lend: bool) {
    let setting = Setting { ranks: 3, lend, ..SETTING };
    setting.run(|mut rank: Model| {
        rank.task(1);
        rank.memory.hurry(rank.me.0 != 1);
        match rank.me.0 {
            0 => {
                rank.memory.fill(rank.me, 7);
                // Staged, it is sent; lent, it may be withdrawn before rank 1 reads it.
                let _ = rank.put(1, &[7; PIECE]);
                rank.get(1, 8).expect_err("nobody sends");
                if rank.reset(&[0, 2]).is_ok() {
                    rank.memory.hurry(false);
                    rank.memory.fill(rank.me, 0xff);
                    let _ = rank.put(2, &[0xff; PIECE]);
                }
            }
            1 => match rank.get(0, PIECE) {
                Ok(got) => assert_eq!(got, [7; PIECE], "as it was sent"),
                Err(error) => assert!(matches!(error, CommError::Aborted { .. }), "{error}"),
            },
            _ => {
                if rank.reset(&[0, 2]).is_ok() {
                    rank.memory.hurry(false);
                    match rank.get(0, PIECE) {
                        Ok(got) => assert_eq!(got, [0xff; PIECE], "sent after the reset"),
                        // Rank 0's attempt may have run out of time after this one had ended.
                        Err(error) => assert!(matches!(error, CommError::Aborted { .. })),
                    }
                }
            }
        }
    });
}

#[test]
fn a_late_rank_that_is_left_out_reads_nothing_that_has_changed() {
    explore(Some(1), || leave_out(false));
    explore(Some(1), || leave_out(true));
}

/// Rank 0 fails with ranks 1 and 2, and resets with rank 2 alone.
fn part() {
    let setting = Setting { ranks: 3, ..SETTING };
    setting.run(|mut rank: Model| {
        rank.task(1);
        if rank.me.0 == 1 {
            return;
        }
        if rank.me.0 == 0 {
            rank.memory.hurry(true);
            rank.barrier(&[0, 1, 2]).expect_err("nobody comes");
            rank.memory.hurry(false);
        }
        assert_eq!(rank.reset(&[0, 2]), Ok(()));
        rank.task(2);
        rank.barrier(&[0, 2]).expect("a new beginning");
        if rank.me.0 == 0 {
            rank.assert_poisoned(&[0, 1]);
        }
    });
}

#[test]
fn who_took_no_part_stays_refused() {
    explore(Some(2), part);
}

#[test]
fn three_ranks_reset_together() {
    let setting = Setting { ranks: 3, ..SETTING };
    let model = move || {
        setting.run(|mut rank: Model| {
            rank.task(1);
            if rank.me.0 == 0 {
                rank.memory.hurry(true);
                rank.get(1, 8).expect_err("nobody sends");
                rank.memory.hurry(false);
            }
            assert_eq!(rank.reset(&[0, 1, 2]), Ok(()));
            rank.task(2);
            rank.barrier(&[0, 1, 2]).expect("a new beginning");
        });
    };
    explore(Some(1), model);
}
