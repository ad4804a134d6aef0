//! Seeded simulations of whole systems under checkers: random worlds, prices, charges, workloads, systems
//! and policies, with ranks that go down and clients that give up at the worst moments.

use flexdit::check::{Verdict, check};
use rayon::prelude::*;

/// Seeds of a normal run; `flexdit check --seeds A..B` runs any others.
const SEEDS: std::ops::Range<u64> = 0..200;

#[test]
fn two_hundred_seeds_pass_every_check() {
    let results: Vec<Result<Verdict, String>> = SEEDS.into_par_iter().map(check).collect();
    let wrong: Vec<&str> = results.iter().filter_map(|r| r.as_ref().err()).map(|e| &**e).collect();
    assert!(wrong.is_empty(), "{} seeds failed:\n{}", wrong.len(), wrong.join("\n\n"));
    // The seeds do what they are for.
    let sum = |of: fn(&Verdict) -> usize| results.iter().flatten().map(of).sum::<usize>();
    assert!(sum(|v| v.tasks) > 10_000, "{} tasks", sum(|v| v.tasks));
    assert!(sum(|v| v.failures) > 1_000, "{} failures", sum(|v| v.failures));
    assert!(sum(|v| v.transfers) > 1_000, "{} transfers", sum(|v| v.transfers));
}

#[test]
fn a_seed_repeats_exactly() {
    assert_eq!(check(17), check(17));
}
