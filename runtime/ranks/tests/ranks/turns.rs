//! Whose thread steps the system: a rank's that has news, or the one that drives the run.

use crate::bench::{self, Dice};
use flexdit_core::scheduler::Scheduler;
use flexdit_core::{Command, Counters, Event, Nanos, Observer, Request, System, Workload};
use flexdit_ranks::{Driver, GroupFree, Outcome, RunError};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

/// Longer than any of these runs takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Steps by the kind of thread they were taken on.
#[derive(Default)]
struct Threads(BTreeMap<bool, usize>);

impl Observer for Threads {
    fn step(&mut self, _: Nanos, _: &[Event], _: &[Command]) {
        let is_rank = std::thread::current().name().is_some_and(|name| name.starts_with("rank-"));
        *self.0.entry(is_rank).or_default() += 1;
    }
}

/// Hears of everything a while after it is told.
struct Late {
    inner: Scheduler,
    heard: Vec<Event>,
    due: Option<Nanos>,
}

impl System for Late {
    fn step(&mut self, now: Nanos, events: &[Event], out: &mut Vec<Command>) -> Option<Nanos> {
        self.heard.extend_from_slice(events);
        let due = self.due.unwrap_or(now + Nanos::from_micros(300));
        if now < due {
            self.due = (!self.heard.is_empty()).then_some(due);
            return self.due;
        }
        self.due = None;
        self.inner.step(now, &std::mem::take(&mut self.heard), out)
    }

    fn counters(&self) -> Counters {
        self.inner.counters()
    }
}

/// Fails when it hears that a task is done.
struct Fragile(Scheduler);

impl System for Fragile {
    fn step(&mut self, now: Nanos, events: &[Event], out: &mut Vec<Command>) -> Option<Nanos> {
        let done = events.iter().any(|event| matches!(event, Event::Finished { .. }));
        assert!(!done, "it cannot bear the news");
        self.0.step(now, events, out)
    }

    fn counters(&self) -> Counters {
        self.0.counters()
    }
}

fn requests() -> Vec<Request> {
    // All there from the beginning: nothing but news of ranks wakes anybody.
    let requests = bench::requests(&mut Dice::new(9), 20, Nanos::ZERO).into_iter();
    requests.map(|request| Request { deadline: None, ..request }).collect()
}

/// Runs, and is stopped if it does not end.
fn run(system: &mut dyn System, observer: &mut dyn Observer) -> Result<Outcome, RunError> {
    let workload = Workload { requests: requests(), ..Workload::default() };
    let fabric = GroupFree::default();
    let driver = Driver::new(bench::options(2), Arc::new(bench::synthetic()), &fabric);
    let control = driver.control();
    let (ended, end) = channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            if end.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                control.stop();
            }
        });
        // Gone however the run ends.
        let _ended = ended;
        driver.run(system, workload, observer, &mut ())
    })
}

#[test]
fn ranks_step_the_system_with_their_own_news() {
    let mut threads = Threads::default();
    let outcome = run(&mut bench::elastic("fcfs", 2, 1), &mut threads).expect("a run");
    assert!(!outcome.interrupted);
    assert!(threads.0[&true] > threads.0[&false], "{:?}", threads.0);
}

#[test]
fn a_wake_up_that_is_asked_for_on_a_ranks_thread_is_given() {
    let inner = bench::elastic("fcfs", 2, 1);
    let mut system = Late { inner, heard: Vec::new(), due: None };
    let mut threads = Threads::default();
    let outcome = run(&mut system, &mut threads).expect("a run");
    assert!(!outcome.interrupted, "it slept on");
    assert!(threads.0.len() == 2, "{:?}", threads.0);
}

#[test]
fn a_system_that_panics_panics_the_run_and_no_rank() {
    let mut system = Fragile(bench::elastic("fcfs", 2, 1));
    let panic = catch_unwind(AssertUnwindSafe(|| run(&mut system, &mut ())));
    let panic = panic.expect_err("nobody caught it before");
    let text = panic.downcast_ref::<&str>().copied();
    assert_eq!(text, Some("it cannot bear the news"));
}
