//! Lent memory: its owner writes it again when an operation has ended, however it ended, and no reader notices.

use super::check::{explore, refute};
use super::kit::Loom;
use super::memory::PIECE;
use super::mutants::{Acknowledge, Acknowledged, Revoke};
use super::world::{Actor, Setting, Wait};
use crate::error::CommError;
use crate::rules::{Rules, Sound};

type Model<R> = Actor<Loom, R>;

const SETTING: Setting = Setting { lend: true, failures: true, wait: Wait::Sleep, ..Setting::TINY };

/// Rank 0 lends `count` times the same buffer.
fn lend<R: Rules + Send + 'static>(setting: Setting, count: u64) {
    setting.run(move |mut rank: Model<R>| {
        for task in 1..=count {
            rank.task(task);
            let data = [task as u8; PIECE];
            if rank.me.0 == 0 {
                rank.memory.fill(rank.me, data[0]);
                rank.put(1, &data).expect("read");
                rank.memory.fill(rank.me, 0xff);
            } else {
                assert_eq!(rank.get(0, PIECE).expect("lent"), data);
            }
        }
    });
}

#[test]
fn an_operation_ends_when_what_it_lent_was_read() {
    for depth in [1, 2] {
        let setting = Setting { depth, ..SETTING };
        explore(Some(2), move || lend::<Sound>(setting, 2));
    }
    let race = ["Causality violation"];
    refute(&race, None, || lend::<Acknowledge>(SETTING, 1));
    refute(&race, None, || lend::<Acknowledged>(SETTING, 1));
}

/// Rank 0 lends, and may run out of time before rank 1 has come, or while it reads.
fn withdraw<R: Rules + Send + 'static>(setting: Setting) {
    setting.run(|mut rank: Model<R>| {
        rank.task(1);
        let data = [1; PIECE];
        if rank.me.0 == 0 {
            rank.memory.fill(rank.me, data[0]);
            rank.memory.hurry(true);
            let result = rank.put(1, &data);
            rank.memory.fill(rank.me, 0xff);
            assert!(matches!(
                result,
                Ok(()) | Err(CommError::Timeout { .. } | CommError::Aborted { .. })
            ));
        } else {
            match rank.get(0, PIECE) {
                Ok(got) => assert_eq!(got, data, "as it was lent"),
                Err(error) => assert!(matches!(error, CommError::Aborted { .. }), "{error}"),
            }
        }
    });
}

#[test]
fn who_gives_up_lending_waits_for_readers() {
    explore(Some(3), || withdraw::<Sound>(SETTING));
    let race = ["Causality violation"];
    refute(&race, Some(3), || withdraw::<Revoke>(SETTING));
    let setting = Setting { no_fences: true, ..SETTING };
    refute(&race, Some(3), move || withdraw::<Sound>(setting));
}

#[test]
fn who_reads_what_outlasts_its_lender_looks_again_afterwards() {
    // The lender waits for a reader only so long.
    let setting = Setting { outlasts: true, ..SETTING };
    explore(Some(3), move || withdraw::<Sound>(setting));
    let wrong = ["as it was lent"];
    refute(&wrong, Some(3), move || withdraw::<Revoke>(setting));
    let setting = Setting { no_fences: true, ..setting };
    refute(&wrong, Some(3), move || withdraw::<Sound>(setting));
}

#[test]
fn a_buffer_lent_to_two_is_free_when_both_have_read_it() {
    let setting = Setting { ranks: 3, ..SETTING };
    let model = move || {
        setting.run(|mut rank: Model<Sound>| {
            rank.task(1);
            let root = rank.me.0 == 0;
            let mut data = if root { [1; PIECE] } else { [0; PIECE] };
            if root {
                rank.memory.fill(rank.me, data[0]);
            }
            rank.broadcast(&[0, 1, 2], 0, &mut data).expect("all come");
            assert_eq!(data, [1; PIECE]);
            if root {
                rank.memory.fill(rank.me, 0xff);
            }
        });
    };
    explore(Some(1), model);
}
