//! Ten thousand random schedules of overlapping groups without host synchronisation, against the oracle.
//!
//! A failure names its seed and the command that repeats it.

mod common;

use flexdit_comm::check::{Schedule, Tally, check};

#[test]
fn random_overlapping_schedules_give_what_the_oracle_gives() {
    let (mut tally, mut wrong) = (Tally::default(), Vec::new());
    for seed in 0..10_000 {
        match check(seed) {
            Ok(part) => tally += part,
            Err(text) => wrong.push(format!("seed {seed}: {text}")),
        }
        if wrong.len() >= 3 {
            break;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    println!("{} operations, {} bytes compared", tally.operations, tally.bytes);
}

#[cfg(target_os = "linux")]
#[test]
fn random_schedules_over_the_mapping_of_processes_give_the_same() {
    for seed in 0..300 {
        let schedule = Schedule::draw(seed);
        let common::World { ends, keeper: _keeper } = common::mapping(schedule.config());
        schedule.run(ends).unwrap_or_else(|wrong| panic!("seed {seed}, mapping: {wrong}"));
    }
}
