//! Results on processes are the serial ones, as those on threads are, and the ranks' memory is counted the same.

use crate::bench::{self, Dice, Ran};
use crate::restless::{self, Chain};
use crate::role::{self, Spec};
use flexdit_core::{Bytes, Nanos, Request, System, Workload};
use flexdit_ranks::Options;
use std::sync::Arc;

/// The same workload on threads and on processes.
fn agree(count: u32, seed: u64, world: u16, make: &dyn Fn() -> Box<dyn System>) -> u64 {
    let requests = bench::requests(&mut Dice::new(seed), count, Nanos::from_micros(300));
    let workload = || Workload { requests: requests.clone(), ..Workload::default() };
    let spec = Spec::default();
    let processes = role::start(world, &spec.text(), false).expect("a world");
    let options = bench::options(world);
    let apart = role::run(&mut *make(), &processes, options, workload(), &mut |_, _, _| {});
    let apart = apart.unwrap_or_else(|error| panic!("seed {seed}, world {world}: {error}"));
    let threads =
        bench::run(&mut *make(), bench::options(world), Arc::new(bench::synthetic()), workload());
    sound(&apart, &requests, &mut *make());
    assert!(apart.images == threads.expect("a run").images, "seed {seed}, world {world}");
    assert!(apart.outcome.ranks.iter().all(|rank| !rank.lost && rank.lost_at.is_none()));
    assert!(processes.peaks().iter().all(|peak| peak.is_some_and(|peak| peak > Bytes(1 << 16))));
    apart.tasks()
}

fn sound(ran: &Ran, requests: &[Request], fresh: &mut dyn System) {
    assert_eq!(ran.images.len(), requests.len());
    let outcome = &ran.outcome;
    assert_eq!((outcome.failed_tasks, outcome.resets), (0, 0), "{:?}", outcome.failures);
    ran.check(requests, fresh);
}

pub fn policies() {
    for world in [1, 2, 3, 5, 8] {
        for (at, policy) in ["edf-greedy", "edf-best-fit", "fcfs"].into_iter().enumerate() {
            let seed = u64::from(world) * 10 + at as u64;
            agree(10, seed, world, &|| Box::new(bench::elastic(policy, world, seed)));
        }
    }
}

pub fn restless() {
    let mut tasks = 0;
    for seed in 0..6 {
        let world = [2, 3, 4, 8, 5, 7][seed as usize % 6];
        let make =
            || Box::new(restless::restless(world, seed, (seed % 4) as u8)) as Box<dyn System>;
        tasks += agree(30, 100 + seed, world, &make);
    }
    assert!(tasks > 700, "{tasks} tasks");
}

pub fn chains() {
    for world in [1, 2, 4] {
        agree(8, u64::from(world), world, &|| Box::new(Chain::new(world, 5)));
    }
}

pub fn full() {
    let requests = bench::requests(&mut Dice::new(2), 3, Nanos::from_micros(10));
    let workload = Workload { requests, ..Workload::default() };
    let options = Options { rank_memory: Some(Bytes(500)), ..bench::options(2) };
    let processes = role::start(2, &Spec::default().text(), true).expect("a world");
    let mut system = bench::elastic("edf-greedy", 2, 1);
    let ran = role::run(&mut system, &processes, options, workload, &mut |_, _, _| {});
    let ran = ran.expect("a run");
    assert!(ran.images.is_empty());
    let said = |failure: &String| failure.contains("do not fit");
    assert!(ran.outcome.failures.iter().any(said), "{:?}", ran.outcome.failures);
    assert!(ran.outcome.ranks.iter().all(|rank| rank.peak <= Bytes(500)));
}
