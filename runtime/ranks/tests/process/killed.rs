//! Processes that are killed: their requests resume elsewhere, bit by bit the same, and nothing is left of anything.

use crate::bench::{self, Dice};
use crate::restless::restless;
use crate::role::{self, Spec};
use flexdit_core::{Command as Order, Event, Nanos, Rank, Request, Workload};
use flexdit_ranks::Compute;
use flexdit_ranks::Driver;
use std::collections::BTreeMap;
use std::sync::Arc;

fn workload(seed: u64, count: u32) -> (Vec<Request>, Workload) {
    let requests = bench::requests(&mut Dice::new(seed), count, Nanos::from_micros(300));
    (requests.clone(), Workload { requests, ..Workload::default() })
}

/// When which rank is struck: at a step of the system, or when that launches a task on it.
struct Strike {
    step: usize,
    rank: Rank,
    at_launch: bool,
}

pub fn kills() {
    let (mut struck, mut failed, mut ends) = (0, 0, 0);
    for seed in 0..12 {
        let world = [3, 4, 8][seed as usize % 3];
        let mut dice = Dice::new(seed ^ 77);
        let mut strikes: Vec<Strike> = (1..world)
            .map(|rank| Strike {
                step: dice.range(1, 250) as usize,
                rank: Rank(rank),
                at_launch: dice.chance(50),
            })
            .collect();
        let (requests, workload) = workload(seed, 40);
        let (panics, exits) = (u64::from(seed % 2 == 0), 2 * u64::from(seed % 3 == 0));
        let spec = Spec { work: 50_000, seed, panics, exits };
        let processes = role::start(world, &spec.text(), seed % 4 == 0).expect("a world");
        let mut look = |step: usize, _: &[Event], orders: &[Order]| {
            let launches = |rank: Rank| {
                let is_on = |order: &Order| match order {
                    Order::Launch(task) => task.group.contains(&rank),
                    _ => false,
                };
                orders.iter().any(is_on)
            };
            strikes.retain(|strike| {
                let now = step >= strike.step && (!strike.at_launch || launches(strike.rank));
                if now {
                    processes.kill(strike.rank).expect("a process of this one");
                }
                !now
            });
        };
        let make = || restless(world, seed, (seed % 3) as u8);
        let ran = role::run(&mut make(), &processes, bench::options(world), workload, &mut look);
        let ran = ran.unwrap_or_else(|error| panic!("seed {seed}, world {world}: {error}"));
        assert_eq!(ran.images.len(), requests.len(), "seed {seed}: every request completes");
        ran.check(&requests, &mut make());
        let mut lost: BTreeMap<Rank, Nanos> = BTreeMap::new();
        for (now, events, _) in &ran.log.0 {
            for event in events {
                if let Event::RankDown(rank) = event {
                    assert!(lost.insert(*rank, *now).is_none(), "{rank} is lost once");
                }
            }
        }
        for rank in &ran.outcome.ranks {
            let struck = strikes.iter().all(|strike| strike.rank != rank.rank) && rank.rank.0 > 0;
            // One that was struck at the very end may have ended as it should.
            let asked = struck || (exits > 0 && rank.rank.0 > 0);
            assert!(asked || !rank.lost, "seed {seed}: {} was lost unasked", rank.rank);
            assert_eq!(rank.lost_at.is_some(), lost.contains_key(&rank.rank), "seed {seed}");
            assert!(rank.lost_at.is_none_or(|at| at <= lost[&rank.rank]));
        }
        struck += lost.len();
        failed += ran.outcome.failed_tasks;
        ends += processes.peaks().iter().flatten().count();
    }
    assert!(struck > 24 && failed > 12, "{struck} processes killed, {failed} tasks failed");
    assert!(ends >= 12, "somebody ended as it should in every world");
}

/// Nothing is to be done when it is killed: the next request comes later, and must find the rank lost.
pub fn idle() {
    let mut requests = bench::requests(&mut Dice::new(3), 2, Nanos(1));
    (requests[0].arrival, requests[1].arrival) = (Nanos::ZERO, Nanos::from_millis(150));
    let workload = Workload { requests: requests.clone(), ..Workload::default() };
    let processes = role::start(2, &Spec::default().text(), false).expect("a world");
    let mut heard = None;
    let mut look = |step: usize, events: &[Event], orders: &[Order]| {
        if orders.iter().any(|order| matches!(order, Order::Complete(_))) && heard.is_none() {
            processes.kill(Rank(1)).expect("a process of this one");
        }
        if events.contains(&Event::RankDown(Rank(1))) {
            heard = Some((step, events.len()));
        }
    };
    let mut system = bench::elastic("edf-greedy", 2, 1);
    let ran = role::run(&mut system, &processes, bench::options(2), workload, &mut look);
    let ran = ran.expect("a run");
    ran.check(&requests, &mut bench::elastic("edf-greedy", 2, 1));
    assert_eq!((ran.images.len(), ran.outcome.failed_tasks), (2, 0));
    assert!(heard.is_some() && ran.outcome.ranks[1].lost);
}

pub fn operator() {
    let (requests, workload) = workload(4, 30);
    let processes = role::start(2, &Spec { work: 50_000, ..Spec::default() }.text(), false);
    let processes = processes.expect("a world");
    let driver =
        Driver::new(bench::options(2), Arc::clone(&processes) as Arc<dyn Compute>, &*processes);
    let (control, mut done) = (driver.control(), BTreeMap::new());
    let assemble = bench::synthetic();
    let mut sink = |completed: flexdit_ranks::Completed| {
        if done.is_empty() {
            assert!(control.lose(Rank(1)));
        }
        done.insert(completed.request.id.0, assemble.assemble(&completed));
    };
    let mut log = bench::Log::default();
    let mut system = bench::elastic("fcfs", 2, 1);
    let outcome = driver.run(&mut system, workload, &mut log, &mut sink).expect("a run");
    let ran = bench::Ran { outcome, log, images: done };
    ran.check(&requests, &mut bench::elastic("fcfs", 2, 1));
    assert!(ran.images.len() == 30 && ran.outcome.ranks[1].lost && !ran.outcome.ranks[0].lost);
    let peaks = processes.peaks();
    assert!(peaks[0].is_some() && peaks[1].is_none(), "{peaks:?}");
}

pub fn last() {
    for seed in 0..4 {
        let (_, workload) = workload(seed, 30);
        let processes = role::start(2, &Spec { work: 50_000, ..Spec::default() }.text(), false);
        let processes = processes.expect("a world");
        let mut look = |step: usize, _: &[Event], _: &[Order]| {
            for rank in (0..2).map(Rank).filter(|rank| step >= 20 + 15 * rank.index()) {
                processes.kill(rank).expect("a process of this one");
            }
        };
        let mut system = restless(2, seed, (seed % 3) as u8);
        let ran = role::run(&mut system, &processes, bench::options(2), workload, &mut look);
        let outcome = ran.expect("nobody is left, which is an end").outcome;
        assert!(outcome.stranded && outcome.unfinished > 0, "{outcome:?}");
    }
}
