//! Tests of the loop: what is waiting, and what is being stuck.

use super::*;
use flexdit_core::cost::CostBook;
use flexdit_core::cost::{CostModel, Price, Provenance};
use flexdit_core::{ArtifactId, ClassId, Group, RejectReason, Request, Task, TaskId};

/// Wakes every `every` nanoseconds, if at all, and rejects everything once `needed` requests are there.
struct Waiter {
    every: Option<Nanos>,
    needed: usize,
    arrived: Vec<RequestId>,
}

impl System for Waiter {
    fn step(&mut self, now: Nanos, events: &[Event], out: &mut Vec<Command>) -> Option<Nanos> {
        for event in events {
            if let Event::Arrived(request) = event {
                self.arrived.push(request.id);
            }
        }
        if self.arrived.len() >= self.needed {
            let why = RejectReason::Shed;
            out.extend(self.arrived.drain(..).map(|request| Command::Reject { request, why }));
        }
        self.every.map(|every| now + every)
    }

    fn counters(&self) -> Counters {
        Counters::default()
    }
}

fn run(
    (every, needed): (Option<Nanos>, usize),
    workload: Workload,
    faults: FaultModel,
) -> Result<Outcome, SimError> {
    let mut system = Waiter { every, needed, arrived: Vec::new() };
    let cost = Arc::new(CostBook::default());
    let charges = Charges::default();
    Simulation::new(&mut system, 4, workload, cost, charges, faults, 1).run(&mut ())
}

fn arriving(at: &[u64]) -> Workload {
    let request = |(id, &at): (usize, &u64)| Request {
        id: RequestId(id as u32),
        class: ClassId(0),
        shape: Shape::default(),
        chunk_steps: 1,
        priority: 0,
        preemptible: false,
        arrival: Nanos(at),
        deadline: None,
        t_single: None,
    };
    Workload { requests: at.iter().enumerate().map(request).collect(), ..Workload::default() }
}

const LONG: u64 = 3 * IDLE_STEPS as u64;

#[test]
fn waking_often_until_an_arrival_or_a_cancellation_is_not_being_stuck() {
    let waits = (Some(Nanos(1)), 2);
    let outcome = run(waits, arriving(&[0, LONG]), FaultModel::default()).expect("it ends");
    assert_eq!(outcome.end, Nanos(LONG));
    let workload = Workload { cancellations: vec![(Nanos(LONG), RequestId(0))], ..arriving(&[0]) };
    let Err(SimError::Stranded { at, .. }) = run(waits, workload, FaultModel::default()) else {
        panic!("the cancellation is not answered");
    };
    assert!(at > Nanos(LONG), "{at}");
}

#[test]
fn waking_forever_with_nothing_to_come_is_being_stuck() {
    let stuck = run((Some(Nanos(1)), 9), arriving(&[0]), FaultModel::default());
    assert!(matches!(stuck, Err(SimError::Stranded { count: 1, .. })), "{stuck:?}");
}

#[test]
fn waking_forever_at_one_instant_is_being_stuck_whatever_is_to_come() {
    let stuck = run((Some(Nanos::ZERO), 2), arriving(&[0, LONG]), FaultModel::default());
    assert!(matches!(stuck, Err(SimError::Stranded { at: Nanos::ZERO, .. })), "{stuck:?}");
}

#[test]
fn endless_faults_do_not_hide_that_a_policy_is_stuck() {
    let faults = FaultModel {
        mean_time_between: Some(Nanos(100)),
        mean_time_to_repair: Nanos(1_000),
        outages: Vec::new(),
    };
    for every in [None, Some(Nanos(10))] {
        let stuck = run((every, 9), arriving(&[0]), faults.clone());
        assert!(matches!(stuck, Err(SimError::Stranded { .. })), "{stuck:?}");
    }
}

/// A step takes 100 ns, a stage 50.
struct Flat;

