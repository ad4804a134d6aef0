//! How events change the books.

use super::cursor::Cursor;
use super::phase::{Input, Phase};
use super::state::{InFlight, Live};
use super::{Notice, Scheduler};
use crate::command::{Command, RejectReason};
use crate::event::{Event, FailReason};
use crate::group::Group;
use crate::ids::{ArtifactId, Rank, RequestId, TaskId, TransferId};
use crate::migration::Located;
use crate::parallelism::Parallelism;
use crate::request::Request;
use crate::scheduler::view::RequestView;
use crate::task::Stage;
use crate::units::Nanos;
use alloc::vec::Vec;

impl Scheduler {
    pub(super) fn on_event(&mut self, now: Nanos, event: &Event, out: &mut Vec<Command>) {
        match event {
            Event::Arrived(request) => self.on_arrived(now, request, out),
            Event::Finished { task, rank, .. } => self.on_reported(*task, *rank, None, out),
            Event::Failed { task, rank, why } => self.on_reported(*task, *rank, Some(*why), out),
            Event::Migrated { transfer, .. } => self.on_migrated(*transfer, out),
            Event::Cancelled(id) => self.on_cancelled(*id, out),
            Event::RankDown(rank) => self.on_rank_down(*rank, out),
            Event::RankUp(rank) => {
                self.state.ranks.up(*rank);
                self.notices.push(Notice::World);
            }
        }
    }

    fn on_arrived(&mut self, now: Nanos, request: &Request, out: &mut Vec<Command>) {
        let reject = |why| Command::Reject { request: request.id, why };
        if self.state.live >= self.config.admission {
            return out.push(reject(RejectReason::QueueFull));
        }
        let estimator = &self.estimator;
        let shape = self.state.shape(&request.shape, || estimator.costs(&request.shape));
        let costs = &self.state.shapes[shape as usize];
        let world = self.config.world;
        let feasible = costs.encode.is_some()
            && costs.steps.iter().any(|entry| entry.degree <= world)
            && costs.decodes.iter().any(|entry| entry.degree <= world);
        if !feasible {
            return out.push(reject(RejectReason::Infeasible));
        }
        let slot = self.state.admit(*request, shape, now);
        self.enqueue(slot);
        self.notices.push(Notice::Admitted(request.id));
    }

    /// Puts a request that just became ready into the ready queue, if the policy orders it there.
    pub(super) fn enqueue(&mut self, slot: u32) {
        let live = self.state.get(slot);
        let view = RequestView { live, costs: self.state.costs(live) };
        if let Some(key) = self.policy.key(&view) {
            let id = live.request.id;
            self.state.ready.insert((key, id, slot));
            self.state.get_mut(slot).key = Some(key);
        }
    }

    /// Takes a request out of the ready queue, if it is there.
    pub(super) fn dequeue(&mut self, slot: u32) {
        let live = self.state.get_mut(slot);
        let id = live.request.id;
        if let Some(key) = live.key.take() {
            self.state.ready.remove(&(key, id, slot));
        }
    }

    /// One rank reports the end of a task.
    fn on_reported(
        &mut self,
        task: TaskId,
        rank: Rank,
        why: Option<FailReason>,
        out: &mut Vec<Command>,
    ) {
        let slot = self.state.ranks.finish(rank, task);
        let live = self.state.get_mut(slot);
        let entry = live.in_flight.iter().position(|entry| entry.task == task);
        let at = entry.expect("a task in an inbox is in flight");
        let entry = &mut live.in_flight[at];
        entry.left -= 1;
        entry.failed = entry.failed.or(why);
        if entry.left == 0 {
            let entry = live.in_flight.remove(at);
            match entry.failed {
                None => self.on_task_done(slot, &entry, out),
                Some(_) => self.on_task_failed(slot, out),
            }
        }
    }

