//! Staged messages over one edge: order, slots, window room, and the wrap of the counts.

use super::check::{explore, refute};
use super::kit::Loom;
use super::memory::PIECE;
use super::mutants::{Acknowledge, Acknowledged, Counts, Credit, Observe, Publish, Room};
use super::world::Setting;
use crate::rules::{Rules, Sound};

/// Rank 0 puts `count` messages of `length` bytes to rank 1, each of other bytes.
fn puts<R: Rules + Send + 'static>(setting: Setting, count: u64, length: usize) {
    setting.run::<Loom, R>(move |mut rank| {
        for task in 1..=count {
            rank.task(task);
            let data = vec![task as u8; length];
            if rank.me.0 == 0 {
                rank.put(1, &data).expect("sent");
            } else {
                assert_eq!(rank.get(0, length).expect("received"), data, "bytes of this message");
            }
        }
    });
}

/// Slots and pieces in {1, 2}.
fn sizes() -> impl Iterator<Item = Setting> {
    let sizes = [(1, 1), (1, 2), (2, 1), (2, 2)];
    sizes.into_iter().map(|(depth, pieces)| Setting { depth, pieces, ..Setting::TINY })
}

#[test]
fn messages_arrive_once_in_order_and_whole() {
    for setting in sizes() {
        explore(Some(4), move || puts::<Sound>(setting, 3, PIECE));
        explore(Some(3), move || puts::<Sound>(setting, 4, 0));
        explore(Some(2), move || puts::<Sound>(setting, 2, 2 * PIECE));
    }
}

#[test]
fn counts_may_wrap() {
    for base in [u64::MAX - 1, u64::MAX] {
        for setting in sizes() {
            let setting = Setting { base, ..setting };
            explore(Some(3), move || puts::<Sound>(setting, 3, PIECE));
        }
    }
}

const RACE: &[&str] = &["Causality violation"];

#[test]
fn a_label_is_published_after_its_message_and_observed_before_it() {
    refute(RACE, None, || puts::<Publish>(Setting::TINY, 1, 0));
    refute(RACE, None, || puts::<Publish>(Setting::TINY, 1, PIECE));
    refute(RACE, None, || puts::<Observe>(Setting::TINY, 1, 0));
    refute(RACE, None, || puts::<Observe>(Setting::TINY, 1, PIECE));
}

#[test]
fn an_acknowledgement_comes_after_the_reading_and_before_the_next_writing() {
    refute(RACE, None, || puts::<Acknowledge>(Setting::TINY, 2, 0));
    refute(RACE, None, || puts::<Acknowledged>(Setting::TINY, 2, 0));
    // With slots to spare it is the room that is reused too early.
    let setting = Setting { depth: 2, ..Setting::TINY };
    refute(RACE, None, move || puts::<Acknowledge>(setting, 2, PIECE));
    refute(RACE, None, move || puts::<Acknowledged>(setting, 2, PIECE));
}

#[test]
fn slots_room_and_labels_are_not_taken_on_trust() {
    refute(RACE, None, || puts::<Credit>(Setting::TINY, 2, 0));
    let setting = Setting { depth: 2, ..Setting::TINY };
    refute(RACE, None, move || puts::<Room>(setting, 2, PIECE));
    // The last message once more, for the next.
    let reasons = ["Causality violation", "received: Mismatch"];
    refute(&reasons, None, || puts::<Counts>(Setting::TINY, 2, 0));
}
