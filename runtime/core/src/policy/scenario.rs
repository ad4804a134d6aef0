//! Scenarios: a few lines of text in, a line per request out. The quickest way to see what a policy does.
//!
//! Owns a driver in virtual time that charges exactly what the policy believes and nothing else. For
//! results use the simulator; this is for examples and tests.

mod driver;
mod text;

use crate::scheduler::{Policy, Scheduler, SchedulerConfig};
use alloc::boxed::Box;
use alloc::string::String;
use driver::Driver;
use text::Script;

/// Runs a scenario and returns one line per request: its tasks with their start, ranks and layout, and
/// how it ended. All times are milliseconds; chunks on the same ranks are joined.
///
/// Lines of a scenario, in any order but for `policy` and `world`, which come first:
///
/// ```text
/// policy NAME [parameter=value ..]
/// world RANKS
/// shape NAME STEP1 STEP2 STEP4 ..        time of a step at degree 1, 2, 4, ..; - if infeasible
/// at TIME NAME steps=N [due=TIME] [priority=P] [chunk=K]
/// at TIME cancel REQUEST | down RANK | up RANK
/// ```
///
/// Text encode and VAE decode take 10 ms on one rank.
///
/// ```
/// use flexdit_core::policy::scenario;
/// let report = scenario::run(
///     "policy edf-greedy
///      world 2
///      shape S 100 60
///      at 0 S steps=3 due=400",
/// );
/// assert_eq!(report, "S0: 0 encode {0}; 10 denoise u2 {0,1} x3; 190 decode {0}; done 200 in time\n");
/// ```
///
/// # Panics
/// If the text is malformed: a scenario is part of a test.
pub fn run(text: &str) -> String {
    let script = Script::parse(text);
    let policy = super::registry::build(script.policy, &script.params, script.world)
        .unwrap_or_else(|error| panic!("{error}"));
    drive(&script, policy)
}

/// As [`run`], under a policy that need not be registered; a `policy` line is not looked at.
///
/// # Panics
/// If the text is malformed.
pub fn run_with(text: &str, policy: Box<dyn Policy>) -> String {
    drive(&Script::parse(text), policy)
}

fn drive(script: &Script<'_>, policy: Box<dyn Policy>) -> String {
    let config = SchedulerConfig::new(script.world);
    let scheduler = Scheduler::new(config, policy, Box::new(script.shapes.clone()));
    Driver::new(scheduler, script).run()
}
