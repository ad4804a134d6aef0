//! How decisions become commands.

use super::Scheduler;
use super::phase::{Input, Phase};
use super::plan::Decision;
use super::state::{InFlight, Moving};
use crate::command::{Command, RejectReason};
use crate::group::Group;
use crate::ids::{ArtifactId, Rank, TaskId, TransferId};
use crate::migration::{Located, migration};
use crate::parallelism::Parallelism;
use crate::task::{Route, Stage, Task, Transfer};
use crate::units::Nanos;
use alloc::boxed::Box;
use alloc::vec::Vec;

impl Scheduler {
    /// Carries out one decision. What has become illegal since the plan took it, because an earlier one
    /// ended the request or took the ranks, is refused and counted.
    pub(super) fn apply(&mut self, now: Nanos, decision: Decision, out: &mut Vec<Command>) {
        if !self.is_legal(&decision) {
            self.illegal += 1;
            return;
        }
        match decision {
            Decision::Run { slot, group, parallelism } => {
                self.dequeue(slot);
                self.state.get_mut(slot).group = group;
                let away = self.migrate(slot, parallelism, out);
                let input = if away { Input::LaunchAway } else { Input::Launch };
                self.state.get_mut(slot).change(input);
                self.launch(now, slot, parallelism, out);
            }
            Decision::RunAhead { slot, parallelism } => {
                self.migrate_ahead(slot, parallelism, out);
                self.state.get_mut(slot).change(Input::Launch);
                self.launch(now, slot, parallelism, out);
            }
            Decision::Chunk { slot, steps } => self.state.get_mut(slot).chunk_steps = steps,
            Decision::Pause { slot } => {
                self.dequeue(slot);
                self.state.get_mut(slot).change(Input::Pause);
            }
            Decision::Resume { slot } => {
                self.state.get_mut(slot).change(Input::Resume);
                self.enqueue(slot);
            }
            Decision::Shed { slot } => self.give_up(slot, RejectReason::Shed, out),
            Decision::Reserve { rank, until } => {
                self.illegal += u64::from(!self.state.ranks.reserve(rank, until));
            }
            Decision::Unreserve { rank } => {
                self.illegal += u64::from(!self.state.ranks.unreserve(rank));
            }
        }
    }

    fn is_legal(&self, decision: &Decision) -> bool {
        let phase = |slot: u32| self.state.try_get(slot).map(|live| live.phase);
        match decision {
            Decision::Run { slot, group, .. } => {
                let takes_task = |rank: &Rank| self.state.ranks.takes_task(*rank);
                phase(*slot) == Some(Phase::Ready) && group.iter().all(takes_task)
            }
            Decision::RunAhead { slot, .. } => {
                self.state.credits > 0 && phase(*slot) == Some(Phase::Running)
            }
            Decision::Chunk { slot, .. } => phase(*slot).is_some(),
            Decision::Pause { slot } => phase(*slot) == Some(Phase::Ready),
            Decision::Resume { slot } => phase(*slot) == Some(Phase::Paused),
            Decision::Shed { slot } => {
                matches!(phase(*slot), Some(Phase::Ready | Phase::Paused))
            }
            Decision::Reserve { .. } | Decision::Unreserve { .. } => true,
        }
    }

    /// Issues the transfer that the next task needs, if its inputs are not where it runs.
    fn migrate(&mut self, slot: u32, parallelism: Parallelism, out: &mut Vec<Command>) -> bool {
        let live = self.state.get(slot);
        let Some(from) = &live.located else { return false };
        let active = &live.group[..usize::from(parallelism.degree())];
        if Some(from.stage) == live.issued.stage()
            && from.parallelism == parallelism
            && *from.active == *active
        {
            return false;
        }
        let from = from.clone();
        if self.transfer(slot, &from, parallelism, out) {
            return true;
        }
        let live = self.state.get(slot);
        let active = &live.group[..usize::from(parallelism.degree())];
        if *from.active != *active {
            // Replicas are already where the task runs; what lies elsewhere is not needed.
            let stage = live.issued.stage().expect("a plan runs only what has a next task");
            let to = Located::after(Some(&from), stage, parallelism, active);
            self.settle(slot, to, out);
        }
        false
    }

    /// The same for a task queued behind another: its inputs will be where that one leaves them.
    fn migrate_ahead(&mut self, slot: u32, parallelism: Parallelism, out: &mut Vec<Command>) {
        let live = self.state.get(slot);
        let Some(ahead) = live.in_flight.last() else { return };
        let active = Group::from(&live.group[..usize::from(ahead.parallelism.degree())]);
        let embeddings = match &live.located {
            Some(located) => located.embeddings.clone(),
            None => active.clone(),
        };
        let from =
            Located { stage: ahead.stage, parallelism: ahead.parallelism, active, embeddings };
        self.transfer(slot, &from, parallelism, out);
    }

    fn transfer(
        &mut self,
        slot: u32,
        from: &Located,
        parallelism: Parallelism,
        out: &mut Vec<Command>,
    ) -> bool {
        let live = self.state.get(slot);
        let stage = live.issued.stage().expect("a request with a next task");
        let active = &live.group[..usize::from(parallelism.degree())];
        let edges = migration(&self.state.costs(live).state, from, stage, parallelism, active);
        if edges.is_empty() {
            return false;
        }
        let to = Located::after(Some(from), stage, parallelism, active);
        let version = live.in_flight.last().map_or(live.version, |ahead| ahead.output);
        let artifact = ArtifactId { request: live.request.id, version };
        let transfer = TransferId(self.next_sequence());
        let route = Box::new(Route { from: from.clone(), to: to.clone() });
        let live = self.state.get_mut(slot);
        live.moving = Some(Moving { transfer, to });
        self.moving.insert(transfer, slot);
        out.push(Command::Migrate(Transfer { id: transfer, artifact, edges, route }));
        true
    }

    fn launch(&mut self, now: Nanos, slot: u32, parallelism: Parallelism, out: &mut Vec<Command>) {
        let id = TaskId(self.next_sequence());
        let live = self.state.get(slot);
        let stage = live.issued.stage().expect("a plan runs only what has a next task");
        let (first_step, steps) = live.issued.chunk(&live.request, live.chunk_steps);
        let time = self.state.task_time(live, stage, steps, parallelism).unwrap_or_default();
        let live = self.state.get_mut(slot);
        live.named += 1;
        let version = live.named;
        let input = live.in_flight.last().map_or(live.version, |ahead| ahead.output);
        let output = ArtifactId { request: live.request.id, version };
        live.issued = live.issued.advance(&live.request, steps);
        if stage == Stage::Denoise {
            live.degree = parallelism.degree();
        }
        let left = live.group.len() as u16;
        let failed = None;
        let ahead = InFlight { task: id, left, failed, output: version, stage, steps, parallelism };
        live.in_flight.push(ahead);
        let (request, group) = (live.request.id, live.group.clone());
        for &rank in group.iter() {
            self.state.ranks.occupy(rank, id, slot, now, time);
        }
        out.push(Command::Launch(Task {
            id,
            request,
            stage,
            first_step,
            steps,
            parallelism,
            group,
            input,
            output,
        }));
    }
}
