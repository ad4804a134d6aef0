//! Ranks that are processes: this program is the tests, and with a role as its first argument one of the processes they start.
//!
//! Owns the dispatch, and what must hold after each test: no process, file, socket, mapping or thread is left of it.

#[cfg(target_os = "linux")]
#[path = "../ranks/bench.rs"]
#[allow(dead_code, reason = "shared with the tests of threads")]
mod bench;
#[cfg(target_os = "linux")]
mod faults;
#[cfg(target_os = "linux")]
mod killed;
#[cfg(target_os = "linux")]
mod orphans;
#[cfg(target_os = "linux")]
#[path = "../ranks/restless.rs"]
#[allow(dead_code, reason = "shared with the tests of threads")]
mod restless;
#[cfg(target_os = "linux")]
mod results;
#[cfg(target_os = "linux")]
mod role;
#[cfg(target_os = "linux")]
mod stopped;
#[cfg(target_os = "linux")]
mod tidiness;

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("skipped: ranks that are processes need Linux");
}

#[cfg(target_os = "linux")]
fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some(role::RANK) => return role::rank(&flexdit_ranks::GroupFree::default()),
        Some(role::HASTY) => return role::rank(&role::hasty()),
        Some(role::DRIVER) => return orphans::driver(),
        _ => {}
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
const TESTS: [Test; 16] = [
    ("every_policy_gives_the_serial_results_on_processes", results::policies),
    ("reconfigured_tasks_give_the_serial_results_on_processes", results::restless),
    ("whole_requests_queued_at_once_give_the_serial_results", results::chains),
    ("what_does_not_fit_into_a_rank_fails_in_the_driver", results::full),
    ("panicking_kernels_fail_their_tasks_and_no_process", faults::panics),
    ("cancelled_requests_end_at_a_step_on_processes", faults::cancelled),
    ("requests_of_killed_processes_resume_elsewhere", killed::kills),
    ("a_process_that_is_killed_while_it_idles_is_noticed", killed::idle),
    ("an_operator_who_takes_a_rank_down_ends_its_process", killed::operator),
    ("the_last_process_killed_ends_the_run", killed::last),
    ("a_process_that_hangs_in_a_collective_is_lost", stopped::among_others),
    ("a_process_that_hangs_does_not_keep_a_run_from_stopping", stopped::at_the_end),
    ("a_process_that_hangs_while_it_idles_does_not_keep_a_run_from_ending", stopped::idle),
    ("a_world_is_made_when_all_ranks_have_loaded", faults::opened),
    ("processes_that_cannot_begin_leave_nothing", faults::refused),
    ("processes_end_with_a_driver_that_is_killed", orphans::killed),
];
