//! The dispatcher: it gathers what happened, steps the system, and hands its commands out.
//!
//! Invariant: every event goes through one call of the system, in order, at a time that never decreases, and the observer sees
//! exactly that.

use super::begin::Muster;
use super::desk::Next;
use super::fleet::{Ended, Fleet};
use super::hung::Suspicions;
use super::mail::Mail;
use super::resets::Resets;
use super::{Driver, Outcome, RunError, Sink};
use crate::artifact::State;
use crate::clock::Clock;
use crate::compute::Compute;
use crate::flow::{Flow, LiveTask};
use crate::histogram::Histogram;
use crate::message::{LiveTransfer, Message};
use flexdit_core::{
    Arrivals, Cancellations, Command, Event, Group, Nanos, Observer, Parallelism, Rank, Request,
    RequestId, Shape, Stage, System, Workload,
};
use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

/// Messages taken before the system is stepped.
const BATCH: usize = 1024;

/// Steps in a row without a command, with nothing to come but wake-ups, after which a run counts as stuck.
const IDLE_STEPS: u32 = 100_000;

/// Failures whose words are kept.
pub(super) const FAILURES: usize = 20;

/// A task or transfer that was issued and not yet reported by all its ranks.
pub(super) enum InFlight {
    /// A task; `lost` once a rank of its group is lost, whether that had ended its part or not.
    Task { live: Arc<LiveTask>, left: usize, failed: bool, lost: bool },
    /// A transfer.
    Transfer { live: Arc<LiveTransfer>, left: usize, failed: bool, started: Nanos },
}

/// A live request.
pub(super) struct Live {
    pub flow: Arc<Flow>,
    /// Tasks and transfers that are in flight.
    pub in_flight: BTreeSet<u64>,
    /// The version that its last finished task left, where, and split how.
    pub version: u32,
    pub holders: Group,
    pub parallelism: Parallelism,
    /// Transfers that are complete while the task that made what they moved has yet to be reported by all.
    pub early: Vec<(u64, Nanos)>,
    /// The first task or transfer that failed: what was queued behind it counts as failed too, whatever its ranks report.
    pub failed_from: Option<u64>,
    /// Ranks that were in a failed collective, and those of them that failed themselves.
    pub harmed: Group,
    pub held_back: Group,
    /// Resets under way that hold ranks back: the system has yet to hear that something failed, and may queue more behind it. A reset
    /// that holds nobody back, since who failed was lost, keeps nothing from it: what it begins anew then must not fail.
    pub repairs: u32,
}

/// The dispatcher.
pub(super) struct Dispatcher<'a> {
    pub system: &'a mut dyn System,
    observer: &'a mut dyn Observer,
    pub sink: &'a mut dyn Sink,
    pub mail: Arc<Mail>,
    pub phase: Phase,
    /// What the thread that drives the run sleeps until, unless it is woken; `None` for no time.
    pub sleeps_until: Option<Nanos>,
    /// What went wrong in a turn on a rank's thread.
    fault: Option<Fault>,
    pub fleet: Fleet,
    pub inbox: usize,
    pub clock: Clock,
    pub arrivals: Arrivals,
    pub cancellations: Cancellations,
    states: BTreeMap<Shape, State>,
    pub events: Vec<Event>,
    commands: Vec<Command>,
    pub live: BTreeMap<RequestId, Live>,
    pub in_flight: BTreeMap<u64, InFlight>,
    pub resets: Resets,
    pub suspicions: Suspicions,
    pub ended: Vec<bool>,
    pub unfinished: usize,
    last: Nanos,
    wake: Option<Nanos>,
    idle_steps: u32,
    pub stopped: bool,
    /// Whether it stopped since nothing could run any more.
    ran_dry: bool,
    pub layouts: BTreeSet<(Shape, Stage, Parallelism)>,
    pub group_setups: u64,
    planning: Histogram,
    lateness: Histogram,
    pub failures: Vec<String>,
    pub failed_tasks: u64,
}

/// What the dispatcher is at.
pub(super) enum Phase {
    /// It waits for its ranks.
    Beginning(Muster),
    /// It serves.
    Serving,
    /// It steps nothing any more.
    Over,
}

/// What went wrong where nobody could say so.
enum Fault {
    Error(RunError),
    Panic(Box<dyn Any + Send>),
}

impl<'a> Dispatcher<'a> {
    pub(super) fn new(
        driver: &Driver<'_>,
        fleet: Fleet,
        system: &'a mut dyn System,
        workload: Workload,
        observer: &'a mut dyn Observer,
        sink: &'a mut dyn Sink,
    ) -> Result<Self, RunError> {
        let states = states(&*driver.compute, &workload.requests)?;
        let count = workload.requests.len();
        Ok(Self {
            system,
            observer,
            sink,
            mail: Arc::clone(&driver.mail),
            phase: Phase::Beginning(Muster::of(fleet.ranks.len())),
            sleeps_until: None,
            fault: None,
            fleet,
            inbox: driver.options.inbox,
            clock: Clock::start(),
            arrivals: Arrivals::new(workload.requests, workload.concurrency),
            cancellations: Cancellations::new(workload.cancellations),
            states,
            events: Vec::new(),
            commands: Vec::new(),
            live: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            resets: Resets::default(),
            suspicions: Suspicions::new(driver.options.patience),
            ended: vec![false; count],
            unfinished: count,
            last: Nanos::ZERO,
            wake: None,
            idle_steps: 0,
            stopped: false,
            ran_dry: false,
            layouts: BTreeSet::new(),
            group_setups: 0,
            planning: Histogram::default(),
            lateness: Histogram::default(),
            failures: Vec::new(),
            failed_tasks: 0,
        })
    }

