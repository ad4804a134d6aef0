//! Tests of the loop: what is waiting, and what is being stuck.

use super::*;
use flexdit_core::cost::CostBook;
use flexdit_core::{ClassId, Request};

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
            let why = flexdit_core::RejectReason::Shed;
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
