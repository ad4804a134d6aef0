//! The doorbell: whoever sleeps is woken by what it waits for.

use super::check::{explore, refute};
use super::kit::Loom;
use super::mutants::Announce;
use super::world::{Actor, Setting, Wait};
use crate::rules::{Rules, Sound};

const SETTING: Setting = Setting { wait: Wait::Sleep, ..Setting::TINY };

fn barrier<R: Rules + Send + 'static>(setting: Setting) {
    setting.run(|mut rank: Actor<Loom, R>| {
        rank.task(1);
        rank.barrier(&[0, 1]).expect("both come");
    });
}

/// Two messages through one slot: the second waits for the acknowledgement of the first.
fn acknowledged(wait: Wait) {
    let setting = Setting { wait, ..Setting::TINY };
    setting.run(|mut rank: Actor<Loom, Sound>| {
        rank.task(1);
        for _ in 0..2 {
            if rank.me.0 == 0 {
                rank.put(1, &[]).expect("sent");
            } else {
                assert_eq!(rank.get(0, 0), Ok(vec![]));
            }
        }
    });
}

#[test]
fn a_message_wakes_its_reader() {
    explore(Some(5), || barrier::<Sound>(SETTING));
    refute(&["deadlock"], Some(3), || barrier::<Announce>(SETTING));
    let setting = Setting { no_fences: true, ..SETTING };
    refute(&["deadlock"], Some(3), move || barrier::<Sound>(setting));
}

#[test]
fn a_small_acknowledgement_may_miss_a_sleeper_who_then_naps() {
    refute(&["deadlock"], Some(3), || acknowledged(Wait::Sleep));
    explore(Some(3), || acknowledged(Wait::Nap));
}