    fn on_task_done(&mut self, slot: u32, entry: &InFlight, out: &mut Vec<Command>) {
        let live = self.state.get_mut(slot);
        let id = live.request.id;
        if live.lost {
            // The result went down with a rank between its report and now.
            return self.on_task_failed(slot, out);
        }
        live.done = live.done.advance(&live.request, entry.steps);
        live.version = entry.output;
        if entry.stage == Stage::TextEncode {
            live.encoded = entry.output;
        }
        let active = &live.group[..usize::from(entry.parallelism.degree())];
        relocate(&mut live.located, entry.stage, entry.parallelism, active);
        live.forget_gone();
        if live.done.stage().is_none() {
            out.push(Command::Complete(id));
            return self.end(slot, out);
        }
        if !live.in_flight.is_empty() {
            return self.notices.push(Notice::Boundary(id));
        }
        self.become_ready(slot, out);
    }

    /// Nothing is in flight: the request is ready again, or ends if it was cancelled.
    fn become_ready(&mut self, slot: u32, out: &mut Vec<Command>) {
        let live = self.state.get_mut(slot);
        let id = live.request.id;
        if live.phase == Phase::Cancelling {
            return self.give_up(slot, RejectReason::Cancelled, out);
        }
        live.change(Input::Boundary);
        live.issued = live.done;
        self.enqueue(slot);
        self.notices.push(Notice::Boundary(id));
    }

    fn on_task_failed(&mut self, slot: u32, out: &mut Vec<Command>) {
        let live = self.state.get_mut(slot);
        live.lost = true;
        // Tasks queued behind a failed one have lost their input: wait until all are reported.
        for entry in &mut live.in_flight {
            entry.failed = entry.failed.or(Some(FailReason::RankDown));
        }
        if !live.in_flight.is_empty() {
            return;
        }
        live.lost = false;
        if let Some(moving) = live.moving.take() {
            self.moving.remove(&moving.transfer);
        }
        let live = self.state.get_mut(slot);
        if live.retries >= self.config.retries && live.phase != Phase::Cancelling {
            return self.give_up(slot, RejectReason::Failed, out);
        }
        live.retries += 1;
        self.forget_lost_state(slot, out);
        self.become_ready(slot, out);
    }

    /// Goes back to the last version whose every part survived, and frees what is of no use there.
    fn forget_lost_state(&mut self, slot: u32, out: &mut Vec<Command>) {
        let live = self.state.get_mut(slot);
        let gone = core::mem::take(&mut live.gone);
        let Some(old) = live.located.take_if(|_| !gone.is_empty()) else { return };
        let version = live.version;
        let up = |ranks: &Group| without(ranks, &gone);
        let texts = up(&old.embeddings);
        let kept = old.without(&gone);
        // Where denoising starts anew, its last degree means nothing.
        live.degree = if kept.is_some() { live.degree } else { 0 };
        if kept.is_some() {
            live.located = kept;
        } else if let Some(&first) = texts.first() {
            // Latents come from the seed's noise again; the encoded text survives in a replica.
            live.located = Some(Located {
                stage: Stage::TextEncode,
                parallelism: Parallelism::SINGLE,
                active: Group::single(first),
                embeddings: texts,
            });
            live.done = Cursor::ENCODED;
            live.version = live.encoded;
        } else {
            live.done = Cursor::START;
            live.version = 0;
        }
        let used = live.located.as_ref().map(Located::holders).unwrap_or_default();
        let ranks = without(&up(&old.holders()), &used);
        if !ranks.is_empty() {
            let artifact = ArtifactId { request: live.request.id, version };
            out.push(Command::Release { artifact, ranks });
        }
    }

    fn on_migrated(&mut self, transfer: TransferId, out: &mut Vec<Command>) {
        let Some(slot) = self.moving.remove(&transfer) else { return };
        let live = self.state.get_mut(slot);
        let Some(moving) = live.moving.take_if(|moving| moving.transfer == transfer) else {
            return;
        };
        // A transfer for a task queued ahead ends while the request runs.
        if live.phase != Phase::Running {
            live.change(Input::Arrive);
        }
        self.settle(slot, moving.to, out);
    }

