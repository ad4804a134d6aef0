//! The virtual-time driver: one loop over instants.

mod cancel;

use crate::charges::{Charges, Occupies};
use crate::faults::{FaultModel, FaultPlan};
use crate::inbox::{Inboxes, Item};
use crate::timing::{TaskTimes, Timing};
use flexdit_core::cost::CostModel;
use flexdit_core::{
    Arrivals, Cancellations, Command, Counters, Event, FailReason, Nanos, Observer, Parallelism,
    Rank, RequestId, Shape, Stage, System, Workload,
};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

/// What a run leaves beside its log.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The last instant.
    pub end: Nanos,
    /// The system's bookkeeping at the end.
    pub counters: Counters,
    /// Tasks that ended and paid for forming a group; not those that a lost rank took with it.
    pub group_setups: u64,
    /// Whether any price lay outside its source's range.
    pub extrapolated: bool,
    /// Every (shape, stage, layout) that ran.
    pub layouts: Vec<(Shape, Stage, Parallelism)>,
}

/// Why a run cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SimError {
    /// Work remains and nothing can run.
    #[error(
        "{count} requests are stranded at {at}: nothing is running and nothing will happen; first: {first}"
    )]
    Stranded {
        /// When.
        at: Nanos,
        /// How many.
        count: usize,
        /// The first ten, by ordinal.
        first: String,
    },
    /// The profile has no price for a layout that the system chose.
    #[error("the profile has no price for {stage} at layout {parallelism} ({request})")]
    NoPrice {
        /// Whose task.
        request: RequestId,
        /// Its stage.
        stage: &'static str,
        /// Its layout.
        parallelism: Parallelism,
    },
}

/// Steps in a row without a command, with nothing to come but faults and wake-ups, after which a run counts
/// as stuck.
const IDLE_STEPS: u32 = 100_000;

/// One run in virtual time.
pub struct Simulation<'a> {
    system: &'a mut dyn System,
    timing: Timing,
    inboxes: Inboxes,
    arrivals: Arrivals,
    cancellations: Cancellations,
    faults: FaultPlan,
    /// Ends of running items: (time, sequence number, slot).
    queue: BinaryHeap<Reverse<(Nanos, u64, u32)>>,
    /// Slots whose item was killed after it was put into `queue`: their entry is void.
    killed: Vec<(u64, u32)>,
    events: Vec<Event>,
    commands: Vec<Command>,
    begin: Vec<u32>,
    ended: Vec<bool>,
    unfinished: usize,
    down: u16,
    group_setups: u64,
}

impl<'a> Simulation<'a> {
    /// A run of `system` over `workload` in a world of `world` ranks. `seed` drives noise and faults only.
    pub fn new(
        system: &'a mut dyn System,
        world: u16,
        workload: Workload,
        cost: Arc<dyn CostModel>,
        charges: Charges,
        faults: FaultModel,
        seed: u64,
    ) -> Self {
        let prebuilt = system.prebuilt();
        let timing = Timing::new(cost, charges, seed, &workload.requests, prebuilt);
        let count = workload.requests.len();
        Self {
            system,
            timing,
            inboxes: Inboxes::new(world),
            arrivals: Arrivals::new(workload.requests, workload.concurrency),
            cancellations: Cancellations::new(workload.cancellations),
            faults: FaultPlan::new(faults, world, seed),
            queue: BinaryHeap::new(),
            killed: Vec::new(),
            events: Vec::new(),
            commands: Vec::new(),
            begin: Vec::new(),
            ended: vec![false; count],
            unfinished: count,
            down: 0,
            group_setups: 0,
        }
    }

    /// The same run with the times of single tasks, where they are known, instead of prices.
    #[must_use]
    pub fn with_times(mut self, times: Arc<dyn TaskTimes>) -> Self {
        self.timing.set_times(times);
        self
    }

    /// Runs until every request has ended.
    ///
    /// # Errors
    /// [`SimError::Stranded`] when work remains and nothing can happen; [`SimError::NoPrice`] when the
    /// system chose a layout that the profile does not price.
    pub fn run(mut self, observer: &mut dyn Observer) -> Result<Outcome, SimError> {
        let mut now = Nanos::ZERO;
        let mut wake = None;
        let mut idle_steps = 0;
        while self.unfinished > 0 {
            let Some(next) = self.next_at(now, wake) else { return Err(self.stranded(now)) };
            let stays = next == now;
            now = next;
            self.gather(now)?;
            self.commands.clear();
            wake = self.system.step(now, &self.events, &mut self.commands);
            observer.step(now, &self.events, &self.commands);
            self.stop_cancelled(now);
            // Waking often until something comes is slow, not stuck; waking without end at one instant is.
            let idle = self.commands.is_empty() && (stays || !self.expects(now));
            idle_steps = if idle { idle_steps + 1 } else { 0 };
            if idle_steps > IDLE_STEPS {
                return Err(self.stranded(now));
            }
            self.execute(now)?;
        }
        Ok(Outcome {
            end: now,
            counters: self.system.counters(),
            group_setups: self.group_setups,
            extrapolated: self.timing.extrapolated(),
            layouts: self.timing.layouts().collect(),
        })
    }

