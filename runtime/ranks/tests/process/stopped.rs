//! Processes that hang: stopped by a signal, they neither answer nor end.

use crate::bench::{self, Dice};
use crate::restless::restless;
use crate::role::{self, SOON, Spec};
use flexdit_core::{Command as Order, Event, Nanos, Rank, Workload};
use flexdit_ranks::process::Processes;
use flexdit_ranks::{Compute, Driver, Options};
use rustix::process::{Pid, Signal, kill_process};
use std::sync::Arc;

/// Stops a process of the test's own.
fn stop(processes: &Processes, rank: Rank) {
    let number = i32::try_from(processes.process(rank)).expect("a number");
    let process = Pid::from_raw(number).expect("a process");
    kill_process(process, Signal::STOP).expect("a process of this one");
}

fn options(world: u16) -> Options {
    Options { patience: Nanos(SOON.as_nanos() as u64), ..bench::options(world) }
}

/// Stopped when it is to compute with others: they wait in vain, and go on without it.
pub fn among_others() {
    let requests = bench::requests(&mut Dice::new(5), 30, Nanos::from_micros(300));
    let workload = Workload { requests: requests.clone(), ..Workload::default() };
    let processes = role::start_as(role::HASTY, &role::hasty(), 3, &Spec::default().text(), false);
    let processes = processes.expect("a world");
    let mut is_stopped = false;
    let mut look = |_: usize, _: &[Event], orders: &[Order]| {
        let together = |order: &Order| match order {
            Order::Launch(task) => task.active().len() > 1 && task.active().contains(&Rank(1)),
            _ => false,
        };
        if !is_stopped && orders.iter().any(together) {
            stop(&processes, Rank(1));
            is_stopped = true;
        }
    };
    let ran = role::run(&mut restless(3, 5, 1), &processes, options(3), workload, &mut look);
    let ran = ran.expect("a run");
    assert_eq!(ran.images.len(), requests.len(), "every request completes");
    ran.check(&requests, &mut restless(3, 5, 1));
    let lost: Vec<bool> = ran.outcome.ranks.iter().map(|rank| rank.lost).collect();
    assert_eq!(lost, [false, true, false], "{:?}", ran.outcome.failures);
    // Whoever says it first: who waited, or who heard that another one had.
    let said = |one: &String| one.contains("waited") || one.contains("timed out");
    assert!(ran.outcome.failures.iter().any(said), "{:?}", ran.outcome.failures);
}

/// Stopped when it computes alone, which nobody notices: the run can be stopped nevertheless.
pub fn at_the_end() {
    let mut requests = bench::requests(&mut Dice::new(5), 2, Nanos(1));
    // When the second one comes, the first is at the process.
    (requests[0].arrival, requests[1].arrival) = (Nanos::ZERO, Nanos::from_millis(200));
    let workload = Workload { requests, ..Workload::default() };
    let processes = role::start(1, &Spec::default().text(), false).expect("a world");
    let compute = Arc::clone(&processes) as Arc<dyn Compute>;
    let driver = Driver::new(options(1), compute, &*processes);
    let control = driver.control();
    let mut is_stopped = false;
    let mut look = |_: usize, events: &[Event], orders: &[Order]| {
        if !is_stopped && orders.iter().any(|order| matches!(order, Order::Launch(_))) {
            stop(&processes, Rank(0));
            is_stopped = true;
        } else if events.iter().any(|event| matches!(event, Event::Arrived(_))) {
            control.stop();
        }
    };
    let mut watcher = role::Watcher { log: bench::Log::default(), look: &mut look };
    let mut system = bench::elastic("fcfs", 1, 1);
    let outcome = driver.run(&mut system, workload, &mut watcher, &mut ()).expect("an end");
    assert!(outcome.interrupted, "{outcome:?}");
    assert_eq!(outcome.ranks[0].lost_at, None, "the run was over");
    assert_eq!(processes.peaks(), [None], "it was ended");
}

/// Stopped when nothing is left to do: it is not asked to end twice.
pub fn idle() {
    let requests = bench::requests(&mut Dice::new(5), 1, Nanos(1));
    let workload = Workload { requests: requests.clone(), ..Workload::default() };
    let processes = role::start(2, &Spec::default().text(), false).expect("a world");
    let mut look = |_: usize, _: &[Event], orders: &[Order]| {
        if orders.iter().any(|order| matches!(order, Order::Complete(_))) {
            stop(&processes, Rank(1));
        }
    };
    let mut system = bench::elastic("fcfs", 2, 1);
    let ran = role::run(&mut system, &processes, bench::options(2), workload, &mut look);
    ran.expect("an end").check(&requests, &mut bench::elastic("fcfs", 2, 1));
    let peaks = processes.peaks();
    assert!(peaks[0].is_some() && peaks[1].is_none(), "{peaks:?}");
}
