//! Results do not depend on policy, world, degree or reconfiguration.

use crate::bench::{self, Dice};
use crate::restless::{Chain, restless};
use flexdit_comm::{Collectives, CommError};
use flexdit_core::{Group, Nanos, System, Workload};
use flexdit_ranks::{Completed, Driver, Fabric, GroupFree, Groups, Options};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

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
fn the_bare_loop_gives_the_serial_results() {
    let compute = bench::synthetic();
    for request in bench::requests(&mut Dice::new(9), 8, Nanos(1)) {
        let (parts, _) = flexdit_ranks::bare(&compute, &request).expect("it fits");
        assert_eq!(parts[0].as_bytes(), compute.serial(&request));
    }
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

/// Counts what is asked of the group-free fabric.
struct Counting {
    inner: GroupFree,
    prebuilt: Arc<AtomicUsize>,
    formed: Arc<AtomicUsize>,
}

struct CountingRank(Box<dyn Groups>, Arc<AtomicUsize>, Arc<AtomicUsize>);

impl Fabric for Counting {
    fn ranks(&self, world: u16) -> Result<Vec<Box<dyn Groups>>, CommError> {
        let count = |groups| {
            let (prebuilt, formed) = (Arc::clone(&self.prebuilt), Arc::clone(&self.formed));
            Box::new(CountingRank(groups, prebuilt, formed)) as Box<dyn Groups>
        };
        Ok(self.inner.ranks(world)?.into_iter().map(count).collect())
    }
}

impl Groups for CountingRank {
    fn prebuild(&mut self, groups: &[Group]) -> Result<(), CommError> {
        self.1.fetch_add(groups.len(), Ordering::Relaxed);
        Ok(())
    }

    fn begin(&mut self, sequence: u64) -> Result<(), CommError> {
        self.0.begin(sequence)
    }

    fn on<'a>(&'a mut self, group: &Group) -> Result<Box<dyn Collectives + 'a>, CommError> {
        self.2.fetch_add(1, Ordering::Relaxed);
        self.0.on(group)
    }

    fn give_up(&mut self, group: &Group) {
        self.0.give_up(group);
    }

    fn reset(&mut self, group: &Group) -> Result<(), CommError> {
        self.0.reset(group)
    }

    fn pinned(&self) -> Option<Result<usize, String>> {
        Some(Err("no permission".to_owned()))
    }
}

#[test]
fn any_fabric_can_carry_the_collectives_and_ranks_that_may_not_be_pinned_say_why() {
    let requests = bench::requests(&mut Dice::new(21), 8, Nanos(1));
    let workload = Workload { requests: requests.clone(), ..Workload::default() };
    let (prebuilt, formed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let fabric = Counting {
        inner: GroupFree::default(),
        prebuilt: Arc::clone(&prebuilt),
        formed: Arc::clone(&formed),
    };
    // Two lanes of two ranks, whose groups exist before the first request.
    let fcfs = || bench::lanes("fcfs", 2, 4);
    let driver = Driver::new(Options::new(4), Arc::new(bench::synthetic()), &fabric);
    let mut ended = 0;
    let mut sink = |_: Completed| ended += 1;
    let outcome = driver.run(&mut fcfs(), workload, &mut (), &mut sink).expect("a run");
    assert_eq!((ended, prebuilt.load(Ordering::Relaxed)), (8, 2 * 4));
    assert!(formed.load(Ordering::Relaxed) > 0 && outcome.group_setups > 0);
    // Where pinning is refused, the run goes on and says why.
    let refused = Err("no permission".to_owned());
    assert!(outcome.ranks.iter().all(|rank| rank.pinned == refused), "{:?}", outcome.ranks);
}
