//! How messages become events, and what the driver itself does about them.
//!
//! Invariant: a rank's reports reach the system in the order of its inbox; a rank whose collectives failed is not reported free
//! before they work again.

use super::RunError;
use super::dispatch::{Dispatcher, FAILURES, InFlight, Phase};
use super::hung::Late;
use crate::flow::LiveTask;
use crate::message::{Item, Message};
use flexdit_core::{Event, FailReason, Group, Nanos, Rank, RequestId, Task, TaskId, TransferId};
use std::sync::Arc;

impl Dispatcher<'_> {
    pub(super) fn on_message(&mut self, message: Message) -> Result<(), RunError> {
        match message {
            Message::Ready { .. } => {}
            Message::Finished { rank, sequence, span } => {
                self.unqueue(rank, sequence);
                // What a lost rank had made is gone, so the task as a whole has no result.
                let lost = matches!(
                    self.in_flight.get(&sequence),
                    Some(InFlight::Task { lost: true, .. })
                );
                let (task, why) = (TaskId(sequence), FailReason::RankDown);
                self.tell(
                    rank,
                    match lost {
                        true => Event::Failed { task, rank, why },
                        false => Event::Finished { task, rank, span },
                    },
                );
                self.on_reported(rank, sequence, lost.then_some(why))?;
            }
            Message::Failed { rank, sequence, why, what, late } => {
                self.unqueue(rank, sequence);
                self.note(rank, sequence, what);
                self.on_failed(rank, sequence, why);
                if late {
                    self.suspect(Late::Task(sequence));
                }
                self.tell(rank, Event::Failed { task: TaskId(sequence), rank, why });
                self.on_reported(rank, sequence, Some(why))?;
            }
            Message::Pulled { rank, sequence, started, complete } => {
                self.unqueue(rank, sequence);
                self.on_pulled(sequence, started, complete)?;
            }
            Message::Reset { rank, id, done } => self.on_reset(rank, id, done)?,
            Message::Lost { rank } => self.on_lost(rank)?,
            Message::Cancel(id) => {
                if self.ended.get(id.index()) == Some(&false) {
                    self.cancellations.add(id);
                }
            }
            Message::Lose(rank) => {
                if rank.index() < self.fleet.ranks.len() {
                    // A rank with a full inbox has enough to do; who asked may ask again.
                    self.fleet.push(rank, Item::Lose);
                }
            }
            Message::Stop => self.stopped = true,
        }
        Ok(())
    }

    /// Takes the head off a rank's queue.
    fn unqueue(&mut self, rank: Rank, sequence: u64) {
        let head = self.fleet.get(rank).queue.pop_front();
        assert_eq!(head, Some(sequence), "{rank} reported out of order");
    }

    /// Tells the system what a rank reports, now or when its collectives work again.
    fn tell(&mut self, rank: Rank, event: Event) {
        let book = self.fleet.get(rank);
        if book.held_back > 0 {
            book.withheld.push(event);
        } else {
            self.events.push(event);
        }
    }

    /// Keeps the words of a failure.
    fn note(&mut self, rank: Rank, sequence: u64, what: Option<String>) {
        let Some(what) = what.filter(|_| self.failures.len() < FAILURES) else { return };
        self.failures.push(format!("{rank}, task {sequence}: {what}"));
    }

    fn task(&self, sequence: u64) -> Option<&Arc<LiveTask>> {
        match self.in_flight.get(&sequence) {
            Some(InFlight::Task { live, .. }) => Some(live),
            _ => None,
        }
    }

    /// A rank that failed in a collective is not to be used before the collectives work again.
    fn on_failed(&mut self, rank: Rank, sequence: u64, why: FailReason) {
        let Some(live) = self.task(sequence) else { return };
        let task: &Task = &live.task;
        let active = task.active();
        if why == FailReason::Cancelled || active.len() < 2 || !active.contains(&rank) {
            return;
        }
        let (request, active) = (task.request, active.to_vec());
        let Some(live) = self.live.get_mut(&request) else { return };
        for member in active {
            if !live.harmed.contains(&member) {
                live.harmed.push(member);
            }
        }
        if !live.held_back.contains(&rank) {
            live.held_back.push(rank);
            self.fleet.get(rank).held_back += 1;
        }
    }

    /// One rank has ended its part of a task.
    fn on_reported(
        &mut self,
        rank: Rank,
        sequence: u64,
        why: Option<FailReason>,
    ) -> Result<(), RunError> {
        let Some(InFlight::Task { live, left, failed, .. }) = self.in_flight.get_mut(&sequence)
        else {
            panic!("{rank} reported task {sequence}, which is not in flight");
        };
        *left -= 1;
        *failed |= why.is_some();
        if *left > 0 {
            return Ok(());
        }
        let (live, failed) = (Arc::clone(live), *failed);
        self.in_flight.remove(&sequence);
        live.flow.forget_parts(sequence);
        if failed {
            let cancelled = live.failure.get() == Some(&FailReason::Cancelled);
            self.failed_tasks += u64::from(!cancelled);
            self.fail(live.task.request, sequence);
        } else {
            self.on_complete(&live.task);
        }
        self.item_over(live.task.request, sequence)
    }

    /// Nothing that is queued behind it counts.
    fn fail(&mut self, request: RequestId, sequence: u64) {
        if let Some(live) = self.live.get_mut(&request) {
            live.fail(sequence);
        }
    }

    /// All ranks have made a version: older ones go. Unless an earlier task failed on a rank that this one came too early to hear of:
    /// the system goes back to what was before that, so it has to be kept. A rank reports in order and both have the same ranks, so
    /// an earlier failure is known by now.
    fn on_complete(&mut self, task: &Task) {
        let Some(live) = self.live.get_mut(&task.request) else { return };
        if live.failed_from.is_some_and(|first| first < task.id.0) {
            return;
        }
        self.group_setups += u64::from(task.active().len() > 1);
        live.version = task.output.version;
        live.holders = task.active().into();
        live.parallelism = task.parallelism;
        live.flow.acknowledge(task.output.version);
        for (transfer, started) in std::mem::take(&mut live.early) {
            self.events.push(Event::Migrated { transfer: TransferId(transfer), started });
        }
    }

    /// One rank has its part of a transfer, or will not get it.
    fn on_pulled(&mut self, sequence: u64, began: Nanos, complete: bool) -> Result<(), RunError> {
        let Some(InFlight::Transfer { live, left, failed, started }) =
            self.in_flight.get_mut(&sequence)
        else {
            panic!("transfer {sequence} is reported and not in flight");
        };
        *left -= 1;
        *failed |= !complete;
        *started = (*started).min(began);
        if *left > 0 {
            return Ok(());
        }
        let (live, failed, started) = (Arc::clone(live), *failed, *started);
        self.in_flight.remove(&sequence);
        let artifact = live.transfer.artifact;
        if failed {
            self.fail(artifact.request, sequence);
        }
        if let Some(request) = self.live.get_mut(&artifact.request)
            && !failed
            && live.flow.broken().is_none()
        {
            // The system takes a transfer's end for the place of a version that it knows: it hears first of the version.
            if artifact.version > request.version {
                request.early.push((sequence, started));
            } else {
                let transfer = live.transfer.id;
                self.events.push(Event::Migrated { transfer, started });
            }
        }
        self.item_over(artifact.request, sequence)
    }

    /// A task or transfer is over on all its ranks. With the last one of a request that failed, repair begins.
    fn item_over(&mut self, request: RequestId, sequence: u64) -> Result<(), RunError> {
        let Some(live) = self.live.get_mut(&request) else { return Ok(()) };
        live.in_flight.remove(&sequence);
        if !live.in_flight.is_empty() {
            return Ok(());
        }
        live.early.clear();
        if live.harmed.is_empty() {
            return Ok(());
        }
        let members = std::mem::take(&mut live.harmed);
        let held_back = std::mem::take(&mut live.held_back);
        // Of a rank that is lost by now the system has heard everything.
        let is_there = |rank: &Rank| !self.fleet.ranks[rank.index()].lost;
        let held_back: Group = held_back.iter().copied().filter(is_there).collect();
        live.repairs += u32::from(!held_back.is_empty());
        self.reset(request, members, held_back, 0)
    }

    /// A rank's thread ended: what was in its inbox fails, what it held is lost.
    fn on_lost(&mut self, rank: Rank) -> Result<(), RunError> {
        if std::mem::replace(&mut self.fleet.get(rank).lost, true) {
            return Ok(());
        }
        if !matches!(self.phase, Phase::Over) {
            // Later nobody is told any more.
            self.fleet.get(rank).lost_at = Some(self.clock.now());
        }
        let withheld = std::mem::take(&mut self.fleet.get(rank).withheld);
        self.fleet.get(rank).held_back = 0;
        self.events.push(Event::RankDown(rank));
        self.events.extend(withheld);
        let why = FailReason::RankDown;
        let queue = std::mem::take(&mut self.fleet.get(rank).queue);
        for sequence in &queue {
            // Before anybody hears that the copies are gone.
            match &self.in_flight[sequence] {
                InFlight::Task { live, .. } => {
                    let _ = live.failure.set(why);
                    live.flow.break_with(why);
                }
                InFlight::Transfer { live, .. } => live.flow.break_with(why),
            }
        }
        for live in self.live.values() {
            live.flow.lose(rank);
        }
        for in_flight in self.in_flight.values_mut() {
            if let InFlight::Task { live, lost, .. } = in_flight {
                *lost |= live.task.group.contains(&rank);
            }
        }
        for sequence in queue {
            if let Some(live) = self.task(sequence) {
                let live = Arc::clone(live);
                if live.task.active().contains(&rank) {
                    live.flow.end_part(sequence);
                }
                self.harm(&live.task);
                self.events.push(Event::Failed { task: live.task.id, rank, why });
                self.on_reported(rank, sequence, Some(why))?;
            } else {
                self.on_pulled(sequence, Nanos::MAX, false)?;
            }
        }
        self.resets_without(rank)
    }

    /// The computing ranks of a task that lost one need a reset.
    fn harm(&mut self, task: &Task) {
        let Some(live) = self.live.get_mut(&task.request) else { return };
        if task.active().len() < 2 {
            return;
        }
        for member in task.active() {
            if !live.harmed.contains(member) {
                live.harmed.push(*member);
            }
        }
    }
}