    /// Whether anything but faults and wake-ups is still to come.
    fn expects(&mut self, now: Nanos) -> bool {
        !self.queue.is_empty()
            || self.arrivals.next_at(now).is_some()
            || !self.cancellations.is_over()
    }

    /// When something happens next.
    fn next_at(&mut self, now: Nanos, wake: Option<Nanos>) -> Option<Nanos> {
        while let Some(&Reverse((_, sequence, slot))) = self.queue.peek() {
            let Some(at) = self.killed.iter().position(|&dead| dead == (sequence, slot)) else {
                break;
            };
            self.killed.swap_remove(at);
            self.queue.pop();
        }
        let end = self.queue.peek().map(|Reverse((at, _, _))| *at);
        let arrival = self.arrivals.next_at(now);
        let cancel = self.cancellations.next_at(now, &self.arrivals);
        let next = [end, arrival, cancel, wake].into_iter().flatten().min();
        // Faults alone cannot bring work back, unless a rank that is down comes up.
        let fault = self.faults.next_at().filter(|_| next.is_some() || self.down > 0);
        [next, fault].into_iter().flatten().min().map(|at| at.max(now))
    }

    /// Collects the events of instant `now`: failures, completions, cancellations, arrivals.
    fn gather(&mut self, now: Nanos) -> Result<(), SimError> {
        self.events.clear();
        if self.faults.next_at().is_some_and(|at| at <= now) {
            let changes = self.faults.pop(now);
            for (rank, _) in changes.iter().filter(|(_, down)| *down) {
                self.rank_down(now, *rank);
            }
            for (rank, _) in changes.iter().filter(|(_, down)| !*down) {
                self.down -= 1;
                self.events.push(Event::RankUp(*rank));
            }
        }
        while let Some(&Reverse((at, sequence, slot))) = self.queue.peek() {
            if at > now {
                break;
            }
            self.queue.pop();
            if let Some(dead) = self.killed.iter().position(|&dead| dead == (sequence, slot)) {
                self.killed.swap_remove(dead);
            } else {
                self.finish(slot);
            }
        }
        while let Some(id) = self.cancellations.pop(now, &self.arrivals) {
            if !self.ended[id.index()] {
                self.events.push(Event::Cancelled(id));
            }
        }
        while let Some(request) = self.arrivals.pop(now) {
            self.events.push(Event::Arrived(request));
        }
        self.start_heads(now)
    }

    fn finish(&mut self, slot: u32) {
        let work = self.inboxes.finish(slot, &mut self.begin);
        if work.fails {
            return self.stopped(&work);
        }
        match work.item {
            Item::Task(task) => {
                self.group_setups += u64::from(work.span.setup > Nanos::ZERO);
                for &rank in task.group.iter() {
                    self.events.push(Event::Finished { task: task.id, rank, span: work.span });
                }
            }
            Item::Transfer(transfer) => {
                let started = work.span.started;
                self.events.push(Event::Migrated { transfer: transfer.id, started });
            }
        }
    }

    /// Takes a rank down with everything in flight of the requests that needed it.
    fn rank_down(&mut self, now: Nanos, rank: Rank) {
        self.down += 1;
        self.events.push(Event::RankDown(rank));
        let slots = self.inboxes.slots();
        let mut hit: Vec<RequestId> = slots
            .iter()
            .map(|&slot| self.inboxes.get(slot))
            .filter(|work| work.involves(rank))
            .map(|work| work.request)
            .collect();
        hit.sort_unstable();
        hit.dedup();
        for slot in slots {
            if hit.binary_search(&self.inboxes.get(slot).request).is_err() {
                continue;
            }
            let work = self.inboxes.kill(slot, &mut self.begin);
            let sequence = work.sequence();
            if self.queue.iter().any(|Reverse((_, s, at))| (*s, *at) == (sequence, slot)) {
                self.killed.push((sequence, slot));
            }
            if let Item::Task(task) = work.item {
                let why = FailReason::RankDown;
                let failed = |&rank| Event::Failed { task: task.id, rank, why };
                self.events.extend(task.group.iter().map(failed));
            }
        }
        self.free_ports(now);
    }