    /// A turn of the thread that drives the run.
    pub(super) fn own_turn(&mut self) -> Result<Next, RunError> {
        match self.fault.take() {
            Some(Fault::Error(error)) => return Err(error),
            Some(Fault::Panic(panic)) => resume_unwind(panic),
            None => {}
        }
        let next = self.turn()?;
        if let Next::At(at) = next {
            self.sleeps_until = at;
        }
        Ok(next)
    }

    /// A turn of a rank's thread. What goes wrong is for the thread that drives the run.
    pub(super) fn turn_for_others(&mut self) -> Next {
        if self.fault.is_some() || !matches!(self.phase, Phase::Serving) {
            return Next::Over;
        }
        let fault = match catch_unwind(AssertUnwindSafe(|| self.turn())) {
            Ok(Ok(next)) => return next,
            Ok(Err(error)) => Fault::Error(error),
            Err(panic) => Fault::Panic(panic),
        };
        self.fault = Some(fault);
        Next::Over
    }

    /// Takes what came; then steps the system, if there is reason to.
    fn turn(&mut self) -> Result<Next, RunError> {
        self.take_ready()?;
        if self.unfinished == 0 || self.stopped {
            return Ok(Next::Over);
        }
        let now = self.clock.now();
        self.end_hung(now);
        let next = self.next_at(now);
        if !self.events.is_empty() {
            self.step()?;
        } else if self.fleet.ranks.iter().all(|book| book.lost) {
            self.strand()?;
        } else if next.is_some_and(|at| at <= now) {
            self.step()?;
        } else if next.is_none() && self.is_stranded() {
            self.strand()?;
        } else {
            // The system need not be called to look for ranks that hang.
            let at = [next, self.suspicions.next_at()].into_iter().flatten().min();
            return Ok(Next::At(at));
        }
        Ok(Next::Again)
    }

    /// Takes the messages that are there, within reason.
    fn take_ready(&mut self) -> Result<(), RunError> {
        for _ in 0..BATCH {
            let Some(message) = self.mail.take() else { break };
            self.take(message)?;
        }
        Ok(())
    }

    fn take(&mut self, message: Message) -> Result<(), RunError> {
        if matches!(message, Message::Lost { .. }) && !self.events.is_empty() {
            // What a rank did before it was lost is told before its loss.
            self.step()?;
        }
        self.on_message(message)
    }

    /// When something is due that no message tells.
    fn next_at(&mut self, now: Nanos) -> Option<Nanos> {
        let arrival = self.arrivals.next_at(now);
        let cancel = self.cancellations.next_at(now, &self.arrivals);
        [arrival, cancel, self.wake].into_iter().flatten().min()
    }

    /// Steps the system with everything that happened, and carries its commands out.
    pub(super) fn step(&mut self) -> Result<(), RunError> {
        let now = self.clock.now().max(Nanos(self.last.0 + 1));
        self.last = now;
        self.gather(now);
        self.events.sort_by_key(order);
        self.commands.clear();
        let before = self.clock.now();
        self.wake = self.system.step(now, &self.events, &mut self.commands);
        self.planning.add(self.clock.now() - before);
        self.observer.step(now, &self.events, &self.commands);
        for event in std::mem::take(&mut self.events) {
            // The system knows of it: from now on the request's tasks stop.
            if let Event::Cancelled(request) = event {
                self.close_gates(request);
            }
        }
        let waits = self.expects(now);
        self.idle_steps = if self.commands.is_empty() && !waits { self.idle_steps + 1 } else { 0 };
        let commands = std::mem::take(&mut self.commands);
        self.execute(&commands)?;
        self.commands = commands;
        if self.idle_steps > IDLE_STEPS { self.strand() } else { Ok(()) }
    }

    /// Adds cancellations and arrivals that are due.
    fn gather(&mut self, now: Nanos) {
        while let Some(id) = self.cancellations.pop(now, &self.arrivals) {
            if !self.ended[id.index()] {
                self.events.push(Event::Cancelled(id));
            }
        }
        while let Some(request) = self.arrivals.pop(now) {
            self.lateness.add(now.saturating_sub(request.arrival));
            let state = self.states[&request.shape].clone();
            let flow = Arc::new(Flow::new(request, state));
            self.live.insert(request.id, Live::new(flow));
            self.events.push(Event::Arrived(request));
        }
    }

