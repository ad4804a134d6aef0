//! Worlds of processes: this program is the tests, and with a role as its first argument one of the processes they start.
//!
//! Owns the dispatch, and what must hold after each test: no process, file, socket, mapping or thread is left of it.

#[cfg(target_os = "linux")]
mod directed;
#[cfg(target_os = "linux")]
mod killed;
#[cfg(target_os = "linux")]
mod ops;
#[cfg(target_os = "linux")]
mod orphans;
#[cfg(target_os = "linux")]
mod rank;
#[cfg(target_os = "linux")]
mod tidiness;

#[cfg(not(target_os = "linux"))]
fn main() {
    let config = flexdit_comm::WorldConfig::new(2);
    let joined = flexdit_comm::transport::process::join("@", flexdit_core::Rank(0), &config);
    assert!(matches!(joined, Err(flexdit_comm::CommError::Unsupported(_))));
    println!("skipped: processes need Linux");
}

#[cfg(target_os = "linux")]
fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|role| role == rank::ROLE) {
        return rank::play(&arguments[1..]);
    }
    // As the usual harness: options are not ours, a word picks tests by name.
    let filter = arguments.iter().find(|argument| !argument.starts_with('-'));
    let chosen = TESTS.iter().filter(|(name, _)| filter.is_none_or(|word| name.contains(word)));
    let mut failed = 0;
    for (name, test) in chosen {
        let before = tidiness::Traces::look();
        let passed = std::panic::catch_unwind(|| {
            test();
            assert_eq!(tidiness::Traces::look(), before, "something was left");
        });
        println!("test {name} ... {}", if passed.is_ok() { "ok" } else { "FAILED" });
        failed += i32::from(passed.is_err());
    }
    std::process::exit(if failed == 0 { 0 } else { 101 });
}

/// A test's name and body.
#[cfg(target_os = "linux")]
type Test = (&'static str, fn());

#[cfg(target_os = "linux")]
const TESTS: [Test; 9] = [
    ("all_operations_give_what_the_oracle_gives", ops::trials),
    ("random_schedules_give_what_the_oracle_gives", ops::schedules),
    ("tensors_in_the_heap_are_read_where_they_lie", ops::heap),
    ("one_rank_with_another_setting_fails_all", ops::mismatch),
    ("a_rank_that_leaves_in_any_way_is_lost_to_its_peers", killed::leaving),
    ("a_hundred_kills_under_load_stop_nobody_else", killed::kills),
    ("whoever_is_killed_whenever_the_rest_goes_on_as_directed", directed::rounds),
    ("ranks_notice_that_their_launcher_was_killed", orphans::killed),
    ("a_dropped_launcher_leaves_nothing", orphans::dropped),
];