    /// Frees the links that transfers of lost ranks would have kept busy.
    fn free_ports(&mut self, now: Nanos) {
        let mut until = vec![now; self.inboxes.port_free.len()];
        for Reverse((end, sequence, slot)) in &self.queue {
            if self.killed.contains(&(*sequence, *slot)) {
                continue;
            }
            if let Item::Transfer(transfer) = &self.inboxes.get(*slot).item {
                for rank in transfer.edges.iter().flat_map(|edge| [edge.src, edge.dst]) {
                    until[rank.index()] = until[rank.index()].max(*end);
                }
            }
        }
        for (port, until) in self.inboxes.port_free.iter_mut().zip(until) {
            *port = (*port).min(until);
        }
    }

    fn execute(&mut self, now: Nanos) -> Result<(), SimError> {
        let charges = self.timing.charges();
        let not_before = now + charges.control_plane + charges.planning;
        let mut commands = std::mem::take(&mut self.commands);
        for command in commands.drain(..) {
            let item = match command {
                Command::Launch(task) => Item::Task(task),
                Command::Migrate(transfer) => Item::Transfer(transfer),
                Command::Release { .. } => continue,
                Command::Complete(id) | Command::Reject { request: id, .. } => {
                    self.end_request(id);
                    continue;
                }
            };
            let (slot, begins) = self.inboxes.push(item, not_before);
            if begins {
                self.start(now, slot)?;
            }
        }
        self.commands = commands;
        Ok(())
    }

    fn end_request(&mut self, id: RequestId) {
        assert!(!self.ended[id.index()], "{id} ended twice");
        self.ended[id.index()] = true;
        self.unfinished -= 1;
        self.timing.forget(id);
        self.arrivals.ended();
    }

    fn start_heads(&mut self, now: Nanos) -> Result<(), SimError> {
        let mut begin = std::mem::take(&mut self.begin);
        // A slot can be killed after it was promoted in the same instant.
        begin.retain(|&slot| self.inboxes.is_head(slot));
        for slot in begin.drain(..) {
            self.start(now, slot)?;
        }
        self.begin = begin;
        Ok(())
    }

    /// Begins an item that heads the inboxes of all its ranks.
    fn start(&mut self, now: Nanos, slot: u32) -> Result<(), SimError> {
        let work = self.inboxes.get(slot);
        let mut begin = now.max(work.not_before);
        for rank in work.ranks().iter() {
            begin = begin.max(self.inboxes.port_free[rank.index()]);
        }
        let sequence = work.sequence();
        if work.stops {
            self.inboxes.get_mut(slot).fails = true;
            self.queue.push(Reverse((begin, sequence, slot)));
            return Ok(());
        }
        let end = match &work.item {
            Item::Task(task) => {
                let Some(charge) = self.timing.charge(task) else {
                    return Err(SimError::NoPrice {
                        request: task.request,
                        stage: Stage::name(task.stage),
                        parallelism: task.parallelism,
                    });
                };
                let begin = begin + self.timing.charges().start_delay;
                let end = begin + charge.duration;
                let work = self.inboxes.get_mut(slot);
                work.span = charge.span;
                work.span.started = begin;
                end
            }
            Item::Transfer(_) => self.start_transfer(slot, begin),
        };
        self.queue.push(Reverse((end, sequence, slot)));
        Ok(())
    }

    /// Every rank's link carries its own copies one after the other; links work side by side.
    fn start_transfer(&mut self, slot: u32, begin: Nanos) -> Nanos {
        let charges = self.timing.charges();
        let migration = charges.migration;
        let Item::Transfer(transfer) = &self.inboxes.get(slot).item else {
            unreachable!("only transfers are started here");
        };
        let mut links: Vec<(Rank, Nanos)> = Vec::with_capacity(2 * transfer.edges.len());
        for edge in &transfer.edges {
            let copy = migration.copy(edge.bytes, charges.one_node(&[edge.src, edge.dst]));
            for rank in [edge.src, edge.dst] {
                match links.iter_mut().find(|link| link.0 == rank) {
                    Some(link) => link.1 += copy,
                    None => links.push((rank, copy)),
                }
            }
        }
        let both = migration.occupies == Occupies::Both;
        let ports = &mut self.inboxes.port_free;
        let begin = match both {
            true => links.iter().fold(begin, |at, link| at.max(ports[link.0.index()])),
            false => begin,
        };
        let end = begin + links.iter().map(|link| link.1).max().unwrap_or_default();
        if both {
            for (rank, _) in links {
                ports[rank.index()] = end;
            }
        }
        self.inboxes.get_mut(slot).span.started = begin;
        end
    }

    fn stranded(&self, at: Nanos) -> SimError {
        let left = || self.ended.iter().enumerate().filter(|(_, ended)| !**ended);
        let first: Vec<String> = left().take(10).map(|(i, _)| i.to_string()).collect();
        SimError::Stranded { at, count: left().count(), first: first.join(", ") }
    }
}

#[cfg(test)]
mod tests;