impl CostModel for Flat {
    fn encode(&self, _: &Shape) -> Option<Price> {
        price(50)
    }

    fn step(&self, _: &Shape, _: Parallelism) -> Option<Price> {
        price(100)
    }

    fn decode(&self, _: &Shape, _: u8) -> Option<Price> {
        price(50)
    }
}

fn price(time: u64) -> Option<Price> {
    Some(Price { time: Nanos(time), extrapolated: false, provenance: Provenance::Derived })
}

/// Queues a request's stages on rank 0 when it arrives, all steps in one chunk, and lets it end when all are reported.
#[derive(Default)]
struct Chain {
    reports: Vec<Event>,
}

impl System for Chain {
    fn step(&mut self, _: Nanos, events: &[Event], out: &mut Vec<Command>) -> Option<Nanos> {
        for event in events {
            match event {
                Event::Arrived(request) => {
                    out.extend((1..).zip(Stage::ALL).map(|(id, stage)| {
                        let steps = if stage == Stage::Denoise { 5 } else { 0 };
                        Command::Launch(Task {
                            id: TaskId(id),
                            request: request.id,
                            stage,
                            first_step: 0,
                            steps,
                            parallelism: Parallelism::SINGLE,
                            group: Group::single(Rank(0)),
                            input: id as u32 - 1,
                            output: ArtifactId { request: request.id, version: id as u32 },
                        })
                    }));
                }
                Event::Failed { .. } | Event::Finished { .. } => {
                    self.reports.push(event.clone());
                    if self.reports.len() == Stage::ALL.len() {
                        let why = RejectReason::Cancelled;
                        out.push(Command::Reject { request: RequestId(0), why });
                    }
                }
                _ => {}
            }
        }
        None
    }

    fn counters(&self) -> Counters {
        Counters::default()
    }
}

/// When the tasks of a request ended that is cancelled at `at`, and how many of them finished.
fn cancelled(at: u64) -> (Nanos, usize) {
    let workload = Workload { cancellations: vec![(Nanos(at), RequestId(0))], ..arriving(&[0]) };
    let (mut chain, charges) = (Chain::default(), Charges { launch: Nanos(7), ..Charges::free() });
    let (cost, faults) = (Arc::new(Flat), FaultModel::default());
    let run = Simulation::new(&mut chain, 1, workload, cost, charges, faults, 1);
    let end = run.run(&mut ()).expect("it ends").end;
    let finished = |event: &&Event| matches!(event, Event::Finished { .. });
    (end, chain.reports.iter().filter(finished).count())
}

#[test]
fn a_cancelled_request_stops_at_the_next_step_boundary() {
    // Encoding runs to 57, steps from 64 to 564, decoding from 571 to 621.
    for (at, expected) in [
        (20, (57, 1)),
        (58, (164, 1)),
        (64, (164, 1)),
        (165, (264, 1)),
        (264, (264, 1)),
        (480, (564, 2)),
        (565, (621, 3)),
        (600, (621, 3)),
    ] {
        let (end, finished) = cancelled(at);
        assert_eq!((end.0, finished), expected, "cancelled at {at}");
    }
}

/// Knows what denoising takes.
struct Known;

impl TaskTimes for Known {
    fn time(&self, task: &Task) -> Option<Nanos> {
        (task.stage == Stage::Denoise).then_some(Nanos(40))
    }
}

#[test]
fn times_of_single_tasks_stand_before_prices() {
    let end = |times: Option<Arc<dyn TaskTimes>>| {
        let (mut chain, faults) = (Chain::default(), FaultModel::default());
        let (cost, charges) = (Arc::new(Flat), Charges::free());
        let run = Simulation::new(&mut chain, 1, arriving(&[0]), cost, charges, faults, 1);
        let run = match times {
            Some(times) => run.with_times(times),
            None => run,
        };
        run.run(&mut ()).expect("it ends").end.0
    };
    assert_eq!((end(None), end(Some(Arc::new(Known)))), (600, 140));
}