    /// Notes the new place of a request's state and frees the copies left behind.
    pub(super) fn settle(&mut self, slot: u32, to: Located, out: &mut Vec<Command>) {
        let live = self.state.get_mut(slot);
        let old = live.located.replace(to);
        let kept = live.located.as_ref().expect("just placed");
        // Embeddings are kept as replicas; only the latents' old copies go.
        let stale: Group = old
            .iter()
            .flat_map(|old| old.active.iter())
            .filter(|rank| !kept.active.contains(rank) && !live.gone.contains(rank))
            .copied()
            .collect();
        live.forget_gone();
        if !stale.is_empty() {
            let artifact = ArtifactId { request: live.request.id, version: live.version };
            out.push(Command::Release { artifact, ranks: stale });
        }
    }

    fn on_cancelled(&mut self, id: RequestId, out: &mut Vec<Command>) {
        // A request that ended in the same instant is past cancelling.
        let Some(slot) = self.state.slot(id) else { return };
        match self.state.get(slot).phase {
            Phase::Ready | Phase::Paused => self.give_up(slot, RejectReason::Cancelled, out),
            Phase::Cancelling => {}
            _ => self.state.get_mut(slot).change(Input::Cancel),
        }
    }

    fn on_rank_down(&mut self, rank: Rank, out: &mut Vec<Command>) {
        self.state.ranks.down(rank);
        self.notices.push(Notice::World);
        let touches = |live: &Live| {
            let holds = live.located.as_ref().is_some_and(|place| place.holds(rank));
            holds || !live.in_flight.is_empty() && live.group.contains(&rank)
        };
        let touched: Vec<u32> =
            self.state.live_slots().filter(|&slot| touches(self.state.get(slot))).collect();
        for slot in touched {
            let live = self.state.get_mut(slot);
            if !live.gone.contains(&rank) {
                live.gone.push(rank);
            }
            if !live.in_flight.is_empty() {
                // If the rank was needed, its tasks are reported as failed; otherwise they go on.
                live.lost |= live.group.contains(&rank);
                continue;
            }
            self.dequeue(slot);
            self.forget_lost_state(slot, out);
            let live = self.state.get_mut(slot);
            live.issued = live.done;
            if live.phase == Phase::Ready {
                self.enqueue(slot);
            }
        }
    }

    /// Ends a request without a result.
    pub(super) fn give_up(&mut self, slot: u32, why: RejectReason, out: &mut Vec<Command>) {
        let request = self.state.get(slot).request.id;
        out.push(Command::Reject { request, why });
        self.end(slot, out);
    }

    /// Frees everything an ended request holds.
    fn end(&mut self, slot: u32, out: &mut Vec<Command>) {
        self.dequeue(slot);
        self.state.get_mut(slot).change(Input::End);
        let live = self.state.remove(slot);
        debug_assert!(live.in_flight.is_empty(), "{} ended with tasks in flight", live.request.id);
        self.notices.push(Notice::Ended(live.request.id));
        let Some(located) = live.located else { return };
        let ranks = without(&located.holders(), &live.gone);
        if !ranks.is_empty() {
            let artifact = ArtifactId { request: live.request.id, version: live.version };
            out.push(Command::Release { artifact, ranks });
        }
    }
}

fn without(ranks: &Group, others: &[Rank]) -> Group {
    ranks.iter().copied().filter(|rank| !others.contains(rank)).collect()
}

/// Notes where a finished task left the state.
fn relocate(
    located: &mut Option<Located>,
    stage: Stage,
    parallelism: Parallelism,
    active: &[Rank],
) {
    let known = located.as_ref().is_some_and(|place| {
        place.stage == stage && place.parallelism == parallelism && *place.active == *active
    });
    if !known {
        *located = Some(Located::after(located.as_ref(), stage, parallelism, active));
    }
}
