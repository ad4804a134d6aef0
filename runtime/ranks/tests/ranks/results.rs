//! Results do not depend on policy, world, degree or reconfiguration.

use crate::bench::{self, Dice};
use crate::restless::{Chain, restless};
use flexdit_core::{Nanos, System, Workload};
use std::sync::Arc;

fn agree(count: u32, seed: u64, world: u16, make: &dyn Fn() -> Box<dyn System>) -> u64 {
    let requests = bench::requests(&mut Dice::new(seed), count, Nanos::from_micros(300));
    let workload = Workload { requests: requests.clone(), ..Workload::default() };
    let options = bench::options(world);
    let ran = bench::run(&mut *make(), options, Arc::new(bench::synthetic()), workload);
    let ran = ran.unwrap_or_else(|error| panic!("seed {seed}, world {world}: {error}"));
    assert_eq!(ran.images.len(), count as usize, "seed {seed}, world {world}");
    assert_eq!(
        (ran.outcome.failed_tasks, ran.outcome.resets),
        (0, 0),
        "{:?}",
        ran.outcome.failures
    );
    ran.check(&requests, &mut *make());
    ran.tasks()
}

#[test]
fn every_policy_gives_the_serial_results_in_every_world() {
    let policies = ["edf-greedy", "edf-best-fit", "fcfs", "srtf"];
    for world in 1..=8 {
        for (at, policy) in policies.into_iter().enumerate() {
            let seed = u64::from(world) * 10 + at as u64;
            agree(12, seed, world, &|| Box::new(bench::elastic(policy, world, seed)));
        }
    }
}

#[test]
fn thousands_of_reconfigured_tasks_give_the_serial_results() {
    let mut tasks = 0;
    for seed in 0..12 {
        let world = [2, 3, 4, 8, 5, 7][seed as usize % 6];
        tasks +=
            agree(60, 100 + seed, world, &|| Box::new(restless(world, seed, (seed % 4) as u8)));
    }
    assert!(tasks > 3000, "{tasks} tasks");
}

#[test]
fn whole_requests_queued_at_once_give_the_serial_results() {
    for world in [1, 2, 4, 6] {
        agree(12, u64::from(world), world, &|| Box::new(Chain::new(world, 5)));
    }
}