    /// Lets no task of a request begin a step that none of its ranks has begun.
    pub(super) fn close_gates(&self, request: RequestId) {
        let Some(live) = self.live.get(&request) else { return };
        for sequence in &live.in_flight {
            if let Some(InFlight::Task { live, .. }) = self.in_flight.get(sequence) {
                live.gate.close();
            }
        }
    }

    /// Whether anything but wake-ups is still to come.
    fn expects(&mut self, now: Nanos) -> bool {
        !self.fleet.is_idle()
            || !self.resets.is_empty()
            || !self.mail.is_empty()
            || self.arrivals.next_at(now).is_some()
            || !self.cancellations.is_over()
    }

    fn is_stranded(&mut self) -> bool {
        self.fleet.is_idle() && self.resets.is_empty() && self.mail.is_empty()
    }

    /// Nothing runs and nothing will. So a run ends whose system cannot do without a lost rank; otherwise the system is broken.
    fn strand(&mut self) -> Result<(), RunError> {
        if self.fleet.ranks.iter().all(|book| !book.lost) {
            return Err(self.stranded());
        }
        (self.ran_dry, self.stopped) = (true, true);
        Ok(())
    }

    fn stranded(&self) -> RunError {
        let left = || self.ended.iter().enumerate().filter(|(_, ended)| !**ended);
        let first: Vec<String> = left().take(10).map(|(i, _)| i.to_string()).collect();
        RunError::Stranded { at: self.last, count: left().count(), first: first.join(", ") }
    }

    /// Steps nothing any more; what is in flight ends at its next step.
    pub(super) fn close(&mut self) {
        self.phase = Phase::Over;
        self.resets.void();
        for in_flight in self.in_flight.values() {
            if let InFlight::Task { live, .. } = in_flight {
                live.gate.close();
            }
        }
    }

    /// Whether nothing is in flight any more.
    pub(super) fn is_drained(&mut self) -> bool {
        while let Some(message) = self.mail.take() {
            // Nothing is decided any more, so nothing can go wrong that matters.
            let _ = self.on_message(message);
            self.resets.void();
        }
        self.fleet.is_idle() && self.resets.is_empty()
    }

    /// Lets the ranks end, whatever ended the run.
    pub(super) fn dismiss(&mut self) {
        self.close();
        for live in self.live.values() {
            live.flow.dismiss();
        }
        self.mail.close();
        self.fleet.stop();
    }

    /// How the run went, once the ranks have ended.
    pub(super) fn outcome(mut self, ended: Vec<Ended>) -> Outcome {
        for live in self.live.values() {
            live.flow.clear();
        }
        let (measured, ranks) = self.fleet.reports(ended);
        Outcome {
            end: self.last,
            counters: self.system.counters(),
            interrupted: self.unfinished > 0,
            stranded: self.ran_dry,
            unfinished: self.unfinished,
            layouts: std::mem::take(&mut self.layouts).into_iter().collect(),
            group_setups: self.group_setups,
            planning: self.planning,
            lateness: self.lateness,
            measured,
            ranks,
            failures: self.failures,
            failed_tasks: self.failed_tasks,
            resets: self.resets.done,
        }
    }
}

impl Live {
    /// Notes that something failed.
    pub(super) fn fail(&mut self, sequence: u64) {
        self.failed_from = Some(self.failed_from.map_or(sequence, |first| first.min(sequence)));
    }

    fn new(flow: Arc<Flow>) -> Self {
        Self {
            flow,
            in_flight: BTreeSet::new(),
            version: 0,
            holders: Group::default(),
            parallelism: Parallelism::SINGLE,
            early: Vec::new(),
            failed_from: None,
            harmed: Group::default(),
            held_back: Group::default(),
            repairs: 0,
        }
    }
}

/// What every shape's state consists of.
fn states(compute: &dyn Compute, requests: &[Request]) -> Result<BTreeMap<Shape, State>, RunError> {
    let mut states = BTreeMap::new();
    for request in requests {
        if states.contains_key(&request.shape) {
            continue;
        }
        let refused = |why| RunError::Shape { request: request.id, why };
        let state = compute.state(&request.shape).map_err(|error| refused(error.to_string()))?;
        if let Some(why) = state.fault() {
            return Err(refused(why));
        }
        states.insert(request.shape, state);
    }
    Ok(states)
}

/// The order of events at one instant: losses, reports in order of sequence, cancellations, arrivals; then ids.
fn order(event: &Event) -> (u8, u64, Rank) {
    match event {
        Event::RankDown(rank) => (0, 0, *rank),
        Event::RankUp(rank) => (1, 0, *rank),
        Event::Failed { task, rank, .. } | Event::Finished { task, rank, .. } => (2, task.0, *rank),
        Event::Migrated { transfer, .. } => (2, transfer.0, Rank(0)),
        Event::Cancelled(id) => (3, u64::from(id.0), Rank(0)),
        Event::Arrived(request) => (4, u64::from(request.id.0), Rank(0)),
    }
}
